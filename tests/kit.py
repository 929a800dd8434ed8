"""A world for tests: a virtual network, a simulated exchange, a controller, and the contract to hold against both."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import trio
import trio.testing

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    ContinuityLost,
    MarketData,
    NetworkConfig,
    RestRateLimiter,
    Source,
    State,
    StateChanged,
    Stream,
    open_controller,
)
from gapless.simulator import ExchangeSimulator, FailuresConfig, SimulatorConfig, serve_exchange
from gapless.simulator.network import VirtualNetwork
from gapless.states import TABLE

TICKER = Stream("ticker", "BTC/USD")
ETHER = Stream("ticker", "ETH/USD")
SESSION = "test-session"


def virtual_wall_clock() -> float:
    """Unix seconds that pass as fast as the trio clock."""
    return 1_767_225_600.0 + trio.current_time()


class Feed:
    """A controller and everything it has handed to the app so far."""

    def __init__(self, controller: ConnectionController) -> None:
        self.controller = controller
        self.events: list[AnyEvent] = []
        self.heard = trio.Event()

    async def consume(self) -> None:
        async for event in self.controller:
            self.events.append(event)
            self.heard.set()
            self.heard = trio.Event()

    def of(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def data(self) -> list[MarketData]:
        return [event for event in self.events if isinstance(event, MarketData)]

    @property
    def lost(self) -> list[ContinuityLost]:
        return [event for event in self.events if isinstance(event, ContinuityLost)]

    @property
    def moves(self) -> list[StateChanged]:
        return [event for event in self.events if isinstance(event, StateChanged)]

    @property
    def path(self) -> list[str]:
        """The states entered, the initial one first."""
        return ["RECONNECTING", *(move.after.name for move in self.moves)]

    def ids(self, source: Source | None = None, stream: Stream = TICKER) -> list[int | None]:
        return [
            event.sequence_id
            for event in self.data
            if (event.channel, event.symbol) == (stream.channel, stream.symbol)
            and (source is None or event.source is source)
        ]

    def moved(self, to: State) -> list[StateChanged]:
        return [move for move in self.moves if move.after is to]

    async def until(self, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        """Wait until the app has seen something; virtual time, so the limit costs nothing."""
        with trio.fail_after(within_s):
            while not condition():
                await self.heard.wait()

    async def until_state(self, state: State, within_s: float = 60.0) -> None:
        with trio.fail_after(within_s):
            await self.controller.wait_for(state)
        await trio.testing.wait_all_tasks_blocked()


class World:
    """An exchange on a virtual network."""

    def __init__(self, network: VirtualNetwork, exchange: ExchangeSimulator, ws_url: str, rest_url: str) -> None:
        self.network = network
        self.exchange = exchange
        self.ws_url = ws_url
        self.rest_url = rest_url
        self.ws_port = int(ws_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
        self.rest_port = int(rest_url.rsplit(":", 1)[1])

    def fail(self, failures: FailuresConfig, session_id: str | None = SESSION) -> None:
        self.exchange.failures.set(failures, session_id)

    def publish(self, count: int = 1, stream: Stream = TICKER) -> None:
        for _ in range(count):
            self.exchange.publish(stream.channel, stream.symbol)

    def requests_since(self, since: float, path: str = "/api/v1/prices") -> int:
        return sum(1 for each in self.exchange.requests if each.path == path and each.time_s >= since)

    @asynccontextmanager
    async def feed(
        self,
        *streams: Stream,
        session_id: str = SESSION,
        limiter: RestRateLimiter | None = None,
        on_health_change: Callable[[bool], None] | None = None,
        boot_clock: Callable[[], float] | None = None,
        consume: bool = True,
        **settings: object,
    ) -> AsyncIterator[Feed]:
        async with (
            open_controller(
                ws_url=self.ws_url,
                rest_url=self.rest_url,
                streams=streams or [TICKER],
                config=NetworkConfig.from_mapping(settings),
                session_id=session_id,
                limiter=limiter,
                random=Random(1),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time if boot_clock is None else boot_clock,
                on_health_change=on_health_change,
            ) as controller,
            trio.open_nursery() as nursery,
        ):
            feed = Feed(controller)
            if consume:
                nursery.start_soon(feed.consume)
            yield feed
            nursery.cancel_scope.cancel()

    def assert_contract(self, feed: Feed, *streams: Stream, settled: bool = True, session_id: str = SESSION) -> None:
        """Compare what the app saw with what the exchange issued: exactly once or reported; a legal walk."""
        state = TABLE.initial
        for move in feed.moves:
            assert move.before is state
            assert TABLE.row(move.before, move.trigger).target is move.after
            state = move.after
        for stream in streams or (TICKER,):
            self._assert_whole(feed, stream, session_id, settled=settled)

    def _assert_whole(self, feed: Feed, stream: Stream, session_id: str, *, settled: bool) -> None:
        mine = [event for event in feed.data if (event.channel, event.symbol) == (stream.channel, stream.symbol)]
        lost = [event for event in feed.lost if (event.channel, event.symbol) == (stream.channel, stream.symbol)]
        subscribed = [
            each
            for each in self.exchange.subscriptions
            if each.session_id == session_id and (each.channel, each.symbol) == (stream.channel, stream.symbol)
        ]
        assert subscribed, "the exchange never saw a subscription"
        first = subscribed[0]
        began = False
        for epoch in self.exchange.issued.epochs:
            began = began or epoch == first.epoch
            issued = self.exchange.issued.last_id(epoch, stream.channel, stream.symbol)
            seen = Counter(event.sequence_id for event in mine if event.epoch == epoch)
            twice = [number for number, times in seen.items() if times > 1]
            assert not twice, f"{stream} {epoch}: delivered twice: {twice[:10]}"
            assert all(number is not None and 1 <= number <= issued for number in seen), "an id that was never issued"
            if not began:
                continue
            reported = {
                number
                for event in lost
                if event.epoch == epoch
                for number in range(event.start_seq, (issued if event.end_seq is None else event.end_seq) + 1)
            }
            assert not reported & set(seen), f"{stream} {epoch}: delivered and reported lost"
            owed = range(first.mark + 1 if epoch == first.epoch else 1, issued + 1)
            missing = [number for number in owed if number not in seen and number not in reported]
            if not settled:
                highest = max((number for number in seen if number), default=0)
                missing = [number for number in missing if number < highest]
            assert not missing, f"{stream} {epoch}: missing and not reported: {missing[:10]} of {issued}"


@asynccontextmanager
async def world(
    *,
    rate_per_s: float = 10.0,
    seed: int = 1,
    latency_s: float = 0.005,
    failures: FailuresConfig | None = None,
    history_size: int = 100_000,
    symbols: tuple[str, ...] = ("BTC/USD", "ETH/USD"),
) -> AsyncIterator[World]:
    """A running exchange; ``rate_per_s`` per stream, 0: nothing unless published by hand. No socket may be left."""
    network = VirtualNetwork(seed=seed, latency_s=latency_s)
    config = SimulatorConfig(
        seed=seed,
        rate_per_s=rate_per_s,
        channels=("ticker",),
        symbols=symbols,
        failures=failures or FailuresConfig(),
        history_size=history_size,
    )
    exchange = ExchangeSimulator(config, wall_clock=virtual_wall_clock)
    with network.installed():
        async with serve_exchange(exchange) as endpoints:
            yield World(network, exchange, endpoints.ws_url, endpoints.rest_url)
        assert network.open_sockets == 0, f"sockets left open: {network.connections}"
