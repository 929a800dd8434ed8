"""The sequence ledger of one stream: which ids are owed, delivered, missing. Pure, no I/O, no clock.

Theory. There is a cursor, ``next_id``, and a set of open gaps. Everything below ``base`` was never owed; everything
from ``base`` up to the cursor was delivered unless it lies in a gap; everything from the cursor on is still to come. An
id is delivered exactly when :meth:`StreamLedger.accept` answers with a verdict that
:data:`~gapless.controller.verdict.DELIVERED` holds, and that happens at most once per id, because the call itself moves
the cursor or closes the gap: the books are written before the delivery.

An id is only meaningful within its epoch. A restarted server counts from 1 again; :meth:`StreamLedger.reset` then
starts the books anew, owed from id 1. Without it, "lower than expected is a duplicate" would drop everything for
ever.

The jump guard. An id far ahead of the cursor is more often a corrupt frame than a real jump. It becomes the *suspect*
and moves nothing. The next id continues it (then it was real), or the socket goes on where it was (corrupt), or REST's
``last_seq`` covers it (real) or does not (corrupt). Rows that REST was asked for from below say nothing of it. Its own
frame is not delivered: if it was real, its id is part of the gap and is fetched like the rest.

Two corrupt ids that continue each other are believed. When the socket then goes on far below them, twice in a row, the
jump is refuted: the cursor returns, and what the jump had claimed is owed no more. Rows of REST refute nothing, they
fill the hole that a real jump left; and once REST has vouched for a jump, or the stream has gone on above it, nothing
refutes it any more. So three corrupt ids in a row stay believed: the price of a real jump, whose stream may repeat old
ids, staying real also where no REST vouches for it.

The first id of all has nothing to be measured by and is believed, until something contradicts it.

Rules. All of this holds for contiguous ids, +1 each. *Sparse* streams promise less. In a chained stream each message
names the one before it, so a broken link is a hole, but of unknown content: its range of ids is asked for, what REST
knows of it is delivered, and then it is closed. In a monotonic stream ids only grow; what is missing can only be told
where the socket was interrupted, and is asked for in the same way. Unsequenced streams have no books.

The reorder window. Where one is set, a jump is tentative at first: ids in it may still arrive, out of order, and nobody
is told. :meth:`StreamLedger.settle_due` makes gaps of what did not come in time. Tentative jumps take at most half of
the room for intervals, so that REST has time for the rest before the oldest are given up.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from gapless.controller.exchange import SequenceRule
from gapless.controller.far_jump import FarJump
from gapless.controller.intervals import IntervalSet
from gapless.controller.reorder_window import ReorderWindow
from gapless.controller.runs import Runs, RunsOfAll
from gapless.controller.verdict import Verdict

JUMP_MAX = 100_000
"""Ids. At 1,000 messages/s an outage of 100 s; a longer one is confirmed by the next id or by REST within one
request."""

INTERVALS_MAX = 1_000
"""Open gaps per stream, tentative ones included. A random drop of every second message reaches it in 2,000 messages;
more is not a gap but a ruin."""

RESUMED_MAX = 10_000
"""Open gaps per stream that earlier controllers left, and that need not fit :data:`INTERVALS_MAX`: as many as a full
buffer can leave. Without an end to it each crash would add what one controller may have open."""


class StreamLedger:
    """The books of one stream in one epoch.

    Methods that move the cursor: :meth:`accept`, :meth:`issued`, :meth:`owe_from`, :meth:`start_at`, :meth:`reset`.
    Methods that close gaps: :meth:`accept`, :meth:`lose`, :meth:`lose_all`, :meth:`cover`.
    """

    __slots__ = (
        "_base",
        "_confirmed",
        "_far_jump",
        "_interrupted",
        "_intervals_max",
        "_jump_max",
        "_low",
        "_resumed",
        "gaps",
        "last_gap",
        "next_id",
        "refuted",
        "reopened",
        "rule",
        "runs",
        "suspect",
        "tentative",
    )

    def __init__(
        self,
        *,
        jump_max: int = JUMP_MAX,
        intervals_max: int = INTERVALS_MAX,
        rule: SequenceRule = SequenceRule.CONTIGUOUS,
        runs: RunsOfAll | None = None,
    ) -> None:
        self.rule = rule
        self._interrupted = False
        self._far_jump: FarJump | None = None
        self.refuted: list[tuple[int, int]] | None = None
        """Set when the cursor has just returned from corrupt ids: the open gaps that they had claimed."""
        self.reopened: tuple[int, int] | None = None
        """Set with it: ids that were dropped as duplicates until then, now a gap."""
        self.tentative = ReorderWindow()
        """Ids skipped so lately that they may still come."""
        self._jump_max = jump_max
        self._intervals_max = intervals_max
        self._base = 0
        self._confirmed = False
        self._low: int | None = None
        self._resumed = 0
        """Gaps that earlier controllers left open, and that need not fit the bound; see :data:`RESUMED_MAX`."""
        self.runs: Final = Runs(RunsOfAll() if runs is None else runs)
        """Of a sparse stream: what was delivered of late, and what it came right after."""
        self.next_id: int | None = None
        """The cursor: the lowest id not yet seen; None while nothing is known of the stream."""
        self.gaps = IntervalSet()
        self.last_gap: tuple[int, int] | None = None
        """What the last JUMPED id opened."""
        self.suspect: int | None = None
        """An id too far ahead to be believed, until it is confirmed or refuted."""

    @property
    def highest_issued(self) -> int | None:
        """The highest id the venue is known to have issued; a reply that knows less is stale."""
        return None if self.next_id is None else self.next_id - 1

    @property
    def first_missing(self) -> int | None:
        """The lowest id that is owed and not delivered yet; None while nothing is known of the stream."""
        if not self.gaps and not self.tentative:
            return self.next_id
        return min(each.first for each in (self.gaps, self.tentative) if each)

    @property
    def is_sparse(self) -> bool:
        """Whether not every id between two others exists."""
        return self.rule is not SequenceRule.CONTIGUOUS

    def interrupt(self) -> None:
        """The socket is another one: a sparse stream may have missed something that no id tells."""
        self._interrupted = True

    def accept(self, sequence_id: int, prev: int | None = None, *, live: bool = True) -> Verdict:
        """Enter one id; of a chained stream with the id before it. Constant time when ids arrive in order.

        ``live``: the socket said it. What REST answers was asked for, so a row far below proves nothing.
        """
        expected = self.next_id
        if sequence_id == expected:
            self.next_id = sequence_id + 1
            self._far_jump = None
            self._confirmed = True
            self._settle_suspect(is_refuted=live)
            if live:
                self._interrupted = False
            return Verdict.NEXT
        if expected is None:
            self._base = sequence_id
            self.next_id = sequence_id + 1
            self._interrupted = False
            return Verdict.NEXT
        if live and self._is_far_below(sequence_id):
            if sequence_id - 1 != self._low:
                self._low = sequence_id
                return Verdict.DUPLICATE
            # Two in a row: the first id of these books was the corrupt one. The lower of the two was dropped: a gap.
            self._begin_below(sequence_id - 1)
            return self.accept(sequence_id)
        if sequence_id < expected:
            if live:
                self._see_below(sequence_id, expected)
            if self.tentative.discard(sequence_id):
                return Verdict.REORDERED
            return Verdict.LATE if self.gaps.discard(sequence_id) else Verdict.DUPLICATE
        is_far = sequence_id - expected > self._jump_max
        if is_far and not self._continues_suspect(sequence_id):
            self.suspect = sequence_id
            return Verdict.SUSPECT
        hole_ends = self._hole_before(sequence_id, prev)
        self._far_jump = self._jump(sequence_id, is_hole=hole_ends >= expected) if live and is_far else None
        self.next_id = sequence_id + 1
        self._settle_suspect(is_refuted=live)
        self._interrupted = False
        self._note_run(max(expected, hole_ends + 1), sequence_id)
        if hole_ends < expected:
            self._confirmed = True
            return Verdict.NEXT
        self._open(expected, hole_ends)
        return Verdict.JUMPED

    def continued(self) -> None:
        """The last ids came in order from the socket, and the cursor is past them: what :meth:`accept` notes then."""
        self.suspect = None
        self._far_jump = None
        self._confirmed = True
        self._interrupted = False

    def _see_below(self, sequence_id: int, cursor: int) -> None:
        """The socket shows something below the cursor."""
        if sequence_id == cursor - 1:
            # The newest of all: the socket, new as it may be, goes on from there and has missed nothing.
            self._interrupted = False
        jump = self._far_jump
        if jump is not None and cursor - sequence_id > self._jump_max and jump.is_refuted_by(sequence_id):
            self.refuted = self.gaps.take(sequence_id + 1, cursor - 1)
            self.tentative.take(sequence_id + 1, cursor - 1)
            self.runs.clear()
            self.next_id = sequence_id + 1
            self._far_jump = None
            if not jump.is_hole:
                # Nothing was missing, so what came below the jump until now was dropped.
                self.reopened = (jump.first_below, sequence_id)
                self._open(*self.reopened)

    def _jump(self, sequence_id: int, *, is_hole: bool) -> FarJump | None:
        if self.next_id is None:
            return None
        return FarJump(self.next_id, sequence_id, reach=self._reach, is_hole=is_hole)

    @property
    def _reach(self) -> int:
        """How far an id may lie above another to continue it."""
        return self._jump_max if self.is_sparse else 1

    def _hole_before(self, sequence_id: int, prev: int | None) -> int:
        """The last id that may be missing before this one; below the cursor: none is."""
        if not self.is_sparse:
            return sequence_id - 1
        if self.rule is SequenceRule.CHAINED and prev is not None:
            return min(prev, sequence_id - 1)
        return sequence_id - 1 if self._interrupted else -1

    def _settle_suspect(self, *, is_refuted: bool) -> None:
        """The cursor has moved: what the socket says below the suspect refutes it, what REST was asked for does not."""
        if self.suspect is not None and (is_refuted or self.next_id is None or self.suspect < self.next_id):
            self.suspect = None

    def _continues_suspect(self, sequence_id: int) -> bool:
        return self.suspect is not None and 0 < sequence_id - self.suspect <= self._reach

    def hesitate(self, until: float) -> None:
        """The gap that the last JUMPED id opened is tentative: what is in it may still come, until then."""
        if self.last_gap is not None:
            for low, high in self.gaps.take(*self.last_gap):
                self.tentative.add(low, high, until=until)

    def settle_due(self, now: float) -> list[tuple[int, int]]:
        """What is overdue, or the oldest of too much, is a gap from now on, returned."""
        overdue = self.tentative.pop_due(now)
        while len(self.tentative) > self._intervals_max // 2:
            overdue += self.tentative.pop_oldest()
        for low, high in overdue:
            self.gaps.add(low, high)
        return overdue

    def settle(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of ``start..end`` is still tentative is a gap from now on, returned."""
        overdue = self.tentative.take(start, end)
        for low, high in overdue:
            self.gaps.add(low, high)
        return overdue

    def pass_to(self, highest: int) -> None:
        """A sparse stream has nothing between the cursor and ``highest``: REST, which covers it, says so."""
        if self.next_id is not None and highest >= self.next_id:
            self.next_id = highest + 1

    def pass_over(self, start: int, number: int) -> list[tuple[int, int]]:
        """REST shows what follows ``start`` in a sparse stream: up to ``number`` it is nothing.

        Returns:
            The gaps that this closes.
        """
        expected = self.next_id
        closed = self.lose(start, number - 1)
        run = closed[-1][0] if closed and closed[-1][1] == number - 1 else number
        self.pass_to(number - 1)
        self._note_run(run if expected is None else min(run, expected), number)
        return closed

    def _note_run(self, start: int, sequence_id: int) -> None:
        if self.is_sparse and start < sequence_id:
            self.runs.note(sequence_id, first=start)

    def vouch(self, last_seq: int) -> None:
        """REST has issued ids up to ``last_seq``: a jump that reaches no further was real, and is refuted no more."""
        if self._far_jump is not None and last_seq >= self._far_jump.end:
            self._far_jump = None

    def start_at(self, sequence_id: int) -> None:
        """The first owed id, where nothing was known before; otherwise nothing changes."""
        if self.next_id is None:
            self._base = self.next_id = sequence_id

    @property
    def far_jump(self) -> FarJump | None:
        """The last jump, as long as the stream can refute it."""
        return self._far_jump

    def resume(
        self,
        next_id: int,
        holes: Iterable[tuple[int, int]],
        *,
        jumped_from: int | None = None,
        jumped_over: bool = True,
    ) -> None:
        """The app was here before: everything below ``next_id`` is done with, but for the holes.

        ``jumped_from``: where the far jump began that led to ``next_id`` and can still be refuted; ``jumped_over``:
        whether it was a hole.
        """
        self.reset(next_id)
        self._base = 0
        self._confirmed = True
        for start, end in holes:
            self._open(start, end)
        self._resumed = min(len(self.gaps), RESUMED_MAX)
        if jumped_from is not None:
            self._far_jump = FarJump(jumped_from, next_id - 1, reach=self._reach, is_hole=jumped_over)

    def issued(self, highest: int, *, trusted: bool = False) -> tuple[int, int] | None:
        """The venue has issued ids up to ``highest``: what lies between the cursor and it is a gap, returned.

        An untrusted claim too far ahead becomes the suspect instead and returns None.
        """
        if self.next_id is None or highest < self.next_id:
            return None
        is_guess = self.is_far(highest) and not trusted
        if is_guess and not self._continues_suspect(highest):
            self.suspect = highest
            return None
        self._far_jump = self._jump(highest, is_hole=True) if is_guess else None
        gap = (self.next_id, highest)
        self._open(*gap)
        self.next_id = highest + 1
        self._settle_suspect(is_refuted=not trusted)
        return gap

    def is_far(self, sequence_id: int) -> bool:
        """Whether this id is too far ahead to be believed at once."""
        return self.next_id is not None and sequence_id - self.next_id > self._jump_max

    def contradict(self, highest: int) -> bool:
        """A mark says ids up to ``highest`` were issued; whether that proves the first id of these books corrupt.

        A first id has nothing to be measured by. Until a second one follows it, a mark or two ids in a row far below
        it win, and the books begin there. A lagging REST replica is no such proof.
        """
        if not self._is_far_below(highest + 1):
            return False
        self._begin_below(highest + 1)
        return True

    def _begin_below(self, first_id: int) -> None:
        """The first id of these books was corrupt: begin them anew far below it."""
        claimed = list(self.gaps)
        self.reset(first_id)
        self.refuted = claimed

    def _is_far_below(self, sequence_id: int) -> bool:
        return not self._confirmed and self.next_id is not None and self._base - sequence_id > self._jump_max

    def resolve_suspect(self, last_seq: int) -> tuple[int, int] | None:
        """REST says ids up to ``last_seq`` exist: the suspect was real (the gap is returned) or corrupt (None)."""
        suspect, self.suspect = self.suspect, None
        return self.issued(suspect, trusted=True) if suspect is not None and last_seq >= suspect else None

    def owe_from(self, sequence_id: int) -> tuple[int, int] | None:
        """Ids from ``sequence_id`` on are owed after all: what lies below the base becomes a gap, returned."""
        if self.next_id is None or sequence_id >= self._base:
            return None
        gap = (sequence_id, self._base - 1)
        self._base = sequence_id
        self._open(*gap)
        return gap

    def lose(self, start: int, end: int) -> list[tuple[int, int]]:
        """Ids ``start..end`` will never come: close what of them is open, and return it."""
        self.settle(start, end)
        return self.gaps.take(start, end)

    def lose_all(self) -> list[tuple[int, int]]:
        """Nothing that is open will ever come: close and return it, and forget the suspect."""
        self.suspect = None
        if self.tentative and self.next_id is not None:
            self.settle(0, self.next_id)
        lost = list(self.gaps)
        self.gaps.clear()
        return lost

    def cover(self, highest: int) -> list[tuple[int, int]]:
        """A snapshot covers every id up to ``highest``: close and return the gaps below it, move the cursor past it."""
        self.vouch(highest)
        self.settle(self._base, highest)
        closed = self.gaps.take(self._base, highest)
        if self.next_id is None or self.next_id <= highest:
            if self.next_id is None:
                self._base = highest + 1
            self.next_id = highest + 1
        return closed

    def excess(self) -> Iterator[tuple[int, int]]:
        """Take out the oldest gaps beyond the bound; what was resumed does not count, until it is closed."""
        self._resumed = min(self._resumed, len(self.gaps))
        while self.gaps and len(self.gaps) + len(self.tentative) > self._intervals_max + self._resumed:
            yield self.gaps.pop_first()

    def reset(self, first_id: int | None) -> None:
        """Start the books anew, owed from ``first_id`` (None: from whatever comes first)."""
        self._far_jump = None
        self.refuted = self.reopened = None
        self.gaps.clear()
        self.tentative.clear()
        self.suspect = None
        self.last_gap = None
        self._resumed = 0
        self.runs.clear()
        self._base = first_id or 0
        self._confirmed = False
        self._low = None
        self.next_id = first_id

    def _open(self, start: int, end: int) -> None:
        self.gaps.add(start, end)
        self.last_gap = (start, end)
