"""What venues say on a socket besides data: several things at once, marks, demands, farewells and complaints."""

from typing import Any

import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import GapFound, Source, State, StateChanged, Stream, StreamRejected, Trigger, VenueNotice
from gapless.controller.exchanges import BinanceExchange
from gapless.simulator.failure_modes import RateLimitMode, SelectMode, SlowReplyMode
from gapless.simulator.venues import BinanceOptions, BinanceSpot, CoinbaseExchange
from tests.controller.venue_kit import assert_whole, talkative, trades_of, venue_world
from tests.kit import Feed, virtual_wall_clock
from tests.scripted import Query, Socket, Venue, history, timestamp

TRADES, ETHER = Stream("trade", "BTCUSDT"), Stream("trade", "ETHUSDT")
MATCHES = Stream("matches", "BTC-USD")


async def settled(feed: Feed) -> None:
    """What was asked of REST on the way is answered."""
    await feed.until_state(State.CONNECTED)
    await trio.sleep(1.0)


def datum(number: int) -> dict[str, Any]:
    return {
        "type": "MARKET_DATA",
        "channel": "ticker",
        "symbol": "BTC/USD",
        "sequence_id": number,
        "timestamp": timestamp(),
        "price": 1.0,
    }


# -- several at once --------------------------------------------------------------------------------------------------


async def test_several_messages_of_one_frame_are_entered_in_order(autojump_clock: MockClock) -> None:
    """Data, a mark and a notice: what the mark says of ids that come later in the same frame is found missing first."""
    last, go = 1, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await go.wait()
        frames = [datum(2), {"type": "NOTICE", "code": "m-1"}, datum(3), {"type": "HIGH_WATER", "mark": 5}, datum(6)]
        await socket.send(type="SEVERAL", frames=frames)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: last))
    async with venue.feed(exchange=talkative()) as feed:
        await settled(feed)
        last, before = 6, len(feed.events)
        go.set()
        await feed.until(lambda: len(feed.data) == 6)
        kinds = [type(each).__name__ for each in feed.events[before:] if not isinstance(each, StateChanged)]
        assert kinds[:6] == ["MarketData", "VenueNotice", "MarketData", "GapFound", "MarketData", "MarketData"]
        assert feed.ids()[1:] == [2, 3, 6, 4, 5]
        assert feed.ids(Source.LIVE)[-3:] == [2, 3, 6]
        gap = feed.of(GapFound)[-1]
        assert (gap.start_seq, gap.end_seq, gap.reason) == (4, 5, "high_water")


async def test_a_successor_keeps_several_messages_of_one_frame(autojump_clock: MockClock) -> None:
    last, go = 2, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(3 if number == 2 else 0)
        if number == 1:
            await socket.data(1, 2)
            await go.wait()
            await trio.sleep(0.5)
            await socket.data(3)
        else:
            await socket.send(type="SEVERAL", frames=[datum(4), {"type": "HIGH_WATER", "mark": 4}, datum(5)])
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: last))
    async with venue.feed(exchange=talkative()) as feed:
        await settled(feed)
        last = 5
        feed.controller.rotate("the test says so")
        go.set()
        await feed.until(lambda: len(feed.data) == 5)
        assert feed.ids() == [1, 2, 3, 4, 5]
        assert feed.ids(Source.LIVE)[-3:] == [3, 4, 5]
        assert len(venue.dialled_at) == 2


# -- marks ------------------------------------------------------------------------------------------------------------


async def test_a_lost_last_trade_is_found_by_a_heartbeat_within_a_second(autojump_clock: MockClock) -> None:
    """No later trade shows the hole."""
    async with venue_world(CoinbaseExchange()) as world:
        feed = await world.feed(MATCHES)
        await trio.sleep(0.5)
        await world.market(3.0, "BTC-USD")
        world.fail(drop=SelectMode(enabled=True, every_nth=1))
        (lost,) = world.publish(1, "BTC-USD")
        lost_at = trio.current_time()
        asked = len(world.paths)
        await feed.until(lambda: lost in feed.ids(Source.BACKFILL, MATCHES), within_s=2.0)
        assert trio.current_time() - lost_at <= 1.1
        assert [(gap.start_seq, gap.end_seq, gap.reason) for gap in feed.of(GapFound)] == [(lost, lost, "high_water")]
        assert len(world.paths) == asked + 1
        assert_whole(world, feed, MATCHES)


