"""The reference exchange's frames and replies as they stand on the wire, field by field."""

from typing import Annotated, Final, get_args

from msgspec import Meta, Struct

from gapless.controller.events import Balance, Order
from gapless.controller.exchange import HistoryRow, MarketUpdate

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A sequence id or mark: what fits a signed 64-bit integer, as every store and language can hold it."""
RetryAfter = Annotated[float, Meta(ge=0, le=86_400)]
"""Seconds. More than a day is not a maintenance window but a mistake."""


class _Wire(Struct, frozen=True, tag_field="type"):
    """Base of the frames a server sends."""


class WelcomeFrame(_Wire, frozen=True, tag="WELCOME"):
    """The first frame of every connection."""

    epoch: str | None = None


class StreamName(Struct, frozen=True):
    """A stream, in acknowledgements with its mark."""

    channel: str
    symbol: str
    sequence_id: Id | None = None


class SubscribedFrame(_Wire, frozen=True, tag="SUBSCRIBED"):
    """Streams taken."""

    request_id: str | None = None
    streams: list[StreamName] | None = None


class UnsubscribedFrame(_Wire, frozen=True, tag="UNSUBSCRIBED"):
    """Streams ended."""

    request_id: str | None = None
    streams: list[StreamName] | None = None


class RejectedFrame(_Wire, frozen=True, tag="REJECTED"):
    """Streams refused."""

    request_id: str | None = None
    streams: list[StreamName] | None = None
    code: str = "unknown"
    message: str = ""


class PongFrame(_Wire, frozen=True, tag="PONG"):
    """The answer to a PING."""

    request_id: str


class MarketDataFrame(MarketUpdate, frozen=True, kw_only=True, gc=False, tag_field="type", tag="MARKET_DATA"):
    """Decodes straight into the neutral message: no copy on the hot path."""

    sequence_id: Id | None = None
    prev_sequence_id: Id | None = None


class OrderFrame(_Wire, frozen=True, tag="ORDER_UPDATE"):
    """An order changed."""

    order: Order
    sequence_id: Id | None = None


class BalanceFrame(_Wire, frozen=True, tag="BALANCE_UPDATE"):
    """A balance changed."""

    balance: Balance
    sequence_id: Id | None = None


class GoodbyeFrame(_Wire, frozen=True, tag="GOODBYE"):
    """A planned close."""

    reason: str = ""
    retry_after_s: RetryAfter = 0.0


Frame = (
    MarketDataFrame
    | PongFrame
    | WelcomeFrame
    | SubscribedFrame
    | UnsubscribedFrame
    | RejectedFrame
    | OrderFrame
    | BalanceFrame
    | GoodbyeFrame
)
TAGS: Final = frozenset(str(frame.__struct_config__.tag) for frame in get_args(Frame))


class Row(HistoryRow, frozen=True, kw_only=True):
    """A row of history."""

    sequence_id: Id | None = None


class Prices(Struct, frozen=True):
    """``GET /api/v1/prices``."""

    prices: list[Row]
    epoch: str | None = None
    first_seq: Id | None = None
    last_seq: Id | None = None


class Orders(Struct, frozen=True):
    """``GET /api/v1/orders``."""

    orders: list[Order]
    sequence_id: Id | None = None


class Balances(Struct, frozen=True):
    """``GET /api/v1/balance``."""

    balances: list[Balance]
    sequence_id: Id | None = None
