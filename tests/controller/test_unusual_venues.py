"""Venues that conform in unusual ways, or do not conform: a scripted one for each, in virtual time."""

from itertools import pairwise

import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import GapFound, Source, State, Stream, StreamRejected, Trigger, open_controller
from gapless.simulator.network import VirtualNetwork
from tests.kit import ETHER, TICKER
from tests.scripted import Query, Socket, Venue, history, page

ORDERS = Stream("orders", "*")


class Counter:
    """The venue's last id, as REST knows it."""

    def __init__(self, last: int = 0) -> None:
        self.last = last


async def test_a_garbage_handshake_is_a_lost_link(autojump_clock: MockClock) -> None:
    async def garbage(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 101 Nonsense\r\n\r\n\x00\x01")

    with VirtualNetwork().installed():
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, garbage, listeners)
            port = listeners[0].socket.getsockname()[1]
            ws_url, rest_url = f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}"
            async with open_controller(ws_url=ws_url, rest_url=rest_url, streams=[TICKER]) as controller:
                await controller.wait_for(State.REST_FALLBACK)
                assert controller.history[0].trigger is Trigger.LINK_LOST
                await trio.sleep(60)
            nursery.cancel_scope.cancel()


async def test_a_row_newer_than_last_seq_is_neither_entered_nor_condemned(autojump_clock: MockClock) -> None:
    """A venue that reads last_seq first and the rows after."""
    venue_last = Counter(10)

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        if number == 1:
            await socket.subscribed(10)
            await socket.data(11, 12)
            venue_last.last = 15
            return
        await socket.subscribed(15)
        await socket.data(16, 17, every_s=0.2)
        await trio.sleep_forever()

    def rest(_path: str, query: Query) -> Response:
        ids = range(int(query.get("start_seq", 1)), min(16, int(query.get("end_seq", 16))) + 1)
        return page(ids, last_seq=venue_last.last)

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(5)
        assert feed.ids() == [11, 12, 13, 14, 15, 16, 17]
        assert not feed.lost


async def test_a_corrupt_id_in_a_page_condemns_nothing(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10 if number == 1 else 14)
        await socket.data(*((11, 12) if number == 1 else (15, 16)), every_s=0.2)
        if number > 1:
            await trio.sleep_forever()

    def rest(_path: str, query: Query) -> Response:
        start = int(query.get("start_seq", 1))
        return page([*range(start, 14), 10**12], last_seq=14 if start > 10 else 12)

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(5)
        assert sorted(number for number in feed.ids() if number) == [11, 12, 13, 15, 16]
        assert not feed.lost
        assert feed.controller.open_gaps == {TICKER: [(14, 14)]}, "REST has not shown it yet"


async def test_rows_beyond_the_range_asked_for_are_not_condemned(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(11, 12, 15)
        await trio.sleep(1)
        await socket.data(*range(16, 21))
        await trio.sleep_forever()

    def rest(_path: str, query: Query) -> Response:
        return page(range(int(query.get("start_seq", 1)), 21), last_seq=20)

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(3)
        assert sorted(number for number in feed.ids() if number) == list(range(11, 21))
        assert not feed.lost


async def test_short_pages_condemn_nothing_behind_them(autojump_clock: MockClock) -> None:
    """A venue that gives three rows at a time whatever the limit."""
    venue_last = Counter()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 30)
        venue_last.last = 30
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        return history(lambda: venue_last.last)(path, {**query, "limit": "3"})

    async with Venue(script, rest).feed() as feed:
        await feed.until_state(State.CONNECTED)
        assert sorted(number for number in feed.ids() if number) == list(range(1, 31))
        assert not feed.lost


async def test_a_real_jump_in_history_is_believed_because_last_seq_vouches_for_it(autojump_clock: MockClock) -> None:
    venue_last = Counter(10)

    async def script(socket: Socket, number: int) -> None:
        if number > 1:
            await trio.sleep_forever()
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(11)
        venue_last.last = 600_010

    def rest(path: str, query: Query) -> Response:
        return history(lambda: venue_last.last, first_seq=1 if venue_last.last < 100 else 600_000)(path, query)

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(5)
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(12, 599_999, "evicted")]
        assert feed.ids(Source.POLL) == list(range(600_000, 600_011))


