"""Streams whose ids tell less: chained, monotonic, unsequenced; and ids that come out of order within a window."""

from collections.abc import Callable, Sequence

import httpx
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import GapFilled, GapFound, Source, State, Stream
from gapless.controller.exchange import HistoryQuery, SequenceRule
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.sequence_tracker import StreamLedger, Verdict
from gapless.simulator import FailuresConfig, ServerErrorMode, WrongTypesMode
from gapless.simulator.failure_modes import ReorderMode, SelectMode
from tests.kit import world
from tests.scripted import Query, Socket, Venue, page, timestamp

NEXT, JUMPED, LATE, DUPLICATE = Verdict.NEXT, Verdict.JUMPED, Verdict.LATE, Verdict.DUPLICATE


def ledger(rule: SequenceRule) -> StreamLedger:
    return StreamLedger(jump_max=1_000, rule=rule)


# -- chained ----------------------------------------------------------------------------------------------------------


def test_a_chain_that_holds_has_no_gap_however_far_its_ids_are_apart() -> None:
    books = ledger(SequenceRule.CHAINED)
    assert [books.accept(*pair) for pair in ((10, None), (25, 10), (31, 25))] == [NEXT] * 3
    assert not books.gaps


def test_a_broken_link_is_a_hole_up_to_the_id_that_is_named() -> None:
    books = ledger(SequenceRule.CHAINED)
    assert [books.accept(*pair) for pair in ((10, None), (40, 30))] == [NEXT, JUMPED]
    assert list(books.gaps) == [(11, 30)]
    assert books.accept(20, 10) is LATE
    assert books.accept(20, 10) is DUPLICATE
    assert books.accept(40, 30) is DUPLICATE


def test_a_message_that_names_no_predecessor_is_believed_unless_the_socket_was_interrupted() -> None:
    books = ledger(SequenceRule.CHAINED)
    assert [books.accept(10), books.accept(15)] == [NEXT, NEXT]
    books.interrupt()
    assert books.accept(30) is JUMPED
    assert list(books.gaps) == [(16, 29)]


# -- monotonic --------------------------------------------------------------------------------------------------------


def test_ids_that_only_grow_have_a_hole_only_where_the_socket_was_interrupted() -> None:
    books = ledger(SequenceRule.MONOTONIC)
    assert [books.accept(number) for number in (10, 12, 50)] == [NEXT] * 3
    assert [books.accept(number) for number in (50, 11)] == [DUPLICATE] * 2
    books.interrupt()
    assert books.accept(60) is JUMPED
    assert list(books.gaps) == [(51, 59)]
    assert books.accept(70) is NEXT


def test_a_new_socket_that_goes_on_with_the_very_next_id_has_missed_nothing() -> None:
    books = ledger(SequenceRule.MONOTONIC)
    books.accept(10)
    books.interrupt()
    assert [books.accept(11), books.accept(15)] == [NEXT, NEXT]


def test_a_new_socket_that_repeats_the_newest_id_has_missed_nothing() -> None:
    """The overlap of a rotation."""
    books = ledger(SequenceRule.MONOTONIC)
    for number in (10, 14):
        books.accept(number)
    books.interrupt()
    assert [books.accept(14), books.accept(20)] == [DUPLICATE, NEXT]
    books.interrupt()
    assert [books.accept(14), books.accept(30)] == [DUPLICATE, JUMPED], "an older one proves nothing"


def test_the_first_id_of_all_has_nothing_before_it_that_could_be_missed() -> None:
    books = ledger(SequenceRule.MONOTONIC)
    books.interrupt()
    assert [books.accept(10), books.accept(15)] == [NEXT, NEXT]


def test_rows_of_rest_say_nothing_about_what_a_new_socket_missed() -> None:
    books = ledger(SequenceRule.MONOTONIC)
    books.accept(10)
    books.interrupt()
    assert [books.accept(11, live=False), books.accept(11, live=False)] == [NEXT, DUPLICATE]
    assert books.accept(15) is JUMPED


