"""What the ids of streams that leave some out came right after. Pure.

Only a cursor asks, and only of what lies unread: of that, what an id leaves out was not consumed either. So much as can
lie unread is remembered of all streams together, in two generations: when the younger is full, the older goes whole. To
take out one for each that comes is no bound on the work: the beginning of a ``dict`` from which much was deleted is
walked over each time.
"""

from collections.abc import Iterator
from typing import Final

RUNS_MAX: Final = 10_000
"""Ids in a generation: those of a buffer, and half a megabyte to a megabyte."""


class RunsOfAll:
    """The runs of several streams, with one bound."""

    __slots__ = ("count", "max", "older", "younger")

    def __init__(self, runs_max: int = RUNS_MAX) -> None:
        self.max: Final = runs_max
        self.count = 0
        """Of the younger generation."""
        self.younger: dict[Runs, dict[int, int]] = {}
        self.older: dict[Runs, dict[int, int]] = {}

    def grow_older(self) -> None:
        """The younger generation is full."""
        self.older, self.younger, self.count = self.younger, {}, 0


class Runs:
    """Of one stream: delivered ids, and for each the first of those before it that nothing is known of, or asked for.

    >>> runs = Runs(RunsOfAll())
    >>> runs.note(7, first=5)
    >>> runs.first(7), runs.first(8)
    (5, 8)
    """

    __slots__ = ("_all",)

    def __init__(self, of_all: RunsOfAll) -> None:
        self._all: Final = of_all

    def note(self, sequence_id: int, *, first: int) -> None:
        """An id was delivered, and from ``first`` on there is nothing before it."""
        shared = self._all
        mine = shared.younger.get(self)
        if mine is None:
            mine = shared.younger[self] = {}
        mine[sequence_id] = first
        shared.count += 1
        if shared.count >= shared.max:
            shared.grow_older()

    def first(self, sequence_id: int) -> int:
        """The first of the run that this id ends; the id itself, where nothing is known."""
        for generation in (self._all.younger, self._all.older):
            mine = generation.get(self)
            if mine is not None and sequence_id in mine:
                return mine[sequence_id]
        return sequence_id

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Every id that is remembered, and the first of its run; the oldest first."""
        for generation in (self._all.older, self._all.younger):
            yield from generation.get(self, {}).items()

    def clear(self) -> None:
        """The ids mean nothing any more."""
        self._all.younger.pop(self, None)
        self._all.older.pop(self, None)
