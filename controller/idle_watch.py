"""Notices silence, on the connection and on each of its streams: by deadline, not by polling.

One task watches both. Its timer is set for whichever can be due first.
"""

from typing import TYPE_CHECKING, NoReturn

import trio

from gapless.controller import lateness
from gapless.controller.stream_watch import Watcher
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Watch the connection and each of its streams. Starts at the last SUBSCRIBED."""
    await runtime.link.subscribed.wait()
    async with trio.open_nursery() as probes:
        await _watch(_Connection(runtime, lease), Watcher(runtime, lease, probes), runtime)


async def _watch(connection: "_Connection", streams: Watcher, runtime: "Runtime") -> NoReturn:
    while True:
        if not runtime.books.market_desired:
            # A stream that was rejected may be taken yet, by this socket or a successor: that is no change of desires.
            await runtime.books.changed.wait()
            connection.begin()
            continue
        next_at = min(connection.look(), await streams.look())
        with trio.move_on_at(next_at):
            await runtime.stream_watch.changed.wait()
        await lateness.let_link_read(next_at)


class _Connection:
    """Claims IDLE once no market data came for the idle window."""

    def __init__(self, runtime: "Runtime", lease: "Lease") -> None:
        self._runtime = runtime
        self._lease = lease
        self._started_at = trio.current_time()

    def begin(self) -> None:
        """There was nothing to watch until now."""
        self._started_at = trio.current_time()

    def look(self) -> float:
        """Claim what is so; when to look again."""
        now, window_s = trio.current_time(), self._runtime.config.ws_idle_timeout
        if self._is_idle():
            silent_s = now - max(self._started_at, self._runtime.feed.last_data_at)
            self._lease.emit(Trigger.IDLE, f"no market data for {silent_s:.3g} s", still_true=self._is_idle)
            return now + lateness.LATE_S
        # A window that quiet verdicts have doubled shrinks when data comes: look again at least once a plain window.
        return min(self._idle_at(), now + window_s)

    def _idle_at(self) -> float:
        last_data_at = self._runtime.feed.last_data_at
        return max(self._started_at, last_data_at) + self._runtime.quiet.window_s(last_data_at)

    def _is_idle(self) -> bool:
        return self._runtime.books.market_desired and trio.current_time() >= self._idle_at()
