"""Arrows as Graphviz writes them: Bezier splines with round corners, y upwards."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot
from typing import Final

from gapless.diagrams.geometry import Point

_RADIUS: Final = 12.0
"""Of a corner, in points."""
_TIP: Final = 9.0
"""Length of the arrow's tip, in points: the line ends where the tip begins."""


def spline(corners: Sequence[Point], height: float) -> str:
    """The ``pos`` of an edge along ``corners``, in a picture of ``height`` points."""
    tip = corners[-1]
    line = (*corners[:-1], _towards(tip, corners[-2], _TIP))
    points = (line[0], *_pieces(line))
    return " ".join([f"e,{at(tip, height)}", *(at(point, height) for point in points)])


def at(point: Point, height: float) -> str:
    """A place as Graphviz counts it: x,y from the lower left corner."""
    return f"{number(point.x)},{number(height - point.y)}"


def inches(points: float) -> str:
    """A length as Graphviz takes it for nodes."""
    return number(points / 72, 4)


def number(value: float, digits: int = 2) -> str:
    """At most ``digits`` decimals and no trailing zeros, so that the text is the same everywhere."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _pieces(line: Sequence[Point]) -> Iterator[Point]:
    """Cubic Bezier pieces along ``line``: three points each, the first start left out."""
    here = line[0]
    for corner, after in pairwise(line[1:]):
        radius = min(_RADIUS, _distance(here, corner) / 2, _distance(corner, after) / 2)
        enter, leave = _towards(corner, here, radius), _towards(corner, after, radius)
        yield from _level(here, enter)
        # A cubic with its handles 0.55 of the way to the corner is a quarter of a circle to within 0.03 %.
        yield from (_towards(enter, corner, 0.55 * radius), _towards(leave, corner, 0.55 * radius), leave)
        here = leave
    yield from _level(here, line[-1])


def _level(start: Point, end: Point) -> tuple[Point, Point, Point]:
    """A straight piece."""
    third = _distance(start, end) / 3
    return _towards(start, end, third), _towards(end, start, third), end


def _towards(start: Point, end: Point, length: float) -> Point:
    """The place ``length`` points from ``start`` on the way to ``end``."""
    distance = _distance(start, end)
    if not distance:
        return start
    share = length / distance
    return Point(start.x + (end.x - start.x) * share, start.y + (end.y - start.y) * share)


def _distance(start: Point, end: Point) -> float:
    return hypot(end.x - start.x, end.y - start.y)
