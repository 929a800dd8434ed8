"""What Kraken writes: frames of WebSocket v2 and rows of REST.

Sources: "WebSocket v2" and "Get Recent Trades" of the public documentation; fields, order and kinds of texts agree with
the recorded frames and page. Prices and quantities on the socket are JSON numbers with the digits of the trade.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from gapless.simulator.messages import FieldNames, Frame, StreamKey
from gapless.simulator.venues.trade import Side, VenueTrade, json_number

TRADE: Final = "trade"
"""The channel."""
SNAPSHOT_SIZE: Final = 50
"""Trades of a snapshot; documented."""
LIMIT_ORDERS: Final = 3
"""One trade in so many is a limit order's: the venue says which, and a generated market has to say something."""

System: TypeAlias = Literal["online", "maintenance"]
_encoder: Final = msgspec.json.Encoder()


class TradeEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One trade of a frame. ``side`` is the taker's."""

    symbol: str
    side: Side
    price: msgspec.Raw
    qty: msgspec.Raw
    ord_type: Literal["limit", "market"]
    trade_id: int
    timestamp: str


class TradeMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Trades of one pair, oldest first."""

    channel: str = TRADE
    type: Literal["snapshot", "update"]
    data: list[TradeEntry]


class SystemStatus(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of the trading engine, and the versions."""

    version: str = "2.0.10"
    system: System
    api_version: str = "v2"
    connection_id: int


class StatusMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Said first on every connection, and when the state changes."""

    channel: str = "status"
    type: str = "update"
    data: list[SystemStatus]


class Heartbeat(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nothing but a sign of life."""

    channel: str = "heartbeat"


class Subscribed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an acknowledgement is of."""

    channel: str
    symbol: str
    snapshot: bool | UnsetType = UNSET


class Acknowledgement(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One for each pair of a request."""

    method: str
    result: Subscribed
    success: bool = True
    time_in: str
    time_out: str
    req_id: int | UnsetType = UNSET


class Refused(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What was wrong with a request, or with one of its pairs."""

    error: str
    method: str | UnsetType = UNSET
    success: bool = False
    symbol: str | UnsetType = UNSET
    time_in: str
    time_out: str
    req_id: int | UnsetType = UNSET


class Pong(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The answer to a ping."""

    method: str = "pong"
    req_id: int | UnsetType = UNSET
    time_in: str
    time_out: str


Spoken: TypeAlias = StatusMessage | Heartbeat | Acknowledgement | Refused | Pong


def entry(trade: VenueTrade) -> TradeEntry:
    """A trade as the socket shows it."""
    return TradeEntry(
        symbol=trade.symbol,
        side=trade.side,
        price=json_number(trade.price),
        qty=json_number(trade.amount),
        ord_type=order_type(trade),
        trade_id=trade.trade_id,
        timestamp=microseconds(trade.time_ns),
    )


def trades_frame(trades: Sequence[VenueTrade], kind: Literal["snapshot", "update"] = "update") -> Frame:
    """A batch of one pair, to be sent. Of a larger one any may be the trade that a failure spoils."""
    message = TradeMessage(type=kind, data=[entry(trade) for trade in trades])
    first = trades[0]
    spoilt = first.trade_id % len(trades)
    return Frame(
        type="MARKET_DATA",
        text=_encoder.encode(message).decode(),
        stream=StreamKey(TRADE, first.symbol),
        sequence_id=first.trade_id,
        further_ids=tuple(trade.trade_id for trade in trades[1:]),
        fields=FieldNames(id="trade_id", type="channel", within=("data", spoilt), type_within=()),
    )


def spoken(kind: str, message: Spoken, *begun: StreamKey) -> Frame:
    """What is no market data; ``kind`` is what the reference protocol would call it."""
    return Frame(type=kind, text=_encoder.encode(message).decode(), begun=begun)


def status_frame(kind: str, system: System, connection_id: int) -> Frame:
    """The state of the trading engine."""
    return spoken(kind, StatusMessage(data=[SystemStatus(system=system, connection_id=connection_id)]))


def order_type(trade: VenueTrade) -> Literal["limit", "market"]:
    """The taker's, derived from the id: the same on the socket and over REST."""
    return "limit" if trade.trade_id % LIMIT_ORDERS == 0 else "market"


def trade_row(trade: VenueTrade, price_decimals: int | None) -> list[str | float | int]:
    """A trade as REST shows it: price, volume, seconds, buy or sell, market or limit, miscellaneous, id."""
    price = trade.price if price_decimals is None else _padded(trade.price, price_decimals)
    seconds, rest = divmod(trade.time_ns, 1_000_000_000)
    time_s = float(f"{seconds}.{rest:09d}")  # the float nearest to it, which a division would miss
    return [price, trade.amount, time_s, trade.side[0], order_type(trade)[0], "", trade.trade_id]


def microseconds(ns: int) -> str:
    """Unix nanoseconds as ``2023-09-25T07:48:36.925533Z``, cut to the microsecond."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000:06d}Z"


def _padded(text: str, decimals: int) -> str:
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(decimals, '0')}" if decimals or fraction else whole
