"""What a venue says on a socket, in the controller's words: what a frame can decode to."""

from collections.abc import Mapping, Sequence
from enum import Enum, unique
from typing import TypeAlias

from msgspec import Struct

from gapless.controller.events import Balance, NoticeKind, Order, Side
from gapless.controller.stream import Stream


@unique
class SequenceRule(Enum):
    """What the ids of a stream tell. Ids are always those of one stream: no venue so far numbers across streams."""

    CONTIGUOUS = "contiguous"
    """+1 each: a skipped id is a missing message. Exactly once or reported."""
    CHAINED = "chained"
    """Each message names the id before it (``prev_sequence_id``): a broken link is a hole, of unknown size."""
    MONOTONIC = "monotonic"
    """Ids only grow: what is lower was there before; what is missing shows only at a new connection."""
    UNSEQUENCED = "unsequenced"
    """No ids, or ids that tell nothing: every message is delivered, nothing is promised."""


class HistoryRow(Struct, frozen=True, kw_only=True):
    """One piece of market data as REST keeps it. ``sequence_id`` None: the venue gave none."""

    timestamp: str
    price: float
    sequence_id: int | None = None
    bid: float | None = None
    ask: float | None = None
    volume_24h: float | None = None


class MarketUpdate(HistoryRow, frozen=True, kw_only=True):
    """One piece of market data as it came over the WebSocket."""

    channel: str
    symbol: str
    prev_sequence_id: int | None = None
    """The id of the message before it, where the venue chains them."""


class TradeUpdate(MarketUpdate, frozen=True, kw_only=True):
    """One trade, from the socket or as a row of history; becomes a :class:`~gapless.controller.events.Trade`."""

    amount: float
    price_text: str
    amount_text: str
    side: Side | None
    trade_id: str


class AccountUpdate(Struct, frozen=True, kw_only=True):
    """One change of an order or a balance."""

    stream: Stream
    sequence_id: int | None
    content: Order | Balance


class Welcome(Struct, frozen=True, kw_only=True):
    """The connection's epoch; None where the venue has none."""

    epoch: str | None


class Subscribed(Struct, frozen=True, kw_only=True):
    """The venue took these streams. A mark is the last id issued before the subscription; None: it did not say.

    ``marks`` None: everything that was requested, without marks.
    """

    request_id: str | None
    marks: Mapping[Stream, int | None] | None


class Unsubscribed(Struct, frozen=True, kw_only=True):
    """The venue sends these streams no more; None: everything that was requested."""

    request_id: str | None
    streams: Sequence[Stream] | None


class Rejected(Struct, frozen=True, kw_only=True):
    """The venue refused these streams; None: those that it did not take."""

    request_id: str | None
    streams: Sequence[Stream] | None
    code: str
    message: str


class Pong(Struct, frozen=True, kw_only=True):
    """The answer to the PING of this id."""

    request_id: str


class Goodbye(Struct, frozen=True, kw_only=True):
    """The venue will close the connection and asks not to be dialled for ``retry_after_s``."""

    reason: str
    retry_after_s: float


class HighWater(Struct, frozen=True, kw_only=True):
    """The venue says how far it is: each stream has issued ids up to its mark, which need not have come here."""

    marks: Mapping[Stream, int]


class MustAnswer(Struct, frozen=True, kw_only=True):
    """The venue wants this frame back, or it closes the connection."""

    answer: str


class Leaving(Struct, frozen=True, kw_only=True):
    """The venue will close this connection before long, and takes another one now: time to rotate."""

    reason: str


class Notice(Struct, frozen=True, kw_only=True):
    """The venue has something to say that concerns no single stream, in its own code and words."""

    kind: NoticeKind
    code: str
    message: str


class Ignored(Struct, frozen=True, kw_only=True):
    """A well-formed message that means nothing to the controller."""

    kind: str


SingleMessage: TypeAlias = (
    MarketUpdate
    | AccountUpdate
    | Welcome
    | Subscribed
    | Unsubscribed
    | Rejected
    | Pong
    | Goodbye
    | HighWater
    | MustAnswer
    | Leaving
    | Notice
    | Ignored
)


class Several(Struct, frozen=True, kw_only=True):
    """One frame that says several things, in order."""

    messages: Sequence[SingleMessage]


Message: TypeAlias = SingleMessage | Several
"""What a frame can decode to."""
