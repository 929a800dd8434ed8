"""Coinbase Exchange: matches, that is trades (https://docs.cdp.coinbase.com/exchange/websocket-feed/overview).

``trade_id`` grows by 1 per product; gaps are filled by it. ``last_match``, sent at each subscription, and the channel
``heartbeat``, subscribed along, tell how far a product is, so that a lost last trade is found within a second. The
``sequence`` of a product counts order messages that do not come here, and tells nothing. The venue says which side the
maker was on; a trade's ``side`` is the taker's. There is no PING: the heartbeats prove a socket alive.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import httpx
import msgspec
from msgspec import Struct, structs

from gapless.controller import messages
from gapless.controller.errors import ConfigurationError, InvalidMessageError, InvalidReplyError
from gapless.controller.events import Side
from gapless.controller.exchange import HistoryPage, HistoryQuery, Outcome, ReplyReading, RestReply
from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.pages import rows_wanted
from gapless.controller.exchanges.texts import UNDECODABLE, Decimal, Id, Time, decoded_reply, json_text, unknown_type
from gapless.controller.exchanges.trades import trade_update
from gapless.controller.stream import Stream

_NO_PRODUCT: Final = re.compile(r"(\S{1,64}) is not a valid product")
_NOT_FOUND: Final = 404


class _Deal(Struct, frozen=True, kw_only=True):
    """A trade, on the socket and as a row of REST."""

    trade_id: Id
    side: Literal["buy", "sell"]
    size: Decimal
    price: Decimal
    time: Time


class _Match(_Deal, frozen=True, kw_only=True, tag_field="type", tag="match"):
    product_id: str


class _LastMatch(Struct, frozen=True, tag_field="type", tag="last_match"):
    product_id: str
    trade_id: Id


class _Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    product_id: str
    last_trade_id: Id


class _Channel(Struct, frozen=True):
    name: str
    product_ids: list[str] = []


class _Subscriptions(Struct, frozen=True, tag_field="type", tag="subscriptions"):
    channels: list[_Channel]


class _Error(Struct, frozen=True, tag_field="type", tag="error"):
    message: str = ""
    reason: str = ""


_Frame = _Match | _LastMatch | _Heartbeat | _Subscriptions | _Error
_FRAMES: Final[msgspec.json.Decoder[_Frame]] = msgspec.json.Decoder(_Frame)
_KNOWN: Final = frozenset({"match", "last_match", "heartbeat", "subscriptions", "error"})
_ROWS: Final = msgspec.json.Decoder(list[_Deal])


class CoinbaseExchange(BaseExchange):
    """Speaks Coinbase Exchange's public feed. Channel ``matches``, symbols as in ``BTC-USD``."""

    name = "coinbase"
    own_ws_url = "wss://ws-feed.exchange.coinbase.com"
    own_rest_url = "https://api.exchange.coinbase.com"
    channels = frozenset({"matches"})
    symbol_like = (r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}", "BTC-USD")
    budget = (10, 1.0)
    connect_budget = (8, 1.0)
    send_budget = (8, 1.0)
    streams_max = 50
    """Each has a frame of its own, so that a product that is none spoils no other's: six seconds for so many."""

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:  # noqa: ARG002
        """A frame for each product. The venue takes no request ids: its answers name all that is subscribed."""
        return [_frame("subscribe", stream) for stream in streams]

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:  # noqa: ARG002
        """Alike."""
        return [_frame("unsubscribe", stream) for stream in streams]

    def ping(self, request_id: str) -> str | None:  # noqa: ARG002
        """There is none; heartbeats come each second."""
        return None

    def decode(self, frame: str | bytes) -> messages.SingleMessage:
        """A message of the feed."""
        try:
            message = _FRAMES.decode(frame)
        except UNDECODABLE as error:
            return messages.Ignored(kind=unknown_type(frame, error, _KNOWN))
        match message:
            case _Match():
                return _trade(message.product_id, message)
            case _LastMatch():
                return _high_water(message.product_id, message.trade_id)
            case _Heartbeat():
                return _high_water(message.product_id, message.last_trade_id)
            case _Subscriptions():
                named = [name for each in message.channels if each.name == "matches" for name in each.product_ids]
                return messages.Subscribed(request_id=None, marks={_stream(name): None for name in named})
            case _Error():
                if (refused := _NO_PRODUCT.match(message.reason)) is None:
                    return messages.Notice(kind="error", code=message.message, message=message.reason)
                streams = [_stream(refused[1])]
                return messages.Rejected(request_id=None, streams=streams, code=message.message, message=message.reason)

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """``GET /products/{id}/trades``, from ``after`` backwards."""
        self.by_id_alone(query)
        params = {"limit": str(_span(query))}
        if query.start_seq is not None:
            params["after"] = str(query.start_seq + _span(query))
        return self.get(f"/products/{query.stream.symbol}/trades", params)

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """A product that is none is not found."""
        reading = super().read_reply(reply)
        return structs.replace(reading, outcome=Outcome.NO_SUCH_STREAM) if reply.status == _NOT_FOUND else reading

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """Rows newest first, from below ``after``. Where they begin just there, there may be newer ones."""
        deals: list[_Deal] = decoded_reply(_ROWS, reply)
        rows = [_trade(query.stream.symbol, deal) for deal in reversed(deals)]
        ids = [row.sequence_id or 0 for row in rows]
        if ids != sorted(set(ids)):
            raise InvalidReplyError(f"{query.stream}: expected trades newest first, got {ids[-5:]} from the end")
        newest = ids[-1] if ids else None
        if query.start_seq is None:
            return HistoryPage(rows=rows, last_seq=newest)
        wanted = [row for row in rows if (row.sequence_id or 0) >= query.start_seq]
        if newest is not None and newest >= query.start_seq + rows_wanted(query) - 1:
            return HistoryPage(rows=wanted, more=True)
        return HistoryPage(rows=wanted, last_seq=query.start_seq - 1 if newest is None else newest)


def _span(query: HistoryQuery) -> int:
    """The ids of a page: those that are wanted, and one more, which tells that a last one missing does not exist."""
    return query.limit if query.start_seq is None else min(rows_wanted(query) + 1, max(query.limit, 2))


def _stream(product_id: str) -> Stream:
    try:
        return Stream("matches", product_id)
    except ConfigurationError as error:
        raise InvalidMessageError(str(error)) from None


def _high_water(product_id: str, trade_id: int) -> messages.HighWater:
    return messages.HighWater(marks={_stream(product_id): trade_id})


def _trade(product_id: str, deal: _Deal) -> messages.TradeUpdate:
    side: Side = "sell" if deal.side == "buy" else "buy"
    name = ("matches", product_id)
    return trade_update(name, deal.trade_id, deal.time, price=deal.price, amount=deal.size, side=side)


def _frame(kind: str, stream: Stream) -> str:
    return json_text({"type": kind, "product_ids": [stream.symbol], "channels": ["matches", "heartbeat"]})
