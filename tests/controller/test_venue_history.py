"""What venues keep over REST: pages that go on, by id or by cursor; ids without an end; streams without history."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import ContinuityLost, GapFound, MarketData, Source, State, Stream, StreamReset, Trade, Trigger
from gapless.controller.exchange import HistoryPage, HistoryQuery, RestReply
from gapless.controller.exchanges import BinanceExchange, ReferenceExchange
from gapless.simulator.failure_modes import RefuseMode, SelectMode
from gapless.simulator.venues import BinanceSpot, CoinbaseExchange
from tests.controller.venue_kit import assert_whole, trades_of, venue_world
from tests.kit import Feed
from tests.scripted import Query, Socket, Venue, page

TRADES, AGGREGATES, QUOTES = (Stream(channel, "BTCUSDT") for channel in ("trade", "aggTrade", "bookTicker"))
MATCHES = Stream("matches", "BTC-USD")
VENUES = {"binance": (BinanceSpot, TRADES), "coinbase": (CoinbaseExchange, MATCHES)}
each_venue = pytest.mark.parametrize("name", VENUES)


# -- pages ------------------------------------------------------------------------------------------------------------


@each_venue
async def test_a_gap_of_two_and_a_half_pages_takes_three_requests(autojump_clock: MockClock, name: str) -> None:
    make, stream = VENUES[name]
    async with venue_world(make()) as world:
        feed = await world.feed(stream)
        await trio.sleep(0.5)
        world.publish(3, stream.symbol)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1.5)
        asked = len(world.paths)
        world.fail(drop=SelectMode(enabled=True, every_nth=1))
        lost = world.publish(2_500, stream.symbol)
        await trio.sleep(0.1)
        world.simulator.behave()
        world.publish(1, stream.symbol)
        await feed.until(lambda: len(feed.data) == 2_504)
        await trio.sleep(5.0)
        assert len(world.paths) == asked + 3
        assert feed.ids(Source.BACKFILL, stream) == lost
        assert_whole(world, feed, stream)


@each_venue
async def test_polls_go_on_page_after_page_until_caught_up(autojump_clock: MockClock, name: str) -> None:
    """No socket is to be had, and more happens than a page holds: one round of polls has it all."""
    make, stream = VENUES[name]
    async with venue_world(make()) as world:
        feed = await world.feed(stream, reconnect_max_attempts=None, rest_fetch_interval=5.0)
        await trio.sleep(0.5)
        world.publish(3, stream.symbol)
        await feed.until_state(State.CONNECTED)
        world.fail(refuse=RefuseMode(enabled=True))
        world.simulator.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        await trio.sleep(2.0)
        missed = world.publish(2_500, stream.symbol)
        asked = len(world.paths)
        await feed.until(lambda: len(feed.data) == 2_503, within_s=8.0)
        await trio.sleep(1.0)
        assert feed.ids(Source.POLL, stream)[-2_500:] == missed
        assert len(world.paths) == asked + 3
        assert feed.of(GapFound) == []
        world.simulator.behave()
        await feed.until(lambda: feed.moves[-1].trigger is Trigger.LINK_LOST or feed.state is not State.REST_FALLBACK)
        await world.market(10.0, stream.symbol)
        assert_whole(world, feed, stream)


class ByCursor(ReferenceExchange):
    """A venue that is asked where a page ended, and not from an id on."""

    page_rows = 10

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        params = {"limit": str(query.limit), "cursor": query.cursor or ""}
        return httpx.Request("GET", f"http://{self.rest_host}/api/v1/prices", params=params)

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        said = msgspec.json.decode(reply.body)
        plain = super().decode_history(query, reply)
        rows = [row for row in plain.rows if (row.sequence_id or 0) >= (query.start_seq or 0)]
        if said["cursor"]:
            return HistoryPage(rows=rows, more=True, cursor=said["cursor"])
        return HistoryPage(rows=rows, last_seq=plain.last_seq)


def by_cursor(ws_url: str, rest_url: str) -> ByCursor:
    return ByCursor(ws_url=ws_url, rest_url=rest_url, session_id="x")


def cursors(last: Callable[[], int]) -> Callable[[str, Query], Response]:
    """Everything from the beginning, ten rows a page; asked for one row, the newest."""

    def rest(_path: str, query: Query) -> Response:
        first = last() if query["limit"] == "1" else int(query["cursor"] or 1)
        ids = [*range(first, last() + 1)][:10]
        is_more = bool(ids) and ids[-1] < last()
        body = msgspec.json.decode(page(ids, first_seq=None, last_seq=last()).body)
        if is_more:
            del body["last_seq"]
        return Response(msgspec.json.encode(body | {"cursor": str(first + 10) if is_more else "", "epoch": None}))

    return rest


def asked_by_cursor(venue: Venue, since: int) -> list[str]:
    return [query["cursor"] for _, _, query in venue.requests[since:]]


async def test_a_fill_goes_on_by_cursor_and_ends(autojump_clock: MockClock) -> None:
    """Whole pages before the hole close nothing of it; where the cursor leads on, that is no standstill."""
    last, go = 11, trio.Event()

    async def script(socket: Socket, number: int) -> None:
        nonlocal last
        await socket.welcome(None)
        await socket.subscribed(None)
        last = 12
        await socket.data(12)
        await go.wait()
        await socket.data(47)
        await trio.sleep_forever()

    venue = Venue(script, cursors(lambda: last))
    async with venue.feed(exchange=by_cursor) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        last, asked = 47, len(venue.requests)
        go.set()
        await feed.until(lambda: 46 in feed.ids())
        await trio.sleep(5.0)
        assert asked_by_cursor(venue, asked) == ["", "11", "21", "31", "41"]
        assert feed.ids(Source.BACKFILL) == [*range(13, 47)]
        assert feed.lost == []


async def test_polls_go_on_by_cursor_and_end(autojump_clock: MockClock) -> None:
    last = 11

    async def script(socket: Socket, number: int) -> None:
        nonlocal last
        await socket.welcome(None)
        if number > 1:
            await trio.sleep_forever()
        await socket.subscribed(None)
        last = 12
        await socket.data(12)
        await trio.sleep(2.0)

    venue = Venue(script, cursors(lambda: last))
    async with venue.feed(exchange=by_cursor, rest_fetch_interval=30.0) as feed:
        await feed.until_state(State.CONNECTED)
        last, asked = 47, len(venue.requests)
        await feed.until(lambda: 47 in feed.ids(), within_s=100.0)
        await trio.sleep(5.0)
        assert asked_by_cursor(venue, asked)[:5] == ["", "11", "21", "31", "41"]
        assert feed.ids(Source.POLL)[-35:] == [*range(13, 48)]
        assert feed.lost == []


@pytest.mark.parametrize("is_gap", [True, False], ids=["a fill", "a poll"])
async def test_a_cursor_that_leads_nowhere_is_not_followed_for_ever(autojump_clock: MockClock, is_gap: bool) -> None:
    def rest(_path: str, query: Query) -> Response:
        body = msgspec.json.decode(page([], first_seq=None, last_seq=None).body)
        return Response(msgspec.json.encode(body | {"cursor": "7", "epoch": None}))

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome(None)
        if number > 1:
            await trio.sleep_forever()
        await socket.subscribed(None)
        await socket.data(*((1, 5) if is_gap else (1, 2)))
        await trio.sleep(3.0)

    venue = Venue(script, rest)
    async with venue.feed(exchange=by_cursor, reconnect_max_attempts=None) as feed:
        await feed.until(lambda: len(feed.data) == 2)
        await trio.sleep(30.0)
        times = [at for at, _, _ in venue.requests]
        assert len(times) < 100, "two a round, of a fill and of a poll each, every other second"


# -- ids --------------------------------------------------------------------------------------------------------------


@each_venue
async def test_an_id_far_ahead_is_believed_once_rest_says_that_the_stream_stands_there(
    autojump_clock: MockClock, name: str
) -> None:
    make, stream = VENUES[name]
    async with venue_world(make()) as world:
        feed = await world.feed(stream, sequence_jump_max=100)
        await trio.sleep(0.5)
        world.publish(3, stream.symbol)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1.5)
        asked = len(world.paths)
        world.fail(drop=SelectMode(enabled=True, every_nth=1))
        lost = world.publish(400, stream.symbol)
        await trio.sleep(0.1)
        world.simulator.behave()
        far = world.publish(1, stream.symbol)
        await feed.until(lambda: len(feed.data) == 404, within_s=3.0)
        (gap,) = feed.of(GapFound)
        assert (gap.start_seq, gap.end_seq, gap.reason) == (lost[0], far[0], "confirmed_jump")
        assert len(world.paths) == asked + 2, "where it stands, and the gap"
        assert feed.controller.stats.suspects >= 1
        assert_whole(world, feed, stream)


def binance(ws_url: str, rest_url: str) -> BinanceExchange:
    return BinanceExchange(ws_url=ws_url, rest_url=rest_url)


def event(number: int, at_ms: int) -> str:
    fields: dict[str, Any] = {"e": "trade", "E": at_ms, "s": "BTCUSDT", "t": number, "p": "1.50", "q": "2", "T": at_ms}
    return msgspec.json.encode(fields | {"m": True}).decode()


async def test_ids_that_go_on_for_ever_do_not_begin_anew(autojump_clock: MockClock) -> None:
    """A lower id with a newer time, first on a new socket: of a venue whose ids restart it would mean a restart."""
    last = 99

    def rest(_path: str, query: Query) -> Response:
        first = int(query.get("fromId", last))
        rows = [
            {"id": each, "price": "1.50", "qty": "2", "time": each, "isBuyerMaker": True}
            for each in range(first, last + 1)
        ]
        return Response(msgspec.json.encode(rows[: int(query["limit"])]))

    async def script(socket: Socket, number: int) -> None:
        nonlocal last
        await socket.asked.wait()
        await socket.send(result=None, id=socket.heard[0]["id"])
        if number == 1:
            last = 102
            for each in (100, 101, 102):
                await socket.send_raw(event(each, each))
            await trio.sleep(3.0)
            return
        for each in (50, 51):
            await socket.send_raw(event(each, 10_000_000 + each))
        last = 104
        for each in (103, 104):
            await socket.send_raw(event(each, 20_000_000 + each))
        await trio.sleep_forever()

    async with Venue(script, rest).feed(TRADES, exchange=binance) as feed:
        await feed.until(lambda: 104 in feed.ids(stream=TRADES))
        await trio.sleep(5.0)
        assert feed.ids(stream=TRADES)[-5:] == [100, 101, 102, 103, 104]
        assert not {50, 51} & set(feed.ids(stream=TRADES))
        assert feed.of(StreamReset) == []
        assert feed.controller.stats.duplicates >= 2
        assert feed.lost == []


async def test_ids_that_restart_do_begin_anew(autojump_clock: MockClock) -> None:
    """The same of the reference exchange without epochs, whose ids may."""
    last = 102

    def rest(_path: str, query: Query) -> Response:
        return page([], first_seq=None, last_seq=None, epoch=None)  # type: ignore[arg-type]

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome(None)
        await socket.subscribed(None)
        if number == 1:
            await socket.data(100, 101, 102)
            await trio.sleep(3.0)
            return
        await socket.data(50, 51)
        await trio.sleep_forever()

    async with Venue(script, rest).feed() as feed:
        await feed.until(lambda: 51 in feed.ids())
        assert len(feed.of(StreamReset)) == 1
        assert last == 102


# -- streams without history ------------------------------------------------------------------------------------------


async def test_quotes_that_are_missed_are_reported_and_their_ids_only_grow(autojump_clock: MockClock) -> None:
    """They carry no time, and are in no history: a reconnect is a loss of nobody knows how many."""
    async with venue_world(BinanceSpot()) as world:
        feed = await world.feed(QUOTES, TRADES)
        await trio.sleep(0.5)
        await world.market(5.0, "BTCUSDT")
        world.simulator.disconnect()
        await world.market(20.0, "BTCUSDT")
        quotes = [each for each in feed.data if each.channel == "bookTicker"]
        ids = [each.sequence_id or 0 for each in quotes]
        assert len(ids) > 50
        assert ids == sorted(set(ids))
        assert {type(each) for each in quotes} == {MarketData}
        assert {each.timestamp for each in quotes} == {""}
        assert all((each.bid or 0) < (each.ask or 0) for each in quotes)
        assert {each.source for each in quotes} == {Source.LIVE}
        (lost,) = feed.of(ContinuityLost)
        assert (lost.channel, lost.reason) == ("bookTicker", "no_history")
        after = next(each for each in ids if each > (lost.end_seq or 0))
        before = max(each for each in ids if each < lost.start_seq)
        assert (lost.start_seq, lost.end_seq) == (before + 1, after - 1)
        assert not any(each in range(lost.start_seq, (lost.end_seq or 0) + 1) for each in ids)
        assert all("ticker" not in path for path in world.paths)
        trades = [each.sequence_id for each in trades_of(feed, TRADES)]
        assert sorted(each or 0 for each in trades) == [each.trade_id for each in world.simulator.trades("BTCUSDT")]


async def test_quotes_in_a_row_are_no_gap_however_far_their_ids_are_apart(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.asked.wait()
        await socket.send(result=None, id=socket.heard[0]["id"])
        for u in (7, 9, 9, 50_007, 8, 50_008):
            await socket.send(u=u, s="BTCUSDT", b="1.0", B="1", a="1.5", A="1")
        await trio.sleep_forever()

    venue = Venue(script, lambda _path, _query: Response(b"[]"))
    async with venue.feed(QUOTES, exchange=binance) as feed:
        await feed.until(lambda: len(feed.data) == 4)
        assert feed.ids(stream=QUOTES) == [7, 9, 50_007, 50_008]
        assert [each.price for each in feed.data] == [1.25] * 4
        assert (feed.of(GapFound), feed.lost, venue.requests) == ([], [], [])


async def test_aggregates_are_whole_through_a_disconnect(autojump_clock: MockClock) -> None:
    """As the venue's own REST shows them to a client of its own."""
    async with venue_world(BinanceSpot(), rate_per_s=20.0, symbols=("BTCUSDT",)) as world:
        feed = await world.feed(AGGREGATES)
        await trio.sleep(10.0)
        world.simulator.disconnect()
        await trio.sleep(3.0)
        world.fail(drop=SelectMode(enabled=True, every_nth=7))
        await trio.sleep(10.0)
        world.simulator.behave()
        await trio.sleep(5.0)
        got = sorted(trades_of(feed, AGGREGATES), key=lambda each: each.sequence_id or 0)
        first = got[0].sequence_id
        async with httpx.AsyncClient(base_url=world.endpoints.rest_url, trust_env=False) as other:
            rows = (await other.get(f"/api/v3/aggTrades?symbol=BTCUSDT&limit=1000&fromId={first}")).json()
        assert 200 < len(got) <= len(rows) < 1_000
        assert [_of_event(each) for each in got] == [_of_row(row) for row in rows[: len(got)]]
        assert len(rows) - len(got) <= 2, "those under way"
        assert {each.source for each in got} >= {Source.LIVE, Source.BACKFILL}
        assert feed.lost == []


