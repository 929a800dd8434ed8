"""The reference exchange: the wire format that ``gapless simulate`` speaks (``docs/protocol.md``)."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar, get_args
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from msgspec import Meta, Struct

from gapless.controller.errors import ConfigurationError, InvalidMessageError, InvalidReplyError
from gapless.controller.events import Balance, Order
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HistoryPage,
    HistoryQuery,
    HistoryRow,
    Ignored,
    MarketUpdate,
    Message,
    Pong,
    Rejected,
    RestReply,
    Snapshot,
    Subscribed,
    Welcome,
)
from gapless.controller.stream import Stream

_T = TypeVar("_T")

ORDERS: Final = Stream("orders", "*")
BALANCE: Final = Stream("balance", "*")

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A sequence id or mark: what fits a signed 64-bit integer, as every store and language can hold it."""
RetryAfter = Annotated[float, Meta(ge=0, le=86_400)]
"""Seconds. More than a day is not a maintenance window but a mistake."""


_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a hostile text makes msgspec raise: bad JSON or types, lone surrogates, ten thousand nested brackets."""


class _Wire(Struct, frozen=True, tag_field="type"):
    """Base of the frames a server sends."""


class _WelcomeFrame(_Wire, frozen=True, tag="WELCOME"):
    epoch: str | None = None


class _StreamName(Struct, frozen=True):
    channel: str
    symbol: str
    sequence_id: Id | None = None


class _SubscribedFrame(_Wire, frozen=True, tag="SUBSCRIBED"):
    request_id: str | None = None
    streams: list[_StreamName] | None = None


class _UnsubscribedFrame(_Wire, frozen=True, tag="UNSUBSCRIBED"):
    pass


class _RejectedFrame(_Wire, frozen=True, tag="REJECTED"):
    request_id: str | None = None
    streams: list[_StreamName] | None = None
    code: str = "unknown"
    message: str = ""


class _PongFrame(_Wire, frozen=True, tag="PONG"):
    request_id: str


class _MarketDataFrame(MarketUpdate, frozen=True, kw_only=True, tag_field="type", tag="MARKET_DATA"):
    """Decodes straight into the neutral message: no copy on the hot path."""

    sequence_id: Id | None = None


class _OrderFrame(_Wire, frozen=True, tag="ORDER_UPDATE"):
    order: Order
    sequence_id: Id | None = None


class _BalanceFrame(_Wire, frozen=True, tag="BALANCE_UPDATE"):
    balance: Balance
    sequence_id: Id | None = None


class _GoodbyeFrame(_Wire, frozen=True, tag="GOODBYE"):
    reason: str = ""
    retry_after_s: RetryAfter = 0.0


_Frame = (
    _MarketDataFrame
    | _PongFrame
    | _WelcomeFrame
    | _SubscribedFrame
    | _UnsubscribedFrame
    | _RejectedFrame
    | _OrderFrame
    | _BalanceFrame
    | _GoodbyeFrame
)
_TAGS: Final = frozenset(str(frame.__struct_config__.tag) for frame in get_args(_Frame))


class _AnyFrame(Struct, frozen=True):
    type: str


class _Row(HistoryRow, frozen=True, kw_only=True):
    sequence_id: Id | None = None


class _Prices(Struct, frozen=True):
    prices: list[_Row]
    epoch: str | None = None
    first_seq: Id | None = None
    last_seq: Id | None = None


class _Orders(Struct, frozen=True):
    orders: list[Order]
    sequence_id: Id | None = None


class _Balances(Struct, frozen=True):
    balances: list[Balance]
    sequence_id: Id | None = None


class ReferenceExchange:
    """Speaks the reference wire format.

    Args:
        ws_url: ``ws://HOST:PORT/ws`` or ``wss://...``; a missing path means ``/ws``.
        rest_url: ``http://HOST:PORT`` or ``https://...``.
        session_id: kept over reconnects, so that the server recognises the session.
    """

    def __init__(self, *, ws_url: str, rest_url: str, session_id: str) -> None:
        if not session_id or not session_id.isascii() or not session_id.isprintable():
            raise ConfigurationError(f"session_id = {session_id!r} is not allowed: expected printable ASCII")
        ws = _checked_url("ws_url", ws_url, ("ws", "wss"))
        rest = _checked_url("rest_url", rest_url, ("http", "https"))
        if rest.query or rest.fragment:
            raise ConfigurationError(f"rest_url = {rest_url!r} is not allowed: expected neither a query nor a fragment")
        query = dict(parse_qsl(ws.query))
        query.setdefault("session_id", session_id)
        path = ws.path if ws.path not in {"", "/"} else "/ws"
        self.websocket_url: str = urlunsplit((ws.scheme, ws.netloc, path, urlencode(query), ""))
        self.rest_host: str = rest.netloc
        self._rest_url = urlunsplit((rest.scheme, rest.netloc, rest.path.rstrip("/"), "", ""))
        self.page_rows_max: int = 1000
        self._headers = {"X-Session-Id": query["session_id"], "Accept": "application/json"}
        self._frames: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
        self._any_frame = msgspec.json.Decoder(_AnyFrame)
        self._prices = msgspec.json.Decoder(_Prices)
        self._orders = msgspec.json.Decoder(_Orders)
        self._balances = msgspec.json.Decoder(_Balances)

    def check(self, stream: Stream) -> None:
        """Account channels have the symbol ``*``."""
        for account in (ORDERS, BALANCE):
            if stream.channel == account.channel and stream != account:
                raise ConfigurationError(f"channel {stream.channel} has the symbol *, got {stream.symbol!r}")

    def is_account(self, stream: Stream) -> bool:
        """Channels ``orders`` and ``balance``."""
        return stream in (ORDERS, BALANCE)

    def has_history(self, stream: Stream) -> bool:
        """Every market stream has one."""
        return not self.is_account(stream)

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """One SUBSCRIBE frame for all."""
        names = [{"channel": stream.channel, "symbol": stream.symbol} for stream in streams]
        return [_text({"type": "SUBSCRIBE", "request_id": request_id, "streams": names})]

    def ping(self, request_id: str) -> str:
        """The application's PING."""
        return _text({"type": "PING", "request_id": request_id})

    def decode(self, frame: str | bytes) -> Message:
        """What a frame means; unknown fields and types are ignored."""
        try:
            wire = self._frames.decode(frame)
        except _UNDECODABLE as error:
            return Ignored(kind=self._unknown_type(frame, error))
        if type(wire) is _MarketDataFrame:
            return wire
        return _neutral(wire)

    def _unknown_type(self, frame: str | bytes, error: Exception) -> str:
        """The type of a well-formed message that is not ours to understand.

        Raises:
            InvalidMessageError: it is malformed, or of a type we know.
        """
        try:
            kind = self._any_frame.decode(frame).type
        except _UNDECODABLE:
            raise InvalidMessageError(f"expected a JSON object with a type: {error}") from None
        if kind in _TAGS:
            raise InvalidMessageError(f"malformed {kind}: {error}") from None
        return kind

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /api/v1/prices``."""
        params: dict[str, str] = {"symbol": query.stream.symbol, "channel": query.stream.channel}
        optional = {"start": query.start, "end": query.end, "start_seq": query.start_seq, "end_seq": query.end_seq}
        params |= {name: str(value) for name, value in optional.items() if value is not None}
        params["limit"] = str(query.limit)
        return httpx.Request("GET", f"{self._rest_url}/api/v1/prices", params=params, headers=self._headers)

    def decode_history(self, reply: RestReply) -> HistoryPage:
        """``{"prices": [...], "epoch": ..., "first_seq": ..., "last_seq": ...}``; all but ``prices`` optional."""
        page = _decoded(self._prices, reply)
        return HistoryPage(rows=page.prices, epoch=page.epoch, first_seq=page.first_seq, last_seq=page.last_seq)

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """``GET /api/v1/orders`` or ``GET /api/v1/balance``."""
        return httpx.Request("GET", f"{self._rest_url}/api/v1/{stream.channel}", headers=self._headers)

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:
        """``{"orders": [...], "sequence_id": 7}`` or ``{"balances": [...], "sequence_id": 3}``."""
        if stream == ORDERS:
            orders = _decoded(self._orders, reply)
            return Snapshot(contents=orders.orders, sequence_id=orders.sequence_id)
        balances = _decoded(self._balances, reply)
        return Snapshot(contents=balances.balances, sequence_id=balances.sequence_id)


def _neutral(wire: _Frame) -> Message:  # one line per frame type reads best
    match wire:
        case _PongFrame():
            return Pong(request_id=wire.request_id)
        case _OrderFrame():
            return AccountUpdate(stream=ORDERS, sequence_id=wire.sequence_id, content=wire.order)
        case _BalanceFrame():
            return AccountUpdate(stream=BALANCE, sequence_id=wire.sequence_id, content=wire.balance)
        case _WelcomeFrame():
            return Welcome(epoch=wire.epoch)
        case _SubscribedFrame():
            return Subscribed(request_id=wire.request_id, marks=_marks(wire.streams))
        case _RejectedFrame():
            streams = None if wire.streams is None else list(_marks(wire.streams) or ())
            return Rejected(request_id=wire.request_id, streams=streams, code=wire.code, message=wire.message)
        case _GoodbyeFrame():
            return Goodbye(reason=wire.reason, retry_after_s=wire.retry_after_s)
        case _MarketDataFrame():
            return wire
        case _UnsubscribedFrame():
            return Ignored(kind="UNSUBSCRIBED")


def _marks(names: Sequence[_StreamName] | None) -> dict[Stream, int | None] | None:
    if names is None:
        return None
    try:
        return {Stream(name.channel, name.symbol): name.sequence_id for name in names}
    except ConfigurationError as error:
        raise InvalidMessageError(str(error)) from None


def _decoded(decoder: "msgspec.json.Decoder[_T]", reply: RestReply) -> _T:
    try:
        return decoder.decode(reply.body)
    except _UNDECODABLE as error:
        start = reply.body[:40].decode("utf-8", "replace")
        raise InvalidReplyError(f"{error}; the body begins {start!r}") from None


def _text(message: object) -> str:
    return msgspec.json.encode(message).decode()


def _checked_url(name: str, url: str, schemes: tuple[str, str]) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ConfigurationError(f"{name} = {url!r} is not a URL: {error}") from None
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ConfigurationError(f"{name} = {url!r} is not a URL: it has blanks or control characters")
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        allowed = f"{schemes[0]}://HOST:PORT or {schemes[1]}://HOST:PORT"
        raise ConfigurationError(f"{name} = {url!r} is not allowed: expected {allowed}")
    return parts
