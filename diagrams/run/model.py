"""A run, ready to be drawn: what the lines say, ordered by state, stream and request. Pure; times are Unix seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from gapless.diagrams.run.holes import Fate, Hole
from gapless.diagrams.run.lines import CircuitChanged, Fault, Source, StateChanged
from gapless.states import State


@unique
class Answer(StrEnum):
    """What became of a REST request."""

    GIVEN = "answered"
    LIMITED = "429, 418"
    """The host asked for fewer."""
    FAILED = "failed"
    """Any other refusal, or no reply at all."""
    CANCELLED = "cancelled"
    """Nobody wanted the reply any more."""


@unique
class Dial(StrEnum):
    """What began a generation."""

    ATTEMPT = "attempt"
    ROTATION = "rotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One stay in a state."""

    state: State
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One attempt to connect, or a successor socket that took over."""

    at: float
    number: int
    dial: Dial


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One REST request."""

    at: float
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Ids ``first`` to ``last`` will never come; ``last`` None: to the end of the epoch, however many that were."""

    first: int
    last: int | None
    at: float
    reason: str

    @property
    def size(self) -> int:
        """How many ids, as far as anybody can know."""
        return 0 if self.last is None else self.last - self.first + 1


@dataclass(slots=True)
class Points:
    """Data that came in one way: when, and with which id. Parallel lists, because there may be a million."""

    at: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stream between two resets: its ids count up within one epoch."""

    epoch: str | None
    began_at: float | None
    """When the reset was noticed; None: the first stretch."""
    points: Mapping[Source, Points]
    holes: tuple[Hole, ...]
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRun:
    """One stream, from the first to the last line."""

    name: str
    numbered: bool
    """Whether every datum had a sequence id; if not, they are counted instead."""
    stretches: tuple[Stretch, ...]
    gaps: int
    """How often ids were found missing."""
    filled: int
    """Ids that were missing and came."""
    rejected: tuple[tuple[float, str], ...]
    """When, and the venue's code."""

    def delivered(self, *sources: Source) -> int:
        """How many data came; of these sources, or of all."""
        wanted = sources or tuple(Source)
        return sum(len(each.points[source].at) for each in self.stretches for source in wanted)

    @property
    def lost(self) -> int:
        """Ids known to be lost; a loss to the end of an epoch counts for nothing here, it may have been nothing."""
        return sum(loss.size for each in self.stretches for loss in each.losses)

    @property
    def missing(self) -> int:
        """Ids that were still missing at the end."""
        return sum(hole.size for each in self.stretches for hole in each.holes if hole.fate is Fate.OPEN)

    @property
    def weight(self) -> int:
        """What there is to see of it."""
        return self.delivered() + sum(len(each.holes) + len(each.losses) for each in self.stretches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything a picture shows."""

    start: float
    end: float
    bands: tuple[Band, ...]
    transitions: int
    generations: tuple[Generation, ...]
    gave_up_at: tuple[float, ...]
    circuit_open: tuple[tuple[float, float], ...]
    """From when to when REST was left alone."""
    streams: tuple[StreamRun, ...]
    """The busiest first."""
    requests: tuple[Request, ...] | None
    """None: the lines do not tell; then ``rest_data_at`` is what is known."""
    rest_data_at: tuple[float, ...]
    """When something arrived over REST."""
    faults: tuple[Fault, ...]
    clock_set_back: int
    """How often a transition came earlier than the one before it."""
    unknown: Mapping[str, int]
    cut_off: bool

    @property
    def length_s(self) -> float:
        """From the first to the last line."""
        return self.end - self.start

    def total(self, *sources: Source) -> int:
        """Data delivered on all streams."""
        return sum(each.delivered(*sources) for each in self.streams)


def bands_of(changes: Iterable[StateChanged], start: float, end: float) -> tuple[Band, ...]:
    """The stays in states. The first is the one that the first transition left; a transition to itself ends none."""
    found: list[Band] = []
    state: State | None = None
    since = start
    for change in changes:
        state = state or change.before
        if change.after is state:
            continue
        found.append(Band(state=state, start=since, end=max(since, change.at)))
        state, since = change.after, max(since, change.at)
    if state is not None:
        found.append(Band(state=state, start=since, end=max(since, end)))
    return tuple(found)


def stays_open(changes: Iterable[CircuitChanged], end: float) -> tuple[tuple[float, float], ...]:
    """From when to when the circuit was open; one that is open still, to the end."""
    found: list[tuple[float, float]] = []
    opened_at: float | None = None
    for change in changes:
        if change.circuit == "open":
            opened_at = change.at if opened_at is None else opened_at
        elif opened_at is not None:
            found.append((opened_at, max(opened_at, change.at)))
            opened_at = None
    return tuple(found if opened_at is None else [*found, (opened_at, max(opened_at, end))])