def _of_event(each: Trade) -> tuple[object, ...]:
    return each.sequence_id, each.price_text, each.amount_text, each.side


def _of_row(row: dict[str, Any]) -> tuple[object, ...]:
    return row["a"], row["p"], row["q"], "sell" if row["m"] else "buy"


# -- a venue without PINGs --------------------------------------------------------------------------------------------


def unlinked(feed: Feed) -> list[str]:
    return [move.reason for move in feed.moves if move.trigger in {Trigger.LINK_LOST, Trigger.PONG_OVERDUE}]


async def test_a_quiet_market_with_heartbeats_is_no_dead_socket(autojump_clock: MockClock) -> None:
    """Three minutes without a trade, longer than any patience there is: its heartbeats keep the socket."""
    async with venue_world(CoinbaseExchange()) as world:
        feed = await world.feed(MATCHES, heartbeat_interval=20.0, heartbeat_timeout=5.0)
        await trio.sleep(0.5)
        world.publish(3, "BTC-USD")
        await feed.until_state(State.CONNECTED)
        await trio.sleep(180.0)
        assert unlinked(feed) == []
        assert feed.controller.generation == 1
        await trio.sleep(0.5)
        world.publish(2, "BTC-USD")
        await feed.until(lambda: len(feed.data) == 5, within_s=1.0)
        assert feed.ids(Source.LIVE, MATCHES)[-2:] == [each.trade_id for each in world.simulator.trades("BTC-USD")[-2:]]