@pytest.mark.parametrize("rule", [SequenceRule.CONTIGUOUS, SequenceRule.MONOTONIC, SequenceRule.CHAINED])
def test_one_corrupt_id_far_ahead_moves_nothing_under_any_rule(rule: SequenceRule) -> None:
    books = ledger(rule)
    assert [books.accept(number, number - 1) for number in (1, 2)] == [NEXT, NEXT]
    assert books.accept(10**12, 2) is Verdict.SUSPECT
    assert books.accept(3, 2) is NEXT
    assert books.accept(4, 3) is NEXT
    assert books.suspect is None


def test_a_real_jump_is_confirmed_by_the_next_id_though_it_need_not_be_the_very_next() -> None:
    books = ledger(SequenceRule.MONOTONIC)
    books.accept(1)
    assert books.accept(50_000) is Verdict.SUSPECT
    assert books.accept(50_007) is NEXT


def test_two_corrupt_ids_in_a_row_are_refuted_when_the_stream_goes_on_below_them() -> None:
    books = ledger(SequenceRule.CONTIGUOUS)
    assert [books.accept(number) for number in (1, 2, 10**12, 10**12 + 1)] == [NEXT, NEXT, Verdict.SUSPECT, JUMPED]
    assert books.accept(5) is LATE
    refuted = [books.refuted]
    assert books.accept(6) is LATE
    refuted.append(books.refuted)
    assert refuted == [None, [(7, 10**12)]], "one id below could be a late one"
    assert list(books.gaps) == [(3, 4)]
    assert books.accept(7) is NEXT


@pytest.mark.parametrize("rule", [SequenceRule.MONOTONIC, SequenceRule.CHAINED])
@pytest.mark.parametrize("step", [1, 2])
def test_two_corrupt_ids_of_a_sparse_stream_are_refuted_by_any_two_that_grow_below_them(
    rule: SequenceRule, step: int
) -> None:
    books = ledger(rule)
    numbers = list(range(10, 1000, step))
    before = {number: number - step for number in numbers} | {10**12: 28, 10**12 + 3: 10**12}
    seen = numbers[:10]
    for number in (*seen, 10**12, 10**12 + 3):
        books.accept(number, before[number])
    first, second, *later = numbers[10:]
    verdict = books.accept(first, before[first])
    assert books.accept(second, before[second]) is LATE
    assert [books.accept(number, before[number]) for number in later] == [NEXT] * len(later)
    # In a chained stream the jump had left a hole; in a monotonic one what came below it was dropped until then.
    dropped = None if rule is SequenceRule.CHAINED else (first, second)
    assert (verdict is LATE, books.reopened) == (dropped is None, dropped)
    assert all(high < second for _, high in books.gaps), "what is left to ask REST for lies below"


async def test_a_feed_that_was_fooled_twice_comes_out_whole(autojump_clock: MockClock) -> None:
    mode = WrongTypesMode(enabled=True, ids=(30, 31), how=("id_jump",))
    async with world(latency_s=0.2) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(wrong_types=mode))
        await trio.sleep(10.0)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.open_gaps == {}
        ids = sorted(number or 0 for number in feed.ids())
        assert ids[-1] == 10**12 + 31, "the second of the two was believed"
        assert ids[:-1] == list(range(ids[0], ids[0] + len(ids) - 1))
        assert feed.lost == []
        refuted = [each for each in feed.of(GapFilled) if each.reason == "refuted"]
        figures = feed.controller.metrics().gaps
        assert figures.refuted == len(refuted) == 1
        assert figures.ids_refuted == refuted[0].end_seq - refuted[0].start_seq + 1 > 10**11
        assert figures.ids_missed == figures.ids_filled + figures.ids_refuted, "nothing is missing any more"


# -- the reorder window -----------------------------------------------------------------------------------------------


