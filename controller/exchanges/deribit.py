"""Deribit: trades over JSON-RPC (https://docs.deribit.com/subscriptions/market-data/tradesinstrument_nameinterval).

``trade_seq`` grows by 1 per instrument; gaps are filled from a ``start_seq`` on. No ``end_seq`` is set, so that a row
beyond a missing id tells that there is none. How far back trades are kept no reply says: what is gone is reported as
absent. A reply does not repeat its method, so its id says what was asked. One to a subscription lists the channels that
were taken; which were not, only the request tells: the last few are remembered. There are no epochs and no accounts.
"""

from collections.abc import Sequence
from typing import Final, Literal

import httpx
import msgspec
from msgspec import Raw, Struct, structs

from gapless.controller import messages
from gapless.controller.errors import ConfigurationError, InvalidMessageError, InvalidReplyError
from gapless.controller.exchange import HistoryPage, HistoryQuery, Outcome, ReplyReading, RestReply
from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.pages import page_from, rows_wanted
from gapless.controller.exchanges.refusals import refusal
from gapless.controller.exchanges.texts import UNDECODABLE, Id, Millis, decoded_reply, json_text, number, rfc3339_of_ms
from gapless.controller.exchanges.trades import trade_update
from gapless.controller.stream import Stream

_HEARTBEAT_S: Final = 30
"""Seconds after which a quiet socket speaks or asks. 10 is the least there is, and each answer costs a request."""
_REQUESTS_REMEMBERED: Final = 64
_CREDITS: Final = 500
_TOO_MANY_REQUESTS: Final = 10_028
_REFILL_S: Final = 1.0
"""Seconds not to be dialled after that: 10,000 credits, and a session begins with a third of them at most."""
_MEANINGS: Final = {
    **dict.fromkeys((_TOO_MANY_REQUESTS, 10_066), Outcome.LIMITED),
    **dict.fromkeys((10_040, 10_041, 10_047, 11_051, 11_094, 13_028, 13_888), Outcome.UNAVAILABLE),
    **dict.fromkeys((10_020, 13_020), Outcome.NO_SUCH_STREAM),
}
"""Of error codes; 10066 is too many at once. What passes: retry, settlement, a full queue, maintenance, an internal
error, unavailable, timed out. What there is not: an unsupported instrument, one not found. Any other is a refusal."""
_INVALID_PARAMS: Final = -32_602


class _Trade(Struct, frozen=True):
    instrument_name: str
    trade_seq: Id
    trade_id: str
    timestamp: Millis
    price: Raw
    amount: Raw
    direction: Literal["buy", "sell"]


class _TradesParams(Struct, frozen=True):
    channel: str
    data: list[_Trade]


class _Trades(Struct, frozen=True, tag_field="method", tag="subscription"):
    params: _TradesParams


class _Params(Struct, frozen=True):
    channel: str = ""
    type: str = ""


class _Error(Struct, frozen=True):
    code: int
    message: str = ""
    data: Raw = Raw()


class _Other(Struct, frozen=True):
    """Another channel's frame, a heartbeat, or a reply."""

    id: str | int | None = None
    method: str = ""
    params: _Params = _Params()
    result: Raw = Raw()
    error: _Error | None = None


class _Result(Struct, frozen=True):
    trades: list[_Trade]
    has_more: bool = False


class _Page(Struct, frozen=True):
    result: _Result


_TRADES: Final = msgspec.json.Decoder(_Trades)
_OTHERS: Final = msgspec.json.Decoder(_Other)
_CHANNELS: Final = msgspec.json.Decoder(list[str])
_PAGES: Final = msgspec.json.Decoder(_Page)


