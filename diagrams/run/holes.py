"""Gaps as holes in a plane of time and ids: each part of a gap from when it was found to when it was closed."""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Fate(StrEnum):
    """What became of ids that were missing."""

    FILLED = "filled"
    LOST = "lost"
    REFUTED = "never issued"
    """Corrupt ids had claimed them."""
    OPEN = "still missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Ids ``first`` to ``last``, missing from ``found_at`` to ``ended_at``, Unix s."""

    first: int
    last: int
    found_at: float
    ended_at: float
    fate: Fate

    @property
    def size(self) -> int:
        """How many ids."""
        return self.last - self.first + 1


@dataclass(slots=True)
class _Open:
    first: int
    last: int
    found_at: float


class Holes:
    """The holes of one stream between two resets. A gap that closes in parts becomes as many holes."""

    def __init__(self) -> None:
        self.closed: list[Hole] = []
        self._open: list[_Open] = []

    def found(self, first: int, last: int, at: float) -> None:
        """Ids are missing from now on."""
        self._open.append(_Open(first, last, at))

    def close(self, first: int, last: int, at: float, fate: Fate) -> None:
        """These ids are missing no longer. Lost ones that nobody had missed become a hole without duration."""
        rest: list[_Open] = []
        uncovered = [(first, last)]
        for gap in self._open:
            low, high = max(gap.first, first), min(gap.last, last)
            if low > high:
                rest.append(gap)
                continue
            self._add(low, high, gap.found_at, at, fate)
            uncovered = [part for each in uncovered for part in _without(each, low, high)]
            rest += [_Open(low, high, gap.found_at) for low, high in _without((gap.first, gap.last), low, high)]
        self._open = rest
        if fate is Fate.LOST:
            for low, high in uncovered:
                self._add(low, high, at, at, fate)

    def all(self, end: float) -> tuple[Hole, ...]:
        """Every hole, those that are open until ``end``."""
        still = [
            Hole(first=gap.first, last=gap.last, found_at=gap.found_at, ended_at=max(end, gap.found_at), fate=Fate.OPEN)
            for gap in self._open
        ]
        return (*self.closed, *still)

    def _add(self, first: int, last: int, found_at: float, at: float, fate: Fate) -> None:
        # A clock that was set back must not make a hole that ends before it begins.
        self.closed.append(Hole(first=first, last=last, found_at=found_at, ended_at=max(at, found_at), fate=fate))


def _without(whole: tuple[int, int], low: int, high: int) -> list[tuple[int, int]]:
    """What of a range lies outside ``low``..``high``."""
    first, last = whole
    parts = [(first, min(last, low - 1)), (max(first, high + 1), last)]
    return [(low, high) for low, high in parts if low <= high]
