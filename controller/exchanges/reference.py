"""The reference exchange: the wire format that ``gapless simulate`` speaks (``docs/protocol.md``)."""

from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlunsplit

import httpx
import msgspec

from gapless.controller.errors import ConfigurationError, InvalidMessageError, InvalidReplyError
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HistoryPage,
    HistoryQuery,
    Ignored,
    Message,
    Pong,
    Rejected,
    ReplyReading,
    RestReply,
    Snapshot,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from gapless.controller.exchanges.addresses import checked_url, in_ascii
from gapless.controller.exchanges.base import BaseExchange, outcome_of
from gapless.controller.exchanges.reference_wire import (
    TAGS,
    BalanceFrame,
    Balances,
    Frame,
    GoodbyeFrame,
    MarketDataFrame,
    OrderFrame,
    Orders,
    PongFrame,
    Prices,
    RejectedFrame,
    StreamName,
    SubscribedFrame,
    UnsubscribedFrame,
    WelcomeFrame,
)
from gapless.controller.exchanges.texts import unknown_type
from gapless.controller.stream import Stream

_T = TypeVar("_T")

ORDERS: Final = Stream("orders", "*")
BALANCE: Final = Stream("balance", "*")

_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a hostile text makes msgspec raise: bad JSON or types, lone surrogates, ten thousand nested brackets."""
_FRAMES: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)
_PRICES: Final = msgspec.json.Decoder(Prices)
_ORDERS: Final = msgspec.json.Decoder(Orders)
_BALANCES: Final = msgspec.json.Decoder(Balances)


class ReferenceExchange(BaseExchange):
    """Speaks the reference wire format.

    Args:
        ws_url: ``ws://HOST:PORT/ws`` or ``wss://...``; a missing path means ``/ws``. A query is kept as it is; a
            ``session_id`` in it goes over the argument.
        rest_url: ``http://HOST:PORT`` or ``https://...``.
        session_id: kept over reconnects, so that the server recognises the session.
    """

    name = "reference"
    history_by_time = True
    ids_restart = True
    """In the literal form, which has no epochs."""

    def __init__(self, *, ws_url: str, rest_url: str, session_id: str) -> None:
        ws = checked_url("ws_url", ws_url, ("ws", "wss"))
        rest = checked_url("rest_url", rest_url, ("http", "https"))
        if rest.query or rest.fragment:
            raise ConfigurationError(f"rest_url = {rest_url!r} is not allowed: expected neither a query nor a fragment")
        if "#" in ws_url:
            raise ConfigurationError(f"ws_url = {ws_url!r} is not allowed: expected no fragment")
        named = [value for name, value in parse_qsl(ws.query, keep_blank_values=True) if name == "session_id"]
        session_id = _checked_session_id([session_id, *named])
        query = [in_ascii(ws.query)] if ws.query else []
        if not named:
            query.append(urlencode({"session_id": session_id}))
        path = in_ascii(ws.path) if ws.path not in {"", "/"} else "/ws"
        super().__init__(
            ws_url=urlunsplit((ws.scheme, ws.netloc, path, "&".join(query), "")),
            rest_url=rest_url,
        )
        self._headers = {"X-Session-Id": session_id, "Accept": "application/json"}
        # A subclass that reads frames in a way of its own is asked for each of them.
        decodes_plainly = type(self).decode is ReferenceExchange.decode
        self.market_decoder: msgspec.json.Decoder[Frame] | None = _FRAMES if decodes_plainly else None

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
        return [_streams_frame("SUBSCRIBE", streams, request_id)]

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """One UNSUBSCRIBE frame for all."""
        return [_streams_frame("UNSUBSCRIBE", streams, request_id)]

    def ping(self, request_id: str) -> str:
        """The application's PING."""
        return _text({"type": "PING", "request_id": request_id})

    def decode(self, frame: str | bytes) -> Message:
        """What a frame means; unknown fields and types are ignored."""
        try:
            wire = _FRAMES.decode(frame)
        except _UNDECODABLE as error:
            return Ignored(kind=unknown_type(frame, error, TAGS))
        if type(wire) is MarketDataFrame:
            return wire
        return _neutral(wire)

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /api/v1/prices``."""
        params: dict[str, str] = {"symbol": query.stream.symbol, "channel": query.stream.channel}
        optional = {"start": query.start, "end": query.end, "start_seq": query.start_seq, "end_seq": query.end_seq}
        params |= {name: str(value) for name, value in optional.items() if value is not None}
        params["limit"] = str(query.limit)
        return httpx.Request("GET", f"{self._rest_url}/api/v1/prices", params=params, headers=self._headers)

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """By its status alone: its words are for people, and the limiter has its own."""
        return ReplyReading(outcome=outcome_of(reply.status))

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:  # noqa: ARG002  # it says all
        """``{"prices": [...], "epoch": ..., "first_seq": ..., "last_seq": ...}``; all but ``prices`` optional."""
        page = _decoded(_PRICES, reply)
        return HistoryPage(rows=page.prices, epoch=page.epoch, first_seq=page.first_seq, last_seq=page.last_seq)

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """``GET /api/v1/orders`` or ``GET /api/v1/balance``."""
        return httpx.Request("GET", f"{self._rest_url}/api/v1/{stream.channel}", headers=self._headers)

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:
        """``{"orders": [...], "sequence_id": 7}`` or ``{"balances": [...], "sequence_id": 3}``."""
        if stream == ORDERS:
            orders = _decoded(_ORDERS, reply)
            return Snapshot(contents=orders.orders, sequence_id=orders.sequence_id)
        balances = _decoded(_BALANCES, reply)
        return Snapshot(contents=balances.balances, sequence_id=balances.sequence_id)


def _neutral(wire: Frame) -> Message:  # one line per frame type reads best
    match wire:
        case PongFrame():
            return Pong(request_id=wire.request_id)
        case OrderFrame():
            return AccountUpdate(stream=ORDERS, sequence_id=wire.sequence_id, content=wire.order)
        case BalanceFrame():
            return AccountUpdate(stream=BALANCE, sequence_id=wire.sequence_id, content=wire.balance)
        case WelcomeFrame():
            return Welcome(epoch=wire.epoch)
        case SubscribedFrame():
            return Subscribed(request_id=wire.request_id, marks=_marks(wire.streams))
        case RejectedFrame():
            streams = None if wire.streams is None else list(_marks(wire.streams) or ())
            return Rejected(request_id=wire.request_id, streams=streams, code=wire.code, message=wire.message)
        case GoodbyeFrame():
            return Goodbye(reason=wire.reason, retry_after_s=wire.retry_after_s)
        case MarketDataFrame():
            return wire
        case UnsubscribedFrame():
            ended = None if wire.streams is None else list(_marks(wire.streams) or ())
            return Unsubscribed(request_id=wire.request_id, streams=ended)


def _marks(names: Sequence[StreamName] | None) -> dict[Stream, int | None] | None:
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


def _streams_frame(kind: str, streams: Sequence[Stream], request_id: str) -> str:
    names = [{"channel": stream.channel, "symbol": stream.symbol} for stream in streams]
    return _text({"type": kind, "request_id": request_id, "streams": names})


def _text(message: object) -> str:
    return msgspec.json.encode(message).decode()


def _checked_session_id(candidates: Sequence[str]) -> str:
    """The last of them: what the address names goes over the argument. It travels as a header, too."""
    for each in candidates:
        if not (each and each.isascii() and each.isprintable() and each == each.strip()):
            raise ConfigurationError(
                f"session_id = {each!r} is not allowed: expected printable ASCII without outer blanks"
            )
    if len(candidates) > 2:
        raise ConfigurationError(f"ws_url names session_id {len(candidates) - 1} times; expected one at most")
    return candidates[-1]
