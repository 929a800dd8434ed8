"""Every metric: its name, kind, unit, labels and meaning, and where its value stands in a snapshot. Pure.

One table for both exporters and for ``docs/metrics.md``. Names are those of OpenTelemetry, units in UCUM; Prometheus'
are made from them. Each metric has the label ``feed`` besides.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, TypeAlias

from gapless.controller.circuit_breaker import Circuit
from gapless.controller.metrics.histogram import Histogram, Histograms, HistogramSnapshot
from gapless.controller.metrics.snapshot import DataMetrics, GapMetrics, Metrics
from gapless.controller.stats import LOSS_REASONS
from gapless.states import TABLE, Effect, State

Point: TypeAlias = tuple[tuple[str, ...], float]
"""The values of the labels, in their order, and the value."""
Read: TypeAlias = Callable[[Metrics], Iterable[Point]]

_UNIT_WORDS: Final = {"s": "seconds", "By": "bytes"}
"""What Prometheus' names say of a unit; of what is counted they say nothing."""


@unique
class Kind(StrEnum):
    """What may be done with the values."""

    COUNTER = "counter"
    """They only grow."""
    LEVEL = "level"
    """They go up and down, and add up over feeds: a gauge to Prometheus, an UpDownCounter to OpenTelemetry."""
    GAUGE = "gauge"
    """They go up and down, and their sum means nothing."""
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...] = ()
    meaning: str
    read: Read = lambda _: ()
    """The points of all but histograms."""
    histogram: Callable[[Metrics], HistogramSnapshot] | None = None
    recorder: Callable[[Histograms], Histogram] | None = None
    """Where a histogram is recorded."""

    @property
    def prometheus_name(self) -> str:
        """As it is exposed, the suffix of a counter included."""
        words = [self.name.replace(".", "_")]
        if self.unit in _UNIT_WORDS:
            words.append(_UNIT_WORDS[self.unit])
        if self.kind is Kind.COUNTER:
            words.append("total")
        return "_".join(words)


def _one(read: Callable[[Metrics], float]) -> Read:
    return lambda snapshot: [((), read(snapshot))]


def _each(read: Callable[[Metrics], Mapping[str, float]]) -> Read:
    return lambda snapshot: [((word,), value) for word, value in read(snapshot).items()]


def _delivered(data: DataMetrics) -> Mapping[str, float]:
    return {"LIVE": data.live, "BACKFILL": data.backfilled, "POLL": data.polled}


def _dropped(data: DataMetrics) -> Mapping[str, float]:
    return {
        "duplicate": data.duplicates,
        "skipped": data.skipped,
        "suspect": data.suspects,
        "invalid": data.invalid,
        "ignored": data.ignored,
        "unexpected": data.unexpected,
    }


def _transitions(snapshot: Metrics) -> Iterable[Point]:
    taken = {(each.source, each.trigger): each.count for each in snapshot.state.transitions}
    for row in TABLE.rows:
        if row.effect is not Effect.TOLERATED:
            yield (row.source.value, row.trigger.value, row.target.value), taken.get((row.source, row.trigger), 0)


def _by_reason(read: Callable[[GapMetrics], Mapping[str, float]]) -> Read:
    """With the reasons that have not occurred: what begins with its first loss does not grow by it."""
    return _each(lambda it: {**dict.fromkeys(LOSS_REASONS, 0), **read(it.gaps)})


def _freshness(snapshot: Metrics) -> Iterable[Point]:
    for each in snapshot.streams:
        if each.freshness_s is not None:
            yield (each.stream.channel, each.stream.symbol), each.freshness_s


def _stalest(snapshot: Metrics) -> Iterable[Point]:
    worst_s = snapshot.data.freshness_worst_s
    return [] if worst_s is None else [((), worst_s)]


UP: Final = Metric(
    name="gapless.up",
    kind=Kind.GAUGE,
    unit="1",
    meaning="1 while the controller answers, 0 where it has ended or its event loop hangs; nothing else is told then",
)
"""No snapshot tells it: of a feed that does not answer there is none."""