@pytest.mark.parametrize("heals", [True, False])
async def test_a_real_jump_on_the_socket_is_confirmed_by_the_next_id(heals: bool, autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(11)
        venue_last.last = 200_014
        await socket.data(200_012, 200_013, 200_014, every_s=0.01)
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        return history(lambda: venue_last.last, first_seq=1 if venue_last.last < 100 else 200_000)(path, query)

    venue_last = Counter(10)
    async with Venue(script, rest).feed(reconciliation_enabled=heals) as feed:
        await trio.sleep(3)
        assert sorted(n for n in feed.ids() if n)[-2:] == [200_013, 200_014]
        covered = {n for lost in feed.lost if lost.end_seq for n in (lost.start_seq, lost.end_seq)}
        assert 12 in covered
        assert feed.controller.state is State.CONNECTED


async def test_one_corrupt_id_moves_nothing(autojump_clock: MockClock) -> None:
    venue_last = Counter(10)

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10)
        for number in (11, 12, 10**12, 14, 15):
            venue_last.last = max(venue_last.last, number if number < 100 else 13)
            await socket.data(number, every_s=0.2)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: venue_last.last)).feed() as feed:
        await trio.sleep(3)
        assert sorted(n for n in feed.ids() if n) == [11, 12, 13, 14, 15]
        assert not feed.lost


@pytest.mark.parametrize("mark", [None, 10])
async def test_a_corrupt_first_id_does_not_blind_the_ledger(mark: int | None, autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.data(10**12)
        await socket.subscribed(mark)
        for number in (11, 12, 13):
            venue_last.last = number
            await socket.data(number, every_s=0.1)
        await trio.sleep_forever()

    venue_last = Counter(10)
    async with Venue(script, history(lambda: venue_last.last)).feed() as feed:
        await trio.sleep(3)
        assert sorted(n for n in feed.ids() if n)[:3] == [11, 12, 13]
        assert len(set(feed.ids())) == len(feed.ids())
        assert feed.controller.state is State.CONNECTED


async def test_a_row_without_id_among_rows_with_ids_is_skipped(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10)
        venue_last.last = 15
        await socket.data(11, 15)
        await trio.sleep_forever()

    def rest(_path: str, _query: Query) -> Response:
        return page([12, None, 14] if venue_last.last == 15 else [], last_seq=venue_last.last)

    venue_last = Counter(10)
    async with Venue(script, rest).feed() as feed:
        await trio.sleep(3)
        assert sorted(n or 0 for n in feed.ids()) == [11, 12, 14, 15]
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(13, 13, "absent")]


async def test_rows_without_ids_come_once_and_the_hole_is_unverifiable(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome(epoch=None)
        await socket.subscribed(None)
        if number > 1:
            # To begin with 11 again, at a later time, would be a restart.
            await trio.sleep_forever()
        await socket.data(11, every_s=1.0)
        times.extend(["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000Z"])
        await socket.data(14)
        await trio.sleep_forever()

    times = ["2020-01-01T00:00:00Z"]

    def rest(_path: str, _query: Query) -> Response:
        return Response(msgspec.json.encode({"prices": [{"timestamp": each, "price": 1.5} for each in times]}))

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(60)
        assert feed.ids() == [11, 14, None]
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(12, 13, "unverifiable")]


async def test_a_nameless_rejection_means_what_subscribed_omits(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.send(type="REJECTED", request_id="s-1", code="unknown_symbol", message="no")
        await trio.sleep(0.5)
        await socket.subscribed(10, TICKER)
        await socket.data(11)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 11)).feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        assert [getattr(event, "symbol", None) for event in feed.of(StreamRejected)] == [ETHER.symbol]


async def test_a_nameless_rejection_alone_means_all(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.send(type="REJECTED", request_id="s-1", code="closed", message="no")
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 0)).feed(TICKER, ETHER) as feed:
        await trio.sleep(30)
        assert len(feed.of(StreamRejected)) == 2
        assert feed.controller.generation == 1


async def test_a_rejected_market_stream_beside_an_account_stream_is_no_silence(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0, ORDERS)
        await socket.send(
            type="REJECTED",
            request_id="s-1",
            code="x",
            message="",
            streams=[{"channel": "ticker", "symbol": "BTC/USD"}],
        )
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 0)).feed(TICKER, ORDERS) as feed:
        await trio.sleep(120)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]


async def test_the_window_is_plain_again_as_soon_as_data_came(autojump_clock: MockClock) -> None:
    """Three quiet verdicts, then data, then death: found one plain window after the last datum."""
    died_at = 0.0
    venue_last = Counter()
    venue_last.last = 11

    async def script(socket: Socket, _number: int) -> None:
        nonlocal died_at
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(11)
        await trio.sleep(95)
        venue_last.last = 12
        await socket.data(12)
        died_at = trio.current_time()
        venue_last.last = 13
        await trio.sleep_forever()

    async with Venue(script, history(lambda: venue_last.last)).feed() as feed:
        await trio.sleep(95)
        assert [move.trigger for move in feed.moves].count(Trigger.MARKET_QUIET) == 3
        await feed.until(lambda: feed.moves[-1].trigger is Trigger.IDLE and died_at > 0)
        assert feed.moves[-1].at - 1_767_225_600 - died_at == pytest.approx(10.0, abs=0.1)