async def test_what_a_mark_shows_missing_may_still_come_within_the_reorder_window(autojump_clock: MockClock) -> None:
    last, go = 1, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await go.wait()
        await socket.send(type="HIGH_WATER", mark=3)
        await trio.sleep(0.3)
        await socket.data(2, 3, 4)
        await trio.sleep(1.0)
        await socket.send(type="HIGH_WATER", mark=6)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: last))
    async with venue.feed(exchange=talkative(), reorder_window=0.5) as feed:
        await settled(feed)
        last, asked, gaps = 6, len(venue.requests), len(feed.of(GapFound))
        go.set()
        await feed.until(lambda: feed.ids() == [1, 2, 3, 4])
        await trio.sleep(0.9)
        assert len(venue.requests) == asked, "it came by itself"
        assert len(feed.of(GapFound)) == gaps
        marked_at = trio.current_time()
        await feed.until(lambda: len(feed.of(GapFound)) > gaps)
        assert trio.current_time() - marked_at == pytest.approx(0.6, abs=0.15)
        await feed.until(lambda: len(feed.data) == 6)
        assert feed.ids(Source.BACKFILL) == [5, 6]


async def test_a_mark_says_where_a_stream_begins_of_which_nothing_has_come(autojump_clock: MockClock) -> None:
    """No mark with the acknowledgement, and REST is down: what is skipped before the first datum is owed."""
    is_up = False

    def rest(path: str, query: Query) -> Response:
        return history(lambda: 8)(path, query) if is_up else Response(b"", 503)

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await socket.send(type="HIGH_WATER", mark=5)
        await socket.data(8)
        await trio.sleep_forever()

    venue = Venue(script, rest)
    async with venue.feed(exchange=talkative(), ws_idle_timeout=60.0) as feed:
        await feed.until(lambda: feed.ids() == [8])
        assert [(gap.start_seq, gap.end_seq) for gap in feed.of(GapFound)] == [(6, 7)]
        is_up = True
        await feed.until(lambda: len(feed.data) == 3)
        assert feed.ids() == [8, 6, 7]
        assert feed.lost == []


async def test_marks_that_say_nothing_new_change_nothing(autojump_clock: MockClock) -> None:
    last, go = 1, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await go.wait()
        await socket.data(2, 3)
        for mark in (3, 2, 0, 3):
            await socket.send(type="HIGH_WATER", mark=mark)
        await socket.data(4)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: last))
    async with venue.feed(exchange=talkative()) as feed:
        await settled(feed)
        last, asked, gaps = 4, len(venue.requests), len(feed.of(GapFound))
        go.set()
        await feed.until(lambda: len(feed.data) == 4)
        assert feed.ids(Source.LIVE)[-3:] == [2, 3, 4]
        assert len(feed.of(GapFound)) == gaps
        assert len(venue.requests) == asked


@pytest.mark.parametrize("is_true", [True, False])
async def test_a_mark_far_ahead_is_doubted_until_rest_says_where_the_stream_stands(
    autojump_clock: MockClock, is_true: bool
) -> None:
    """Believed unasked, a corrupt one would open a gap of a thousand ids that never were."""
    last, go = 2, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        nonlocal last
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2)
        await go.wait()
        last = 1_000 if is_true else 2
        await socket.send(type="HIGH_WATER", mark=1_000)
        for _ in range(10):
            await trio.sleep(1.0)
            last += 1
            await socket.data(last)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: last))
    async with venue.feed(exchange=talkative(), sequence_jump_max=100, ws_idle_timeout=4.0) as feed:
        await settled(feed)
        asked, gaps = len(venue.requests), len(feed.of(GapFound))
        go.set()
        await feed.until(lambda: feed.controller.stats.suspects == 1)
        await trio.sleep(12.0)
        assert State.SILENT not in {move.after for move in feed.moves}, "a word that is not true ages no data"
        query = venue.requests[asked][2]
        assert (query["limit"], "start_seq" in query) == ("1", False), "where does the stream stand?"
        assert sorted(each or 0 for each in feed.ids()) == [*range(1, last + 1)]
        found = [(gap.start_seq, gap.end_seq) for gap in feed.of(GapFound)[gaps:]]
        assert found == ([(3, 1_000)] if is_true else [])
        assert feed.lost == []


# -- what must be answered --------------------------------------------------------------------------------------------


class Spawned(trio.abc.Instrument):
    """How many tasks were started."""

    def __init__(self) -> None:
        self.count = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.count += 1


async def test_what_the_venue_wants_back_it_gets(autojump_clock: MockClock) -> None:
    heard: list[list[dict[str, object]]] = []

    async def script(socket: Socket, number: int) -> None:
        heard.append(socket.heard)
        await socket.welcome()
        await socket.subscribed(0)
        for token in range(3):
            await socket.data(token + 1)
            await socket.send(type="MUST_ANSWER", token=token)
            await trio.sleep(1.0)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 3)).feed(exchange=talkative()) as feed:
        await feed.until(lambda: len(feed.data) == 3)
        await trio.sleep(4.0)
        assert [each["token"] for each in heard[0] if each["type"] == "ANSWER"] == [0, 1, 2]


