"""What Coinbase Exchange writes: feed messages and REST rows. Field order is the documented one.

Sources: "WebSocket Channels" and "Get product's trades" of the public documentation; fields, order and texts of a match
agree with the recorded session.
"""

import uuid
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from gapless.simulator.messages import FieldNames, Frame, StreamKey
from gapless.simulator.venues.trade import Side, VenueTrade

_encoder: Final = msgspec.json.Encoder()
_ORDERS: Final = uuid.UUID("5a3c2a6e-5d0c-4a38-9a55-2f3d0c7be001")
"""Order ids are derived from trade ids in this namespace: the same run, the same ids."""
_MATCH: Final = FieldNames(id="trade_id", price="price", symbol="product_id", type="type")
MAKER: Final[dict[Side, Side]] = {"buy": "sell", "sell": "buy"}
"""The venue names the maker's side: a taker that buys meets a maker that sells."""


class Match(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A trade, live or the last one before a subscription."""

    type: Literal["match", "last_match"]
    trade_id: int
    maker_order_id: str
    taker_order_id: str
    side: Side
    size: str
    price: str
    product_id: str
    sequence: int
    time: str


class Heartbeat(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Once a second and product: how far it has come. 0: there was no trade yet."""

    type: str = "heartbeat"
    sequence: int
    last_trade_id: int
    product_id: str
    time: str


class Channel(msgspec.Struct, frozen=True, gc=False):
    """One channel with all its subscribed products."""

    name: str
    product_ids: list[str]


class Subscriptions(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that a connection has subscribed; the answer to subscribe and unsubscribe."""

    type: str = "subscriptions"
    channels: list[Channel]


class ErrorMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What was wrong with a message."""

    type: Literal["error"]
    message: str
    reason: str = ""


class TradeRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of ``/products/<id>/trades``."""

    time: str
    trade_id: int
    price: str
    size: str
    side: Side


def match_of(trade: VenueTrade, kind: Literal["match", "last_match"] = "match") -> Match:
    """A trade as the feed shows it."""
    return Match(
        type=kind,
        trade_id=trade.trade_id,
        maker_order_id=_order_id(trade, "maker"),
        taker_order_id=_order_id(trade, "taker"),
        side=MAKER[trade.side],
        size=trade.amount,
        price=trade.price,
        product_id=trade.symbol,
        sequence=trade.sequence,
        time=microseconds(trade.time_ns),
    )


def match_frame(trade: VenueTrade, kind: Literal["match", "last_match"] = "match") -> Frame:
    """The same, to be sent."""
    text = _encoder.encode(match_of(trade, kind)).decode()
    key = StreamKey("matches", trade.symbol)
    return Frame(type="MARKET_DATA", text=text, stream=key, sequence_id=trade.trade_id, fields=_MATCH)


def heartbeat_frame(symbol: str, last: VenueTrade, now_ns: int) -> Frame:
    """A high-water mark. It is no market data to the failures: what drops matches leaves it alone."""
    beat = Heartbeat(
        sequence=last.sequence,
        last_trade_id=last.trade_id,
        product_id=symbol,
        time=microseconds(now_ns),
    )
    return Frame(type="HEARTBEAT", text=_encoder.encode(beat).decode())


def spoken(kind: str, message: Subscriptions | ErrorMessage, *begun: StreamKey) -> Frame:
    """What is no market data; ``kind`` is what the reference protocol would call it."""
    return Frame(type=kind, text=_encoder.encode(message).decode(), begun=begun)


def trade_row(trade: VenueTrade, decimals: int | None) -> TradeRow:
    """A trade as REST shows it, padded to so many decimals."""
    return TradeRow(
        time=microseconds(trade.time_ns),
        trade_id=trade.trade_id,
        price=padded(trade.price, decimals),
        size=padded(trade.amount, decimals),
        side=MAKER[trade.side],
    )


def padded(text: str, decimals: int | None) -> str:
    """At least so many decimals; the value stays."""
    if decimals is None:
        return text
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole


def microseconds(ns: int) -> str:
    """Unix nanoseconds as ``2021-04-17T16:44:06.654322Z``, cut to the microsecond."""
    instant = datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns // 1_000 % 1_000_000, tzinfo=None)
    return instant.isoformat(timespec="microseconds") + "Z"


def _order_id(trade: VenueTrade, whose: str) -> str:
    return str(uuid.uuid5(_ORDERS, f"{trade.symbol}/{trade.trade_id}/{whose}"))