async def test_a_stale_reply_is_no_witness(autojump_clock: MockClock) -> None:
    """The socket is dead for data and REST lags far behind: that is no proof of a quiet market."""

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(*range(11, 31))
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 15)).feed() as feed:
        await feed.until(lambda: any(move.before is State.SILENT for move in feed.moves))
        verdict = next(move for move in feed.moves if move.before is State.SILENT)
        assert (verdict.trigger, verdict.unverified) == (Trigger.MARKET_QUIET, True)


async def test_a_reply_of_an_epoch_already_left_proves_nothing(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome("e-1" if number == 1 else "e-2")
        await socket.subscribed(0)
        await socket.data(1)
        if number > 1:
            await trio.sleep_forever()

    async with Venue(script, history(lambda: 50)).feed() as feed:
        await feed.until(lambda: any(move.before is State.SILENT for move in feed.moves))
        verdict = next(move for move in feed.moves if move.before is State.SILENT)
        assert verdict.trigger is Trigger.MARKET_QUIET


async def test_an_account_feed_earns_its_retry(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0, ORDERS)
        await trio.sleep(30)

    async with Venue(script, history(lambda: 0)).feed(ORDERS, reconnect_max_attempts=2) as feed:
        await trio.sleep(200)
        assert feed.controller.generation >= 6


async def test_a_hanging_request_of_one_stream_holds_up_no_other(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0, TICKER, ETHER)
        await socket.data(1, 3, stream=TICKER)
        await socket.data(1, stream=ETHER)
        await trio.sleep(1)
        await socket.data(3, stream=ETHER)
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        if query["symbol"] == TICKER.symbol and "end_seq" in query:
            return Response("busy", 503, {"Retry-After": "0"})
        return history(lambda: 3)(path, query)

    async with Venue(script, rest).feed(TICKER, ETHER) as feed:
        found = GapFound
        await feed.until(lambda: any(isinstance(e, found) and e.symbol == ETHER.symbol for e in feed.events))
        await trio.sleep(2)
        assert sorted(n for n in feed.ids(stream=ETHER) if n) == [1, 2, 3]
        assert feed.controller.open_gaps == {TICKER: [(2, 2)]}


async def test_reconnect_respects_a_goodbye(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await trio.sleep(1)
        if number == 1:
            await socket.send(type="GOODBYE", reason="maintenance", retry_after_s=20)
        else:
            await trio.sleep_forever()

    venue = Venue(script, history(lambda: 1))
    async with venue.feed() as feed:
        await feed.until_state(State.REST_FALLBACK)
        feed.controller.reconnect()
        await trio.sleep(40)
        assert feed.moved(State.RECONNECTING)[0].retry_in_s == pytest.approx(20, abs=1.5)
        assert venue.dialled_at[1] - venue.dialled_at[0] >= 20


async def test_never_two_attempts_within_a_second_whoever_asks(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        if number % 2:
            return
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 1))
    async with venue.feed(reconnect_max_attempts=None) as feed:
        for _ in range(100):
            feed.controller.reconnect()
            await trio.sleep(0.1)
    waits = [later - earlier for earlier, later in pairwise(venue.dialled_at)]
    assert len(waits) >= 5
    assert min(waits) >= 1.0


async def test_two_controllers_of_one_host_share_its_budget(autojump_clock: MockClock) -> None:
    async def script(_socket: Socket, _number: int) -> None:
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 5))
    async with (
        venue.feed(rest_fetch_interval=0.05),
        open_controller(ws_url=venue.ws_url, rest_url=venue.rest_url, streams=[TICKER]),
    ):
        await trio.sleep(10)
        times = [at for at, _path, _query in venue.requests]
        assert max(sum(1 for each in times if at <= each < at + 1.0) for at in times) <= 10


async def test_an_app_s_own_exception_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async def script(_socket: Socket, _number: int) -> None:
        await trio.sleep_forever()

    async def raise_inside(error: Exception) -> None:
        venue = Venue(script, history(lambda: 5))
        with venue.network.installed():
            async with open_controller(ws_url="ws://h:1", rest_url="http://h:2", streams=[TICKER]):
                raise error from KeyError("cause")

    with pytest.raises(ValueError, match="mine") as caught:
        await raise_inside(ValueError("mine"))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ExceptionGroup, match="app group"):
        await raise_inside(ExceptionGroup("app group", [ValueError("inner")]))
