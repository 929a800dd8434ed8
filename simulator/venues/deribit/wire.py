"""What Deribit writes: JSON-RPC answers and notifications, and trades, which are alike on the socket and over HTTP.

Sources: "JSON-RPC", "Notifications" and "public/get_last_trades_by_instrument" of the public documentation; fields and
kinds of values agree with the recorded frames and page. Prices and amounts are numbers with the digits of the trade.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from gapless.simulator.messages import FieldNames, Frame, StreamKey
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import Side, VenueTrade, json_number

TRADES: Final = "trades"
"""The channel's first word."""
INTERVAL: Final = "100ms"
"""Its last: how long trades are collected."""
IDS_AHEAD: Final = 132_438_970
"""How far trade ids are ahead of an instrument's numbers. At the venue all instruments of a currency share them."""
CONTRACT_SIZES: Final = {"BTC": 10, "ETH": 1}
"""Units of a contract, by currency; 1 elsewhere."""

TICK_DIRECTIONS: Final[dict[Side, int]] = {"buy": 0, "sell": 2}

METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
TOO_MANY_REQUESTS: Final = 10028
NOT_FOUND: Final = 13020
RAW_NOT_AVAILABLE: Final = 13778
"""The codes of errors; JSON-RPC's own, and the venue's beyond."""

RequestId: TypeAlias = int | str
_encoder: Final = msgspec.json.Encoder()


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One trade. ``direction`` is the taker's; ``tick_direction`` is 0 where the price rose, 2 where it fell."""

    timestamp: int
    price: msgspec.Raw
    amount: msgspec.Raw
    direction: Side
    index_price: msgspec.Raw
    instrument_name: str
    trade_seq: int
    mark_price: msgspec.Raw
    tick_direction: int
    contracts: msgspec.Raw
    trade_id: str


class TradesParams(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a notification of trades carries."""

    channel: str
    data: list[Trade]


class TradesNotification(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Trades of one instrument, oldest first."""

    jsonrpc: str = "2.0"
    method: str = "subscription"
    params: TradesParams


class HeartbeatParams(msgspec.Struct, frozen=True, gc=False):
    """A sign of life, or the wish for one."""

    type: Literal["heartbeat", "test_request"]


class HeartbeatNotification(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Likewise."""

    jsonrpc: str = "2.0"
    method: str = "heartbeat"
    params: HeartbeatParams


class RpcError(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What was wrong."""

    code: int
    message: str
    data: dict[str, str] | UnsetType | None = UNSET


class Answer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """To one request: a result or an error, and when it came and went, in microseconds."""

    jsonrpc: str = "2.0"
    id: RequestId | UnsetType = UNSET
    result: Any = UNSET
    error: RpcError | UnsetType = UNSET
    testnet: bool | UnsetType = UNSET
    usIn: int | UnsetType = UNSET  # noqa: N815 (the wire's name)
    usOut: int | UnsetType = UNSET  # noqa: N815
    usDiff: int | UnsetType = UNSET  # noqa: N815


TOO_MANY: Final = RpcError(code=TOO_MANY_REQUESTS, message="too_many_requests", data=None)


class TradesPage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The result of ``public/get_last_trades_by_instrument``."""

    trades: list[Trade]
    has_more: bool


def answered(market: VenueMarket, us_in: int, request_id: RequestId | None, result: object) -> Answer:
    """A result with its times."""
    us_out = microseconds(market)
    return Answer(
        id=UNSET if request_id is None else request_id,
        result=result,
        testnet=False,
        usIn=us_in,
        usOut=us_out,
        usDiff=us_out - us_in,
    )


def refused(market: VenueMarket, us_in: int, request_id: RequestId | None, error: RpcError) -> Answer:
    """An error with its times; without them where it is a limit that answers, as recorded."""
    name = UNSET if request_id is None else request_id
    if error.code == TOO_MANY_REQUESTS:
        return Answer(id=name, error=error)
    us_out = microseconds(market)
    return Answer(id=name, error=error, testnet=False, usIn=us_in, usOut=us_out, usDiff=us_out - us_in)


def encoded(body: object) -> bytes:
    """As JSON."""
    return _encoder.encode(body)


def spoken(kind: str, message: Answer | HeartbeatNotification, *begun: StreamKey) -> Frame:
    """What is no market data; ``kind`` is what the reference protocol would call it."""
    return Frame(type=kind, text=_encoder.encode(message).decode(), begun=begun)


def channel_name(instrument: str) -> str:
    """``trades.BTC-PERPETUAL.100ms``."""
    return f"{TRADES}.{instrument}.{INTERVAL}"


def microseconds(market: VenueMarket) -> int:
    """Now, as the venue takes it."""
    return market.shown_ns() // 1_000


def trades_frame(trades: Sequence[VenueTrade]) -> Frame:
    """A batch of one instrument, to be sent. Of a larger one any may be the trade that a failure spoils."""
    first = trades[0]
    data = [trade_of(trade) for trade in trades]
    message = TradesNotification(params=TradesParams(channel=channel_name(first.symbol), data=data))
    return Frame(
        type="MARKET_DATA",
        text=_encoder.encode(message).decode(),
        stream=StreamKey(TRADES, first.symbol),
        sequence_id=first.trade_id,
        further_ids=tuple(trade.trade_id for trade in trades[1:]),
        fields=FieldNames(
            id="trade_seq",
            symbol="instrument_name",
            type="method",
            within=("params", "data", first.trade_id % len(trades)),
            type_within=(),
        ),
    )


def trade_of(trade: VenueTrade) -> Trade:
    """A trade as the venue shows it. Index and mark are the price itself, and who buys is taken to lift it."""
    currency = trade.symbol.partition("-")[0].partition("_")[0]
    number = trade.trade_id + IDS_AHEAD
    price = json_number(trade.price)
    return Trade(
        timestamp=trade.time_ns // 1_000_000,
        price=price,
        amount=json_number(trade.amount),
        direction=trade.side,
        index_price=price,
        instrument_name=trade.symbol,
        trade_seq=trade.trade_id,
        mark_price=price,
        tick_direction=TICK_DIRECTIONS[trade.side],
        contracts=json_number(_number(Decimal(trade.amount) / CONTRACT_SIZES.get(currency, 1))),
        trade_id=str(number) if currency == "BTC" else f"{currency}-{number}",
    )


def _number(value: Decimal) -> str:
    text = format(value, "f")
    if "." not in text:
        return text + ".0"
    return text.rstrip("0") + ("0" if text.rstrip("0").endswith(".") else "")
