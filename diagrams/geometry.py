"""Points, boxes and routes. Lengths are points (1/72 inch), x to the right, y down."""

from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """A place, counted from the upper left corner of the picture."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.top + self.height

    @property
    def centre(self) -> Point:
        """The middle."""
        return Point(self.left + self.width / 2, self.top + self.height / 2)

    def border(self, towards: Point) -> Point:
        """Where the line from the middle to a place outside leaves the box."""
        dx, dy = towards.x - self.centre.x, towards.y - self.centre.y
        share = min(self.width / 2 / abs(dx) if dx else 1.0, self.height / 2 / abs(dy) if dy else 1.0)
        return Point(self.centre.x + dx * share, self.centre.y + dy * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An arrow's way: its corners from the start to the tip, and the middle of its label."""

    corners: tuple[Point, ...]
    label: Point


def across(start: float, end: float, y: float, label: float) -> Route:
    """A level line, labelled at the x ``label``."""
    return Route(corners=(Point(start, y), Point(end, y)), label=Point(label, y))


def upright(x: float, start: float, end: float, label: float) -> Route:
    """An upright line, labelled at the y ``label``."""
    return Route(corners=(Point(x, start), Point(x, end)), label=Point(x, label))


def stairs(start: Point, end: Point, x: float) -> Route:
    """Level, upright at ``x``, level again; the label stands on the longer of the two level pieces."""
    longer = end if abs(end.x - x) > abs(start.x - x) else start
    return Route(corners=(start, Point(x, start.y), Point(x, end.y), end), label=Point((x + longer.x) / 2, longer.y))


def straight(source: Box, target: Box) -> Route:
    """From border to border on the line between two middles."""
    start, end = source.border(target.centre), target.border(source.centre)
    return Route(corners=(start, end), label=Point((start.x + end.x) / 2, (start.y + end.y) / 2))
