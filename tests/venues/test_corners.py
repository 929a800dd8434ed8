"""Corners of real venues: ids that never were, markets that sleep, one adapter for several, words without end."""

from collections.abc import Sequence

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from gapless.controller import ConfigurationError, Source, State, Stream, StreamRejected, Trigger, VenueNotice
from gapless.controller.exchanges import BinanceExchange
from gapless.simulator.failure_modes import SlowReplyMode, SymbolSilentMode, WrongTypesMode
from gapless.simulator.venues import KrakenSpot
from tests.controller.venue_kit import VenueWorld, assert_whole, trades_of, venue_world
from tests.kit import Feed
from tests.kit import world as reference_world
from tests.scripted import Socket, Venue, history
from tests.venues.stories import happened, said
from tests.venues.test_whole import KINDS

TRADES, BITCOIN = KINDS["binance"].stream, KINDS["kraken"].stream
PERPETUALS = [Stream("trades", symbol) for symbol in ("BTC-PERPETUAL", "ETH-PERPETUAL")]


async def fed(world: VenueWorld, **settings: object) -> Feed:
    """A controller on the usual stream of the venue, after a few seconds of its market."""
    kind = KINDS[world.simulator.venue.name]
    feed = await world.feed(kind.stream, exchange=kind.adapter(world.endpoints), **settings)
    await trio.sleep(1.0)
    await world.market(2.0, kind.stream.symbol)
    await feed.until_state(State.CONNECTED)
    await trio.sleep(1.0)
    return feed


# -- ids that never were ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["binance", "coinbase", "deribit"])
async def test_an_id_that_is_nowhere_is_absent(autojump_clock: MockClock, name: str, count: int, ordering: str) -> None:
    """The venue skipped it when it numbered its trades: neither the socket nor REST will ever have it."""
    stream = KINDS[name].stream
    async with venue_world(KINDS[name].speaks()) as world:
        feed = await fed(world, ordering=ordering)
        asked, last = len(world.simulator.requests), world.simulator.publish(stream.symbol)
        world.simulator.issue(structs.replace(last, trade_id=last.trade_id + count + 1))
        await world.market(5.0, stream.symbol)
        (lost,) = feed.lost
        assert (lost.start_seq, lost.end_seq, lost.reason) == (last.trade_id + 1, last.trade_id + count, "absent")
        assert feed.state is State.CONNECTED
        assert feed.controller.open_gaps == {}
        assert 1 <= len(world.simulator.requests) - asked <= 2
        assert feed.ids(stream=stream) == [each.trade_id for each in world.simulator.trades(stream.symbol)]


# -- a socket that leaves ids out -------------------------------------------------------------------------------------


async def test_a_market_that_sleeps_is_no_dead_socket_for_what_the_socket_leaves_out(
    autojump_clock: MockClock,
) -> None:
    """A trade every half minute, and every sixth of them only over REST, which is asked in each silence."""
    async with venue_world(venue := KrakenSpot()) as world:
        feed = await fed(world)
        await world.market(1_200.0, BITCOIN.symbol, every_s=30.0)
        issued = world.simulator.trades(BITCOIN.symbol)[-40:]
        absent = {each.trade_id for each in issued if not venue.on_socket(each)}
        assert len(absent) >= 4
        assert absent <= set(feed.ids(Source.POLL, BITCOIN)), "REST told what the socket had not"
        assert Trigger.SILENCE_CONFIRMED not in [move.trigger for move in feed.moves]
        assert len(world.simulator.handshakes) == 1
        assert feed.state is State.CONNECTED


@pytest.mark.parametrize(("every_s", "within_s"), [(0.1, 15.0), (10.0, 120.0)])
async def test_a_socket_that_says_nothing_of_a_market_that_trades_is_dead(
    autojump_clock: MockClock, every_s: float, within_s: float
) -> None:
    """It beats and answers all the same; that it leaves out one in six explains no eight in a row."""
    silent = SymbolSilentMode(enabled=True, after_messages=0, symbols=(BITCOIN.symbol,), until="reconnect", count=1)
    async with venue_world(KrakenSpot()) as world:
        feed = await fed(world)
        world.fail(symbol_silent=silent)
        await world.market(within_s, BITCOIN.symbol, every_s=every_s)
        assert [move.trigger for move in feed.moves].count(Trigger.SILENCE_CONFIRMED) == 1
        world.simulator.behave()
        await world.market(20.0, BITCOIN.symbol)
        assert len(world.simulator.handshakes) == 2
        assert feed.state is State.CONNECTED
        assert feed.lost == []