class DeribitExchange(BaseExchange):
    """Speaks Deribit's public trades. Symbols are instruments as in ``BTC-PERPETUAL``."""

    name = "deribit"
    own_ws_url = "wss://www.deribit.com/ws/api/v2"
    own_rest_url = "https://www.deribit.com"
    channels = frozenset({"trades"})
    symbol_like = (r"[A-Za-z0-9_]{1,30}(-[A-Za-z0-9_]{1,30}){0,5}", "BTC-PERPETUAL")
    budget = (10_000, 1.0)
    """Credits that come back in a second. A full pool of 50,000 would allow a burst; it is left for the socket."""
    send_budget = (20, 1.0)
    streams_max = 500
    """Channels of one request, and so of one socket."""

    def __init__(self, *, ws_url: str | None = None, rest_url: str | None = None) -> None:
        super().__init__(ws_url=ws_url, rest_url=rest_url)
        self._asked: dict[str, Sequence[Stream]] = {}
        """The streams of the last subscriptions, by request id."""

    def greeting(self) -> Sequence[str]:
        """Without heartbeats a quiet socket says nothing at all."""
        return [_call("public/set_heartbeat", "greeting", interval=_HEARTBEAT_S)]

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """One frame for all: each costs as much as six other calls."""
        self._asked[request_id] = tuple(streams)
        if len(self._asked) > _REQUESTS_REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return [_call("public/subscribe", f"sub-{request_id}", channels=_channels(streams))]

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """Alike."""
        return [_call("public/unsubscribe", f"unsub-{request_id}", channels=_channels(streams))]

    def ping(self, request_id: str) -> str:
        """A question that costs little."""
        return _call("public/test", f"ping-{request_id}")

    def decode(self, frame: str | bytes) -> messages.Message:
        """Trades, a heartbeat, or a reply."""
        try:
            params = _TRADES.decode(frame).params
        except UNDECODABLE:
            return self._other(frame)
        if not params.channel.startswith("trades."):
            return messages.Ignored(kind=params.channel.partition(".")[0])
        trades = [_trade(each) for each in params.data]
        return trades[0] if len(trades) == 1 else messages.Several(messages=trades)

    def _other(self, frame: str | bytes) -> messages.Message:
        try:
            other = _OTHERS.decode(frame)
            channel = other.params.channel.partition(".")[0]
            if channel == "trades":
                _TRADES.decode(frame)
            if not other.method:
                return self._reply(other)
        except (*UNDECODABLE, ConfigurationError) as error:
            raise InvalidMessageError(f"expected a notification of Deribit, or a reply: {error}") from None
        if other.method == "heartbeat" and other.params.type == "test_request":
            return messages.MustAnswer(answer=_call("public/test", "answer"))
        return messages.Ignored(kind=channel or other.method)

    def _reply(self, reply: _Other) -> messages.Message:
        kind, _, request_id = str(reply.id or "").partition("-")
        asked = self._asked.get(request_id)
        if reply.error is not None:
            is_subscription, reading = kind == "sub", _reading(reply.error)
            said = refusal(reading, is_subscription=is_subscription, request_id=request_id, streams=asked)
            if reply.error.code != _TOO_MANY_REQUESTS:
                return said
            goodbye = messages.Goodbye(reason=reading.message, retry_after_s=_REFILL_S)
            return messages.Several(messages=[said, goodbye])
        match kind:
            case "sub":
                taken = _streams(reply.result)
                subscribed = messages.Subscribed(request_id=request_id, marks=dict.fromkeys(taken))
                left = [stream for stream in asked or () if stream not in taken]
                words = "the reply to the subscription does not name it"
                refused = messages.Rejected(request_id=request_id, streams=left, code="not_taken", message=words)
                return messages.Several(messages=[subscribed, refused]) if left else subscribed
            case "unsub":
                return messages.Unsubscribed(request_id=request_id, streams=_streams(reply.result))
            case "ping":
                return messages.Pong(request_id=request_id)
            case _:
                return messages.Ignored(kind=kind or "reply")

    def weight(self, request: httpx.Request) -> int:  # noqa: ARG002
        """Credits of a public call."""
        return _CREDITS

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /api/v2/public/get_last_trades_by_instrument``, by ``start_seq``."""
        self.by_id_alone(query)
        params = {"instrument_name": query.stream.symbol, "count": str(rows_wanted(query)), "sorting": "desc"}
        if query.start_seq is not None:
            params |= {"start_seq": str(query.start_seq), "sorting": "asc"}
        return self.get("/api/v2/public/get_last_trades_by_instrument", params)

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """Errors have a code and words, most of them with status 400."""
        try:
            error = _OTHERS.decode(reply.body).error
        except UNDECODABLE:
            error = None
        return super().read_reply(reply) if error is None else _reading(error)

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """Rows from ``start_seq`` on. A page that is not full, and has no more, ends with the newest there is."""
        result = decoded_reply(_PAGES, reply).result
        try:
            rows = [_trade(each) for each in sorted(result.trades, key=lambda trade: trade.trade_seq)]
        except InvalidMessageError as error:
            raise InvalidReplyError(f"{query.stream}: {error}") from None
        page, goes_on = page_from(query, rows), result.has_more and query.start_seq is not None
        if any(row.symbol != query.stream.symbol for row in rows) or (goes_on and not rows):
            raise InvalidReplyError(f"{query.stream}: expected trades of this instrument alone, and some if has_more")
        return structs.replace(page, last_seq=None, more=True) if goes_on else page


def _trade(trade: _Trade) -> messages.TradeUpdate:
    return trade_update(
        ("trades", trade.instrument_name),
        trade.trade_seq,
        rfc3339_of_ms(trade.timestamp),
        price=number(trade.price)[0],
        amount=number(trade.amount)[0],
        side=trade.direction,
        trade_id=trade.trade_id,
    )


def _reading(error: _Error) -> ReplyReading:
    outcome = _MEANINGS.get(error.code, Outcome.REFUSED)
    if error.code == _INVALID_PARAMS and b'"instrument_name"' in bytes(error.data):
        outcome = Outcome.NO_SUCH_STREAM
    return ReplyReading(outcome=outcome, code=str(error.code), message=error.message)


def _channels(streams: Sequence[Stream]) -> list[str]:
    return [f"trades.{stream.symbol}.100ms" for stream in streams]


def _streams(channels: Raw) -> list[Stream]:
    parts = [channel.split(".") for channel in _CHANNELS.decode(channels)]
    return [Stream(each[0], each[1]) for each in parts if len(each) == 3 and each[0] == "trades"]


def _call(method: str, name: str, **params: object) -> str:
    return json_text({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
