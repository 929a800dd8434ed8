"""What was issued, kept up to a bound, and the part of it that REST shows.

Numbers rise and times never fall within one history, so both are found by bisection. Numbers need not be contiguous.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Numbered(Protocol):
    """What a history is made of."""

    @property
    def number(self) -> int:
        """The venue's number; rises."""
        ...

    @property
    def time_ns(self) -> int:
        """When it happened, unix nanoseconds; never falls."""
        ...


T = TypeVar("T", bound=Numbered)


class History(Generic[T]):
    """Everything of one symbol, oldest first; beyond ``size_max`` the oldest is forgotten, a quarter at a time."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._rows: list[T] = []

    @property
    def rows(self) -> tuple[T, ...]:
        """All that is kept, oldest first."""
        return tuple(self._rows)

    @property
    def last(self) -> T | None:
        """The newest, None before the first."""
        return self._rows[-1] if self._rows else None

    def add(self, row: T) -> None:
        """Issue one more.

        Raises:
            ValueError: its number does not lie above, or its time lies before, the last one's.
        """
        last = self.last
        if last is not None and not (row.number > last.number and row.time_ns >= last.time_ns):
            raise ValueError(
                f"expected a number above {last.number} and a time from {last.time_ns} on, "
                f"got number {row.number} at {row.time_ns}"
            )
        self._rows.append(row)
        if len(self._rows) > self._size_max:
            del self._rows[: max(1, self._size_max // 4)]

    def shown(self, keep: int, behind: int = 0) -> "Shown[T]":
        """The last ``keep`` rows, without the newest ``behind`` of them: what a replica that lags has."""
        return Shown(self._rows, max(0, len(self._rows) - keep), max(0, len(self._rows) - behind))

    def between(self, first: Callable[[T], int], from_: int, last: Callable[[T], int], to: int) -> "Shown[T]":
        """The rows with a ``first`` of ``from_`` or more and a ``last`` of ``to`` or less; both rise with the rows."""
        low = bisect_left(self._rows, from_, key=first)
        return Shown(self._rows, low, bisect_right(self._rows, to, key=last))


class Shown(Generic[T]):
    """A window on a history, to be read at once: what is issued later is not in it. Pages are oldest first."""

    def __init__(self, rows: list[T], low: int, high: int) -> None:
        self._rows = rows
        self._low = low
        self._high = max(low, high)

    @property
    def first(self) -> T | None:
        """The oldest row, None where there is none."""
        return self._rows[self._low] if self._low < self._high else None

    @property
    def last(self) -> T | None:
        """The newest."""
        return self._rows[self._high - 1] if self._low < self._high else None

    def latest(self, limit: int) -> list[T]:
        """The newest rows."""
        return self._rows[max(self._low, self._high - limit) : self._high]

    def from_number(self, number: int, limit: int) -> list[T]:
        """The oldest rows from ``number`` on."""
        at = bisect_left(self._rows, number, self._low, self._high, key=_number)
        return self._rows[at : min(at + limit, self._high)]

    def below_number(self, number: int, limit: int) -> list[T]:
        """The newest rows below ``number``."""
        at = bisect_left(self._rows, number, self._low, self._high, key=_number)
        return self._rows[max(self._low, at - limit) : at]

    def between(self, start_ns: int | None, end_ns: int | None, limit: int) -> list[T]:
        """The oldest rows from ``start_ns`` on, or the newest up to ``end_ns`` where that alone is given.

        Both ends are inclusive.
        """
        low, high = self._low, self._high
        if end_ns is not None:
            high = bisect_right(self._rows, end_ns, low, high, key=_time_ns)
        if start_ns is None:
            return self._rows[max(low, high - limit) : high]
        low = bisect_left(self._rows, start_ns, low, high, key=_time_ns)
        return self._rows[low : min(low + limit, high)]


def _number(row: Numbered) -> int:
    return row.number


def _time_ns(row: Numbered) -> int:
    return row.time_ns
