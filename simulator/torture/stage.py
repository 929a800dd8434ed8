"""What a fault may lay its hands on: the exchange, the network, the clock, the market, the app."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

import trio

from gapless.controller import ConnectionController, Stream
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.failure_modes import Mode
from gapless.simulator.network import DEFAULT_LATENCY_S, Direction, VirtualNetwork
from gapless.simulator.torture.observer import Watches
from gapless.simulator.torture.wishes import Wishes
from gapless.simulator.virtual_clock import VirtualClock

SESSION: Final = "torture"


@dataclass(slots=True, kw_only=True)
class Market:
    """Trades as they come: in bursts, at random, ``rate_per_s`` of them on all streams together."""

    exchange: ExchangeSimulator
    streams: tuple[Stream, ...]
    rate_per_s: float
    random: Random
    pace: float = 1.0
    """How much livelier than usual; 0.0: nothing happens."""
    is_open: bool = True
    _BURST: int = 3

    async def run(self) -> None:
        """Publish until closed."""
        while self.is_open:
            rate_per_s = self.rate_per_s * self.pace
            if not rate_per_s:
                await trio.sleep(0.5)
                continue
            await trio.sleep(self.random.expovariate(rate_per_s / self._BURST))
            if self.pace and self.is_open and not self.exchange.is_down:
                self.burst()

    def close(self) -> None:
        """Nothing more is issued, after one last datum on each stream: it shows whether the one before it was lost."""
        self.is_open = False
        for stream in self.streams:
            self.exchange.publish(stream.channel, stream.symbol)
        self.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        self.exchange.set_balance("USD", 1.0)

    def burst(self, trades: int = _BURST) -> None:
        """Several at one instant, each on a stream of its own choice."""
        for _ in range(trades):
            stream = self.random.choice(self.streams)
            self.exchange.publish(stream.channel, stream.symbol)


@dataclass(slots=True, kw_only=True)
class Manners:
    """How the app treats its controller."""

    delay_s: float = 0.0
    """What it does with each event takes so long."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """One world, while it lasts."""

    exchange: ExchangeSimulator
    network: VirtualNetwork
    clock: VirtualClock
    market: Market
    manners: Manners
    controller: ConnectionController
    wishes: Wishes
    streams: tuple[Stream, ...]
    idle_s: float
    """The idle window of a connection that data came by."""
    ws_port: int
    rest_port: int
    watches: Watches
    refused: set[Stream] = field(default_factory=set)
    """Those that the venue refused when they were last asked for."""
    struck: Counter[str] = field(default_factory=Counter)
    """Fault -> how often it really happened."""
    _failing: dict[str, list[Mode]] = field(default_factory=dict)
    """Kind -> the modes that hold, the oldest first."""
    _holes: list[int | None] = field(default_factory=list)
    _refused: list[int | None] = field(default_factory=list)

    @contextmanager
    def failing(self, kind: str, mode: Mode, session_id: str | None = SESSION) -> Iterator[None]:
        """A failure of the simulator. Of several of a kind the last one that began holds, then the one before it."""
        failures = self.exchange.failures
        modes = self._failing.setdefault(kind, [])
        modes.append(mode)
        failures.switch(kind, mode, session_id)
        try:
            yield
        finally:
            was_held = modes[-1] is mode
            del modes[next(i for i, each in enumerate(modes) if each is mode)]
            if was_held:
                failures.switch(kind, modes[-1] if modes else None, session_id)

    @contextmanager
    def black_hole(self, direction: Direction, port: int | None) -> Iterator[None]:
        """Nothing arrives this way. Where holes overlap, a port is healed when the last of them is over."""
        self.network.black_hole(direction, port)
        self._holes.append(port)
        try:
            yield
        finally:
            self._holes.remove(port)
            for each in self._free(self._holes):
                self.network.heal(each)

    @contextmanager
    def refusing(self, port: int) -> Iterator[None]:
        """A port is closed, until the last who closed it opens it."""
        self.network.refuse(port)
        self._refused.append(port)
        try:
            yield
        finally:
            self._refused.remove(port)
            for each in self._free(self._refused):
                self.network.accept(each)

    def _free(self, taken: list[int | None]) -> list[int]:
        return [port for port in (self.ws_port, self.rest_port) if port not in taken and None not in taken]

    @property
    def has_accounts(self) -> bool:
        """Whether the app wants orders or balances."""
        return any(each.symbol == "*" for each in self.streams)

    @property
    def lively(self) -> list[Stream]:
        """The market streams of which something came lately and may still come: wanted, and not refused."""
        ages = self.controller.freshness().items()
        lately = [stream for stream, age_s in ages if stream.symbol != "*" and age_s < self.idle_s]
        return [stream for stream in lately if stream not in self.refused]

    def excuse(self, for_s: float) -> None:
        """The process stood still: for so long from now on no deadline need have been kept."""
        self.watches.excused(trio.current_time() + for_s)

    def heal(self) -> None:
        """Everybody behaves from now on."""
        self.exchange.failures.clear()
        self.network.heal()
        self.network.accept()
        self.network.set_latency(DEFAULT_LATENCY_S)
        self.market.pace = 1.0
        self.manners.delay_s = 0.0
