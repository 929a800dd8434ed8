"""More holes than can be kept, or than an app can be told of at once, become fewer, wider ones. Pure.

Each hole of a cursor is an event before the app can read any. There is room for 100,000 events that an app has not
read, so a cursor with more holes could never be opened: the same one would fail at each start. Joined, some of what
lies between two holes comes twice; given up, all that they hold would be gone.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from gapless.controller.stream_ledger import RESUMED_MAX

HOLES_MAX: Final = 40_000
"""Over all streams that are resumed. Each may be found and then given up, which is two events:
:data:`~gapless.controller.delivery.CONTROL_MAX` has room for that, and a fifth of it is left for other events."""


def share(counts: Iterable[int], total: int = HOLES_MAX, most: int = RESUMED_MAX) -> int:
    """How many holes one stream may have where streams have so many: who has fewer leaves the rest to the others.

    >>> share([1, 50, 60], total=81, most=100)
    40
    """
    ascending = sorted(min(count, most) for count in counts)
    left = total
    for before, count in enumerate(ascending):
        fair = left // (len(ascending) - before)
        if count > fair:
            return max(fair, 1)
        left -= count
    return most


def joined(holes: Sequence[tuple[int, int]], most: int) -> Sequence[tuple[int, int]]:
    """At most so many holes, in ascending order like the given ones: those that lie nearest to each other are one.

    >>> joined([(1, 1), (9, 9), (11, 12), (99, 99)], 2)
    [(1, 12), (99, 99)]
    """
    if len(holes) <= most:
        return holes
    distances = [start - end for (_, end), (start, _) in pairwise(holes)]
    nearest_first = sorted(range(1, len(holes)), key=lambda at: distances[at - 1])
    firsts = [0, *sorted(nearest_first[len(holes) - most :]), len(holes)]
    return [(holes[first][0], holes[after - 1][1]) for first, after in pairwise(firsts)]
