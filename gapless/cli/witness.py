"""Independent witnesses of a demo: what came over the wire and when, and whether the machine let this process run."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn

import trio

from gapless.cli.oracle import Silence
from gapless.controller import State, StateChanged
from gapless.controller.transports import Connection, Transport

_TICK_S = 0.02
"""Seconds between two looks at the clock: a fifth of the 100 ms in which a silence must be found."""


class Wire:
    """A transport that notes when a frame last restarted the idle window: market data, or a subscription's answer."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.heard_at: float | None = None
        """Seconds on trio's clock; None: nothing yet, or nothing since the last silence."""

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial through the transport within."""
        return self._connect(url)

    @asynccontextmanager
    async def _connect(self, url: str) -> AsyncIterator[Connection]:
        async with self._inner.connect(url) as connection:
            yield _Tapped(self, connection)


class _Tapped:
    """A connection whose frames are looked at before they are handed on."""

    def __init__(self, wire: Wire, inner: Connection) -> None:
        self._wire = wire
        self._inner = inner

    async def receive(self) -> Sequence[str | bytes]:
        frames = await self._inner.receive()
        if any('"MARKET_DATA"' in str(frame) or '"SUBSCRIBED"' in str(frame) for frame in frames):
            self._wire.heard_at = trio.current_time()
        return frames

    async def send(self, frame: str) -> None:
        await self._inner.send(frame)


class StolenTime:
    """Measures the time in which the process wanted to run and was not run.

    A tick that comes late although the process used no processor time was held up by the machine, not by us.
    """

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []
        """When a tick came, and how much of the time before it was stolen."""

    async def measure(self) -> NoReturn:
        """Look at the clock for ever."""
        while True:
            before, used_before = trio.current_time(), time.process_time()
            await trio.sleep(_TICK_S)
            now = trio.current_time()
            stolen_s = now - before - _TICK_S - (time.process_time() - used_before)
            if stolen_s > _TICK_S:
                self._ticks.append((now, stolen_s))

    def since(self, moment: float) -> float:
        """Seconds stolen since ``moment`` (trio's clock)."""
        return sum(stolen_s for at, stolen_s in self._ticks if at > moment)


class SilenceWatch:
    """Notes how long after the last sign of life ``SILENT`` was entered. Its method is an ``on_state_change``."""

    def __init__(self, wire: Wire, stolen: StolenTime) -> None:
        self._wire = wire
        self._stolen = stolen
        self.silences: list[Silence] = []

    def on_state_change(self, event: StateChanged) -> None:
        """Called by the controller, at once."""
        heard_at = self._wire.heard_at
        if event.after is not State.SILENT or heard_at is None:
            return
        # A quiet market's next window is longer by design: only the first silence after a datum is a measure.
        self._wire.heard_at = None
        found_after_s = trio.current_time() - heard_at
        self.silences.append(Silence(found_after_s=found_after_s, stolen_s=self._stolen.since(heard_at)))
