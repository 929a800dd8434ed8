"""What a fault may lay its hands on: the exchange, the network, the clock, the market, the app."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

import trio

from gapless.controller import ConnectionController, Stream
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.network import DEFAULT_LATENCY_S, VirtualNetwork
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
    held: int = 0
    """Events that waited for it when it last looked."""


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
    struck: Counter[str] = field(default_factory=Counter)
    """Fault -> how often it really happened."""

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
