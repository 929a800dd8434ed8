"""The ids of one series, held against what is owed. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

from msgspec import Struct

from gapless.controller.cursor import StreamCursor
from gapless.controller.intervals import IntervalSet

Range = tuple[int, int]
"""Ids, inclusive at both ends."""
_NOWHERE: Final = (inf, inf)


class Lost(Struct, frozen=True, kw_only=True):
    """Ids that the file says will never come. ``end_seq`` None: to the end of the epoch."""

    start_seq: int
    end_seq: int | None
    reason: str


class Continuity:
    """What is there, lost, owed and missing of a series.

    What the cursor or the end of the epoch has left behind counts no more: ids at or above ``next_id`` are there
    although nobody owed them (a corrupt id that the next ones have refuted), and an epoch that a cursor is in again has
    not ended.

    Args:
        from_first: whether it is owed from id 1; else from the lowest id that was ever spoken of.
        lost: reported lost, in the order of the reports.
        position: where the recording is in this series; None: it has left it.
        is_contiguous: whether every number is an id: only then does an id that is there take itself out of ``lost``.
    """

    def __init__(
        self,
        from_first: bool = False,
        lost: Sequence[Lost] = (),
        position: StreamCursor | None = None,
        *,
        is_contiguous: bool = True,
    ) -> None:
        self.first_id: int | None = None
        self.last_id: int | None = None
        self.missing: list[Range] = []
        self.lost: list[Lost] = []
        self._closed = sorted((each.start_seq, each.end_seq, each.reason) for each in lost if each.end_seq is not None)
        ends = [each for each in lost if each.end_seq is None]
        self._end = ends[-1] if ends and position is None else None
        self._is_contiguous = is_contiguous
        self._explained, self._reported, self._there_after_all = IntervalSet(), IntervalSet(), IntervalSet()
        for start, end, _reason in self._closed:
            self._explained.add(start, end)
            self._reported.add(start, end)
        for start, end in [] if position is None else position.holes:
            self._explained.add(start, end)
        if position is not None:
            self.next_id = position.next_id
        else:
            self.next_id = self._end.start_seq if self._end is not None else None
        self.owed_from: int | None = 1 if from_first else None

    def run_through(self, ids: Iterable[int]) -> None:
        """Every id that is there, ascending."""
        lowest = self._explained.first if self._explained else None
        expected = self.owed_from
        reported: Iterator[tuple[float, float]] = iter(self._reported if self._is_contiguous else ())
        low, high = next(reported, _NOWHERE)
        for number in ids:
            if self.first_id is None:
                self.first_id = number
                if expected is None:
                    expected = self.owed_from = number if lowest is None else min(lowest, number)
            if expected is not None and number > expected:
                self._skipped(expected, number - 1)
            while number > high:
                low, high = next(reported, _NOWHERE)
            if number >= low:
                self._there_after_all.add(number, number)
            self.last_id = number
            expected = number + 1
        if expected is None:
            expected = self.owed_from = lowest
        if self.next_id is None and self.last_id is not None:
            self.next_id = self.last_id + 1
        if expected is not None and self.next_id is not None and expected < self.next_id:
            self._skipped(expected, self.next_id - 1)
        self.lost = list(self._still_lost())

    def _skipped(self, start: int, end: int) -> None:
        if self.next_id is not None:
            end = min(end, self.next_id - 1)
        for low, high in self._explained.overlap(start, end):
            if start < low:
                self.missing.append((start, low - 1))
            start = high + 1
        if start <= end:
            self.missing.append((start, end))

    def _still_lost(self) -> Iterator[Lost]:
        told = IntervalSet()
        for start, end, reason in self._closed:
            rest = IntervalSet()
            rest.add(start, end)
            for known in (told, self._there_after_all):
                for low, high in known.overlap(start, end):
                    rest.take(low, high)
            told.add(start, end)
            yield from (Lost(start_seq=low, end_seq=high, reason=reason) for low, high in rest)
        if self._end is not None:
            yield self._end
