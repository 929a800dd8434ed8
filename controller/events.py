"""What an app receives: immutable typed structs.

``msgspec.json.encode(event)`` gives the one-line JSON form of ``gapless watch --json``: the class name under ``event``,
then the fields below in this order. ``docs/events.md`` describes it for programs in other languages.

Units: ``at`` and ``received_at`` are Unix seconds of this machine's clock; ``timestamp`` is the venue's own text,
RFC 3339 in UTC; ids and ranges are inclusive at both ends.
"""

from enum import StrEnum, unique
from typing import Literal, TypeAlias

from msgspec import Struct

from gapless.states import State, Trigger


@unique
class Source(StrEnum):
    """How a piece of data reached the app."""

    LIVE = "LIVE"
    """Over the WebSocket."""
    BACKFILL = "BACKFILL"
    """Over REST, to fill a known gap."""
    POLL = "POLL"
    """Over REST, while live data did not flow."""


Side: TypeAlias = Literal["buy", "sell"]
"""Of a trade: what the taker did."""
CircuitWord: TypeAlias = Literal["open", "closed"]
"""Of a REST host: nobody asks it but a probe now and then; or it is asked as usual."""
NoticeKind: TypeAlias = Literal["error", "limited", "banned", "maintenance"]
"""What a venue's word is about: a request it did not like, its limits, a ban, or its own condition."""


class Order(Struct, frozen=True, kw_only=True):
    """An order as the venue reports it."""

    order_id: str
    symbol: str
    side: str
    type: str
    quantity: float
    price: float | None = None
    filled: float = 0.0
    status: str = ""
    updated_at: str = ""


class Balance(Struct, frozen=True, kw_only=True):
    """One asset's balance."""

    asset: str
    free: float
    locked: float = 0.0


