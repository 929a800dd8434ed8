"""What a feed has counted before it was closed and opened again. Pure.

A controller counts from zero. To a monitoring system a feed is its name, and what it counts never goes down: the next
controller of that name goes on from where the last one ended.
"""

from collections.abc import Mapping
from typing import Final

from gapless.controller.metrics.catalogue import CATALOGUE, Kind, Metric, Point
from gapless.controller.metrics.histogram import HistogramSnapshot
from gapless.controller.metrics.snapshot import Metrics


class Totals:
    """Counters and histograms of the controllers of one name that are closed."""

    __slots__ = ("_histograms", "_points")

    def __init__(
        self, points: Mapping[str, Mapping[tuple[str, ...], float]], histograms: Mapping[str, HistogramSnapshot]
    ) -> None:
        self._points = points
        self._histograms = histograms

    def points(self, metric: Metric, snapshot: Metrics | None) -> list[Point]:
        """A counter's values, with those of the controller that is open."""
        total = dict(self._points.get(metric.name, {}))
        for labels, value in metric.read(snapshot) if snapshot is not None else ():
            total[labels] = total.get(labels, 0) + value
        return list(total.items())

    def histogram(self, metric: Metric, snapshot: Metrics | None) -> HistogramSnapshot | None:
        """Alike of a histogram; None: there is none."""
        before = self._histograms.get(metric.name)
        now = None if snapshot is None or metric.histogram is None else metric.histogram(snapshot)
        return now.plus(before) if now is not None and before is not None else now or before

    def plus(self, snapshot: Metrics) -> "Totals":
        """With the last figures of a controller that is being closed."""
        points: dict[str, dict[tuple[str, ...], float]] = {}
        histograms: dict[str, HistogramSnapshot] = {}
        for metric in CATALOGUE:
            if metric.kind is Kind.COUNTER:
                points[metric.name] = dict(self.points(metric, snapshot))
            elif (histogram := self.histogram(metric, snapshot)) is not None:
                histograms[metric.name] = histogram
        return Totals(points, histograms)


NOTHING: Final = Totals({}, {})
"""Of a name that is new."""
