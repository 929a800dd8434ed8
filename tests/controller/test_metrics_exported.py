"""The exporters: the figures of the snapshot, from any thread, for as long as the controller lives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from io import StringIO
from threading import Thread, current_thread, main_thread
from time import monotonic

import pytest
import trio
import trio.testing
from loguru import logger
from msgspec import structs
from opentelemetry.sdk.metrics import Counter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from gapless.controller import ConfigurationError, Metrics, State, Stream
from gapless.controller.metrics import CATALOGUE, Kind
from gapless.controller.metrics.feeds import NAMES_KEPT_MAX
from gapless.controller.metrics.otel import OpenTelemetryExporter
from gapless.controller.metrics.prometheus import PrometheusExporter
from gapless.controller.stats import LOSS_REASONS
from gapless.simulator import FailuresConfig, SelectMode
from gapless.simulator.testkit.world import Feed
from gapless.states import TABLE, Effect
from tests.kit import ETHER, TICKER, world

Scraped = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What gapless logs."""
    written = StringIO()
    logger.enable("gapless")
    sink = logger.add(written, level="WARNING")
    yield written
    logger.remove(sink)
    logger.disable("gapless")


def scraped(registry: CollectorRegistry) -> Scraped:
    """What Prometheus would read."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def counters_alone(found: Scraped) -> bool:
    """Whether nothing is told that could go down."""
    return all(name.endswith(("_total", "_bucket", "_count", "_sum")) for name, _labels in found)


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
        assert value(found, "gapless_up", feed="reference") == 1.0
        assert value(found, "gapless_gaps_opened_total", feed="reference") == figures.gaps.opened > 0
        assert value(found, "gapless_rest_requests_total", feed="reference", outcome="succeeded") > 0
        ether = {"channel": ETHER.channel, "symbol": ETHER.symbol}
        assert value(found, "gapless_stream_freshness_seconds", feed="reference", **ether) < 1.0
        trips = figures.link.round_trip
        assert value(found, "gapless_connection_round_trip_seconds_count", feed="reference") == trips.count > 0
        assert value(found, "gapless_connection_round_trip_seconds_sum", feed="reference") == trips.sum
        assert value(found, "gapless_connection_round_trip_seconds_bucket", feed="reference", le="0.001") == 0.0
        assert value(found, "gapless_connection_round_trip_seconds_bucket", feed="reference", le="+Inf") == trips.count
        assert counters_alone(scraped(registry)), "it is over"
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
    """As where the loop waits for the scrape: an SDK that is shut down there collects once more, in a thread.

    However many feeds the loop has, the scrape waits a second for all of them; and each of them is seen to hang.
    """
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)
    names = [f"feed {number}" for number in range(6)]

    async def run() -> None:
        async with world() as w, AsyncExitStack() as stack:
            for name in names:
                feed = await stack.enter_async_context(w.feed(session_id=name))
                stack.enter_context(exporter.feed(feed.controller, name))
            scrape = Thread(target=lambda: found.append(scraped(registry)))
            began_at = monotonic()
            scrape.start()
            scrape.join(30)
            took_s.append(monotonic() - began_at)
            await trio.testing.wait_all_tasks_blocked()
            found.append(await trio.to_thread.run_sync(scraped, registry))

    found: list[Scraped] = []
    took_s: list[float] = []
    trio.run(run, clock=MockClock(autojump_threshold=0))
    stuck, well = found
    assert stuck == {("gapless_up", frozenset({("feed", name)})): 0.0 for name in names}
    assert took_s[0] < 3.0
    assert [value(well, "gapless_up", feed=name) for name in names] == [1.0] * len(names)


async def test_too_many_streams_have_no_series_each(autojump_clock: MockClock, log: StringIO) -> None:
    registry = CollectorRegistry()
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        with PrometheusExporter(registry, streams_max=1).feed(feed.controller, "many"):
            await feed.until_state(State.CONNECTED)
            await trio.sleep(1)
            names = {name for name, _labels in scraped(registry)}
            assert "gapless_stream_freshness_seconds" not in names
            assert "gapless_freshness_worst_seconds" in names
            assert value(scraped(registry), "gapless_streams", feed="many") == 2
            assert "feed many: 2 streams are more than the 1 (streams_max)" in log.getvalue()
            assert log.getvalue().count("streams_max") == 1, "once"


async def test_streams_whose_names_run_together_have_series_of_their_own(autojump_clock: MockClock) -> None:
    """A sample that comes twice would have the whole page refused."""
    registry = CollectorRegistry()
    async with world() as w, w.feed(Stream("a:b", "c"), Stream("a", "b:c")) as feed:
        figures = feed.controller.metrics()
        streams = tuple(structs.replace(each, freshness_s=1.0) for each in figures.streams)

        class Fresh:
            histograms, trio_token = feed.controller.histograms, feed.controller.trio_token

            @staticmethod
            def metrics(*, streams_max: int | None = None) -> Metrics:
                del streams_max
                return structs.replace(figures, streams=streams)

        with PrometheusExporter(registry).feed(Fresh(), "x"):
            assert generate_latest(registry).decode().count("\ngapless_stream_freshness_seconds{") == 2
            found = scraped(registry)
        assert value(found, "gapless_stream_freshness_seconds", feed="x", channel="a:b", symbol="c") == 1.0
        assert value(found, "gapless_stream_freshness_seconds", feed="x", channel="a", symbol="b:c") == 1.0


async def test_what_has_not_occurred_yet_is_told_as_nought(autojump_clock: MockClock) -> None:
    """A counter that begins with its first loss has not grown by it: no alert would see it."""
    registry = CollectorRegistry()
    async with world() as w, w.feed(reconciliation_enabled=False) as feed:
        with PrometheusExporter(registry).feed(feed.controller, "x"):
            found = scraped(registry)
            for reason in LOSS_REASONS:
                assert value(found, "gapless_ids_lost_total", feed="x", reason=reason) == 0.0
                assert value(found, "gapless_gaps_lost_total", feed="x", reason=reason) == 0.0
            rows = [row for row in TABLE.rows if row.effect is not Effect.TOLERATED]
            for row in rows:
                way = {"source": row.source.value, "trigger": row.trigger.value, "target": row.target.value}
                assert value(found, "gapless_transitions_total", feed="x", **way) == 0.0
            assert sum(name == "gapless_transitions_total" for name, _labels in found) == len(rows)
            await feed.until_state(State.CONNECTED)
            w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.3)))
            await trio.sleep(10)
            lost = value(scraped(registry), "gapless_ids_lost_total", feed="x", reason="reconciliation_disabled")
            assert lost == feed.controller.stats.ids_lost > 0


async def test_a_feed_that_is_opened_again_counts_on(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)
    live = trips = 0
    async with world() as w:
        for session in ("first", "second", "third"):
            async with w.feed(session_id=session, heartbeat_interval=2.0) as feed:
                with exporter.feed(feed.controller, "venue"):
                    await trio.sleep(10)
                live += feed.controller.stats.live
                trips += feed.controller.metrics().link.round_trip.count
                await trio.sleep(10)
            found = scraped(registry)
            assert counters_alone(found), "what goes up and down is known no more"
            assert value(found, "gapless_delivered_total", feed="venue", source="LIVE") == live > 0
            assert value(found, "gapless_connection_round_trip_seconds_count", feed="venue") == trips > 0
            assert value(found, "gapless_connection_round_trip_seconds_bucket", feed="venue", le="+Inf") == trips


async def test_names_that_were_left_are_remembered_up_to_a_bound(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)
    async with world() as w, w.feed() as feed:
        await trio.sleep(1)
        with exporter.feed(feed.controller, "held"):
            for number in range(NAMES_KEPT_MAX + 1):
                with exporter.feed(feed.controller, f"feed {number}"):
                    pass
        found = {dict(labels)["feed"] for _name, labels in scraped(registry)}
        assert len(found) == NAMES_KEPT_MAX
        assert found.isdisjoint({"feed 0", "feed 1"}), "those that were left first"
        assert "held" in found


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
            assert found.keys() == {each.name for each in CATALOGUE}
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


async def test_opentelemetry_counters_never_go_down(autojump_clock: MockClock) -> None:
    """Not for a reader of totals, nor for one of differences; and what came after the last export is still exported."""
    delta = AggregationTemporality.DELTA
    totals = InMemoryMetricReader()
    differences = InMemoryMetricReader(preferred_temporality={ObservableCounter: delta, Counter: delta})
    provider = MeterProvider([totals, differences], shutdown_on_exit=False)
    exporter = OpenTelemetryExporter(provider)

    def live(reader: InMemoryMetricReader) -> float:
        found = points(reader).get("gapless.delivered", [])
        return sum(
            each.value
            for each in found
            if isinstance(each, NumberDataPoint) and dict(each.attributes or {})["gapless.source"] == "LIVE"
        )

    truth, seen, summed = 0, 0.0, 0.0
    async with world() as w:
        for session, seconds in (("first", 30), ("second", 10)):
            async with w.feed(session_id=session) as feed:
                with exporter.feed(feed.controller, "venue"):
                    await feed.until_state(State.CONNECTED)
                    for _ in range(3):
                        await trio.sleep(seconds / 3)
                        before, seen = seen, live(totals)
                        assert seen == truth + feed.controller.stats.live > before
                        summed += (grown := live(differences))
                        assert grown > 0
                    await trio.sleep(1)
                truth += feed.controller.stats.live
            assert live(totals) == truth, "what came after the last export, too"
            summed += live(differences)
            assert summed == truth
            assert "gapless.streams" not in points(totals), "known no more"
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
            histograms, trio_token = controller.histograms, controller.trio_token

            @staticmethod
            def metrics(*, streams_max: int | None = None) -> Metrics:
                taken_in.append(current_thread() is main_thread())
                return controller.metrics(streams_max=streams_max)

        with PrometheusExporter(registry).feed(Watched(), "reference"):
            found = await trio.to_thread.run_sync(scraped, registry)
            assert value(found, "gapless_streams", feed="reference") == 1
        assert taken_in == [True, True], "the second is the last one, of its counters"


async def test_a_feed_may_be_joined_and_left_in_any_thread(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        joined = PrometheusExporter(registry).feed(feed.controller, "reference")
        await trio.to_thread.run_sync(joined.__enter__)
        for found in (scraped(registry), await trio.to_thread.run_sync(scraped, registry)):
            assert value(found, "gapless_up", feed="reference") == 1.0
        before = feed.controller.stats.live
        # Virtual time may pass while a thread works.
        await trio.to_thread.run_sync(joined.__exit__, None, None, None)
        live = value(scraped(registry), "gapless_delivered_total", feed="reference", source="LIVE")
        assert 0 < before <= live <= feed.controller.stats.live


async def test_an_error_of_ours_is_not_taken_for_the_end(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    async with world() as w, w.feed() as feed:

        class Broken:
            histograms, trio_token = feed.controller.histograms, feed.controller.trio_token

            @staticmethod
            def metrics(*, streams_max: int | None = None) -> Metrics:
                raise RuntimeError(f"broken at {streams_max}")

        exporter = PrometheusExporter(registry)
        with exporter.feed(Broken(), "x"), pytest.raises(RuntimeError, match="broken at 100"):
            scraped(registry)
        assert not scraped(registry), "it is left all the same"


def test_a_run_that_is_over_holds_no_scrape_up() -> None:
    """The feed is told to be down, and nothing else of it."""
    registry = CollectorRegistry()
    exporter = PrometheusExporter(registry)

    async def run() -> None:
        async with world() as w, w.feed() as feed:
            holding = exporter.feed(feed.controller, "left behind")
            holding.__enter__()
            holdings.append(holding)

    holdings: list[object] = []
    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert scraped(registry) == {("gapless_up", frozenset({("feed", "left behind")})): 0.0}


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [("prometheus", "prometheus_client", "prometheus"), ("otel", "opentelemetry", "otel")],
)
def test_without_its_extra_an_exporter_says_which(module: str, library: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import gapless.controller.metrics.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert f"pip install 'gapless[{extra}]'" in done.stderr.splitlines()[-1]


def test_a_library_that_does_not_fit_is_named_by_its_own_error() -> None:
    """It is installed, so to install it would not help."""
    code = (
        "import sys, types; sys.modules['prometheus_client'] = types.ModuleType('prometheus_client'); "
        "import gapless.controller.metrics.prometheus"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "cannot import name 'REGISTRY'" in done.stderr.splitlines()[-1]


def test_the_controller_needs_neither() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = sys.modules['opentelemetry'] = None; "
        "import gapless.controller.metrics, gapless.cli"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
