"""What the page receives: one :class:`PictureWire`, whole or only what changed since the revision the page has.

``msgspec.json.encode`` gives the JSON; fields come in the order below. Times are Unix seconds with fractions of the
machine the controller runs on; candles alone stand at the venue's time. Ranges of ids include both ends. What a peer
wrote (symbols, reasons, order fields) is text like any other here: the page inserts it as text, never as HTML.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from gapless.controller import Balance, Order, Source
from gapless.states import State, Trigger

Mode: TypeAlias = Literal["demo", "feed"]

Kind: TypeAlias = Literal[
    "gap",
    "filled",
    "lost",
    "rest",
    "rest_failed",
    "rate_limited",
    "attempt",
    "reset",
    "rejected",
    "gave_up",
    "snapshot",
    "fault",
]
"""What a time-line item shows. ``gap`` and ``attempt`` last until ``ended_at``; the others happen at one instant."""


class StateWire(Struct, frozen=True, kw_only=True):
    """Where the controller is, and what brought it there; ``before`` and ``trigger`` are None before it moved."""

    name: State
    since: float
    before: State | None
    trigger: Trigger | None
    reason: str
    generation: int
    retry_at: float | None
    """When the next attempt begins, Unix seconds; None: it is under way, or none is planned."""


class TransitionWire(Struct, frozen=True, kw_only=True):
    """One transition, as its ``StateChanged`` told."""

    at: float
    before: State
    trigger: Trigger
    after: State
    reason: str
    generation: int
    retry_in_s: float | None
    unverified: bool


class ItemWire(Struct, frozen=True, kw_only=True):
    """Something on the time line. The same ``id`` sent again replaces what the page has."""

    id: int
    at: float
    kind: Kind
    stream: str | None
    """``CHANNEL:SYMBOL``; None where it concerns no single stream."""
    text: str
    start: int | None
    """First id of a range, last id in ``end``; None where there is none, or where it has no end."""
    end: int | None
    ended_at: float | None
    """When a gap was wholly filled or lost, or an attempt was over; None while it lasts."""


class StreamWire(Struct, frozen=True, kw_only=True):
    """One stream's row."""

    channel: str
    symbol: str
    epoch: str | None
    last_id: int | None
    """The highest id delivered in this epoch."""
    last_price: float | None
    """The price of that id; without ids, of what came last."""
    last_at: float | None
    """When something was delivered last."""
    last_source: Source | None
    freshness_s: float | None
    """Seconds since the last live datum; None: none came yet."""
    open_gaps: list[tuple[int, int]]
    """The first five."""
    missing: int
    """Ids in all of them."""
    lost: list[tuple[int, int | None, str]]
    """The last five lost ranges and why; an end of None: to the end of that epoch."""
    lost_ids: int
    """Ids reported lost; a range to the end of an epoch counts as one."""
    live: int
    backfilled: int
    polled: int
    rejected: str | None
    """Why the venue refuses the stream; None once data came after that."""


class HeartbeatWire(Struct, frozen=True, kw_only=True):
    """Round-trip times of PINGs: the last one, and the new ones as ``(at, seconds)``."""

    last_s: float | None
    points: list[tuple[float, float]]


class RestWire(Struct, frozen=True, kw_only=True):
    """The REST budget in use, and requests by outcome. ``limit`` is 0 before the first sample."""

    used: int
    limit: int
    succeeded: int
    refused: int
    failed: int
    limited: int


class CandleWire(Struct, frozen=True, kw_only=True):
    """One bar of a symbol, ``t`` being its beginning in Unix seconds of the venue's clock."""

    t: int
    o: float
    h: float
    l: float  # noqa: E741 (open, high, low, close, volume: the letters of every chart)
    c: float
    v: float
    """Volume: data points. Venues send a running 24 h figure, not the size of a trade."""
    n: int
    """Data points."""
    over_rest: int
    """How many of them came over REST."""
    lost: bool
    """Ids that would have stood in this bar, or beside it, will never come."""


class PictureWire(Struct, frozen=True, kw_only=True):
    """The whole picture, or what changed in it since an older revision.

    Always complete: ``state``, ``streams`` (few), ``rest``, ``counters``. Lists of what is new or changed otherwise:
    ``transitions``, ``items``, ``heartbeat.points``, ``candles``; the page enters them by time, ``id`` or ``t``.
    ``orders`` and ``balances`` are None while unchanged. With ``whole`` the page replaces everything it has.
    """

    revision: int
    whole: bool
    at: float
    run: str
    """Of this server process: a page that sees another one starts anew."""
    mode: Mode
    title: str
    interval_s: float
    span_s: float
    state: StateWire
    transitions: list[TransitionWire]
    items: list[ItemWire]
    streams: list[StreamWire]
    orders: list[Order] | None
    balances: list[Balance] | None
    heartbeat: HeartbeatWire
    rest: RestWire
    counters: dict[str, int]
    candles: dict[str, list[CandleWire]]
