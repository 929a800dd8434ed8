"""Where ids stand on a panel: the stretches of a stream one above the other, each labelled with its own ids.

After a reset ids count from 1 again. Drawn from 0, a stream at 5,000,000,000 that restarts would be two flat lines;
stacked, each stretch has the height of what came in it, and no two data share a place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gapless.diagrams.run.model import StreamRun, Stretch

_OVERHANG: Final = 1.0
"""How far holes may reach beyond the data, in heights of the data: a corrupt id must not flatten everything else."""
_OVERHANG_IDS: Final = 20
"""At least so far."""
_SPACE: Final = 0.04
"""Between two stretches, of the whole height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One stretch's place: ids ``low`` to ``high`` from ``base`` upwards."""

    stretch: Stretch
    low: int
    high: int
    base: float

    def place(self, sequence_id: int) -> float:
        """The height of an id, the nearest one of this shelf where it lies outside."""
        return self.base + min(max(sequence_id, self.low), self.high) - self.low

    @property
    def height(self) -> int:
        """In ids, from the lowest to the highest."""
        return self.high - self.low


def shelves(stream: StreamRun) -> tuple[Shelf, ...]:
    """The places of a stream's stretches, the first at the bottom; a stretch of which nothing is known has none."""
    extents = [(each, *extent) for each in stream.stretches if (extent := _extent(each)) is not None]
    space = _SPACE * sum(high - low + 1 for _, low, high in extents)
    found: list[Shelf] = []
    base = 0.0
    for stretch, low, high in extents:
        found.append(Shelf(stretch=stretch, low=low, high=high, base=base))
        base += high - low + 1 + space
    return tuple(found)


def _extent(stretch: Stretch) -> tuple[int, int] | None:
    """The lowest and highest id to draw."""
    of_data = list(_ends(ids for points in stretch.points.values() if (ids := points.ids)))
    of_holes = [each for hole in stretch.holes for each in (hole.first, hole.last)]
    if not of_data:
        return (min(of_holes), max(of_holes)) if of_holes else None
    low, high = min(of_data), max(of_data)
    overhang = max(int((high - low) * _OVERHANG), _OVERHANG_IDS)
    return (
        max(min([low, *of_holes]), low - overhang),
        min(max([high, *of_holes]), high + overhang),
    )


def _ends(lists: Iterator[list[int]]) -> Iterator[int]:
    for ids in lists:
        yield min(ids)
        yield max(ids)