# -- pages and batches ------------------------------------------------------------------------------------------------


async def test_what_a_page_does_not_hold_of_one_instant_is_unverifiable_and_that_is_an_end(
    autojump_clock: MockClock,
) -> None:
    """Kraken's pages go on by time alone: no time leads beyond a page that is full of one instant."""
    async with venue_world(venue := KrakenSpot()) as world:
        feed = await fed(world, price_history_limit=10)
        asked = len(world.simulator.requests)
        world.simulator.restart(3.0)
        await trio.sleep(1.0)
        first = world.simulator.publish(BITCOIN.symbol).trade_id
        for number in range(first + 1, first + 30):
            world.simulator.issue(structs.replace(world.simulator.trades(BITCOIN.symbol)[-1], trade_id=number))
        await trio.sleep(5.0)
        await world.market(20.0, BITCOIN.symbol)
        (lost,) = feed.lost
        assert (lost.start_seq, lost.end_seq, lost.reason) == (first + 10, first + 29, "unverifiable")
        assert feed.state is State.CONNECTED
        assert feed.controller.open_gaps == {}
        assert len(world.simulator.requests) - asked < 8
        ids = [each.sequence_id or 0 for each in trades_of(feed, BITCOIN)]
        issued = [each for each in world.simulator.trades(BITCOIN.symbol) if each.trade_id >= ids[0]]
        owed = {each.trade_id for each in issued if venue.on_socket(each)} | {*range(first, first + 10)}
        assert owed - {*range(first + 10, first + 30)} <= set(ids)
        assert ids == sorted(set(ids))


@pytest.mark.parametrize("name", ["deribit", "kraken"])
async def test_a_batch_with_one_malformed_trade_comes_over_rest(autojump_clock: MockClock, name: str) -> None:
    """The whole frame is unreadable, its good trades with it."""
    stream = KINDS[name].stream
    async with venue_world(KINDS[name].speaks()) as world:
        feed = await fed(world)
        world.fail(wrong_types=WrongTypesMode(enabled=True, every_nth=1, count=1, how=("price_text",)))
        batch = [world.simulator.publish(stream.symbol) for _ in range(6)]
        await trio.sleep(0.5)
        await world.market(5.0, stream.symbol)
        assert feed.controller.stats.invalid_messages == 1
        fetched = [said(each) for each in trades_of(feed, stream) if each.source is Source.BACKFILL]
        assert [each for each in map(happened, batch) if each not in fetched] == []
        assert feed.lost == []
        assert feed.state is State.CONNECTED


# -- one adapter for several ------------------------------------------------------------------------------------------


async def test_controllers_that_share_an_adapter_are_each_told_what_is_theirs(autojump_clock: MockClock) -> None:
    """A Deribit reply names its request, and what was asked in it only the adapter knows."""
    unknown = [Stream("trades", symbol) for symbol in ("NOPE-PERPETUAL", "NADA-PERPETUAL")]
    async with venue_world(KINDS["deribit"].speaks()) as world:
        shared = KINDS["deribit"].adapter(world.endpoints)
        feeds = [await world.feed(good, bad, exchange=shared) for good, bad in zip(PERPETUALS, unknown, strict=True)]
        await trio.sleep(1.0)
        await world.market(30.0, *(each.symbol for each in PERPETUALS), every_s=0.5)
        for feed, good, bad in zip(feeds, PERPETUALS, unknown, strict=True):
            (rejected,) = feed.of(StreamRejected)
            assert (rejected.channel, rejected.symbol, rejected.code) == (bad.channel, bad.symbol, "13020")
            assert feed.state is State.CONNECTED
            assert_whole(world, feed, good)
        assert len(world.simulator.handshakes) == 2