async def test_a_flood_of_demands_is_answered_as_fast_as_may_be_sent_and_starts_no_tasks(
    autojump_clock: MockClock,
) -> None:
    """While an answer waits for its turn, it answers all that are asked meanwhile."""
    heard: list[list[dict[str, object]]] = []
    go = trio.Event()

    async def script(socket: Socket, number: int) -> None:
        heard.append(socket.heard)
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await go.wait()
        demands = [{"type": "MUST_ANSWER", "token": token} for token in range(500)]
        for _ in range(4):
            await socket.send(type="SEVERAL", frames=demands)
            await trio.sleep(0.01)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 1))
    async with venue.feed(exchange=talkative(sends=(1, 1.0)), ws_idle_timeout=60.0) as feed:
        await settled(feed)
        await trio.sleep(1.0)
        spawned = Spawned()
        trio.lowlevel.add_instrument(spawned)
        go.set()
        await trio.sleep(10.0)
        trio.lowlevel.remove_instrument(spawned)
        answers = [each["token"] for each in heard[0] if each["type"] == "ANSWER"]
        assert len(answers) == 2, "the first at once, and one that was asked for while that one was under way"
        assert spawned.count < 50


# -- farewells --------------------------------------------------------------------------------------------------------


async def test_a_server_that_shuts_down_is_left_for_a_successor_before_it_closes(autojump_clock: MockClock) -> None:
    async with venue_world(BinanceSpot()) as world:
        feed = await world.feed(TRADES, ETHER)
        await trio.sleep(0.5)
        await world.market(3.0, "BTCUSDT", "ETHUSDT", every_s=0.02)
        told_at, asked = virtual_wall_clock(), len(world.paths)
        assert world.simulator.goodbye(notice_s=5.0) == 1
        await world.market(10.0, "BTCUSDT", "ETHUSDT", every_s=0.02)
        (rotated,) = [move for move in feed.moves if move.trigger is Trigger.ROTATED]
        assert rotated.reason == "the server restarts within ten minutes"
        assert rotated.after is State.CONNECTED
        assert told_at < rotated.at < told_at + 1.5
        assert Trigger.LINK_LOST not in [move.trigger for move in feed.moves]
        assert feed.controller.generation == 2
        assert len(world.simulator.hub.sessions) == 1
        assert [each.sequence_id for each in trades_of(feed, TRADES)] == [
            each.trade_id for each in world.simulator.trades("BTCUSDT")
        ]
        assert len(world.paths) == asked, "nothing had to be fetched"
        assert_whole(world, feed, TRADES, ETHER)


async def test_a_successor_that_is_told_of_the_end_is_not_replaced_for_it(autojump_clock: MockClock) -> None:
    """It would be the same server again, at once and for ever."""

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        if number > 1:
            await socket.send(type="LEAVING")
        await socket.subscribed(1 if number == 2 else 0)
        await socket.data(1 if number == 1 else 2)
        if number == 1:
            await trio.sleep(2.0)
            await socket.send(type="LEAVING")
            await socket.send(type="LEAVING")
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 2))
    async with venue.feed(exchange=talkative(), ws_idle_timeout=60.0) as feed:
        await feed.until(lambda: len(feed.data) == 2)
        await trio.sleep(20.0)
        assert len(venue.dialled_at) == 2
        assert [move.reason for move in feed.moves if move.trigger is Trigger.ROTATED] == ["says so"]


# -- complaints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(429, "limited"), (418, "banned")])
async def test_a_limit_is_told_in_the_venues_words_and_kept(autojump_clock: MockClock, status: int, kind: str) -> None:
    async with venue_world(BinanceSpot()) as world:
        feed = await world.feed(TRADES)
        await trio.sleep(0.5)
        world.publish(3, "BTCUSDT")
        await feed.until_state(State.CONNECTED)
        asked = len(world.paths)
        limited = RateLimitMode(enabled=True, status=status, retry_after_s=7, count=1)  # type: ignore[arg-type]
        world.fail(rate_limited=limited, drop=SelectMode(enabled=True, every_nth=1, count=1))
        world.publish(2, "BTCUSDT")
        await feed.until(lambda: bool(feed.of(VenueNotice)))
        (notice,) = feed.of(VenueNotice)
        assert (notice.kind, notice.code, notice.retry_after_s) == (kind, "-1003", 7.0)
        assert ("IP banned" in notice.message) == (status == 418)
        await feed.until(lambda: len(feed.data) == 5)
        refused_at = world.simulator.weight_log[asked].time_s
        assert world.simulator.weight_log[asked + 1].time_s - refused_at >= 7.0
        assert_whole(world, feed, TRADES)


