"""Kraken spot: trades over WebSocket v2 (https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/trade).

The promise is weaker here than at venues that count. ``trade_id`` grows by 1 per pair, but the socket leaves ids out:
17 % of them were seen absent there and present over REST. So an id skipped on a living socket is no gap, and nobody
asks for it. What an interruption may have hidden is asked for by time, from the last datum on, and all that REST knows
there is delivered. Whether ``since`` is inclusive need not be known: what is asked for begins a little before, and what
comes twice has the same id. There are no epochs and no accounts here. Pairs are named as on the socket (``BTC/USD``);
REST is asked for its own name of them (``XBTUSD``) and may answer with a third (``XXBTZUSD``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, Final, Literal

import httpx
import msgspec
from msgspec import Meta, Raw, Struct

from gapless.controller import messages
from gapless.controller.errors import ConfigurationError, InvalidMessageError, InvalidReplyError
from gapless.controller.events import Side
from gapless.controller.exchange import HistoryPage, HistoryQuery, Outcome, ReplyReading, RestReply
from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.refusals import refusal
from gapless.controller.exchanges.request_numbers import number_of, request_id_of
from gapless.controller.exchanges.texts import UNDECODABLE, Decimal, Id, Time, decoded_reply, json_text, number
from gapless.controller.exchanges.trades import trade_update
from gapless.controller.instants import instant
from gapless.controller.stream import Stream

_REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""What REST calls an asset, where WebSocket v2 calls it otherwise."""
_MEANINGS: Final = (
    ("EAPI:Rate limit", Outcome.LIMITED),
    ("EService:Throttled", Outcome.LIMITED),
    ("EGeneral:Temporary lockout", Outcome.LIMITED),
    ("Exceeded msg rate", Outcome.LIMITED),
    ("EService:", Outcome.UNAVAILABLE),
    ("EGeneral:Internal error", Outcome.UNAVAILABLE),
    ("EQuery:Unknown asset pair", Outcome.NO_SUCH_STREAM),
)
"""How an error begins, and what it means; any other is a refusal."""


class _Trade(Struct, frozen=True):
    symbol: str
    side: Literal["buy", "sell"]
    price: Raw
    qty: Raw
    trade_id: Id
    timestamp: Time


class _Trades(Struct, frozen=True, tag_field="channel", tag="trade"):
    data: list[_Trade]


class _Status(Struct, frozen=True, tag_field="channel", tag="status"):
    data: list[dict[str, str | int]]


class _Other(Struct, frozen=True):
    """Another channel's frame, or a reply."""

    channel: str | None = None
    method: str = ""
    req_id: Id | None = None
    success: bool = True
    error: str | None = None
    symbol: str | None = None
    result: dict[str, Raw] | None = None


class _Row(Struct, frozen=True, array_like=True):
    price: Decimal
    volume: Decimal
    time_s: Annotated[float, Meta(ge=0, le=253_402_300_799)]
    side: Literal["b", "s"]
    order_type: str
    misc: str
    trade_id: Id


class _Page(Struct, frozen=True):
    result: dict[str, list[_Row] | str]


class _Errors(Struct, frozen=True):
    error: list[str]


_EVENTS: Final = msgspec.json.Decoder(_Trades | _Status)
_OTHERS: Final = msgspec.json.Decoder(_Other)
_PAGES: Final = msgspec.json.Decoder(_Page)
_ERRORS: Final = msgspec.json.Decoder(_Errors)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIDES: Final[Mapping[str, Side]] = {"b": "buy", "s": "sell"}


