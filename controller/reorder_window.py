"""Ids that were skipped a moment ago and may still come, before anybody is told. Pure: time is an argument.

Each jump of the cursor adds a range, and a time at which what is left of it is overdue. Jumps come in ascending order,
of ids as of times, so the oldest is always the lowest.
"""

from bisect import bisect_left
from collections.abc import Iterator

from gapless.controller.intervals import IntervalSet


class ReorderWindow:
    """The tentative jumps of one stream.

    >>> window = ReorderWindow()
    >>> window.add(4, 6, until=10.0)
    >>> window.discard(5)
    True
    >>> list(window), window.pop_due(10.0), window.due_at
    ([(4, 4), (6, 6)], [(4, 4), (6, 6)], inf)
    """

    __slots__ = ("_ids", "_jumps")

    def __init__(self) -> None:
        self._ids = IntervalSet()
        self._jumps: list[tuple[int, float]] = []
        """Of each jump that still misses something, its last id and when it is overdue."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ids)

    def __len__(self) -> int:
        """The number of intervals, not of ids; no fewer than there are jumps."""
        return len(self._ids)

    @property
    def first(self) -> int:
        """The lowest id.

        Raises:
            IndexError: there is none.
        """
        return self._ids.first

    @property
    def due_at(self) -> float:
        """When the oldest jump is overdue; infinity where there is none."""
        return self._jumps[0][1] if self._jumps else float("inf")

    def add(self, start: int, end: int, *, until: float) -> None:
        """``start..end`` were skipped, beyond all ids that are in; they may come until then."""
        self._ids.add(start, end)
        self._jumps.append((end, until))

    def discard(self, number: int) -> bool:
        """An id came; whether it was in."""
        if not self._ids.discard(number):
            return False
        at = bisect_left(self._jumps, number, key=lambda jump: jump[0])
        before = self._jumps[at - 1][0] if at else -1
        if not self._ids.overlap(before + 1, self._jumps[at][0]):
            del self._jumps[at]
        return True

    def take(self, start: int, end: int) -> list[tuple[int, int]]:
        """Take out and return what of ``start..end`` was in, as intervals in ascending order."""
        taken = self._ids.take(start, end)
        if taken:
            before, jumps, self._jumps = -1, self._jumps, []
            for last, until in jumps:
                if left := self._ids.overlap(before + 1, last):
                    self._jumps.append((left[-1][1], until))
                before = last
        return taken

    def pop_oldest(self) -> list[tuple[int, int]]:
        """Take out and return what is left of the oldest jump.

        Raises:
            IndexError: there is none.
        """
        last, _ = self._jumps.pop(0)
        return self._ids.take(0, last)

    def pop_due(self, now: float) -> list[tuple[int, int]]:
        """Take out and return what is left of the jumps that are overdue."""
        due: list[tuple[int, int]] = []
        while self.due_at <= now and self._jumps:
            due += self.pop_oldest()
        return due

    def clear(self) -> None:
        """Forget every jump."""
        self._ids.clear()
        self._jumps.clear()
