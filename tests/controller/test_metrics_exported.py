"""The exporters: the figures of the snapshot, from any thread, for as long as the controller lives."""

import subprocess
import sys
from threading import Thread, current_thread, main_thread

import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from gapless.controller import ConfigurationError, Metrics, State
from gapless.controller.metrics import CATALOGUE, Kind
from gapless.controller.metrics.otel import OpenTelemetryExporter
from gapless.controller.metrics.prometheus import PrometheusExporter
from gapless.simulator import FailuresConfig, SelectMode
from gapless.simulator.testkit.world import Feed
from tests.kit import ETHER, TICKER, world

Scraped = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(registry: CollectorRegistry) -> Scraped:
    """What Prometheus would read."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Scraped, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def with_a_gap(feed: Feed) -> Metrics:
    await feed.until_state(State.CONNECTED)
    feed.world.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.2)))
    await trio.sleep(20)
    feed.world.fail(FailuresConfig())
    await feed.until_whole()
    return feed.controller.metrics()


async def test_prometheus_reads_what_the_snapshot_says(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)
    async with world() as w, w.feed(TICKER, ETHER, heartbeat_interval=5.0) as feed:
        with exporter.feed(feed.controller, "reference"):
            figures = await with_a_gap(feed)
            found = scraped(registry)
        for state in State:
            # Whether another gap has just opened, the draw says.
            is_current = state is figures.state.current
            assert value(found, "gapless_state_current", feed="reference", state=state.value) == float(is_current)
        assert value(found, "gapless_delivered_total", feed="reference", source="LIVE") == figures.data.live > 0
        assert value(found, "gapless_gaps_opened_total", feed="reference") == figures.gaps.opened > 0
        assert value(found, "gapless_rest_requests_total", feed="reference", outcome="succeeded") > 0
        assert value(found, "gapless_stream_freshness_seconds", feed="reference", stream=str(ETHER)) < 1.0
        trips = figures.link.round_trip
        assert value(found, "gapless_connection_round_trip_seconds_count", feed="reference") == trips.count > 0
        assert value(found, "gapless_connection_round_trip_seconds_sum", feed="reference") == trips.sum
        assert value(found, "gapless_connection_round_trip_seconds_bucket", feed="reference", le="0.001") == 0.0
        assert value(found, "gapless_connection_round_trip_seconds_bucket", feed="reference", le="+Inf") == trips.count
        assert not scraped(registry), "it is over"
    exporter.close()
    PrometheusExporter(registry)


async def test_every_metric_of_the_catalogue_is_exposed_under_its_name(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    async with world() as w, w.feed(reconciliation_enabled=False) as feed:
        with PrometheusExporter(registry).feed(feed.controller, "reference"):
            await feed.until_state(State.CONNECTED)
            w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.2)))
            await trio.sleep(10)
            families = list(text_string_to_metric_families(generate_latest(registry).decode()))
            for metric, family in zip(CATALOGUE, families, strict=True):
                assert family.name == metric.prometheus_name.removesuffix("_total")
                assert family.documentation == metric.meaning
                assert family.samples, metric
                for sample in family.samples:
                    labels = {*metric.labels, "feed"} | ({"le"} if sample.name.endswith("_bucket") else set())
                    assert sample.labels.keys() == labels


async def test_several_feeds_are_told_apart(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusExporter(registry)
    async with world() as w, w.feed() as one, w.feed(ETHER, session_id="other") as two:
        with exporter.feed(one.controller, "one"), exporter.feed(two.controller, "two"):
            with pytest.raises(ConfigurationError, match="'one'"), exporter.feed(two.controller, "one"):
                pass
            await one.until_state(State.CONNECTED)
            w.network.black_hole()
            await one.until_state(State.SILENT)
            found = scraped(registry)
            assert value(found, "gapless_streams", feed="one") == value(found, "gapless_streams", feed="two") == 1
            assert value(found, "gapless_state_current", feed="one", state="SILENT") == 1.0


def test_a_loop_that_stands_still_holds_no_scrape_up_for_long() -> None:
    """As where the loop waits for the scrape: an SDK that is shut down there collects once more, in a thread."""
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)

    async def run() -> None:
        async with world() as w, w.feed() as feed:
            with exporter.feed(feed.controller, "reference"):
                scrape = Thread(target=lambda: found.append(scraped(registry)))
                scrape.start()
                scrape.join(30)

    found: list[Scraped] = []
    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert found == [{}]


async def test_too_many_streams_have_no_series_each(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        with PrometheusExporter(registry, streams_max=1).feed(feed.controller, "many"):
            await feed.until_state(State.CONNECTED)
            await trio.sleep(1)
            names = {name for name, _labels in scraped(registry)}
            assert "gapless_stream_freshness_seconds" not in names
            assert "gapless_freshness_worst_seconds" in names


def points(reader: InMemoryMetricReader) -> dict[str, list[NumberDataPoint | HistogramDataPoint]]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    found = [each for resource in data.resource_metrics for scope in resource.scope_metrics for each in scope.metrics]
    kinds = (NumberDataPoint, HistogramDataPoint)
    return {each.name: [p for p in each.data.data_points if isinstance(p, kinds)] for each in found}


async def test_opentelemetry_reads_what_the_snapshot_says(autojump_clock: MockClock) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    exporter = OpenTelemetryExporter(provider)
    async with world() as w, w.feed(TICKER, ETHER, heartbeat_interval=5.0) as feed:
        with exporter.feed(feed.controller, "reference"):
            figures = await with_a_gap(feed)
            found = points(reader)
            assert found.keys() == {each.name for each in CATALOGUE} - {"gapless.gaps.lost", "gapless.ids.lost"}
            live = [p.value for p in found["gapless.delivered"] if dict(p.attributes or {})["gapless.source"] == "LIVE"]  # type: ignore[union-attr]
            assert live == [figures.data.live]
            (trips,) = found["gapless.connection.round_trip"]
            assert isinstance(trips, HistogramDataPoint)
            said = figures.link.round_trip
            assert trips.count == said.count
            assert trips.sum == pytest.approx(said.sum)
            assert tuple(trips.bucket_counts) == figures.link.round_trip.counts
            assert dict(trips.attributes or {}) == {"gapless.feed": "reference"}
            await trio.sleep(10)
            later = points(reader)
            assert later["gapless.delivered"][0].value > live[0]  # type: ignore[union-attr]
        assert not feed.controller.histograms.round_trip.listeners
    provider.shutdown()


async def test_opentelemetry_units_and_kinds(autojump_clock: MockClock) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    async with world() as w, w.feed(heartbeat_interval=5.0) as feed:
        with OpenTelemetryExporter(provider).feed(feed.controller, "reference"):
            await with_a_gap(feed)
            data = reader.get_metrics_data()
            assert data is not None
            (scope,) = data.resource_metrics[0].scope_metrics
            by_name = {each.name: each for each in CATALOGUE}
            for each in scope.metrics:
                metric = by_name[each.name]
                assert (each.unit, each.description) == (metric.unit, metric.meaning)
                kinds = {"Sum": {Kind.COUNTER, Kind.LEVEL}, "Gauge": {Kind.GAUGE}, "Histogram": {Kind.HISTOGRAM}}
                assert metric.kind in kinds[type(each.data).__name__]
                if type(each.data).__name__ == "Sum":
                    assert each.data.is_monotonic is (metric.kind is Kind.COUNTER)  # type: ignore[union-attr]
    provider.shutdown()


async def test_another_thread_reads_in_the_controllers_own(autojump_clock: MockClock) -> None:
    """A scrape comes in a thread of its own; the dictionaries of a controller may change under its eyes there."""
    registry = CollectorRegistry()
    async with world() as w, w.feed() as feed:
        taken_in: list[bool] = []
        controller = feed.controller

        class Watched:
            histograms = controller.histograms

            @staticmethod
            def metrics() -> Metrics:
                taken_in.append(current_thread() is main_thread())
                return controller.metrics()

        with PrometheusExporter(registry).feed(Watched(), "reference"):
            found = await trio.to_thread.run_sync(scraped, registry)
            assert value(found, "gapless_streams", feed="reference") == 1
        assert taken_in == [True]


def test_a_run_that_is_over_holds_no_scrape_up() -> None:
    """The feed is left out."""
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)

    async def run() -> None:
        async with world() as w, w.feed() as feed:
            holding = exporter.feed(feed.controller, "left behind")
            holding.__enter__()
            holdings.append(holding)

    holdings: list[object] = []
    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert not scraped(registry)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [("prometheus", "prometheus_client", "prometheus"), ("otel", "opentelemetry", "otel")],
)
def test_without_its_extra_an_exporter_says_which(module: str, library: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import gapless.controller.metrics.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert f"pip install 'gapless[{extra}]'" in done.stderr.splitlines()[-1]


def test_the_controller_needs_neither() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = sys.modules['opentelemetry'] = None; "
        "import gapless.controller.metrics, gapless.cli"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
