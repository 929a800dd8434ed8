"""A set of integers kept as disjoint, inclusive intervals. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class IntervalSet:
    """Missing sequence ids of one stream, in ascending order.

    Operations cost O(log n) to find a place and O(n) to shift the lists behind it, with n at most a thousand as a rule.

    >>> missing = IntervalSet()
    >>> missing.add(4, 9)
    >>> missing.discard(6)
    True
    >>> list(missing)
    [(4, 5), (7, 9)]
    >>> missing.ids
    5
    """

    __slots__ = ("_ends", "_starts", "ids")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.ids = 0
        """How many ids are in. Kept, for a scrape may ask a thousand sets of a thousand intervals each."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __len__(self) -> int:
        """The number of intervals, not of ids."""
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    @property
    def first(self) -> int:
        """The lowest id.

        Raises:
            IndexError: the set is empty.
        """
        return self._starts[0]

    def add(self, start: int, end: int) -> None:
        """Add ``start..end``, merging with whatever it overlaps or touches."""
        first = bisect_left(self._ends, start - 1)
        last = bisect_right(self._starts, end + 1)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            self.ids -= sum(self._ends[first:last]) - sum(self._starts[first:last]) + last - first
        self.ids += end - start + 1
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def discard(self, number: int) -> bool:
        """Take one id out; whether it was in."""
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number > self._ends[at]:
            return False
        self.ids -= 1
        start, end = self._starts[at], self._ends[at]
        pieces = [(low, high) for low, high in ((start, number - 1), (number + 1, end)) if low <= high]
        self._starts[at : at + 1] = [low for low, _ in pieces]
        self._ends[at : at + 1] = [high for _, high in pieces]
        return True

    def overlap(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of ``start..end`` is in, as intervals in ascending order."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first >= last or start > end:
            return []
        touched = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return [(max(low, start), min(high, end)) for low, high in touched]

    def take(self, start: int, end: int) -> list[tuple[int, int]]:
        """Take out and return what of ``start..end`` was in, as intervals in ascending order."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first >= last or start > end:
            return []
        taken: list[tuple[int, int]] = []
        kept: list[tuple[int, int]] = []
        for low, high in zip(self._starts[first:last], self._ends[first:last], strict=True):
            taken.append((max(low, start), min(high, end)))
            if low < start:
                kept.append((low, start - 1))
            if high > end:
                kept.append((end + 1, high))
        self.ids -= sum(high - low + 1 for low, high in taken)
        self._starts[first:last] = [low for low, _ in kept]
        self._ends[first:last] = [high for _, high in kept]
        return taken

    def pop_first(self) -> tuple[int, int]:
        """Take out and return the lowest interval.

        Raises:
            IndexError: the set is empty.
        """
        start, end = self._starts.pop(0), self._ends.pop(0)
        self.ids -= end - start + 1
        return start, end

    def clear(self) -> None:
        """Forget every interval."""
        self._starts.clear()
        self._ends.clear()
        self.ids = 0