def test_a_tentative_jump_is_no_gap_until_it_is_settled() -> None:
    books = ledger(SequenceRule.CONTIGUOUS)
    books.accept(1)
    assert books.accept(5) is JUMPED
    books.hesitate(until=10.0)
    assert not books.gaps
    assert books.first_missing == 2
    assert books.accept(3) is Verdict.REORDERED
    assert books.accept(3) is DUPLICATE
    assert books.settle(2, 4) == [(2, 2), (4, 4)]
    assert list(books.gaps) == [(2, 2), (4, 4)]
    assert books.accept(4) is LATE


def test_what_is_overdue_is_a_gap() -> None:
    books = ledger(SequenceRule.CONTIGUOUS)
    for number, until in ((1, 0.0), (3, 10.0), (6, 11.0)):
        if books.accept(number) is JUMPED:
            books.hesitate(until)
    assert books.settle_due(9.9) == []
    assert books.settle_due(10.0) == [(2, 2)]
    assert (list(books.gaps), list(books.tentative)) == ([(2, 2)], [(4, 5)])


def test_tentative_jumps_take_half_of_the_room_and_with_the_gaps_no_more_than_all_of_it() -> None:
    books = StreamLedger(intervals_max=4)
    given_up: list[tuple[int, int]] = []
    for number in range(1, 20, 2):
        if books.accept(number) is JUMPED:
            books.hesitate(until=100.0)
            given_up = list(books.excess())
            books.settle_due(0.0)
    assert list(books.tentative) == [(16, 16), (18, 18)]
    assert list(books.gaps) == [(12, 12), (14, 14)]
    assert given_up == [(10, 10)], "the oldest"


def test_a_jump_that_is_refuted_takes_its_deadline_with_it() -> None:
    books = ledger(SequenceRule.CONTIGUOUS)
    for number in (1, 10**12, 10**12 + 1):
        books.accept(number)
    books.hesitate(until=10.0)
    for number in (5, 6):
        assert books.accept(number) is Verdict.REORDERED
    assert books.accept(9) is JUMPED
    books.hesitate(until=20.0)
    assert books.settle_due(10.0) == [(2, 4)]
    assert books.settle_due(20.0) == [(7, 8)]


def test_whatever_ends_the_books_ends_what_is_tentative() -> None:
    for end in (
        lambda books: books.lose_all(),
        lambda books: books.lose(0, 100),
        lambda books: books.cover(100),
    ):
        books = ledger(SequenceRule.CONTIGUOUS)
        books.accept(1)
        books.accept(5)
        books.hesitate(until=10.0)
        closed: list[tuple[int, int]] = end(books)  # type: ignore[no-untyped-call]
        assert closed == [(2, 4)]
        assert not books.tentative
    books.reset(1)
    assert books.first_missing == 1


def test_every_id_of_a_reordered_stream_is_delivered_once_or_missing() -> None:
    reached: set[Verdict] = set()

    @settings(max_examples=200, derandomize=True, deadline=None)
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.sets(st.integers(0, 59)))
    def explore(ids: list[int], settled_after: set[int]) -> None:
        books = ledger(SequenceRule.CONTIGUOUS)
        books.start_at(1)
        delivered: list[int] = []
        for at, number in enumerate(ids):
            verdict = books.accept(number)
            reached.add(verdict)
            if verdict is JUMPED:
                books.hesitate(until=10.0)
            if verdict is not DUPLICATE:
                delivered.append(number)
            if at in settled_after:
                books.settle(0, 100)
        open_ids = {n for holes in (books.gaps, books.tentative) for low, high in holes for n in range(low, high + 1)}
        assert sorted(delivered) == sorted(set(ids))
        assert open_ids == set(range(1, max(ids))) - set(delivered)
        assert books.first_missing == min(open_ids, default=max(ids) + 1)

    explore()
    assert reached == {NEXT, JUMPED, LATE, DUPLICATE, Verdict.REORDERED}


async def test_within_the_window_nobody_is_told_and_rest_is_not_asked(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reorder_window=0.5) as feed:
        await feed.until_state(State.CONNECTED)
        began = w.exchange.now()
        w.fail(FailuresConfig(reorder=ReorderMode(enabled=True, every_nth=5, distance=2)))
        await trio.sleep(20.0)
        assert feed.controller.stats.reordered > 20
        assert feed.of(GapFound) == []
        assert w.requests_since(began) == 0
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed, settled=False)


