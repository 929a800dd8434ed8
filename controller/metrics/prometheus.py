"""Metrics for Prometheus: a collector that asks the controllers when it is scraped, and costs nothing in between.

    exporter = PrometheusExporter()  # in the registry of the process
    with exporter.feed(controller, "binance"):
        ...

Needs ``pip install gapless[prometheus]``.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager

from gapless.controller.metrics.catalogue import CATALOGUE, Kind, Metric
from gapless.controller.metrics.feeds import STREAMS_MAX, Feeds, Measured
from gapless.controller.metrics.histogram import HistogramSnapshot

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client import Metric as Family
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        f"gapless.controller.metrics.prometheus needs prometheus_client: pip install 'gapless[prometheus]' ({error})"
    ) from error


class PrometheusExporter(Collector):
    """Exports any number of controllers, told apart by the label ``feed``. One for each registry.

    Args:
        registry: where it registers itself.
        streams_max: a feed with more streams has no series of its own for each of them.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, streams_max: int = STREAMS_MAX) -> None:
        self._feeds = Feeds(streams_max)
        self._registry = registry
        registry.register(self)

    def feed(self, controller: Measured, name: str) -> AbstractContextManager[None]:
        """Export a controller under a name for as long as the block lasts; inside ``open_controller``'s.

        Its counters stay, and go on with the next controller of that name.

        Raises:
            ConfigurationError: the name is taken, or empty.
        """
        return self._feeds.joined(controller, name)

    def close(self) -> None:
        """Leave the registry."""
        self._registry.unregister(self)

    def describe(self) -> Iterable[Family]:
        """Every metric without a value: so that two exporters in one registry are refused."""
        return [_family(metric) for metric in CATALOGUE]

    def collect(self) -> Iterable[Family]:
        """Every metric of every feed, within a second; may be called from any thread."""
        reports = self._feeds.reports()
        for metric in CATALOGUE:
            family = _family(metric)
            for report in reports:
                if metric.kind is not Kind.HISTOGRAM:
                    for labels, value in report.points(metric):
                        family.add_sample(metric.prometheus_name, _labels(metric, report.feed, labels), value)
                elif (histogram := report.histogram(metric)) is not None:
                    _add_histogram(family, report.feed, histogram)
            yield family


def _family(metric: Metric) -> Family:
    labels = ("feed", *metric.labels)
    if metric.kind is Kind.COUNTER:
        return CounterMetricFamily(metric.prometheus_name, metric.meaning, labels=labels)
    if metric.kind is Kind.HISTOGRAM:
        return HistogramMetricFamily(metric.prometheus_name, metric.meaning, labels=labels)
    return GaugeMetricFamily(metric.prometheus_name, metric.meaning, labels=labels)


def _labels(metric: Metric, feed: str, values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("feed", *metric.labels), (feed, *values), strict=True))


def _add_histogram(family: Family, feed: str, histogram: HistogramSnapshot) -> None:
    labels, cumulated = {"feed": feed}, 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        cumulated += count
        family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, cumulated)
    family.add_sample(f"{family.name}_count", labels, cumulated)
    family.add_sample(f"{family.name}_sum", labels, histogram.sum)