class KrakenExchange(BaseExchange):
    """Speaks Kraken's public trades. Symbols as in ``BTC/USD``."""

    name = "kraken"
    own_ws_url = "wss://ws.kraken.com/v2"
    own_rest_url = "https://api.kraken.com"
    rule = messages.SequenceRule.MONOTONIC
    channels = frozenset({"trade"})
    symbol_like = (r"[A-Za-z0-9.]{1,20}/[A-Za-z0-9.]{1,20}", "BTC/USD")
    budget = (1, 1.0)
    """Public calls, as Kraken's support names them: about one a second."""
    connect_budget = (150, 600.0)
    """Per address, as Kraken's WebSocket FAQ says."""

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """One frame; each pair has an answer of its own. Without the last trades before: REST tells what is missed."""
        return [_frame("subscribe", streams, request_id, snapshot=False)]

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """Alike."""
        return [_frame("unsubscribe", streams, request_id)]

    def ping(self, request_id: str) -> str:
        """Kraken's own."""
        return json_text({"method": "ping", "req_id": number_of(request_id)})

    def decode(self, frame: str | bytes) -> messages.Message:
        """Trades, the condition of the venue, or a reply."""
        try:
            event = _EVENTS.decode(frame)
        except UNDECODABLE:
            return _other(frame)
        if isinstance(event, _Trades):
            trades = [_trade(each) for each in event.data]
            return trades[0] if len(trades) == 1 else messages.Several(messages=trades)
        for system in (str(each.get("system", "online")) for each in event.data):
            if system != "online":
                return messages.Notice(kind="maintenance", code=system, message=f"Kraken's system is {system}")
        return messages.Ignored(kind="status")

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /0/public/Trades``, from a time on, or from where the page before ended."""
        self.by_id_alone(query)
        pair = "".join(_REST_NAMES.get(asset, asset) for asset in query.stream.symbol.split("/"))
        params = {"pair": pair, "count": str(query.limit)}
        if query.cursor is not None:
            params["since"] = str(int(query.cursor) - 1)
        elif query.start_seq is not None:
            since_s = max(instant(query.since or ""), 0.0)
            params["since"] = str(max(round(since_s * 1_000_000) - 1, 0) * 1_000)
        return self.get("/0/public/Trades", params)

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """Errors come with status 200. Those that begin with ``W`` are warnings."""
        try:
            errors = [each for each in _ERRORS.decode(reply.body).error if not each.startswith("W")]
        except UNDECODABLE:
            errors = []
        return _reading(errors[0]) if errors else super().read_reply(reply)

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """``{"result": {PAIR: rows, "last": cursor}}``. A page that is not full ends with the newest there is."""
        result = decoded_reply(_PAGES, reply).result
        last, lists = result.get("last"), [each for each in result.values() if isinstance(each, list)]
        if len(lists) != 1 or not (isinstance(last, str) and last.isascii() and last.isdigit() and len(last) < 20):
            raise InvalidReplyError(f"{query.stream}: expected rows of one pair and last, got {list(result)[:5]}")
        rows = [_row(query.stream, each) for each in sorted(lists[0], key=lambda row: row.trade_id)]
        newest = rows[-1].sequence_id if rows else None
        if query.start_seq is None:
            return HistoryPage(rows=rows[-query.limit :], last_seq=newest)
        if len(rows) >= query.limit:
            return HistoryPage(rows=rows, more=True, cursor=last)
        return HistoryPage(rows=rows, last_seq=query.start_seq - 1 if newest is None else newest)


def _trade(trade: _Trade) -> messages.TradeUpdate:
    if not isfinite(instant(trade.timestamp)):
        raise InvalidMessageError(f"expected a time in RFC 3339, got {trade.timestamp[:40]!r}")
    stream, price, amount = ("trade", trade.symbol), number(trade.price)[0], number(trade.qty)[0]
    return trade_update(stream, trade.trade_id, trade.timestamp, price=price, amount=amount, side=trade.side)


def _row(of: Stream, row: _Row) -> messages.TradeUpdate:
    """REST's times are floats, good to the microsecond."""
    at = f"{_EPOCH + timedelta(microseconds=round(row.time_s * 1_000_000)):%Y-%m-%dT%H:%M:%S.%f}Z"
    name, side = (of.channel, of.symbol), _SIDES[row.side]
    return trade_update(name, row.trade_id, at, price=row.price, amount=row.volume, side=side)


def _other(frame: str | bytes) -> messages.SingleMessage:
    try:
        other = _OTHERS.decode(frame)
        if other.channel in {"trade", "status"}:
            _EVENTS.decode(frame)
        return _reply(other) if other.channel is None else messages.Ignored(kind=other.channel)
    except (*UNDECODABLE, ConfigurationError) as error:
        raise InvalidMessageError(f"expected a frame of a channel of Kraken, or a reply: {error}") from None


def _reply(reply: _Other) -> messages.SingleMessage:
    request_id, of_one = request_id_of(reply.req_id or 0), reply.symbol
    if reply.error is not None or not reply.success:
        streams = None if of_one is None else [Stream("trade", of_one)]
        is_subscription = reply.method == "subscribe"
        reading = _reading(reply.error or "")
        return refusal(reading, is_subscription=is_subscription, request_id=request_id, streams=streams)
    if reply.method == "pong":
        return messages.Pong(request_id=request_id)
    if reply.result is None or reply.method not in {"subscribe", "unsubscribe"}:
        return messages.Ignored(kind=reply.method or "reply")
    channel, symbol = (msgspec.json.decode(reply.result.get(each, b'""'), type=str) for each in ("channel", "symbol"))
    if reply.method == "subscribe":
        return messages.Subscribed(request_id=request_id, marks={Stream(channel, symbol): None})
    return messages.Unsubscribed(request_id=request_id, streams=[Stream(channel, symbol)])


def _reading(text: str) -> ReplyReading:
    """``EQuery:Unknown asset pair`` has a code and words; on the socket there are mostly words alone."""
    text = text.replace(": ", ":")
    outcome = next((outcome for begins, outcome in _MEANINGS if text.startswith(begins)), Outcome.REFUSED)
    code, colon, words = text.partition(":")
    return ReplyReading(outcome=outcome, code=code if colon else "unknown", message=words if colon else text)


def _frame(method: str, streams: Sequence[Stream], request_id: str, **more: bool) -> str:
    params = {"channel": "trade", "symbol": [stream.symbol for stream in streams], **more}
    return json_text({"method": method, "params": params, "req_id": number_of(request_id)})
