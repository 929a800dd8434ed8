"""How long rare things took: requests, their place in the line, round trips. Nothing here is touched by a message."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

BOUNDS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds, inclusive upper ends. From a round trip on loopback to the limiter's longest pause; between, those that the
semantic conventions of OpenTelemetry advise for the durations of requests."""


class HistogramSnapshot(Struct, frozen=True, kw_only=True):
    """A histogram at one moment."""

    bounds: tuple[float, ...]
    """Inclusive upper ends."""
    counts: tuple[int, ...]
    """What fell between two bounds, not cumulated; the last one is of what lies above all of them."""
    sum: float

    @property
    def count(self) -> int:
        """How many values it holds."""
        return sum(self.counts)

    def plus(self, other: "HistogramSnapshot") -> "HistogramSnapshot":
        """Both together; of the same bounds."""
        counts = tuple(one + another for one, another in zip(self.counts, other.counts, strict=True))
        return HistogramSnapshot(bounds=self.bounds, counts=counts, sum=self.sum + other.sum)


class Histogram:
    """Counts values by their size, and tells each of them to whoever listens.

    Args:
        bounds: inclusive upper ends, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_sum", "listeners")

    def __init__(self, bounds: Sequence[float] = BOUNDS_S) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self.listeners: Final[list[Callable[[float], None]]] = []
        """Called with each value when it is recorded; must not block."""

    def record(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value
        for listener in self.listeners:
            listener(value)

    def snapshot(self) -> HistogramSnapshot:
        """Of now."""
        return HistogramSnapshot(bounds=self._bounds, counts=tuple(self._counts), sum=self._sum)


class Histograms:
    """Those of one controller, in seconds."""

    __slots__ = ("limiter_wait", "request_duration", "round_trip")

    def __init__(self) -> None:
        self.limiter_wait: Final = Histogram()
        """From joining the limiter's line to being sent; each retry waits anew."""
        self.request_duration: Final = Histogram()
        """From sending a request to its whole reply, or to its failure."""
        self.round_trip: Final = Histogram()
        """From a PING to its PONG."""
