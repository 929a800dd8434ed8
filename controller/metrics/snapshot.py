"""The figures of one controller at one moment. Frozen: nothing in it changes afterwards.

Counters count since the controller was opened. Times are in seconds. What says *of the host* is shared by all
controllers that use the same limiter.
"""

from collections.abc import Mapping

from msgspec import Struct

from gapless.controller.circuit_breaker import Circuit
from gapless.controller.metrics.histogram import HistogramSnapshot
from gapless.controller.stream import Stream
from gapless.states import State, Trigger


class TransitionCount(Struct, frozen=True, kw_only=True):
    """How often one row of the transition table was taken; what it tolerates is left out."""

    source: State
    trigger: Trigger
    target: State
    count: int


class StateMetrics(Struct, frozen=True, kw_only=True):
    """Where the controller is, and was."""

    current: State
    current_s: float
    """In this state since it was entered; an internal transition does not leave it."""
    seconds: Mapping[State, float]
    """In each state altogether, the current one included."""
    transitions: tuple[TransitionCount, ...]


class DataMetrics(Struct, frozen=True, kw_only=True):
    """What passed through the data plane; see :class:`~gapless.controller.FeedStats`."""

    live: int
    backfilled: int
    polled: int
    duplicates: int
    reordered: int
    skipped: int
    suspects: int
    invalid: int
    ignored: int
    unexpected: int
    invalid_replies: int
    stale_replies: int
    held: int
    """Events that wait for the app."""
    held_max: int
    """Market data that may."""
    held_back: int
    """Data behind a gap, with ``ordering="sequence"``: it waits for what is missing, and as much of it may as for the
    app."""
    streams: int
    """Desired ones."""
    freshness_worst_s: float | None
    """Of all market streams the longest time since the last live datum, or, where none came yet, since the stream was
    subscribed; None: there is no market stream. Orders and balances may rest for days."""


class GapMetrics(Struct, frozen=True, kw_only=True):
    """What was missing. A gap that is filled in parts counts as that many filled ranges.

    ``ids_missed`` = ``ids_filled`` + ``ids_refuted`` + ``ids_open`` + those of ``ids_lost`` that were a gap before: the
    rest of an epoch that ended and what was ``conflated`` were none. An overflow that goes on is open, and not missed
    yet but for its beginning.
    """

    opened: int
    filled: int
    lost: Mapping[str, int]
    """By reason."""
    refuted: int
    """Ranges that corrupt ids had claimed, and that were never issued."""
    ids_missed: int
    ids_filled: int
    ids_refuted: int
    ids_lost: Mapping[str, int]
    """By reason; a range to the end of an epoch counts as one id."""
    open: int
    ids_open: int


class RestMetrics(Struct, frozen=True, kw_only=True):
    """Requests, and the gate before them."""

    succeeded: int
    refused: int
    limited: int
    failed: int
    cancelled: int
    """Given up in flight; they are in no duration."""
    bytes_received: int
    """Of replies, as they came over the wire."""
    bytes_read: int
    """Of replies, decompressed."""
    limiter_wait: HistogramSnapshot
    request_duration: HistogramSnapshot
    in_line: int
    """Requests that wait for their turn, of the host."""
    budget_used: int
    """Weight sent in the last window, of the host."""
    budget: int
    """Weight that a window allows, of the host."""
    circuit: Circuit
    """Of the host."""
    circuit_opened: int
    """How often that has opened since the controller was; a probe that fails is none."""


class LinkMetrics(Struct, frozen=True, kw_only=True):
    """The socket, its predecessors and its successors."""

    generation: int
    attempts: int
    """Connection attempts begun."""
    fruitless: int
    """Of them in a row until now."""
    rotations_begun: int
    rotations: int
    """Successors that took over."""
    healthy: bool
    """The heartbeat's view."""
    round_trip: HistogramSnapshot


class StreamMetrics(Struct, frozen=True, kw_only=True):
    """One desired stream."""

    stream: Stream
    freshness_s: float | None
    """Since its last live datum; None: none came yet."""
    gaps_open: int
    """Which they are, ``controller.open_gaps`` tells."""
    ids_open: int


class Metrics(Struct, frozen=True, kw_only=True):
    """Everything."""

    state: StateMetrics
    data: DataMetrics
    gaps: GapMetrics
    rest: RestMetrics
    link: LinkMetrics
    streams: tuple[StreamMetrics, ...]
    """None of them where there are more than were asked for."""
