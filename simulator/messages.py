"""The messages on the wire, as `protocol.md` has them: what the exchange says, and what it understands.

A message is encoded once, when it happens, into a :class:`Frame` that every session shares. Only a failure strategy
that rewrites a message for one session pays for it.
"""

from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

ACCOUNT_SYMBOL = "*"
ORDERS = "orders"
BALANCE = "balance"
ACCOUNT_CHANNELS = (ORDERS, BALANCE)

RequestId: TypeAlias = str | int | None
"""Whatever the client chose; it is echoed."""


class StreamKey(msgspec.Struct, frozen=True, gc=False):
    """One stream of one channel, as a client names it."""

    channel: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol}"


class StreamMark(msgspec.Struct, frozen=True, gc=False):
    """A stream with the last id issued before its subscription (0: none yet)."""

    channel: str
    symbol: str
    sequence_id: int | UnsetType = UNSET
    """Absent in the literal form."""


# --- what a client says ---------------------------------------------------------------------------------------------


class Subscribe(msgspec.Struct, frozen=True, tag="SUBSCRIBE"):
    """Wants every id of these streams from now on."""

    streams: list[StreamKey]
    request_id: RequestId = None


class Unsubscribe(msgspec.Struct, frozen=True, tag="UNSUBSCRIBE"):
    """Wants no more of these streams."""

    streams: list[StreamKey]
    request_id: RequestId = None


class Ping(msgspec.Struct, frozen=True, tag="PING"):
    """Asks for a sign of life."""

    request_id: RequestId = None


ClientMessage: TypeAlias = Subscribe | Unsubscribe | Ping

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(Subscribe | Unsubscribe | Ping)


class MalformedMessageError(ValueError):
    """What a client sent is not a message of the protocol; the text says what was expected."""


def decode_client_message(text: str | bytes) -> ClientMessage:
    """Decode one text frame of a client.

    Raises:
        MalformedMessageError: it is binary, not JSON, of an unknown type, or a field is missing or wrong.
    """
    if isinstance(text, bytes):
        raise MalformedMessageError("expected a text frame, got a binary one")
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedMessageError(str(error)) from None


# --- what the exchange says -----------------------------------------------------------------------------------------


class PricePoint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One issued id of a market stream, exactly as a REST row shows it; ``timestamp`` is RFC 3339, UTC, in ms.

    In the literal form a REST row has no ``sequence_id``.
    """

    sequence_id: int | UnsetType
    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float
    quantity: float | UnsetType = UNSET
    trade_id: int | UnsetType = UNSET


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order as REST and ORDER_UPDATE show it."""

    order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    quantity: float
    price: float
    filled: float
    status: Literal["open", "partially_filled", "filled", "cancelled"]
    updated_at: str


class Balance(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one asset's balance is, as REST and BALANCE_UPDATE show it."""

    asset: str
    free: float
    locked: float


class Welcome(msgspec.Struct, frozen=True, tag="WELCOME", kw_only=True):
    """The first message on every connection."""

    session_id: str
    epoch: str | UnsetType = UNSET
    """Absent in the literal form."""
    server_time: str


class Subscribed(msgspec.Struct, frozen=True, tag="SUBSCRIBED", kw_only=True):
    """These streams are subscribed; everything above each mark is owed."""

    request_id: RequestId
    streams: list[StreamMark]


class Unsubscribed(msgspec.Struct, frozen=True, tag="UNSUBSCRIBED", kw_only=True):
    """These streams are not subscribed any more; the marks are the last ids issued."""

    request_id: RequestId
    streams: list[StreamMark]


class Rejected(msgspec.Struct, frozen=True, tag="REJECTED", kw_only=True):
    """These streams were refused, and why."""

    request_id: RequestId
    streams: list[StreamKey]
    code: str
    message: str


class Pong(msgspec.Struct, frozen=True, tag="PONG", kw_only=True):
    """The answer to a PING."""

    request_id: RequestId
    server_time: str


class MarketData(msgspec.Struct, frozen=True, tag="MARKET_DATA", kw_only=True):
    """One issued id of a market stream, as a socket shows it."""

    channel: str
    symbol: str
    sequence_id: int
    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float
    quantity: float | UnsetType = UNSET
    trade_id: int | UnsetType = UNSET


class OrderUpdate(msgspec.Struct, frozen=True, tag="ORDER_UPDATE", kw_only=True):
    """One issued id of the ``orders`` stream."""

    sequence_id: int
    order: Order


class BalanceUpdate(msgspec.Struct, frozen=True, tag="BALANCE_UPDATE", kw_only=True):
    """One issued id of the ``balance`` stream."""

    sequence_id: int
    balance: Balance


class Goodbye(msgspec.Struct, frozen=True, tag="GOODBYE", kw_only=True):
    """The connection is about to be closed on purpose."""

    reason: str
    retry_after_s: float


ServerMessage: TypeAlias = (
    Welcome | Subscribed | Unsubscribed | Rejected | Pong | MarketData | OrderUpdate | BalanceUpdate | Goodbye
)


class FieldNames(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the fields of a data message are called that a failure may spoil, and where in the message they are."""

    id: str = "sequence_id"
    price: str = "price"
    symbol: str = "symbol"
    type: str = "type"
    within: tuple[str | int, ...] = ()
    """The way down to them, such as ``("data",)``, or ``("params", "data", 0)``; empty: they are on top."""
    type_within: tuple[str | int, ...] | None = None
    """The way to the type, where it is not beside the others; None: it is."""


REFERENCE_FIELDS = FieldNames()


class Frame(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An encoded message with what a failure strategy needs to choose by. ``stream`` is None unless it is data.

    Whatever the language, ``type`` is what the reference protocol would call it: ``SUBSCRIBED``, ``MARKET_DATA``.
    """

    type: str
    text: str
    stream: StreamKey | None = None
    sequence_id: int = 0
    fields: FieldNames = REFERENCE_FIELDS
    begun: tuple[StreamKey, ...] = ()
    """The streams that an acknowledgement begins."""
    further_ids: tuple[int, ...] = ()
    """The ids of a batch beside ``sequence_id``, which is its first."""


_encoder = msgspec.json.Encoder()


def encode(message: ServerMessage, stream: StreamKey | None = None, sequence_id: int = 0) -> Frame:
    """Encode one message. ``stream`` and ``sequence_id`` mark it as data."""
    begun = (StreamKey(m.channel, m.symbol) for m in message.streams) if isinstance(message, Subscribed) else ()
    return Frame(
        type=str(type(message).__struct_config__.tag),
        text=_encoder.encode(message).decode(),
        stream=stream,
        sequence_id=sequence_id,
        begun=tuple(begun),
    )


def rfc3339(unix_s: float) -> str:
    """Unix seconds as ``2026-01-01T00:00:00.000Z``; the fixed width makes such strings sort by time."""
    unix_ms = round(unix_s * 1000)
    instant = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=unix_ms % 1000 * 1000, tzinfo=None)
    return instant.isoformat(timespec="milliseconds") + "Z"
