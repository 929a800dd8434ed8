"""An app on a simulated venue that is killed and comes back, time and again, with nothing but its cursor."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import urlsplit

import trio

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    NetworkConfig,
    Stream,
    open_controller,
)
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.exchanges import (
    BaseExchange,
    BinanceExchange,
    CoinbaseExchange,
    DeribitExchange,
    KrakenExchange,
)
from gapless.simulator import serve_exchange, venues
from gapless.simulator.failure_modes import SelectMode, ServerErrorMode
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.venues import KrakenLimits, KrakenOptions, Venue, VenueConfig, VenueSimulator
from tests.kit import virtual_wall_clock

LATENCY_S: Final = 0.005


@dataclass(frozen=True)
class Market:
    """A venue, its adapter, and the stream that is followed there."""

    venue: Callable[[], Venue]
    adapter: type[BaseExchange]
    stream: Stream


def kraken(*, absent: float = 0.0) -> Market:
    """Trades whose ids the socket leaves out in part; REST answers as fast as it is asked."""
    stream = Stream("trade", "BTC/USD")
    options = KrakenOptions(absent_share=absent)
    return Market(lambda: venues.KrakenSpot(KrakenLimits(requests_per_s=1000.0), options), KrakenExchange, stream)


MARKETS: Final = {
    "kraken": kraken(),
    "kraken-leaves-out": kraken(absent=0.3),
    "binance": Market(venues.BinanceSpot, BinanceExchange, Stream("trade", "BTCUSDT")),
    "coinbase": Market(venues.CoinbaseExchange, CoinbaseExchange, Stream("matches", "BTC-USD")),
    "deribit": Market(venues.Deribit, DeribitExchange, Stream("trades", "BTC-PERPETUAL")),
}


@dataclass
class Place:
    """A served venue on a virtual network."""

    market: Market
    network: VirtualNetwork
    simulator: VenueSimulator
    ws_url: str
    rest_url: str
    nursery: trio.Nursery

    @asynccontextmanager
    async def app(self, resume: Cursor | None = None, **settings: object) -> AsyncIterator[ConnectionController]:
        """A process of its own, as far as the controller can tell."""
        async with open_controller(
            exchange=self.market.adapter(ws_url=self.ws_url, rest_url=self.rest_url),
            streams=[self.market.stream],
            config=NetworkConfig.from_mapping({"reconnect_max_attempts": None, **settings}),
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=resume,
        ) as controller:
            yield controller

    def publish(self, count: int = 1) -> list[int]:
        """So many trades at once; their ids."""
        return [self.simulator.publish(self.market.stream.symbol).trade_id for _ in range(count)]

    async def trade(self, every_s: float = 0.1) -> None:
        """Until the end."""
        while True:
            self.publish()
            await trio.sleep(every_s)

    def rest_fails(self, fails: bool) -> None:
        """Whether every request is answered with an error of the server."""
        self.simulator.failures.switch("server_error", ServerErrorMode(enabled=fails))

    def drop(self, probability: float) -> None:
        """Leave out frames of the socket from now on."""
        self.simulator.failures.switch("drop", SelectMode(enabled=probability > 0, probability=probability))

    def cut(self) -> None:
        """Every socket is reset."""
        self.network.reset(self.ws_port)

    @property
    def ws_port(self) -> int:
        """Where sockets are; REST is there, too, at some venues."""
        port = urlsplit(self.ws_url).port
        assert port is not None
        return port

    @property
    def counts(self) -> bool:
        """Whether an id that a living socket does not show is missing."""
        return not isinstance(self.simulator.venue, venues.KrakenSpot)

    def shown(self, since: int) -> set[int]:
        """The ids that a socket without trouble shows from this one on: they are owed."""
        venue = self.simulator.venue
        issued = [each for each in self.simulator.trades(self.market.stream.symbol) if each.trade_id >= since]
        return {each.trade_id for each in issued if not isinstance(venue, venues.KrakenSpot) or venue.on_socket(each)}

    def issued(self) -> set[int]:
        """All ids that there are."""
        return {each.trade_id for each in self.simulator.trades(self.market.stream.symbol)}


@asynccontextmanager
async def place(market: Market) -> AsyncIterator[Place]:
    """Only what the test publishes is traded."""
    network = VirtualNetwork(seed=1, latency_s=LATENCY_S)
    with network.installed():
        config = VenueConfig(rate_per_s=0.0, symbols=(market.stream.symbol,))
        simulator = VenueSimulator(market.venue(), config, wall_clock=virtual_wall_clock)
        async with serve_exchange(simulator) as at, trio.open_nursery() as nursery:
            yield Place(market, network, simulator, at.ws_url, at.rest_url, nursery)
            nursery.cancel_scope.cancel()


async def read(controller: ConnectionController, seconds: float) -> list[AnyEvent]:
    """What comes in so many seconds."""
    events: list[AnyEvent] = []
    with trio.move_on_after(seconds):
        async for event in controller:
            events.append(event)  # noqa: PERF401 (what came before the end stays)
    return events


def stored(cursor: Cursor) -> Cursor:
    """As it comes back from a store."""
    return Cursor.decode(cursor.encode())


def where(cursor: Cursor) -> StreamCursor:
    """Of its only stream."""
    (position,) = cursor.streams
    return position


def ids(events: Iterable[AnyEvent]) -> list[int]:
    """Of the data."""
    return [event.sequence_id or 0 for event in events if isinstance(event, MarketData)]


def lost(events: Iterable[AnyEvent]) -> list[tuple[int, int | None, str]]:
    """What was reported."""
    return [(each.start_seq, each.end_seq, each.reason) for each in events if isinstance(each, ContinuityLost)]


def found(events: Iterable[AnyEvent]) -> list[tuple[int, int]]:
    """The gaps."""
    return [(each.start_seq, each.end_seq) for each in events if isinstance(each, GapFound)]


def filled(events: Iterable[AnyEvent]) -> list[tuple[int, int]]:
    """Those that are none any more."""
    return [(each.start_seq, each.end_seq) for each in events if isinstance(each, GapFilled)]


def assert_exactly_once_or_lost(w: Place, events: Iterable[AnyEvent], *, since: int) -> None:
    """From ``since`` on what a socket shows came once or is reported, never both; nothing else came."""
    events = list(events)
    numbers = Counter(ids(events))
    told = {each for start, end, _reason in lost(events) for each in range(start, (end or start) + 1)}
    assert [each for each, times in numbers.items() if times > 1] == []
    assert sorted(told & numbers.keys()) == []
    assert sorted(numbers.keys() - w.issued()) == []
    owed = {each for each in w.shown(since) if each <= max(numbers)}
    assert len(owed) > 10, "hardly anything was traded"
    assert sorted(owed - numbers.keys() - told) == []