_STATE = (
    UP,
    Metric(
        name="gapless.state.current",
        kind=Kind.GAUGE,
        unit="1",
        labels=("state",),
        meaning="1 for the state the controller is in, 0 for the others",
        read=_each(lambda it: {each.value: float(each is it.state.current) for each in State}),
    ),
    Metric(
        name="gapless.state.duration",
        kind=Kind.COUNTER,
        unit="s",
        labels=("state",),
        meaning="time spent in each state, the current visit included",
        read=_each(lambda it: {state.value: seconds for state, seconds in it.state.seconds.items()}),
    ),
    Metric(
        name="gapless.transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        labels=("source", "trigger", "target"),
        meaning="transitions taken; a rotation leads from a state to itself",
        read=_transitions,
    ),
)
_DATA = (
    Metric(
        name="gapless.delivered",
        kind=Kind.COUNTER,
        unit="{datum}",
        labels=("source",),
        meaning="market data handed towards the app, by how it came",
        read=_each(lambda it: _delivered(it.data)),
    ),
    Metric(
        name="gapless.dropped",
        kind=Kind.COUNTER,
        unit="{message}",
        labels=("reason",),
        meaning="messages of the socket not taken; `skipped` ones did not fit the buffer and are fetched again",
        read=_each(lambda it: _dropped(it.data)),
    ),
    Metric(
        name="gapless.reordered",
        kind=Kind.COUNTER,
        unit="{message}",
        meaning="ids that came late, within the reorder window; they are among the delivered",
        read=_one(lambda it: it.data.reordered),
    ),
    Metric(
        name="gapless.buffer.events",
        kind=Kind.LEVEL,
        unit="{event}",
        meaning="events that wait for the app, of every kind, also what `buffer_size` does not bound",
        read=_one(lambda it: it.data.held),
    ),
    Metric(
        name="gapless.buffer.limit",
        kind=Kind.LEVEL,
        unit="{event}",
        meaning="market data that may wait (`buffer_size`)",
        read=_one(lambda it: it.data.held_max),
    ),
    Metric(
        name="gapless.buffer.held_back",
        kind=Kind.LEVEL,
        unit="{datum}",
        meaning="data behind a gap, with `ordering=sequence`; as much of it may wait as market data for the app",
        read=_one(lambda it: it.data.held_back),
    ),
    Metric(
        name="gapless.streams",
        kind=Kind.LEVEL,
        unit="{stream}",
        meaning="streams that are desired",
        read=_one(lambda it: it.data.streams),
    ),
    Metric(
        name="gapless.stream.freshness",
        kind=Kind.GAUGE,
        unit="s",
        labels=("channel", "symbol"),
        meaning="time since a stream's last live datum; nothing until one came, nothing with too many streams",
        read=_freshness,
    ),
    Metric(
        name="gapless.freshness.worst",
        kind=Kind.GAUGE,
        unit="s",
        meaning="the longest time since a market stream's last live datum, or, until one comes, its subscription",
        read=_stalest,
    ),
)
_GAPS = (
    Metric(
        name="gapless.gaps.opened",
        kind=Kind.COUNTER,
        unit="{gap}",
        meaning="ranges of ids found missing",
        read=_one(lambda it: it.gaps.opened),
    ),
    Metric(
        name="gapless.gaps.filled",
        kind=Kind.COUNTER,
        unit="{range}",
        meaning="ranges of missing ids that were delivered; a gap may be filled in parts",
        read=_one(lambda it: it.gaps.filled),
    ),
    Metric(
        name="gapless.gaps.lost",
        kind=Kind.COUNTER,
        unit="{range}",
        labels=("reason",),
        meaning="ranges of ids reported lost",
        read=_by_reason(lambda gaps: gaps.lost),
    ),
    Metric(
        name="gapless.gaps.refuted",
        kind=Kind.COUNTER,
        unit="{range}",
        meaning="ranges of ids that corrupt ones had claimed, and that were never issued",
        read=_one(lambda it: it.gaps.refuted),
    ),
    Metric(
        name="gapless.gaps.open",
        kind=Kind.LEVEL,
        unit="{gap}",
        meaning="gaps that are open now",
        read=_one(lambda it: it.gaps.open),
    ),
    Metric(
        name="gapless.ids.missed",
        kind=Kind.COUNTER,
        unit="{id}",
        meaning="ids found missing; where ids have holes, all that may lie in between",
        read=_one(lambda it: it.gaps.ids_missed),
    ),
    Metric(
        name="gapless.ids.filled",
        kind=Kind.COUNTER,
        unit="{id}",
        meaning="missing ids that were delivered, or a snapshot covers; where ids have holes, all that were asked for",
        read=_one(lambda it: it.gaps.ids_filled),
    ),
    Metric(
        name="gapless.ids.lost",
        kind=Kind.COUNTER,
        unit="{id}",
        labels=("reason",),
        meaning="ids reported lost; a range to the end of an epoch counts as one",
        read=_by_reason(lambda gaps: gaps.ids_lost),
    ),
    Metric(
        name="gapless.ids.refuted",
        kind=Kind.COUNTER,
        unit="{id}",
        meaning="ids found missing that were never issued",
        read=_one(lambda it: it.gaps.ids_refuted),
    ),
    Metric(
        name="gapless.ids.open",
        kind=Kind.LEVEL,
        unit="{id}",
        meaning="ids that are missing now",
        read=_one(lambda it: it.gaps.ids_open),
    ),
)
_REST = (
    Metric(
        name="gapless.rest.requests",
        kind=Kind.COUNTER,
        unit="{request}",
        labels=("outcome",),
        meaning="requests, retries too: `succeeded`, `refused` (4xx), `limited` (418, 429), `failed` (5xx, no reply), "
        "`cancelled` (in flight: a transition, or the app, wanted the reply no more)",
        read=_each(
            lambda it: {
                "succeeded": it.rest.succeeded,
                "refused": it.rest.refused,
                "limited": it.rest.limited,
                "failed": it.rest.failed,
                "cancelled": it.rest.cancelled,
            }
        ),
    ),
    Metric(
        name="gapless.rest.replies.dropped",
        kind=Kind.COUNTER,
        unit="{reply}",
        labels=("reason",),
        meaning="replies not taken: `invalid` no page or snapshot, `stale` it knows less than the books",
        read=_each(lambda it: {"invalid": it.data.invalid_replies, "stale": it.data.stale_replies}),
    ),
    Metric(
        name="gapless.rest.received",
        kind=Kind.COUNTER,
        unit="By",
        meaning="bodies of replies, as they came over the wire",
        read=_one(lambda it: it.rest.bytes_received),
    ),
    Metric(
        name="gapless.rest.read",
        kind=Kind.COUNTER,
        unit="By",
        meaning="bodies of replies, decompressed",
        read=_one(lambda it: it.rest.bytes_read),
    ),
    Metric(
        name="gapless.rest.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        meaning="from sending a request to its whole reply, or to its failure; a cancelled one is left out",
        histogram=lambda it: it.rest.request_duration,
        recorder=lambda them: them.request_duration,
    ),
    Metric(
        name="gapless.rest.wait",
        kind=Kind.HISTOGRAM,
        unit="s",
        meaning="what a request waited in the limiter's line before it was sent; a retry waits anew",
        histogram=lambda it: it.rest.limiter_wait,
        recorder=lambda them: them.limiter_wait,
    ),
    Metric(
        name="gapless.rest.line",
        kind=Kind.GAUGE,
        unit="{request}",
        meaning="requests in the limiter's line, of the host: of all feeds that share it",
        read=_one(lambda it: it.rest.in_line),
    ),
    Metric(
        name="gapless.rest.budget.used",
        kind=Kind.GAUGE,
        unit="{weight}",
        meaning="weight sent in the last window, of the host",
        read=_one(lambda it: it.rest.budget_used),
    ),
    Metric(
        name="gapless.rest.budget.limit",
        kind=Kind.GAUGE,
        unit="{weight}",
        meaning="weight that a window allows, of the host",
        read=_one(lambda it: it.rest.budget),
    ),
    Metric(
        name="gapless.rest.circuit.state",
        kind=Kind.GAUGE,
        unit="1",
        labels=("circuit",),
        meaning="1 for the condition of the host's circuit breaker, 0 for the others",
        read=_each(lambda it: {each.value: float(each is it.rest.circuit) for each in Circuit}),
    ),
    Metric(
        name="gapless.rest.circuit.opened",
        kind=Kind.COUNTER,
        unit="{time}",
        meaning="how often the host's circuit has opened since the controller was opened; a probe that fails is none",
        read=_one(lambda it: it.rest.circuit_opened),
    ),
)
_LINK = (
    Metric(
        name="gapless.connection.attempts",
        kind=Kind.COUNTER,
        unit="{attempt}",
        meaning="connection attempts begun",
        read=_one(lambda it: it.link.attempts),
    ),
    Metric(
        name="gapless.connection.fruitless",
        kind=Kind.GAUGE,
        unit="{attempt}",
        meaning="attempts in a row that brought nothing (`reconnect_max_attempts` ends them)",
        read=_one(lambda it: it.link.fruitless),
    ),
    Metric(
        name="gapless.connection.successors",
        kind=Kind.COUNTER,
        unit="{rotation}",
        meaning="successors dialled",
        read=_one(lambda it: it.link.rotations_begun),
    ),
    Metric(
        name="gapless.connection.rotations",
        kind=Kind.COUNTER,
        unit="{rotation}",
        meaning="successors that took over",
        read=_one(lambda it: it.link.rotations),
    ),
    Metric(
        name="gapless.connection.healthy",
        kind=Kind.GAUGE,
        unit="1",
        meaning="0 from a PING without an answer to the next PONG, else 1",
        read=_one(lambda it: it.link.healthy),
    ),
    Metric(
        name="gapless.connection.round_trip",
        kind=Kind.HISTOGRAM,
        unit="s",
        meaning="from a PING to its PONG",
        histogram=lambda it: it.link.round_trip,
        recorder=lambda them: them.round_trip,
    ),
)

CATALOGUE: Final = (*_STATE, *_DATA, *_GAPS, *_REST, *_LINK)
"""Every metric, in the order of the document."""
