"""Figures of one controller: a snapshot of all of them, a table that names them, and two ways out of the process.

``controller.metrics()`` gives the snapshot and needs nothing besides. :mod:`~gapless.controller.metrics.prometheus` and
:mod:`~gapless.controller.metrics.otel` export it and need an extra each, so they are imported by whoever uses them.
"""

from gapless.controller.metrics.catalogue import CATALOGUE, Kind, Metric, Point
from gapless.controller.metrics.histogram import Histogram, Histograms, HistogramSnapshot
from gapless.controller.metrics.snapshot import (
    DataMetrics,
    GapMetrics,
    LinkMetrics,
    Metrics,
    RestMetrics,
    StateMetrics,
    StreamMetrics,
    TransitionCount,
)

__all__ = [
    "CATALOGUE",
    "DataMetrics",
    "GapMetrics",
    "Histogram",
    "HistogramSnapshot",
    "Histograms",
    "Kind",
    "LinkMetrics",
    "Metric",
    "Metrics",
    "Point",
    "RestMetrics",
    "StateMetrics",
    "StreamMetrics",
    "TransitionCount",
]
