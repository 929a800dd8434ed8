"""Real controllers on simulated venues in virtual time, and an adapter that a script lets say anything."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import trio

from gapless.controller import Exchange, NetworkConfig, Stream, Trade, open_controller
from gapless.controller.exchange import HighWater, Leaving, Message, MustAnswer, Notice, Several, SingleMessage
from gapless.controller.exchanges import BaseExchange, BinanceExchange, CoinbaseExchange, ReferenceExchange
from gapless.simulator import Endpoints, serve_exchange
from gapless.simulator.failure_modes import Mode
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.venues import Venue, VenueConfig, VenueSimulator
from tests.kit import TICKER, Feed, virtual_wall_clock
from tests.venues.stories import happened, said

ADAPTERS: Mapping[str, type[BaseExchange]] = {"binance": BinanceExchange, "coinbase": CoinbaseExchange}


@dataclass
class VenueWorld:
    """One served venue, and the controllers that talk to it."""

    simulator: VenueSimulator
    endpoints: Endpoints
    _stack: AsyncExitStack
    _consuming: trio.Nursery
    feeds: list[Feed] = field(default_factory=list)

    def adapter(self, **limits: Any) -> BaseExchange:
        """The venue's, with limits of its own that are other ones than the venue's."""
        adapter = ADAPTERS[self.simulator.venue.name](ws_url=self.endpoints.ws_url, rest_url=self.endpoints.rest_url)
        for name, limit in limits.items():
            setattr(adapter, name, limit)
        return adapter

    async def feed(self, *streams: Stream, exchange: Exchange | None = None, **settings: object) -> Feed:
        """Open a controller, and take what it has for the app."""
        controller = await self._stack.enter_async_context(
            open_controller(
                exchange=exchange or self.adapter(),
                streams=streams,
                config=NetworkConfig.from_mapping(settings),
                random=Random(self.simulator.config.seed + len(self.feeds)),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time,
            )
        )
        self.feeds.append(Feed(controller))
        self._consuming.start_soon(self.feeds[-1].consume)
        return self.feeds[-1]

    def fail(self, **modes: Mode) -> None:
        """From now on these failures."""
        for kind, mode in modes.items():
            self.simulator.failures.switch(kind, mode)

    def publish(self, count: int, symbol: str) -> list[int]:
        """So many trades at once; their ids."""
        return [self.simulator.publish(symbol).trade_id for _ in range(count)]

    async def market(self, seconds: float, *symbols: str, every_s: float = 0.1) -> None:
        """A trade on each symbol, ten a second."""
        for _ in range(round(seconds / every_s)):
            for symbol in symbols:
                self.simulator.publish(symbol)
            await trio.sleep(every_s)

    @property
    def paths(self) -> list[str]:
        """What REST was asked for."""
        return [record.path for record in self.simulator.weight_log]


@asynccontextmanager
async def venue_world(venue: Venue, **settings: Any) -> AsyncIterator[VenueWorld]:
    """A venue on a network of its own; only what the test publishes is traded. In the end no socket is left."""
    network = VirtualNetwork(seed=1, latency_s=0.005)
    with network.installed():
        config = VenueConfig(**{"rate_per_s": 0.0, **settings})
        simulator = VenueSimulator(venue, config, wall_clock=virtual_wall_clock)
        async with serve_exchange(simulator) as endpoints, trio.open_nursery() as nursery:
            async with AsyncExitStack() as stack:
                yield VenueWorld(simulator, endpoints, stack, nursery)
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0


def trades_of(feed: Feed, stream: Stream) -> list[Trade]:
    return [each for each in feed.of(Trade) if (each.channel, each.symbol) == (stream.channel, stream.symbol)]


def assert_whole(world: VenueWorld, feed: Feed, *streams: Stream) -> None:
    """Of each stream exactly what happened since its first trade that was seen, once each, and nothing was lost."""
    for stream in streams:
        got = sorted(map(said, trades_of(feed, stream)), key=lambda each: each[0] or 0)
        assert got, f"nothing came of {stream}"
        issued = [happened(each) for each in world.simulator.trades(stream.symbol)]
        assert got == [each for each in issued if (each[0] or 0) >= (got[0][0] or 0)]
    assert feed.lost == []
    assert feed.controller.open_gaps == {}


class Talkative(ReferenceExchange):
    """The reference exchange's format, and frames for whatever else a venue may say."""

    def decode(self, frame: str | bytes) -> Message:
        said: dict[str, Any] = msgspec.json.decode(frame)
        if said["type"] != "SEVERAL":
            return self._single(said)
        return Several(messages=[self._single(each) for each in said["frames"]])

    def _single(self, said: dict[str, Any]) -> SingleMessage:
        match said["type"]:
            case "HIGH_WATER":
                return HighWater(marks={TICKER: said["mark"]})
            case "MUST_ANSWER":
                return MustAnswer(answer=msgspec.json.encode({"type": "ANSWER", "token": said["token"]}).decode())
            case "LEAVING":
                return Leaving(reason="says so")
            case "NOTICE":
                return Notice(kind="maintenance", code=said["code"], message="soon")
            case _:
                message = super().decode(msgspec.json.encode(said))
                assert not isinstance(message, Several)
                return message


def talkative(*, sends: tuple[int, float] | None = None) -> Callable[[str, str], Exchange]:
    """Makes the adapter of a scripted venue."""

    def made(ws_url: str, rest_url: str) -> Exchange:
        exchange = Talkative(ws_url=ws_url, rest_url=rest_url, session_id="x")
        exchange.send_budget = sends
        return exchange

    return made