# -- words without end ------------------------------------------------------------------------------------------------


async def test_a_flood_of_a_venues_words_is_told_in_part_and_counted(autojump_clock: MockClock) -> None:
    """Twenty at once and one a second: what the app has not read yet does not grow with what the venue says."""
    count, seconds, go = 5_000, 5, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.asked.wait()
        await socket.send(result=None, id=socket.heard[0]["id"])
        await socket.send_raw(trade(7))
        await go.wait()
        for second in range(seconds):
            for _ in range(count // seconds):
                await socket.send_raw('{"error":{"code":3,"msg":"Invalid JSON: EOF"}}')
            await socket.send_raw(trade(8 + second))
            await trio.sleep(1.0)
        await trio.sleep_forever()

    def adapter(ws_url: str, rest_url: str) -> BinanceExchange:
        return BinanceExchange(ws_url=ws_url, rest_url=rest_url)

    async with Venue(script, history(lambda: 7)).feed(TRADES, exchange=adapter, ws_idle_timeout=60.0) as feed:
        await feed.until_state(State.CONNECTED)
        ignored = feed.controller.stats.ignored
        go.set()
        await feed.until(lambda: 7 + seconds in feed.ids(stream=TRADES))
        told = len(feed.of(VenueNotice))
        assert 20 <= told <= 20 + seconds
        assert told + feed.controller.stats.ignored - ignored == count
        assert feed.ids(stream=TRADES) == [*range(7, 8 + seconds)]
        assert feed.state is State.CONNECTED


def trade(number: int) -> str:
    return f'{{"e":"trade","E":1,"s":"BTCUSDT","t":{number},"p":"1.50","q":"2","T":1,"m":true}}'


# -- streams and ranges that there are not ----------------------------------------------------------------------------


@pytest.mark.parametrize("answers_in_s", [0.0, 2.0])
@pytest.mark.parametrize("others", [(), (TRADES,)], ids=["alone", "beside a good one"])
async def test_an_unknown_symbol_is_rejected_once_and_asked_for_no_more(
    autojump_clock: MockClock, others: Sequence[Stream], answers_in_s: float
) -> None:
    """Binance's socket takes it and is silent; REST says that there is none, before or after that."""
    async with venue_world(KINDS["binance"].speaks()) as world:
        world.fail(slow_reply=SlowReplyMode(enabled=True, delay_s=answers_in_s))
        feed = await world.feed(Stream("trade", "NOPEUSDT"), *others)
        await trio.sleep(0.5)
        await world.market(120.0, TRADES.symbol, every_s=0.5)
        (rejected,) = feed.of(StreamRejected)
        assert (rejected.symbol, rejected.code, rejected.message) == ("NOPEUSDT", "-1121", "Invalid symbol.")
        assert feed.state is State.CONNECTED
        assert len(world.simulator.handshakes) == 1
        asked = [each for each in world.simulator.requests if "NOPEUSDT" in each.query]
        assert 1 <= len(asked) <= (2 if answers_in_s else 1), "once more at most while an answer is awaited"
        assert_whole(world, feed, *others)


@pytest.mark.parametrize("name", KINDS)
async def test_history_by_time_is_refused_where_it_goes_by_id(autojump_clock: MockClock, name: str) -> None:
    stream = KINDS[name].stream
    async with venue_world(KINDS[name].speaks()) as world:
        feed = await fed(world)
        asked = len(world.simulator.requests)
        with pytest.raises(ConfigurationError, match=f"{stream}: this venue's history goes by id"):
            await feed.controller.price_history(stream.symbol, channel=stream.channel, limit=3)
        assert len(world.simulator.requests) == asked


async def test_history_by_time_is_answered_where_it_goes_by_time(autojump_clock: MockClock) -> None:
    async with reference_world() as world, world.feed() as feed:
        await trio.sleep(5.0)
        rows = await feed.controller.price_history("BTC/USD", limit=3)
        assert [row.sequence_id for row in rows] == [1, 2, 3]
