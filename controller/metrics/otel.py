"""Metrics through the OpenTelemetry API: observable instruments that ask the controllers when the SDK collects.

Histograms are recorded when something was measured: requests, their waits, round trips.

    exporter = OpenTelemetryExporter()  # of the global meter provider
    with exporter.feed(controller, "binance"):
        ...

Needs ``pip install gapless[otel]``, and an SDK of the app's choice.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Final

import gapless
from gapless.controller.metrics.catalogue import CATALOGUE, Kind, Metric
from gapless.controller.metrics.feeds import STREAMS_MAX, Feeds, Measured, Report
from gapless.controller.metrics.histogram import BOUNDS_S

try:
    from opentelemetry import metrics as api
except ImportError as error:
    raise ImportError(
        f"gapless.controller.metrics.otel needs the OpenTelemetry API: pip install 'gapless[otel]' ({error})"
    ) from error

PREFIX: Final = "gapless."
"""Of the attributes: those that are of no semantic convention have a namespace of their own."""

_COLLECTION_MAX_S: Final = 1.0
"""Seconds that a collection takes at most: what was read longer ago belongs to the one before."""

_Observe = Callable[[api.CallbackOptions], Iterable[api.Observation]]


class OpenTelemetryExporter:
    """Reports any number of controllers, told apart by the attribute ``gapless.feed``. One for each meter provider.

    Args:
        meter_provider: None: the global one.
        streams_max: a feed with more streams has no series of its own for each of them.
    """

    def __init__(self, meter_provider: api.MeterProvider | None = None, *, streams_max: int = STREAMS_MAX) -> None:
        provider = api.get_meter_provider() if meter_provider is None else meter_provider
        meter = provider.get_meter("gapless", gapless.__version__)
        self._feeds = Feeds(streams_max)
        self._latest = _Latest(self._feeds)
        self._histograms: list[tuple[Metric, api.Histogram]] = []
        for metric in CATALOGUE:
            if metric.kind is Kind.HISTOGRAM:
                self._histograms.append((metric, _histogram(meter, metric)))
            else:
                _observe(meter, metric, self._points(metric))

    @contextmanager
    def feed(self, controller: Measured, name: str) -> Iterator[None]:
        """Report a controller under a name for as long as the block lasts; inside ``open_controller``'s.

        Its counters stay, and go on with the next controller of that name.

        Raises:
            ConfigurationError: the name is taken, or empty.
        """
        with self._feeds.joined(controller, name), ExitStack() as listening:
            for metric, instrument in self._histograms:
                if metric.recorder is not None:
                    listeners = metric.recorder(controller.histograms).listeners
                    record = _recording(instrument, {f"{PREFIX}feed": name})
                    listeners.append(record)
                    listening.callback(listeners.remove, record)
            yield

    def _points(self, metric: Metric) -> _Observe:
        labels = tuple(f"{PREFIX}{label}" for label in ("feed", *metric.labels))

        def observe(_: api.CallbackOptions) -> Iterable[api.Observation]:
            for report in self._latest.of(metric.name):
                for values, value in report.points(metric):
                    yield api.Observation(value, dict(zip(labels, (report.feed, *values), strict=True)))

        return observe


class _Latest:
    """The reports of one collection. The SDK asks instrument by instrument; the first one reads for all of them."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._reports: list[Report] = []
        self._told: set[str] = set()
        self._read_at = float("-inf")

    def of(self, instrument: str) -> list[Report]:
        """What an instrument has not been told yet."""
        if instrument in self._told or monotonic() > self._read_at + _COLLECTION_MAX_S:
            self._told.clear()
            self._reports, self._read_at = self._feeds.reports(), monotonic()
        self._told.add(instrument)
        return self._reports


def _histogram(meter: api.Meter, metric: Metric) -> api.Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=list(BOUNDS_S)
    )


def _observe(meter: api.Meter, metric: Metric, observe: _Observe) -> None:
    create = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.LEVEL: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }[metric.kind]
    create(metric.name, [observe], metric.unit, metric.meaning)


def _recording(instrument: api.Histogram, attributes: dict[str, str]) -> Callable[[float], None]:
    def record(value: float) -> None:
        instrument.record(value, attributes)

    return record
