"""What a venue may do with a frame, and what its REST may answer."""

from collections.abc import Iterator
from typing import NamedTuple

WIRE_MAX = 2
"""Frames on the wire: what swaps and repeats need."""

HEALTHY = frozenset({"whole", "short"})
"""Answers that need no fault."""


class Wire(NamedTuple):
    """An open socket that is subscribed at the venue."""

    mark: int | None
    """Of a SUBSCRIBED still on its way; None: it came."""
    frames: tuple[int, ...] = ()


class Page(NamedTuple):
    """An answer of REST, and how to call it."""

    name: str
    epoch: int
    first: int
    last: int
    ids: tuple[int, ...]


def ways(wire: Wire, number: int, *, stray: bool) -> Iterator[tuple[str, Wire, bool]]:
    """How a frame gets on the wire: the name, the wire after it, whether that is a fault."""
    mark, frames = wire
    if not frames:
        yield f"issue {number}", Wire(mark, (number,)), False
        if stray:
            yield f"{number} comes twice", Wire(mark, (number, number)), True
    elif stray and len(frames) < WIRE_MAX:
        yield f"issue {number}", Wire(mark, (*frames, number)), False
        yield f"{number} overtakes", Wire(mark, (number, *frames)), True


def current(epoch: int, issued: int, start: int | None, end: int | None) -> Iterator[Page]:
    """Answers to a question for ``start..end`` (None: where the venue stands; what there is) in its own epoch."""
    high = issued if end is None else min(issued, end)
    there = () if start is None else tuple(range(start, high + 1))
    yield Page("whole", epoch, 1, issued, there)
    if len(there) > 1:
        yield Page("short", epoch, 1, issued, there[:1])
    if there:
        yield Page("with a hole", epoch, 1, issued, there[1:])
        yield Page("evicted", epoch, there[0] + 1, issued, there[1:])
    if issued:
        yield Page("stale", epoch, 1, issued - 1, tuple(number for number in there if number < issued))


def forgotten(epoch: int, issued: int, start: int | None) -> Page:
    """Only the newest id is kept."""
    there = start is not None and start <= issued
    return Page("whole", epoch, issued, issued, (issued,) if there else ())


def of_the_old_epoch(ids: int, start: int | None) -> Page:
    """A replica that lags behind a restart, or an answer that was long on its way."""
    return Page("of the old epoch", 0, 1, ids, tuple(range(start or 1, ids + 1)))