async def test_an_error_frame_is_a_notice_and_harms_nothing(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.asked.wait()
        await socket.send(result=None, id=socket.heard[0]["id"])
        await socket.send_raw('{"error":{"code":3,"msg":"Invalid JSON: EOF"}}')
        for trade_id in (7, 8):
            event = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": trade_id, "p": "1.50", "q": "2", "T": 1, "m": True}
            await socket.send_raw(msgspec.json.encode(event).decode())
        await trio.sleep_forever()

    def adapter(ws_url: str, rest_url: str) -> BinanceExchange:
        return BinanceExchange(ws_url=ws_url, rest_url=rest_url)

    async with Venue(script, history(lambda: 8)).feed(TRADES, exchange=adapter) as feed:
        await feed.until(lambda: len(feed.data) == 2)
        (notice,) = feed.of(VenueNotice)
        assert (notice.kind, notice.code, notice.message) == ("error", "3", "Invalid JSON: EOF")
        assert notice.retry_after_s is None
        assert {move.after for move in feed.moves} <= {State.RECONNECTING, State.RESYNCING, State.CONNECTED}
        assert feed.of(StreamRejected) == []


# -- streams that there are not ---------------------------------------------------------------------------------------


async def test_a_product_that_is_none_is_rejected_with_the_venues_words_and_the_others_stay_whole(
    autojump_clock: MockClock,
) -> None:
    async with venue_world(CoinbaseExchange()) as world:
        world.fail(slow_reply=SlowReplyMode(enabled=True, delay_s=2.0))  # else REST would be the first to say so
        feed = await world.feed(Stream("matches", "NOPE-USD"), MATCHES, Stream("matches", "ETH-USD"))
        await trio.sleep(0.5)
        await world.market(5.0, "BTC-USD", "ETH-USD")
        (rejected,) = feed.of(StreamRejected)
        assert (rejected.symbol, rejected.code) == ("NOPE-USD", "Failed to subscribe")
        assert rejected.message == "NOPE-USD is not a valid product"
        assert feed.state is State.CONNECTED
        assert_whole(world, feed, MATCHES, Stream("matches", "ETH-USD"))


async def test_a_symbol_that_the_socket_takes_and_rest_does_not_know_is_rejected(autojump_clock: MockClock) -> None:
    """Binance acknowledges whatever looks like a stream, and is silent; the code and the words are REST's."""
    async with venue_world(BinanceSpot()) as world:
        nope = Stream("trade", "NOPEUSDT")
        feed = await world.feed(nope, TRADES)
        await trio.sleep(0.5)
        await world.market(60.0, "BTCUSDT", every_s=0.5)
        (rejected,) = feed.of(StreamRejected)
        assert (rejected.symbol, rejected.code, rejected.message) == ("NOPEUSDT", "-1121", "Invalid symbol.")
        assert Trigger.LINK_LOST not in [move.trigger for move in feed.moves]
        assert_whole(world, feed, TRADES)
        asked = len(world.paths)
        await world.market(60.0, "BTCUSDT", every_s=0.5)
        assert len(world.paths) == asked, "nobody asks again and again"
        assert len(feed.of(StreamRejected)) == 1


async def test_a_frame_that_is_refused_takes_its_streams_along_and_no_other_is_believed_taken(
    autojump_clock: MockClock,
) -> None:
    """Of two frames the venue refuses one, and acknowledges the other: which streams it has is not known for sure."""
    symbols = tuple(f"S{number}USDT" for number in range(150))
    async with venue_world(BinanceSpot(options=BinanceOptions(unknown_streams="reject")), symbols=symbols) as world:
        world.fail(slow_reply=SlowReplyMode(enabled=True, delay_s=4.0))  # else REST would be the first to say so
        streams = [Stream("trade", symbol) for symbol in ("NOPEUSDT", *symbols)]
        feed = await world.feed(*streams)
        await trio.sleep(3.0)
        rejected = feed.of(StreamRejected)
        assert {each.symbol for each in rejected} >= {each.symbol for each in streams[:100]}
        assert {(each.code, each.message) for each in rejected} == {
            ("2", "Invalid request: invalid stream 'nopeusdt@trade'")
        }
        await world.market(2.0, *symbols[100:])
        assert_whole(world, feed, *streams[101:])
