"""The ledger of every sequence rule, with and without a reorder window, against plain sets of ids.

``tests/controller/test_sequence_tracker.py`` does this for the jump guard of contiguous streams; here there is none in
the way. What is under test is what may be missing: of a contiguous stream every id below the cursor, of a chained one
the ids between a message and the one it names, of a monotonic one those behind an interruption.
"""

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gapless.controller.exchange import SequenceRule
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.verdict import DELIVERED, Verdict
from tests.properties.profile import explore

SPAN = 500
"""Ids that a jump may span: more than there are here."""
WINDOW_S = 5.0
"""Seconds in which what was skipped may still come."""


def ids_of(ranges: object) -> set[int]:
    assert isinstance(ranges, list)
    return {number for low, high in ranges for number in range(low, high + 1)}


class LedgerAgainstIds(RuleBasedStateMachine):
    sequence_rule = SequenceRule.CONTIGUOUS
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(windowed=st.booleans(), intervals_max=st.sampled_from([4, 1_000]))
    def begin(self, intervals_max: int, *, windowed: bool) -> None:
        self.ledger = StreamLedger(jump_max=SPAN, intervals_max=intervals_max, rule=self.sequence_rule)
        self.windowed = windowed
        self.intervals_max = intervals_max
        self.now = 0.0
        self.interrupted = False
        self.forget(1)

    def forget(self, first_id: int) -> None:
        self.ledger.reset(first_id)
        # A new epoch is no reason to trust the socket: what it missed before its first id is asked for.
        self.cursor = first_id
        self.done: set[int] = set()
        """Delivered, lost, or passed over: none of them may be delivered any more."""
        self.missing: set[int] = set()
        self.due: dict[int, float] = {}
        """Tentative ids, and when they are overdue."""

    def hole_before(self, number: int, prev: int | None) -> set[int]:
        if number < self.cursor:
            return set()
        match self.sequence_rule:
            case SequenceRule.CONTIGUOUS:
                last = number - 1
            case SequenceRule.CHAINED if prev is not None:
                last = min(prev, number - 1)
            case _:
                last = number - 1 if self.interrupted else -1
        return set(range(self.cursor, last + 1))

    def settle(self, overdue: set[int]) -> None:
        self.missing |= overdue
        for number in overdue:
            del self.due[number]

    # -- live data and time --------------------------------------------------------------------------------------------

    @rule(offset=st.integers(-12, 8), back=st.none() | st.integers(0, 6))
    def an_id_comes(self, offset: int, back: int | None) -> None:
        number = max(self.cursor + offset, 0)
        self.receive(number, None if back is None else max(number - 1 - back, 0))

    @rule(steps=st.lists(st.integers(1, 3), min_size=2, max_size=6), late=st.none() | st.integers(1, 12))
    def frames_are_dropped(self, steps: list[int], late: int | None) -> None:
        for step in steps:
            if self.sequence_rule is SequenceRule.MONOTONIC:
                self.the_socket_is_another_one()
            number = self.cursor + step - 1
            self.receive(number, number - 1)
        if late is not None:
            self.receive(max(self.cursor - late, 0), None)

    def receive(self, number: int, prev: int | None) -> None:
        hole, below = self.hole_before(number, prev), number < self.cursor
        verdict = self.ledger.accept(number, prev)
        self.reached[verdict.value] += 1
        if below:
            expected = Verdict.DUPLICATE
            if number in self.due:
                expected = Verdict.REORDERED
            elif number in self.missing:
                expected = Verdict.LATE
        else:
            expected = Verdict.JUMPED if hole else Verdict.NEXT
        assert verdict is expected
        if verdict in DELIVERED:
            assert number not in self.done
            self.done.add(number)
        self.missing.discard(number)
        self.due.pop(number, None)
        if not below:
            # What is neither a hole nor the id itself does not exist.
            self.done |= set(range(self.cursor, number)) - hole
            self.reached["passed over"] += bool(set(range(self.cursor, number)) - hole)
            self.cursor, self.interrupted = number + 1, False
        elif number == self.cursor - 1:
            self.interrupted = False
        if verdict is Verdict.JUMPED:
            self.jump(hole)

    def jump(self, hole: set[int]) -> None:
        assert self.ledger.last_gap == (min(hole), max(hole))
        self.reached["jumped behind an interruption"] += self.sequence_rule is SequenceRule.MONOTONIC
        if not self.windowed:
            self.missing |= hole
            return
        self.ledger.hesitate(self.now + WINDOW_S)
        self.due |= dict.fromkeys(hole, self.now + WINDOW_S)
        self.look()

    @rule(pause_s=st.sampled_from([0.0, 1.0, 3.0, 9.0]))
    def time_passes(self, pause_s: float) -> None:
        self.now += pause_s
        self.look()

    def look(self) -> None:
        overdue = ids_of(self.ledger.settle_due(self.now))
        assert overdue >= {number for number, due_at in self.due.items() if due_at <= self.now}
        early = {number for number in overdue if self.due[number] > self.now}
        # The oldest of too many: nobody older stays.
        assert not early or max(early) < min(self.due.keys() - overdue, default=SPAN)
        self.reached["given up early"] += bool(early)
        self.reached["overdue"] += bool(overdue - early)
        self.settle(overdue)
        assert len(self.ledger.tentative) <= self.intervals_max // 2

    @rule()
    def the_socket_is_another_one(self) -> None:
        self.ledger.interrupt()
        self.interrupted = True

    # -- REST ----------------------------------------------------------------------------------------------------------

    @rule(ahead=st.integers(-2, 5))
    def a_mark_comes(self, ahead: int) -> None:
        highest = max(self.cursor + ahead, 0)
        gap = self.ledger.issued(highest)
        if highest < self.cursor:
            assert gap is None
            return
        assert gap == (self.cursor, highest)
        self.missing |= set(range(self.cursor, highest + 1))
        self.cursor = highest + 1
        self.reached["marked"] += 1

    @rule(back=st.integers(0, 30), length=st.integers(0, 15))
    def ids_will_never_come(self, back: int, length: int) -> None:
        start = max(self.cursor - back, 0)
        asked = set(range(start, start + length + 1))
        lost = ids_of(self.ledger.lose(start, start + length))
        assert lost == asked & (self.missing | self.due.keys())
        self.close(lost)
        self.reached["lost"] += bool(lost)

    @rule(ahead=st.integers(-12, 1))
    def a_snapshot_covers(self, ahead: int) -> None:
        highest = max(self.cursor + ahead, 1)
        closed = ids_of(self.ledger.cover(highest))
        assert closed == {number for number in self.missing | self.due.keys() if number <= highest}
        self.close(closed | set(range(self.cursor, highest + 1)))
        self.cursor = max(self.cursor, highest + 1)
        self.reached["covered"] += bool(closed)

    @rule(ahead=st.integers(-2, 4))
    def rest_knows_of_nothing_there(self, ahead: int) -> None:
        if self.sequence_rule is SequenceRule.CONTIGUOUS:
            return
        highest = max(self.cursor + ahead, 0)
        self.ledger.pass_to(highest)
        self.done |= set(range(self.cursor, highest + 1))
        self.cursor = max(self.cursor, highest + 1)

    @rule()
    def too_many_gaps_are_given_up(self) -> None:
        given_up = ids_of(list(self.ledger.excess()))
        assert not given_up or max(given_up) < min(self.missing - given_up, default=SPAN), "the oldest go first"
        self.close(given_up)
        self.reached["given up"] += bool(given_up)
        assert len(self.ledger.gaps) + len(self.ledger.tentative) <= max(self.intervals_max, len(self.ledger.tentative))

    @rule(chance=st.integers(0, 5))
    def everything_is_given_up(self, chance: int) -> None:
        if chance:
            return
        open_ids = self.missing | self.due.keys()
        assert ids_of(self.ledger.lose_all()) == open_ids
        self.close(open_ids)

    @rule(first_id=st.integers(1, 3), chance=st.integers(0, 5))
    def an_epoch_begins(self, first_id: int, chance: int) -> None:
        if not chance:
            self.forget(first_id)
            self.reached["reset"] += 1

    def close(self, numbers: set[int]) -> None:
        assert not numbers & self.done
        self.done |= numbers
        self.missing -= numbers
        for number in numbers & self.due.keys():
            del self.due[number]

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "ledger"):
            return
        ledger = self.ledger
        assert ledger.next_id == self.cursor
        assert ids_of(list(ledger.gaps)) == self.missing
        assert ids_of(list(ledger.tentative)) == self.due.keys()
        assert ledger.tentative.due_at == min(self.due.values(), default=float("inf"))
        assert ledger.first_missing == min(self.missing | self.due.keys(), default=self.cursor)
        assert not self.done & (self.missing | self.due.keys())


class Chained(LedgerAgainstIds):
    sequence_rule = SequenceRule.CHAINED
    reached: ClassVar[Counter[str]] = Counter()


class Monotonic(LedgerAgainstIds):
    sequence_rule = SequenceRule.MONOTONIC
    reached: ClassVar[Counter[str]] = Counter()


ALWAYS = {
    *(verdict.value for verdict in Verdict if verdict is not Verdict.SUSPECT),
    *("overdue", "given up early", "marked", "lost", "covered", "given up", "reset"),
}


@pytest.mark.parametrize(
    ("machine", "besides"),
    [
        (LedgerAgainstIds, set[str]()),
        (Chained, {"passed over"}),
        (Monotonic, {"passed over", "jumped behind an interruption"}),
    ],
    ids=["contiguous", "chained", "monotonic"],
)
def test_what_is_owed_is_delivered_once_missing_or_lost(machine: type[LedgerAgainstIds], besides: set[str]) -> None:
    explore(machine, machine.reached, ALWAYS | besides, examples=120)
