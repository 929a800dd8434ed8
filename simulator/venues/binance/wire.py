"""What Binance spot writes: stream events, answers to requests, REST rows. Field order is the documented one.

Sources: "WebSocket Streams for Binance" and "General endpoints / Market data endpoints" of the public documentation;
the field names, orders and texts of trades agree with the recorded session.
"""

from decimal import ROUND_DOWN, Decimal
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from gapless.simulator.messages import FieldNames, Frame, StreamKey
from gapless.simulator.venues.binance.aggregates import Aggregate
from gapless.simulator.venues.trade import VenueTrade

RequestId: TypeAlias = int | str | None
"""Whatever the client chose; it is echoed."""

_encoder: Final = msgspec.json.Encoder()


class TradeEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``<symbol>@trade``. ``m``: the buyer was the maker, so the taker sold."""

    e: str = "trade"
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool = True


class AggregateEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``<symbol>@aggTrade``: trades ``f`` to ``l`` of one taker order at one price."""

    e: str = "aggTrade"
    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 (the wire's name)
    T: int
    m: bool
    M: bool = True


class BookTickerEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``<symbol>@bookTicker``: it has neither a type nor a time."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class ShutdownEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The server is about to go."""

    e: str = "serverShutdown"
    E: int


StreamEvent: TypeAlias = TradeEvent | AggregateEvent | BookTickerEvent


class Combined(msgspec.Struct, frozen=True, gc=False):
    """An event on ``/stream``."""

    stream: str
    data: StreamEvent


class Answer(msgspec.Struct, frozen=True, gc=False):
    """To a request that was understood."""

    result: list[str] | bool | None
    id: RequestId


class ErrorDetail(msgspec.Struct, frozen=True, gc=False):
    """What was wrong with a request."""

    code: int
    msg: str


class Refused(msgspec.Struct, frozen=True, gc=False):
    """To one that was not."""

    error: ErrorDetail
    id: RequestId


class RefusedFlat(msgspec.Struct, frozen=True, gc=False):
    """The same in the form of the older documentation."""

    code: int
    msg: str
    id: RequestId | UnsetType = UNSET


class TradeRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of ``/api/v3/trades`` and ``/api/v3/historicalTrades``."""

    id: int
    price: str
    qty: str
    quoteQty: str  # noqa: N815 (the wire's name)
    time: int
    isBuyerMaker: bool  # noqa: N815
    isBestMatch: bool = True  # noqa: N815


class AggregateRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of ``/api/v3/aggTrades``."""

    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 (the wire's name)
    T: int
    m: bool
    M: bool = True


_TRADE: Final = FieldNames(id="t", price="p", symbol="s", type="e")
_AGGREGATE: Final = FieldNames(id="a", price="p", symbol="s", type="e")
_BOOK_TICKER: Final = FieldNames(id="u", price="b", symbol="s", type="e")
_NAMES: Final[dict[type, FieldNames]] = {
    TradeEvent: _TRADE,
    AggregateEvent: _AGGREGATE,
    BookTickerEvent: _BOOK_TICKER,
}
_COMBINED_NAMES: Final = {kind: msgspec.structs.replace(names, within=("data",)) for kind, names in _NAMES.items()}


def data_frame(event: StreamEvent, key: StreamKey, number: int, *, combined: bool) -> Frame:
    """An event on one of the two kinds of path."""
    kind = type(event)
    if combined:
        text = _encoder.encode(Combined(stream_name(key), event)).decode()
        return Frame(type="MARKET_DATA", text=text, stream=key, sequence_id=number, fields=_COMBINED_NAMES[kind])
    text = _encoder.encode(event).decode()
    return Frame(type="MARKET_DATA", text=text, stream=key, sequence_id=number, fields=_NAMES[kind])


def spoken(kind: str, message: Answer | Refused | RefusedFlat | ShutdownEvent, *begun: StreamKey) -> Frame:
    """What is no market data; ``kind`` is what the reference protocol would call it."""
    return Frame(type=kind, text=_encoder.encode(message).decode(), begun=begun)


def stream_name(key: StreamKey) -> str:
    """``btcusdt@trade``."""
    return f"{key.symbol.lower()}@{key.channel}"


def milliseconds(ns: int) -> int:
    """Binance's usual unit of time."""
    return ns // 1_000_000


def trade_event(trade: VenueTrade, now_ns: int) -> TradeEvent:
    """A trade as its stream shows it."""
    return TradeEvent(
        E=milliseconds(trade.event_ns or max(now_ns, trade.time_ns)),
        s=trade.symbol,
        t=trade.trade_id,
        p=trade.price,
        q=trade.amount,
        T=milliseconds(trade.time_ns),
        m=trade.side == "sell",
    )


def aggregate_event(symbol: str, row: Aggregate, now_ns: int) -> AggregateEvent:
    """An aggregate as its stream shows it."""
    return AggregateEvent(
        E=milliseconds(max(now_ns, row.time_ns)),
        s=symbol,
        a=row.number,
        p=row.price,
        q=row.amount,
        f=row.first_id,
        l=row.last_id,
        T=milliseconds(row.time_ns),
        m=row.side == "sell",
    )


def trade_row(trade: VenueTrade) -> TradeRow:
    """A trade as REST shows it."""
    quote = (Decimal(trade.price) * Decimal(trade.amount)).quantize(Decimal("1e-8"), ROUND_DOWN)
    return TradeRow(
        id=trade.trade_id,
        price=trade.price,
        qty=trade.amount,
        quoteQty=format(quote, "f"),
        time=milliseconds(trade.time_ns),
        isBuyerMaker=trade.side == "sell",
    )


def aggregate_row(row: Aggregate) -> AggregateRow:
    """An aggregate as REST shows it."""
    return AggregateRow(
        a=row.number,
        p=row.price,
        q=row.amount,
        f=row.first_id,
        l=row.last_id,
        T=milliseconds(row.time_ns),
        m=row.side == "sell",
    )