async def test_after_the_window_it_is_a_gap_like_any_other(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reorder_window=0.5) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(30, 31))))
        await feed.until(lambda: bool(feed.of(GapFound)))
        (found,) = [event for event in feed.events if isinstance(event, GapFound)]
        (after,) = [event for event in feed.data if event.sequence_id == 32]
        assert (found.start_seq, found.end_seq) == (30, 31)
        assert 0.49 <= found.at - after.received_at <= 0.6
        await trio.sleep(2.0)
        w.assert_contract(feed, settled=False)


async def test_the_end_of_the_socket_settles_what_is_tentative(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reorder_window=60.0) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(30, 31))))
        await feed.until(lambda: 35 in feed.ids())
        assert feed.of(GapFound) == []
        w.exchange.disconnect()
        await feed.until(lambda: 30 in feed.ids())
        await trio.sleep(3.0)
        w.assert_contract(feed, settled=False)


async def test_no_more_holes_are_kept_than_allowed_however_long_the_window_is(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=100.0) as w, w.feed(reorder_window=5.0, open_intervals_max=10) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=2)))
        await trio.sleep(4.0)
        assert len(feed.of(GapFound)) > 150, "tentative ones make room"
        w.fail(FailuresConfig())
        await trio.sleep(6.0)
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed, settled=False)


# -- whole feeds ------------------------------------------------------------------------------------------------------


def sparse(rule: SequenceRule) -> Callable[[str, str], ReferenceExchange]:
    class Sparse(ReferenceExchange):
        def sequence_rule(self, stream: Stream) -> SequenceRule:  # noqa: ARG002
            return rule

    return lambda ws_url, rest_url: Sparse(ws_url=ws_url, rest_url=rest_url, session_id="test-session")