async def test_a_socket_that_says_nothing_at_all_is_dead(autojump_clock: MockClock) -> None:
    """Without PINGs, and with no trades either: only that not even a heartbeat comes tells it."""
    async with venue_world(CoinbaseExchange()) as world:
        feed = await world.feed(MATCHES, heartbeat_interval=20.0, heartbeat_timeout=5.0, ws_idle_timeout=300.0)
        await trio.sleep(0.5)
        world.publish(3, "BTC-USD")
        await feed.until_state(State.CONNECTED)
        await trio.sleep(7.0)
        world.simulator.go_silent()
        silent_at = trio.current_time()
        await feed.until(lambda: feed.controller.generation == 2, within_s=60.0)
        assert Trigger.PONG_OVERDUE in [move.trigger for move in feed.moves]
        assert 5.0 < trio.current_time() - silent_at <= 26.5
        await world.market(3.0, "BTC-USD")
        assert feed.state is State.CONNECTED
        assert_whole(world, feed, MATCHES)


async def test_trades_prove_a_socket_alive_as_well(autojump_clock: MockClock) -> None:
    async with venue_world(CoinbaseExchange()) as world:
        feed = await world.feed(MATCHES, heartbeat_interval=1.0, heartbeat_timeout=0.4)
        await trio.sleep(0.5)
        await world.market(60.0, "BTC-USD", every_s=0.1)
        assert unlinked(feed) == []
        assert_whole(world, feed, MATCHES)
