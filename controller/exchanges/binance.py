"""Binance spot: trades, aggregate trades and best quotes (https://developers.binance.com/docs/binance-spot-api-docs).

A trade's id ``t`` and an aggregate's id ``a`` grow by 1 per symbol; gaps are filled by ``fromId``. Best quotes
(``bookTicker``) have an id ``u`` that only grows and no history: what is missed of them at a reconnect is lost, and
reported. They carry no time. There are no epochs and no accounts here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import httpx
import msgspec
from msgspec import Struct, structs

from gapless.controller import messages
from gapless.controller.errors import InvalidMessageError
from gapless.controller.exchange import HistoryPage, HistoryQuery, Outcome, ReplyReading, RestReply
from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.pages import page_from, rows_wanted
from gapless.controller.exchanges.texts import UNDECODABLE, Decimal, Id, Millis, decoded_reply, json_text, rfc3339_of_ms
from gapless.controller.exchanges.trades import trade_update
from gapless.controller.stream import Stream

_STREAMS_PER_FRAME: Final = 100
"""Streams of one SUBSCRIBE; 4 KiB, which is what the server takes at once."""
_UNKNOWN_SYMBOL: Final = "-1121"
_BANNED: Final = 418
_BAN_MIN_S: Final = 120.0
"""Seconds of the shortest ban; where a reply names no time, whoever asks earlier makes it longer."""
_WEIGHTS: Final[Mapping[str, int]] = {"historicalTrades": 25, "aggTrades": 4}
_USED_WEIGHT: Final = "x-mbx-used-weight-1m"


class _Trade(Struct, frozen=True, tag_field="e", tag="trade"):
    s: str
    t: Id
    p: Decimal
    q: Decimal
    T: Millis
    m: bool


class _AggRow(Struct, frozen=True):
    """Of ``aggTrades``."""

    a: Id
    p: Decimal
    q: Decimal
    T: Millis
    m: bool


class _AggTrade(_AggRow, frozen=True, kw_only=True, tag_field="e", tag="aggTrade"):
    s: str


class _Shutdown(Struct, frozen=True, tag_field="e", tag="serverShutdown"):
    """The server restarts within ten minutes; a new connection lands on another."""


class _BookTicker(Struct, frozen=True):
    u: Id
    s: str
    b: Decimal
    a: Decimal


class _Error(Struct, frozen=True):
    code: int
    msg: str = ""


class _Other(Struct, frozen=True):
    """Whatever is no event of a stream: replies, errors, and events inside a combined stream's envelope."""

    e: str | None = None
    id: str | int | None = None
    error: _Error | None = None
    code: int | None = None
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw()
    u: int | None = None


class _Row(Struct, frozen=True):
    """Of ``historicalTrades``."""

    id: Id
    price: Decimal
    qty: Decimal
    time: Millis
    isBuyerMaker: bool  # noqa: N815 (the venue's name)


_EVENTS: Final = msgspec.json.Decoder(_Trade | _AggTrade | _Shutdown)
_OTHERS: Final = msgspec.json.Decoder(_Other)
_BOOK_TICKERS: Final = msgspec.json.Decoder(_BookTicker)
_ROWS: Final = msgspec.json.Decoder(list[_Row])
_AGG_ROWS: Final = msgspec.json.Decoder(list[_AggRow])
_KNOWN: Final = frozenset({"trade", "aggTrade", "serverShutdown"})


