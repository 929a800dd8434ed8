"""The sequence ledger: the specification's examples, then any history at all against sets of ids."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gapless.controller import Gap, SequenceTracker
from gapless.controller.sequence_tracker import DELIVERED, JUMP_MAX, StreamLedger, Verdict

CORRUPT = 10**12


def ledger_at(next_id: int, *, jump_max: int = JUMP_MAX, intervals_max: int = 1_000) -> StreamLedger:
    """Books that owe ids from 1 and have everything below ``next_id``."""
    ledger = StreamLedger(jump_max=jump_max, intervals_max=intervals_max)
    ledger.reset(1)
    for sequence_id in range(1, next_id):
        assert ledger.accept(sequence_id) is Verdict.NEXT
    return ledger


class TestTracker:
    """``SequenceTracker`` as the specification describes it."""

    def test_expected_3_received_5_is_the_gap_3_to_4(self) -> None:
        tracker = SequenceTracker()
        assert [tracker.update("ticker", "BTC/USD", each) for each in (1, 2)] == [None, None]
        assert tracker.update("ticker", "BTC/USD", 5) == Gap("ticker", "BTC/USD", 3, 4)
        assert tracker.update("ticker", "BTC/USD", 6) is None, "the gap is told once"

    def test_duplicates_and_late_ids_are_ignored(self) -> None:
        tracker = SequenceTracker()
        for each in (1, 2, 5):
            tracker.update("ticker", "BTC/USD", each)
        assert [tracker.update("ticker", "BTC/USD", each) for each in (2, 5, 3, 3, 1)] == [None] * 5
        assert tracker.open_gaps() == [Gap("ticker", "BTC/USD", 4, 4)], "a late id closes its part of the gap"
        assert tracker.update("ticker", "BTC/USD", 6) is None, "and moves no cursor"

    def test_channels_and_symbols_are_counted_apart(self) -> None:
        tracker = SequenceTracker()
        for stream in (("ticker", "BTC/USD"), ("ticker", "ETH/USD"), ("trades", "BTC/USD")):
            assert tracker.update(*stream, 10) is None
        tracker.update("ticker", "ETH/USD", 12)
        tracker.update("ticker", "BTC/USD", 14)
        assert tracker.open_gaps() == [Gap("ticker", "BTC/USD", 11, 13), Gap("ticker", "ETH/USD", 11, 11)]

    def test_its_bounds_reach_the_ledgers(self) -> None:
        tracker = SequenceTracker(jump_max=10, intervals_max=1)
        for each in (1, 100, 3, 5):
            tracker.update("ticker", "BTC/USD", each)
        ledger = tracker.ledger("ticker", "BTC/USD")
        assert ledger.next_id == 6, "100 was not believed"
        assert list(ledger.excess()) == [(2, 2)]


def test_the_first_id_is_the_base_and_nothing_before_it_is_owed() -> None:
    ledger = StreamLedger()
    assert (ledger.next_id, ledger.highest_issued) == (None, None)
    assert ledger.accept(42) is Verdict.NEXT
    assert ledger.accept(41) is Verdict.DUPLICATE, "never owed"
    assert (ledger.next_id, ledger.highest_issued) == (43, 42)


def test_start_at_names_the_first_owed_id_once() -> None:
    ledger = StreamLedger()
    ledger.start_at(42)
    ledger.start_at(7)
    assert ledger.accept(44) is Verdict.JUMPED
    assert ledger.last_gap == (42, 43)


def test_late_ids_are_delivered_once() -> None:
    ledger = ledger_at(3)
    assert [ledger.accept(each) for each in (6, 4, 4, 3, 5, 5)] == [
        Verdict.JUMPED,
        Verdict.LATE,
        Verdict.DUPLICATE,
        Verdict.LATE,
        Verdict.LATE,
        Verdict.DUPLICATE,
    ]
    assert not list(ledger.gaps)


class TestEpochs:
    def test_without_a_reset_a_restarted_server_would_be_dropped_for_ever(self) -> None:
        ledger = ledger_at(100)
        assert ledger.accept(1) is Verdict.DUPLICATE
        ledger.reset(1)
        assert [ledger.accept(each) for each in (1, 2, 4)] == [Verdict.NEXT, Verdict.NEXT, Verdict.JUMPED]

    def test_nothing_of_the_old_epoch_survives(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(9)
        ledger.accept(CORRUPT)
        ledger.reset(1)
        assert (list(ledger.gaps), ledger.suspect, ledger.last_gap, ledger.next_id) == ([], None, None, 1)

    def test_the_new_epoch_is_owed_from_its_first_id(self) -> None:
        ledger = ledger_at(100)
        ledger.reset(1)
        assert ledger.accept(5) is Verdict.JUMPED
        assert list(ledger.gaps) == [(1, 4)]

    def test_a_reset_without_a_first_id_takes_whatever_comes(self) -> None:
        ledger = ledger_at(100)
        ledger.reset(None)
        assert ledger.accept(70) is Verdict.NEXT
        assert not list(ledger.gaps)


class TestJumpGuard:
    def test_the_largest_jump_that_is_believed(self) -> None:
        assert ledger_at(3, jump_max=10).accept(13) is Verdict.JUMPED
        assert ledger_at(3, jump_max=10).accept(14) is Verdict.SUSPECT

    def test_one_corrupt_id_moves_nothing(self) -> None:
        ledger = ledger_at(3)
        assert ledger.accept(CORRUPT) is Verdict.SUSPECT
        assert (ledger.next_id, list(ledger.gaps), ledger.suspect) == (3, [], CORRUPT)
        assert [ledger.accept(each) for each in (3, 4)] == [Verdict.NEXT, Verdict.NEXT]
        assert ledger.suspect is None, "the stream went on where it was: the id was corrupt"

    def test_the_next_id_continues_it(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(CORRUPT)
        assert ledger.accept(CORRUPT + 1) is Verdict.JUMPED
        assert ledger.last_gap == (3, CORRUPT), "the suspect's own frame was dropped, so it is fetched like the rest"
        assert (ledger.next_id, ledger.suspect) == (CORRUPT + 2, None)

    def test_two_corrupt_ids_do_not_confirm_each_other(self) -> None:
        ledger = ledger_at(3)
        assert [ledger.accept(CORRUPT + offset) for offset in (0, 0, 7)] == [Verdict.SUSPECT] * 3
        assert ledger.next_id == 3

    def test_rest_confirms_it(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(CORRUPT)
        assert ledger.resolve_suspect(CORRUPT) == (3, CORRUPT)
        assert (ledger.next_id, ledger.suspect) == (CORRUPT + 1, None)

    def test_rest_refutes_it(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(CORRUPT)
        assert ledger.resolve_suspect(CORRUPT - 1) is None
        assert (ledger.next_id, ledger.suspect) == (3, None)

    def test_rows_of_rest_below_it_refute_nothing(self) -> None:
        ledger = ledger_at(3)
        assert ledger.issued(CORRUPT) is None
        assert ledger.accept(3, live=False) is Verdict.NEXT
        assert ledger.accept(5, live=False) is Verdict.JUMPED
        assert ledger.issued(9, trusted=True) == (6, 9)
        assert ledger.suspect == CORRUPT, "a page that was asked for from below leads no further than it was asked to"
        assert ledger.resolve_suspect(CORRUPT) == (10, CORRUPT)

    def test_rows_of_rest_beyond_it_settle_it(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(CORRUPT)
        assert ledger.issued(CORRUPT + 5, trusted=True) == (3, CORRUPT + 5)
        assert ledger.suspect is None

    def test_without_a_suspect_there_is_nothing_to_resolve(self) -> None:
        ledger = ledger_at(3)
        assert ledger.resolve_suspect(CORRUPT) is None
        assert ledger.next_id == 3

    def test_rows_that_fill_a_real_jump_refute_nothing(self) -> None:
        ledger = ledger_at(11)
        assert [ledger.accept(each) for each in (200_000, 200_001)] == [Verdict.SUSPECT, Verdict.JUMPED]
        assert [ledger.accept(each, live=False) for each in (11, 12, 13)] == [Verdict.LATE] * 3
        assert (ledger.next_id, ledger.refuted) == (200_002, None)
        assert [ledger.accept(each) for each in (200_001, 200_002)] == [Verdict.DUPLICATE, Verdict.NEXT]

    @pytest.mark.parametrize("vouch", [StreamLedger.vouch, StreamLedger.cover])
    def test_a_jump_that_rest_vouches_for_is_refuted_by_nothing(
        self, vouch: Callable[[StreamLedger, int], object]
    ) -> None:
        ledger = ledger_at(11)
        for each in (200_000, 200_001):
            ledger.accept(each)
        vouch(ledger, 200_001)
        assert [ledger.accept(each) in {Verdict.LATE, Verdict.DUPLICATE} for each in (11, 12, 13)] == [True] * 3
        assert (ledger.next_id, ledger.refuted) == (200_002, None)

    def test_rest_that_has_not_got_so_far_vouches_for_nothing(self) -> None:
        ledger = ledger_at(11)
        for each in (CORRUPT, CORRUPT + 1):
            ledger.accept(each)
        ledger.vouch(12)
        assert [ledger.accept(each) for each in (11, 12)] == [Verdict.LATE] * 2
        assert ledger.refuted == [(13, CORRUPT)]

    def test_a_stream_that_goes_on_above_a_jump_makes_it_real(self) -> None:
        """It may repeat old ids then, as after a rotation; REST need not vouch for it."""
        ledger = ledger_at(4, jump_max=10)
        for each in range(100, 200):
            ledger.accept(each)
        ledger.lose(4, 100)
        assert {ledger.accept(each) for each in range(120, 140)} == {Verdict.DUPLICATE}
        assert (ledger.next_id, ledger.refuted) == (200, None)

    def test_what_was_skipped_far_ahead_is_refuted_like_what_was_taken(self) -> None:
        ledger = ledger_at(11)
        ledger.issued(CORRUPT)
        assert ledger.issued(CORRUPT + 1) == (11, CORRUPT + 1)
        assert [ledger.accept(each) for each in (11, 12, 13)] == [Verdict.LATE, Verdict.LATE, Verdict.NEXT]
        assert list(ledger.gaps) == []

    def test_gaps_behind_a_corrupt_first_id_are_refuted_with_it(self) -> None:
        ledger = StreamLedger()
        for each in (CORRUPT, CORRUPT + 3, 7, 8):
            ledger.accept(each)
        assert (ledger.refuted, list(ledger.gaps)) == ([(CORRUPT + 1, CORRUPT + 2)], [(7, 7)])

    def test_a_mark_far_ahead_is_a_suspect_too_unless_it_is_trusted(self) -> None:
        ledger = ledger_at(3, jump_max=10)
        assert ledger.issued(14) is None
        assert (ledger.next_id, ledger.suspect) == (3, 14)
        assert ledger.issued(13) == (3, 13), "the largest believed"
        assert ledger_at(3, jump_max=10).issued(CORRUPT, trusted=True) == (3, CORRUPT)

    def test_a_mark_may_continue_a_suspect(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(CORRUPT)
        assert ledger.issued(CORRUPT + 1) == (3, CORRUPT + 1)
        assert ledger.suspect is None


class TestFirstId:
    """It has nothing to be measured by and is believed, until something far below contradicts it."""

    def test_a_corrupt_first_id_does_not_turn_all_later_data_into_duplicates(self) -> None:
        ledger = StreamLedger()
        verdicts = [ledger.accept(each) for each in (CORRUPT, 42, 43, 44)]
        assert verdicts == [Verdict.NEXT, Verdict.DUPLICATE, Verdict.JUMPED, Verdict.NEXT]
        assert ledger.last_gap == (42, 42), "the first of the two that prove it was dropped, so it is fetched"
        assert (ledger.next_id, list(ledger.gaps)) == (45, [(42, 42)])

    def test_one_corrupt_low_id_proves_nothing(self) -> None:
        ledger = StreamLedger()
        ledger.start_at(500_001)
        verdicts = [ledger.accept(each) for each in (5, 500_001, 500_002)]
        assert verdicts == [Verdict.DUPLICATE, Verdict.NEXT, Verdict.NEXT]
        assert list(ledger.gaps) == []

    def test_a_mark_may_contradict_it_too(self) -> None:
        ledger = StreamLedger()
        ledger.accept(CORRUPT)
        assert ledger.contradict(41)
        assert ledger.next_id == 42

    @pytest.mark.parametrize("highest", [CORRUPT - 1, CORRUPT, CORRUPT + 1, CORRUPT - JUMP_MAX - 1])
    def test_what_lies_near_it_contradicts_nothing(self, highest: int) -> None:
        ledger = StreamLedger()
        ledger.accept(CORRUPT)
        assert not ledger.contradict(highest)
        assert ledger.next_id == CORRUPT + 1

    def test_a_second_id_that_follows_makes_it_sure(self) -> None:
        ledger = StreamLedger()
        assert [ledger.accept(each) for each in (CORRUPT, CORRUPT + 1)] == [Verdict.NEXT] * 2
        assert not ledger.contradict(41)
        assert ledger.accept(42) is Verdict.DUPLICATE

    def test_an_unknown_stream_has_nothing_to_contradict(self) -> None:
        assert not StreamLedger().contradict(41)


class TestIssued:
    def test_what_lies_between_the_cursor_and_a_mark_is_a_gap(self) -> None:
        ledger = ledger_at(3)
        assert ledger.issued(5) == (3, 5)
        assert ledger.last_gap == (3, 5)
        assert [ledger.accept(each) for each in (6, 4)] == [Verdict.NEXT, Verdict.LATE]

    def test_a_mark_below_the_cursor_means_nothing(self) -> None:
        ledger = ledger_at(10)
        assert [ledger.issued(each) for each in (0, 5, 9)] == [None] * 3
        assert ledger.next_id == 10

    def test_of_an_unknown_stream_a_mark_says_nothing_about_gaps(self) -> None:
        ledger = StreamLedger()
        assert ledger.issued(5) is None
        assert ledger.next_id is None


class TestOweFrom:
    def test_ids_below_the_base_are_owed_after_all(self) -> None:
        ledger = StreamLedger()
        ledger.accept(45)
        assert ledger.owe_from(42) == (42, 44)
        assert ledger.accept(43) is Verdict.LATE
        assert ledger.owe_from(42) is None, "told once"

    @pytest.mark.parametrize("first_id", [45, 46, 100])
    def test_ids_from_the_base_on_are_owed_already(self, first_id: int) -> None:
        ledger = StreamLedger()
        ledger.accept(45)
        assert ledger.owe_from(first_id) is None

    def test_an_unknown_stream_owes_nothing_yet(self) -> None:
        assert StreamLedger().owe_from(1) is None


class TestLoseAndCover:
    def test_lost_ids_are_closed_and_never_delivered(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(10)
        assert ledger.lose(1, 5) == [(3, 5)], "only what is open"
        assert ledger.accept(4) is Verdict.DUPLICATE
        assert list(ledger.gaps) == [(6, 9)]

    def test_a_snapshot_covers_the_gaps_below_it_and_moves_the_cursor_past_it(self) -> None:
        ledger = ledger_at(3)
        ledger.accept(5)
        ledger.accept(9)
        assert ledger.cover(7) == [(3, 4), (6, 7)]
        assert (ledger.next_id, list(ledger.gaps)) == (10, [(8, 8)])
        assert ledger.cover(20) == [(8, 8)]
        assert ledger.accept(20) is Verdict.DUPLICATE
        assert ledger.accept(21) is Verdict.NEXT

    def test_a_snapshot_may_be_the_first_thing_known(self) -> None:
        ledger = StreamLedger()
        assert ledger.cover(7) == []
        assert [ledger.accept(each) for each in (7, 8)] == [Verdict.DUPLICATE, Verdict.NEXT]


def test_beyond_the_bound_the_oldest_gaps_are_given_up() -> None:
    ledger = ledger_at(1, intervals_max=3)
    for sequence_id in range(2, 14, 2):
        ledger.accept(sequence_id)
    assert list(ledger.excess()) == [(1, 1), (3, 3), (5, 5)]
    assert list(ledger.gaps) == [(7, 7), (9, 9), (11, 11)]
    assert list(ledger.excess()) == []


class LedgerAgainstSets(RuleBasedStateMachine):
    """Anything may happen to the books, in any order; plain sets say what must have come of it."""

    JUMP_MAX = 12
    INTERVALS_MAX = 2
    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.ledger = StreamLedger(jump_max=self.JUMP_MAX, intervals_max=self.INTERVALS_MAX)
        self.forget(None)

    def forget(self, first_id: int | None) -> None:
        self.base = self.cursor = first_id
        self.sure = False
        self.low: int | None = None
        self.delivered: set[int] = set()
        self.missing: set[int] = set()
        self.lost: set[int] = set()
        self.suspect: int | None = None

    @property
    def middle(self) -> int:
        """Where something is likely to happen."""
        return 20 if self.cursor is None else self.cursor

    def ahead(self, suspect: int | None) -> int | None:
        """A suspect that the cursor has overtaken makes no difference any more."""
        overtaken = suspect is not None and self.cursor is not None and suspect < self.cursor
        return None if overtaken else suspect

    def miss(self, start: int, end: int) -> tuple[int, int]:
        self.missing |= set(range(start, end + 1))
        return start, end

    def verdict_on(self, sequence_id: int) -> Verdict:
        """What the sets say."""
        if self.cursor is None or sequence_id == self.cursor:
            return Verdict.NEXT
        if sequence_id < self.cursor:
            return Verdict.LATE if sequence_id in self.missing else Verdict.DUPLICATE
        if sequence_id > self.cursor + self.JUMP_MAX and self.suspect != sequence_id - 1:
            return Verdict.SUSPECT
        return Verdict.JUMPED

    def is_contradicted_by(self, highest: int) -> bool:
        """The first id was far too high, and no second one has followed it."""
        return self.base is not None and not self.sure and highest < self.base - 1 - self.JUMP_MAX

    def receive(self, sequence_id: int) -> None:
        if self.is_contradicted_by(sequence_id - 1):
            if self.low != sequence_id - 1:
                self.low = sequence_id
                assert self.ledger.accept(sequence_id) is Verdict.DUPLICATE, "one low id proves nothing"
                return
            self.forget(sequence_id - 1)
            self.reached["contradicted"] += 1
        self.sure = self.sure or sequence_id == self.cursor
        expected = self.verdict_on(sequence_id)
        verdict = self.ledger.accept(sequence_id)
        assert verdict is expected
        self.reached[verdict.value] += 1
        if verdict is Verdict.SUSPECT:
            self.suspect = sequence_id
        if verdict in DELIVERED:
            assert sequence_id not in self.delivered, "delivered twice"
            assert sequence_id not in self.lost, "delivered after it was reported lost"
            self.delivered.add(sequence_id)
            self.missing.discard(sequence_id)
        if verdict is Verdict.JUMPED and self.cursor is not None:
            self.reached["continued"] += sequence_id > self.cursor + self.JUMP_MAX
            assert self.ledger.last_gap == self.miss(self.cursor, sequence_id - 1)
        if verdict in {Verdict.NEXT, Verdict.JUMPED}:
            self.base = sequence_id if self.base is None else self.base
            self.cursor, self.suspect = sequence_id + 1, None

    @rule(sequence_id=st.integers(0, 8))
    def two_low_ids_in_a_row(self, sequence_id: int) -> None:
        self.receive(sequence_id)
        self.receive(sequence_id + 1)

    @rule(sequence_id=st.integers(0, 60))
    def any_id(self, sequence_id: int) -> None:
        self.receive(sequence_id)

    @rule(offset=st.integers(-8, 16))
    def an_id_near_the_cursor(self, offset: int) -> None:
        self.receive(max(self.middle + offset, 0))

    @rule(ahead=st.integers(1, 9), offset=st.sampled_from([0, 1, 1, 2]))
    @precondition(lambda self: self.cursor is not None)
    def two_ids_far_ahead(self, ahead: int, offset: int) -> None:
        suspect = self.middle + self.JUMP_MAX + ahead
        self.receive(suspect)
        self.receive(suspect + offset)

    @rule(offset=st.integers(-3, 24), trusted=st.booleans())
    def a_mark(self, offset: int, *, trusted: bool) -> None:
        highest = max(self.middle + offset, 0)
        gap = self.ledger.issued(highest, trusted=trusted)
        if self.cursor is None or highest < self.cursor:
            assert gap is None
        elif highest > self.cursor + self.JUMP_MAX and not trusted and self.suspect != highest - 1:
            assert gap is None
            self.suspect = highest
            self.reached["mark doubted"] += 1
        else:
            assert gap == self.miss(self.cursor, highest)
            self.cursor = highest + 1
            # REST, which is trusted, is asked from below: how far a page leads does not refute what lies beyond it.
            self.suspect = self.ahead(self.suspect) if trusted else None
            self.reached["mark believed"] += 1

    @rule(highest=st.integers(0, 30))
    def rest_knows_less(self, highest: int) -> None:
        contradicted = self.is_contradicted_by(highest)
        assert self.ledger.contradict(highest) is contradicted
        if contradicted:
            self.forget(highest + 1)

    @rule(ahead=st.integers(1, 9), offset=st.integers(-2, 2))
    @precondition(lambda self: self.cursor is not None)
    def rest_speaks_of_a_suspect(self, ahead: int, offset: int) -> None:
        if self.suspect is None:
            self.receive(self.middle + self.JUMP_MAX + ahead)
        suspect, last_seq = self.suspect or 0, (self.suspect or 0) + offset
        gap = self.ledger.resolve_suspect(last_seq)
        self.suspect = None
        if last_seq >= suspect and self.cursor is not None and suspect >= self.cursor:
            assert gap == self.miss(self.cursor, suspect)
            self.cursor = suspect + 1
            self.reached["confirmed"] += 1
        else:
            assert gap is None
            self.reached["refuted"] += 1

    @rule(sequence_id=st.integers(0, 40))
    def the_base_becomes_known(self, sequence_id: int) -> None:
        self.ledger.start_at(sequence_id)
        if self.cursor is None:
            self.base = self.cursor = sequence_id

    @rule(offset=st.integers(-6, 3))
    def more_is_owed(self, offset: int) -> None:
        first_id = max((20 if self.base is None else self.base) + offset, 0)
        gap = self.ledger.owe_from(first_id)
        if self.base is None or first_id >= self.base:
            assert gap is None
        else:
            assert gap == self.miss(first_id, self.base - 1)
            self.base = first_id
            self.reached["owed after all"] += 1

    @rule(start=st.integers(0, 60), length=st.integers(0, 20))
    def ids_are_lost(self, start: int, length: int) -> None:
        closed = {number for low, high in self.ledger.lose(start, start + length) for number in range(low, high + 1)}
        assert closed == self.missing & set(range(start, start + length + 1))
        self.lost |= closed
        self.missing -= closed
        self.reached["lost"] += bool(closed)

    @rule(offset=st.integers(-8, 8))
    def a_snapshot_covers(self, offset: int) -> None:
        highest = self.middle + offset
        if self.base is not None and highest < self.base:
            return
        closed = {number for low, high in self.ledger.cover(highest) for number in range(low, high + 1)}
        assert closed == {number for number in self.missing if number <= highest}
        self.missing -= closed
        if self.cursor is None or self.cursor <= highest:
            self.base = highest + 1 if self.base is None else self.base
            self.lost |= set(range(highest + 1 if self.cursor is None else self.cursor, highest + 1))
            self.cursor = highest + 1
        self.lost |= closed
        self.reached["covered"] += bool(closed)

    @rule()
    def gaps_are_given_up(self) -> None:
        for low, high in self.ledger.excess():
            given_up = set(range(low, high + 1))
            assert given_up == {number for number in self.missing if number <= high}, "the oldest goes first"
            self.lost |= given_up
            self.missing -= given_up
            self.reached["given up"] += 1
        assert len(self.ledger.gaps) <= self.INTERVALS_MAX

    @rule(first_id=st.none() | st.integers(1, 3))
    def an_epoch_begins(self, first_id: int | None) -> None:
        self.ledger.reset(first_id)
        self.forget(first_id)
        self.reached["reset"] += 1

    @invariant()
    def every_owed_id_below_the_cursor_is_accounted_for(self) -> None:
        """Delivered, in a gap, or lost: exactly one of them."""
        ledger = self.ledger
        assert ledger.next_id == self.cursor
        assert self.ahead(ledger.suspect) == self.ahead(self.suspect)
        open_ids = {number for low, high in ledger.gaps for number in range(low, high + 1)}
        assert open_ids == self.missing
        assert all(end + 1 < start for (_, end), (start, _) in pairwise(ledger.gaps))
        owed = set(range(self.base or 0, self.cursor or 0))
        assert owed == self.delivered | open_ids | self.lost
        assert not self.delivered & open_ids
        assert not self.lost & (open_ids | self.delivered)


def test_any_history_leaves_every_id_delivered_once_missing_or_lost() -> None:
    LedgerAgainstSets.reached.clear()
    run_state_machine_as_test(
        LedgerAgainstSets,
        settings=settings(max_examples=200, stateful_step_count=40, derandomize=True, deadline=None),
    )
    # Reordering takes a window, which test_sequence_rules.py has.
    wanted = {verdict.value for verdict in Verdict if verdict is not Verdict.REORDERED} | {
        "continued",
        "contradicted",
        "mark doubted",
        "mark believed",
        "confirmed",
        "refuted",
        "owed after all",
        "lost",
        "covered",
        "given up",
        "reset",
    }
    assert not wanted - {name for name, times in LedgerAgainstSets.reached.items() if times}