class Event(Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """Base of everything a controller hands to the app."""


class MarketData(Event, frozen=True, gc=False):
    """One piece of market data, delivered exactly once.

    ``sequence_id`` and ``epoch`` are None where the venue sends none (then exactly-once cannot be promised).

    There is one of these for each message: they are made by position, whose order therefore stays, and the garbage
    collector does not look at them, so a subclass must not hold what could lead back to it.
    """

    channel: str
    symbol: str
    sequence_id: int | None
    epoch: str | None
    source: Source
    timestamp: str
    price: float
    bid: float | None
    ask: float | None
    volume_24h: float | None
    received_at: float
    generation: int


class Trade(MarketData, frozen=True, gc=False):
    """One trade of a venue, alike for all of them: market data, and what a trade has besides.

    ``price`` and ``amount`` are the nearest floats to ``price_text`` and ``amount_text``, the venue's own decimals,
    digit for digit. ``side`` is what the taker did (None: the venue does not say), ``trade_id`` the venue's own id,
    which need not be a number.
    """

    amount: float
    price_text: str
    amount_text: str
    side: Side | None
    trade_id: str


class OrderUpdate(Event, frozen=True, kw_only=True):
    """An order changed. With ``snapshot`` it is a row of a snapshot that covers all updates up to ``sequence_id``."""

    channel: str
    symbol: str
    sequence_id: int | None
    epoch: str | None
    source: Source
    order: Order
    snapshot: bool
    received_at: float
    generation: int


class BalanceUpdate(Event, frozen=True, kw_only=True):
    """A balance changed. With ``snapshot`` it is a row of a snapshot that covers all updates up to ``sequence_id``."""

    channel: str
    symbol: str
    sequence_id: int | None
    epoch: str | None
    source: Source
    balance: Balance
    snapshot: bool
    received_at: float
    generation: int


class StateChanged(Event, frozen=True, kw_only=True):
    """The controller took a transition. ``retry_in_s`` says how long until the next attempt; None: at once, or never.

    It waits in ``REST_FALLBACK``, and in ``RECONNECTING`` where a floor or the second between two attempts is not over.
    ``unverified`` marks a verdict on a silence that REST could say nothing about.
    """

    before: State
    trigger: Trigger
    after: State
    reason: str
    generation: int
    retry_in_s: float | None
    unverified: bool
    at: float


class GapFound(Event, frozen=True, kw_only=True):
    """Ids ``start_seq..end_seq`` are owed and missing. They will be filled or reported lost."""

    channel: str
    symbol: str
    epoch: str | None
    start_seq: int
    end_seq: int
    reason: str
    at: float


class GapFilled(Event, frozen=True, kw_only=True):
    """Ids ``start_seq..end_seq`` of gaps were delivered. ``reason``: ``rest``, ``live``, ``snapshot``, ``refuted``.

    The last one: they were never issued, two corrupt ids in a row had claimed them. They may still come one day.
    """

    channel: str
    symbol: str
    epoch: str | None
    start_seq: int
    end_seq: int
    reason: str
    at: float


class ContinuityLost(Event, frozen=True, kw_only=True):
    """Ids ``start_seq..end_seq`` will never be delivered (``end_seq`` None: to the end of that epoch), and why.

    Reasons: ``evicted``, ``absent``, ``epoch_ended``, ``unverifiable``, ``no_history``, ``reconciliation_disabled``,
    ``too_many_gaps``, ``snapshot_missed``, ``unsubscribed``, ``conflated``.
    """

    channel: str
    symbol: str
    epoch: str | None
    start_seq: int
    end_seq: int | None
    reason: str
    at: float


class StreamReset(Event, frozen=True, kw_only=True):
    """The venue restarted: ids of ``new_epoch`` count from 1 and are owed from there.

    The same epoch twice: the ids of the cursor that was resumed are not the venue's. A ``ContinuityLost`` from id 1
    says what of the new count is not owed.
    """

    channel: str
    symbol: str
    old_epoch: str | None
    new_epoch: str | None
    at: float


class StreamRejected(Event, frozen=True, kw_only=True):
    """The venue refused this stream. It is asked for again with the next generation."""

    channel: str
    symbol: str
    code: str
    message: str
    at: float


class VenueNotice(Event, frozen=True, kw_only=True):
    """The venue said something that concerns no single stream, in its own code and words.

    ``kind``: ``error`` a request it refused, ``limited`` or ``banned`` (nobody asks it for ``retry_after_s`` seconds),
    ``maintenance`` its own condition. What concerns one stream is a :class:`StreamRejected`.
    """

    kind: NoticeKind
    code: str
    message: str
    retry_after_s: float | None
    at: float


class CircuitChanged(Event, frozen=True, kw_only=True):
    """The circuit breaker of a REST host has opened, or closed: what REST is needed for waits until a probe succeeds.

    ``failures``: failed requests in a row so far, 0 when it closed. ``probe_in_s``: how long until the first probe;
    None when it closed. A probe that fails is no event. Every controller that shares the host is told.
    """

    circuit: CircuitWord
    host: str
    failures: int
    probe_in_s: float | None
    at: float


class SnapshotRead(Event, frozen=True, kw_only=True):
    """A snapshot of orders or balances follows at once: ``rows`` updates with ``snapshot`` set, none for an empty one.

    It covers all updates up to ``sequence_id`` (None: the venue does not say), and what has no row is no more, but for
    what an update that is not covered told before: its row is left out.
    """

    channel: str
    symbol: str
    sequence_id: int | None
    epoch: str | None
    source: Source
    rows: int
    generation: int
    at: float


class SnapshotMissed(Event, frozen=True, kw_only=True):
    """An account snapshot could not be read in this generation."""

    channel: str
    symbol: str
    reason: str
    at: float


class ReconnectGaveUp(Event, frozen=True, kw_only=True):
    """All attempts are spent. REST collection goes on; ``controller.reconnect()`` starts anew."""

    attempts: int
    reason: str
    at: float


AnyEvent = (
    MarketData
    | Trade
    | OrderUpdate
    | BalanceUpdate
    | StateChanged
    | GapFound
    | GapFilled
    | ContinuityLost
    | StreamReset
    | StreamRejected
    | VenueNotice
    | CircuitChanged
    | SnapshotRead
    | SnapshotMissed
    | ReconnectGaveUp
)
"""Every event, as a union to match on."""