class Book:
    """A venue's side of a sparse stream: the ids that exist."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)

    def rest(self, _path: str, query: Query) -> Response:
        start, end = int(query.get("start_seq", 0)), int(query.get("end_seq", self.ids[-1]))
        rows = [number for number in self.ids if start <= number <= end][: int(query["limit"])]
        return page(rows, first_seq=1, last_seq=self.ids[-1])

    async def send(self, socket: Socket, *ids: int) -> None:
        for number in ids:
            before = [each for each in self.ids if each < number]
            await socket.send(
                type="MARKET_DATA",
                channel="ticker",
                symbol="BTC/USD",
                sequence_id=number,
                prev_sequence_id=before[-1] if before else 0,
                timestamp=timestamp(),
                price=1.0,
            )


async def test_a_chained_stream_that_lost_messages_heals_over_rest(autojump_clock: MockClock) -> None:
    book = Book([10, 20, 30])

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await book.send(socket, 10, 20, 30)
        await trio.sleep(3.0)
        book.ids += [40, 50, 60, 70]
        await book.send(socket, 60, 70)
        await trio.sleep_forever()

    venue = Venue(script, book.rest)
    async with venue.feed(exchange=sparse(SequenceRule.CHAINED)) as feed:
        await feed.until(lambda: len(feed.data) == 7)
        await feed.until_state(State.CONNECTED)
        assert sorted(number or 0 for number in feed.ids()) == [10, 20, 30, 40, 50, 60, 70]
        assert [number for number in feed.ids(Source.BACKFILL) if (number or 0) > 30] == [40, 50]
        assert feed.lost == []
        filled = [event for event in feed.events if isinstance(event, GapFilled) and event.start_seq > 30]
        assert (min(event.start_seq for event in filled), max(event.end_seq for event in filled)) == (31, 50)


@pytest.mark.parametrize("rule", [SequenceRule.MONOTONIC, SequenceRule.CHAINED])
async def test_an_outage_of_a_sparse_stream_is_asked_for(rule: SequenceRule, autojump_clock: MockClock) -> None:
    book = Book([5, 9])

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0 if number == 1 else None)
        if number == 1:
            await book.send(socket, 5, 9)
            await trio.sleep(3.0)
            book.ids += [14, 15, 22]
            return
        book.ids += [31]
        await book.send(socket, 31)
        await trio.sleep_forever()

    venue = Venue(script, book.rest)
    async with venue.feed(exchange=sparse(rule)) as feed:
        await feed.until(lambda: 31 in feed.ids())
        await feed.until_state(State.CONNECTED)
        assert sorted(number or 0 for number in feed.ids()) == [5, 9, 14, 15, 22, 31]
        assert feed.lost == []


@pytest.mark.parametrize("says_row", [True, False])
async def test_the_newest_row_of_a_sparse_stream_says_nothing_of_what_lies_before_it(
    autojump_clock: MockClock, *, says_row: bool
) -> None:
    """After an outage of more ids than are believed at once, REST is asked where the stream stands."""
    book = Book([5, 9])

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0 if number == 1 else None)
        if number == 1:
            await book.send(socket, 5, 9)
            await trio.sleep(3.0)
            return
        book.ids += [300_014, 300_015, 300_022, 300_031]
        await book.send(socket, 300_031)
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        if "start_seq" in query:
            return book.rest(path, query)
        return page(book.ids[-1:] if says_row else [], first_seq=1, last_seq=book.ids[-1])

    async with Venue(script, rest).feed(exchange=sparse(SequenceRule.MONOTONIC)) as feed:
        await feed.until(lambda: 300_031 in feed.ids())
        await feed.until_state(State.CONNECTED)
        assert sorted(number or 0 for number in feed.ids()) == [5, 9, 300_014, 300_015, 300_022, 300_031]
        assert feed.lost == []


async def test_what_is_asked_for_by_time_begins_with_the_row_behind_which_the_books_begin(
    autojump_clock: MockClock,
) -> None:
    """Before any datum: the clock of this process may be ahead of the venue's, and would leave out what is newest."""
    asked: list[HistoryQuery] = []

    class ByTime(ReferenceExchange):
        def history_request(self, query: HistoryQuery) -> httpx.Request:
            asked.append(query)
            return super().history_request(query)

    async def script(_socket: Socket, _number: int) -> None:
        return

    def rest(_path: str, query: Query) -> Response:
        rows = [] if "start_seq" in query else [{"timestamp": "2025-12-31T23:59:50Z", "price": 1.0, "sequence_id": 9}]
        return Response(msgspec.json.encode({"prices": rows, "last_seq": 9}))

    def exchange(ws_url: str, rest_url: str) -> ReferenceExchange:
        return ByTime(ws_url=ws_url, rest_url=rest_url, session_id="test-session")

    async with Venue(script, rest).feed(exchange=exchange) as feed:
        await feed.until(lambda: len(asked) > 1)
    first, second = asked[:2]
    assert (first.start_seq, second.start_seq) == (None, 10)
    assert second.since == "2025-12-31T23:59:50Z"


async def test_an_unsequenced_stream_is_delivered_as_it_comes(autojump_clock: MockClock) -> None:
    book = Book([1, 2])

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await book.send(socket, 7, 7, 3, 1_000_000)
        await trio.sleep_forever()

    venue = Venue(script, book.rest)
    async with venue.feed(exchange=sparse(SequenceRule.UNSEQUENCED)) as feed:
        await feed.until(lambda: len(feed.ids(Source.LIVE)) == 4)
        assert feed.ids(Source.LIVE) == [7, 7, 3, 1_000_000]
        assert feed.of(GapFound) == []
        await feed.until_state(State.CONNECTED)


async def test_without_rest_the_hole_of_a_sparse_stream_stays_open(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reorder_window=0.1) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(30,)), server_error=ServerErrorMode(enabled=True)))
        await trio.sleep(10.0)
        assert list(feed.controller.open_gaps.values()) == [[(30, 30)]]
        assert feed.controller.state is State.RESYNCING
