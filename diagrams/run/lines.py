"""What the lines of a run say, as far as a picture needs it: the form of ``docs/events.md``, read without a controller.

Fields that a picture does not show are left out, and ignored in the lines. ``RestRequest`` and ``Fault`` are no events
of a controller: ``gapless watch --json --requests`` writes the one, whoever breaks an exchange on purpose the other.
"""

from enum import StrEnum, unique
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from gapless.states import State

Moment = Annotated[float, Meta(ge=0.0, le=1e11)]
"""Unix seconds, up to the year 5138: beyond it is no time, but an id or nanoseconds in the wrong field."""
Seconds = Annotated[float, Meta(ge=0.0, le=1e9)]
Id = Annotated[int, Meta(ge=0)]


@unique
class Source(StrEnum):
    """How a piece of data came."""

    LIVE = "LIVE"
    BACKFILL = "BACKFILL"
    POLL = "POLL"


class Line(Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """Base of everything that is read."""


class StreamLine(Line, frozen=True, kw_only=True):
    """Base of what is about one stream."""

    channel: str
    symbol: str


class MarketData(StreamLine, frozen=True, kw_only=True):
    """One piece of market data."""

    sequence_id: Id | None
    source: Source
    received_at: Moment


class Trade(MarketData, frozen=True, kw_only=True):
    """One trade of a venue."""


class OrderUpdate(MarketData, frozen=True, kw_only=True):
    """An order changed; all rows of a snapshot carry one id."""


class BalanceUpdate(MarketData, frozen=True, kw_only=True):
    """A balance changed."""


class SnapshotRead(StreamLine, frozen=True, kw_only=True):
    """A snapshot came over REST."""

    at: Moment


class StateChanged(Line, frozen=True, kw_only=True):
    """A transition."""

    before: State
    after: State
    trigger: str
    reason: str
    generation: int
    at: Moment


class ReconnectGaveUp(Line, frozen=True, kw_only=True):
    """All attempts are spent."""

    attempts: int
    at: Moment


class CircuitChanged(Line, frozen=True, kw_only=True):
    """REST is left alone, or asked again."""

    circuit: Literal["open", "closed"]
    at: Moment


class GapFound(StreamLine, frozen=True, kw_only=True):
    """Ids are missing."""

    start_seq: Id
    end_seq: Id
    at: Moment

    def __post_init__(self) -> None:
        check_order(self.start_seq, self.end_seq)


class GapFilled(StreamLine, frozen=True, kw_only=True):
    """Ids that were missing are there."""

    start_seq: Id
    end_seq: Id
    reason: str
    at: Moment

    def __post_init__(self) -> None:
        check_order(self.start_seq, self.end_seq)


class ContinuityLost(StreamLine, frozen=True, kw_only=True):
    """Ids that will never come; ``end_seq`` None: to the end of the epoch."""

    start_seq: Id
    end_seq: Id | None
    reason: str
    at: Moment

    def __post_init__(self) -> None:
        check_order(self.start_seq, self.end_seq)


class StreamReset(StreamLine, frozen=True, kw_only=True):
    """Ids count from 1 again."""

    new_epoch: str | None
    at: Moment


class StreamRejected(StreamLine, frozen=True, kw_only=True):
    """The venue refused a stream."""

    code: str
    at: Moment


class RestRequest(Line, frozen=True, kw_only=True):
    """A REST request. ``status`` None: no reply came, and ``error`` says why."""

    path: str
    status: int | None
    error: str | None = None
    at: Moment


class Fault(Line, frozen=True, kw_only=True):
    """What somebody broke on purpose. ``seconds`` None: it has no length."""

    text: str
    seconds: Seconds | None = None
    at: Moment


AnyLine = (
    MarketData
    | Trade
    | OrderUpdate
    | BalanceUpdate
    | SnapshotRead
    | StateChanged
    | ReconnectGaveUp
    | CircuitChanged
    | GapFound
    | GapFilled
    | ContinuityLost
    | StreamReset
    | StreamRejected
    | RestRequest
    | Fault
)

KINDS: Final = frozenset(each.__name__ for each in get_args(AnyLine))


def check_order(first: int, last: int | None) -> None:
    """Refuse a range that ends before it begins.

    Raises:
        ValueError: it does.
    """
    if last is not None and last < first:
        raise ValueError(f"expected start_seq <= end_seq, got {first}..{last}")
