"""The example venue at work: its adapter, the unmodified controller and a server, in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from examples.venue_linden import LindenExchange
from gapless.controller import NetworkConfig, Source, State, Stream, StreamRejected, Trade, Trigger, open_controller
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.testkit import ControllerFeed, virtual_wall_clock
from tests.exchanges.linden import ELM, OAK
from tests.exchanges.linden_server import LindenServer


@asynccontextmanager
async def linden_feed(
    server: LindenServer, *streams: Stream, kind: type[LindenExchange] = LindenExchange, **settings: object
) -> AsyncIterator[ControllerFeed]:
    """A controller that keeps streams of Linden whole."""
    with VirtualNetwork(seed=1, latency_s=0.005).installed():
        async with (
            server.serve(),
            open_controller(
                exchange=kind(ws_url=server.ws_url, rest_url=server.rest_url),
                streams=streams or [OAK],
                config=NetworkConfig.from_mapping(settings),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time,
            ) as controller,
            trio.open_nursery() as nursery,
        ):
            feed = ControllerFeed(controller)
            nursery.start_soon(feed.consume)
            yield feed
            nursery.cancel_scope.cancel()


async def busy(server: LindenServer, seconds: int) -> None:
    """Two trades a second on each market, at prices that no float holds."""
    for _ in range(seconds):
        for market in server.rows:
            number = server.last(market)
            await server.trade(market, f"19.{number}00000000000001", f"19.{number}00000000000002")
        await trio.sleep(1)


def assert_whole(feed: ControllerFeed, server: LindenServer, *streams: Stream) -> None:
    """Every trade came once, digit for digit, in the end."""
    for stream in streams:
        trades = [each for each in feed.of(Trade) if each.symbol == stream.symbol]
        came = sorted((each.sequence_id or 0, each.price_text, each.amount_text, each.side) for each in trades)
        first = came[0][0]
        issued = server.rows[stream.symbol][first - 1 :]
        assert came == [(number, price, amount, "buy") for number, price, amount, _, _ in issued]
    assert not feed.lost


async def test_a_dropped_frame_and_a_silence_cost_nothing(autojump_clock: MockClock) -> None:
    server = LindenServer()
    async with linden_feed(server, OAK, ELM) as feed:
        await busy(server, 10)
        assert feed.state is State.CONNECTED
        server.unsent = {23, 24}
        await busy(server, 5)
        assert feed.ids(Source.BACKFILL, OAK) == feed.ids(Source.BACKFILL, ELM) == [23, 24]
        server.mute = True
        await busy(server, 60)
        server.mute = False
        await feed.until_state(State.CONNECTED)
        await busy(server, 10)
        feed.assert_passed(State.CONNECTED, State.SILENT, State.REST_FALLBACK, State.CONNECTED)
        assert feed.ids(Source.POLL, OAK), "REST collected what the socket kept to itself"
        assert server.dialled >= 2
        assert_whole(feed, server, OAK, ELM)
        assert feed.controller.open_gaps == {}


async def test_a_lost_last_trade_is_found_by_the_mark_of_a_beat(autojump_clock: MockClock) -> None:
    """No later trade shows the hole: only the venue's word does."""
    server = LindenServer()
    async with linden_feed(server) as feed:
        await busy(server, 3)
        server.unsent = {7}
        await server.trade("OAK-EUR", "20.00")
        await trio.sleep(6)
        assert feed.ids(Source.BACKFILL, OAK) == [7]
        assert [move.trigger for move in feed.moves].count(Trigger.GAP_FOUND) == 1
        assert_whole(feed, server, OAK)


async def test_signs_of_life_are_given_as_long_as_they_are_asked_for(autojump_clock: MockClock) -> None:
    server = LindenServer()
    async with linden_feed(server) as feed:
        await busy(server, 120)
        assert (server.unproven, server.dialled) == (0, 1)
        assert server.proven >= 12
        assert_whole(feed, server, OAK)


async def test_a_long_outage_is_paged_through(autojump_clock: MockClock) -> None:
    """Pages that are full lead to the next one, until one is not."""
    server = LindenServer()
    async with linden_feed(server, price_history_limit=10) as feed:
        await busy(server, 3)
        server.mute = True
        await trio.sleep(9)
        await server.trade("OAK-EUR", *[f"21.{number}" for number in range(95)])
        await trio.sleep(40)
        server.mute = False
        await feed.until_state(State.CONNECTED)
        await busy(server, 2)
        assert_whole(feed, server, OAK)
        assert len([each for each in server.requests if "count=10" in each]) >= 10


async def test_what_the_venue_keeps_no_more_is_reported_lost(autojump_clock: MockClock) -> None:
    server = LindenServer()
    async with linden_feed(server) as feed:
        await busy(server, 3)
        server.unsent, server.oldest = {7, 8, 9}, 9
        await server.trade("OAK-EUR", "20.00", "20.00", "20.00", "20.00")
        await trio.sleep(3)
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(7, 8, "evicted")]
        assert sorted(number or 0 for number in feed.ids(stream=OAK)) == [3, 4, 5, 6, 9, 10]
        assert feed.state is State.CONNECTED


async def test_a_market_that_is_none_is_rejected_in_the_venues_words(autojump_clock: MockClock) -> None:
    server, ash = LindenServer(), Stream("trade", "ASH-EUR")
    async with linden_feed(server, OAK, ash) as feed:
        await busy(server, 3)
        (rejected,) = feed.of(StreamRejected)
        assert (rejected.symbol, rejected.code) == ("ASH-EUR", "no-market")
        assert rejected.message == "there is no market ASH-EUR"
        assert feed.state is State.CONNECTED
        assert_whole(feed, server, OAK)