class BinanceExchange(BaseExchange):
    """Speaks Binance spot's market streams. Symbols as in ``BTCUSDT``."""

    name = "binance"
    own_ws_url = "wss://stream.binance.com:9443/ws"
    own_rest_url = "https://api.binance.com"
    channels = frozenset({"trade", "aggTrade", "bookTicker"})
    symbol_like = (r"[A-Z0-9]{1,40}", "BTCUSDT")
    budget = (6_000, 60.0)
    connect_budget = (300, 300.0)
    send_budget = (5, 1.0)
    streams_max = 1_024
    rotate_after_s = 85_500.0
    """A connection lives for 24 h; a quarter of an hour before."""

    def has_history(self, stream: Stream) -> bool:
        """Quotes have none."""
        return stream.channel != "bookTicker"

    def sequence_rule(self, stream: Stream) -> messages.SequenceRule:
        """Trades count by 1, quotes only upwards."""
        return messages.SequenceRule.CONTIGUOUS if self.has_history(stream) else messages.SequenceRule.MONOTONIC

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """A frame for each hundred streams; the last one's answer is waited for."""
        return _frames("SUBSCRIBE", "sub", streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """Alike."""
        return _frames("UNSUBSCRIBE", "unsub", streams, request_id)

    def ping(self, request_id: str) -> str:
        """A question that costs nothing: what is subscribed."""
        return json_text({"method": "LIST_SUBSCRIPTIONS", "id": f"ping-{request_id}"})

    def decode(self, frame: str | bytes) -> messages.SingleMessage:
        """An event of a raw or a combined stream, or a reply."""
        try:
            event = _EVENTS.decode(frame)
        except UNDECODABLE:
            return self._other(frame)
        if isinstance(event, _Shutdown):
            return messages.Leaving(reason="the server restarts within ten minutes")
        if isinstance(event, _Trade):
            return _trade(("trade", event.s), event.t, (event.p, event.q), event.T, event.m)
        return _trade(("aggTrade", event.s), event.a, (event.p, event.q), event.T, event.m)

    def _other(self, frame: str | bytes) -> messages.SingleMessage:
        try:
            other = _OTHERS.decode(frame)
            if envelope := bytes(other.data):
                return self.decode(envelope)
            if other.u is not None and other.e is None:
                return _quote(_BOOK_TICKERS.decode(frame))
            if other.e in _KNOWN:
                _EVENTS.decode(frame)
        except UNDECODABLE as error:
            raise InvalidMessageError(f"expected an event or a reply of Binance: {error}") from None
        if other.e is not None:
            return messages.Ignored(kind=other.e)
        refusal = other.error or (_Error(code=other.code, msg=other.msg) if other.code is not None else None)
        return _reply(str(other.id or ""), refusal)

    def weight(self, request: httpx.Request) -> int:
        """As documented."""
        return _WEIGHTS.get(request.url.path.rpartition("/")[2], 1)

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /api/v3/historicalTrades`` or ``/api/v3/aggTrades``, by ``fromId``."""
        self.by_id_alone(query)
        name = "historicalTrades" if query.stream.channel == "trade" else "aggTrades"
        params = {"symbol": query.stream.symbol, "limit": str(rows_wanted(query))}
        if query.start_seq is not None:
            params["fromId"] = str(query.start_seq)
        return self.get(f"/api/v3/{name}", params)

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """Errors have a code and words; every reply says what weight the minute has seen."""
        reading, used = super().read_reply(reply), reply.headers.get(_USED_WEIGHT, "")
        is_unknown = reading.outcome is Outcome.REFUSED and reading.code == _UNKNOWN_SYMBOL
        return structs.replace(
            reading,
            outcome=Outcome.NO_SUCH_STREAM if is_unknown else reading.outcome,
            used=int(used) if re.fullmatch(r"[0-9]{1,9}", used) else None,
            retry_after_s=_BAN_MIN_S if reply.status == _BANNED else None,
        )

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """Rows oldest first from ``fromId`` on. A page that is not full ends with the newest there is."""
        name = (query.stream.channel, query.stream.symbol)
        if query.stream.channel == "trade":
            rows = [
                _trade(name, row.id, (row.price, row.qty), row.time, row.isBuyerMaker)
                for row in decoded_reply(_ROWS, reply)
            ]
        else:
            rows = [_trade(name, row.a, (row.p, row.q), row.T, row.m) for row in decoded_reply(_AGG_ROWS, reply)]
        return page_from(query, rows)


def _trade(
    name: tuple[str, str], trade_id: int, price_and_amount: tuple[str, str], unix_ms: int, buyer_is_maker: bool
) -> messages.TradeUpdate:
    (price, amount), at = price_and_amount, rfc3339_of_ms(unix_ms)
    return trade_update(name, trade_id, at, price=price, amount=amount, side="sell" if buyer_is_maker else "buy")


def _quote(ticker: _BookTicker) -> messages.MarketUpdate:
    bid, ask = float(ticker.b), float(ticker.a)
    return messages.MarketUpdate(
        channel="bookTicker",
        symbol=ticker.s,
        sequence_id=ticker.u,
        timestamp="",
        price=(bid + ask) / 2,
        bid=bid,
        ask=ask,
    )


def _reply(name: str, error: _Error | None) -> messages.SingleMessage:
    kind, _, request_id = name.partition("-")
    if error is not None:
        code, message = str(error.code), error.msg
        if kind in {"sub", "part"}:
            return messages.Rejected(request_id=request_id, streams=None, code=code, message=message)
        return messages.Notice(kind="error", code=code, message=message)
    match kind:
        case "sub":
            return messages.Subscribed(request_id=request_id, marks=None)
        case "unsub":
            return messages.Unsubscribed(request_id=request_id, streams=None)
        case "ping":
            return messages.Pong(request_id=request_id)
        case _:
            return messages.Ignored(kind=kind or "reply")


def _frames(method: str, kind: str, streams: Sequence[Stream], request_id: str) -> list[str]:
    names = [f"{stream.symbol.lower()}@{stream.channel}" for stream in streams]
    frames: list[str] = []
    for at in range(0, len(names), _STREAMS_PER_FRAME):
        end = at + _STREAMS_PER_FRAME
        part = kind if end >= len(names) else "part"
        frames.append(json_text({"method": method, "params": names[at:end], "id": f"{part}-{request_id}"}))
    return frames
