"""Linden, an imaginary venue: a whole adapter. docs/adapters.md walks through it; the tests run it against a server.

Trades count by 1 per market and come several in a frame; REST gives them from an id on. The venue says every few
seconds how far each market is, asks for a sign of life, and tells the weight it has counted in a header.
"""

import re
from collections.abc import Sequence
from typing import Literal

import httpx
import msgspec
from msgspec import Struct, structs

from gapless.controller import ConfigurationError, InvalidMessageError, Stream
from gapless.controller import exchange as say
from gapless.controller.exchanges import BaseExchange
from gapless.controller.exchanges.pages import page_from, rows_wanted
from gapless.controller.exchanges.texts import (
    UNDECODABLE,
    Decimal,
    Id,
    Millis,
    decoded_reply,
    json_text,
    rfc3339_of_ms,
)
from gapless.controller.exchanges.trades import trade_update

MARKETS_PER_FRAME = 20


class Row(Struct, frozen=True, array_like=True):
    """A trade, on the socket as in REST: ``[42, "19.90", "3", "b", 1767225600123]``."""

    number: Id
    price: Decimal
    amount: Decimal
    side: Literal["b", "s"]
    unix_ms: Millis


class Frame(Struct, frozen=True):
    """Any frame; which fields it has depends on ``ev``."""

    ev: str
    req: str | None = None
    market: str = ""
    rows: list[Row] = []
    last: dict[str, Id] = {}
    token: str = ""
    code: str = ""
    text: str = ""


class Page(Struct, frozen=True):
    """``GET /v1/trades/MARKET``; ``oldest`` is the first id that is still kept."""

    rows: list[Row]
    oldest: Id


FRAMES = msgspec.json.Decoder(Frame)
PAGES = msgspec.json.Decoder(Page)


class LindenExchange(BaseExchange):
    """Speaks Linden's wire format. Markets as in ``OAK-EUR``."""

    own_ws_url = "wss://stream.linden.example/v1"
    own_rest_url = "https://rest.linden.example"
    channels = frozenset({"trade"})
    symbol_like = (r"[A-Z]+-[A-Z]+", "OAK-EUR")
    rule = say.SequenceRule.CONTIGUOUS
    budget = (120, 60.0)
    send_budget = (10, 1.0)
    streams_max = 200
    rotate_after_s = 41_400.0  # a connection lives for 12 h; half an hour before
    page_rows_max = 500

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """As many frames as it takes; each is answered with the marks of its markets."""
        return named("join", streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """Alike."""
        return named("leave", streams, request_id)

    def ping(self, request_id: str) -> str:
        """Answered by a pong of the same id."""
        return json_text({"op": "ping", "req": request_id})

    def decode(self, frame: str | bytes) -> say.Message:
        """Raises InvalidMessageError and nothing else."""
        try:
            return meaning(FRAMES.decode(frame))
        except (*UNDECODABLE, ConfigurationError) as error:
            raise InvalidMessageError(f"expected a frame of Linden: {error}") from None

    def weight(self, request: httpx.Request) -> int:
        """1, and 1 more for each hundred rows."""
        return 1 + int(request.url.params["count"]) // 100

    def history_request(self, query: say.HistoryQuery) -> httpx.Request:
        """From an id on, or the newest rows; oldest first either way."""
        self.by_id_alone(query)
        params = {"count": str(rows_wanted(query))}
        if query.start_seq is not None:
            params["from"] = str(query.start_seq)
        return self.get(f"/v1/trades/{query.stream.symbol}", params)

    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        """By status, with the venue's own code and words, and the weight that it has counted."""
        reading, used = super().read_reply(reply), reply.headers.get("linden-used", "")
        if reading.code == "no-market" and reading.outcome is say.Outcome.REFUSED:
            reading = structs.replace(reading, outcome=say.Outcome.NO_SUCH_STREAM)
        return structs.replace(reading, used=int(used) if re.fullmatch("[0-9]{1,9}", used) else None)

    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        """A page that is not full ends with the newest trade there is."""
        page = decoded_reply(PAGES, reply)
        rows = page_from(query, [trade(query.stream.symbol, row) for row in page.rows])
        return structs.replace(rows, first_seq=page.oldest)


def meaning(frame: Frame) -> say.Message:
    marks = {Stream("trade", market): last for market, last in frame.last.items()}
    match frame.ev:
        case "trades":
            return say.Several(messages=[trade(frame.market, row) for row in frame.rows])
        case "joined":
            return say.Subscribed(request_id=frame.req, marks=dict(marks))
        case "refused":
            refused = [Stream("trade", frame.market)]
            return say.Rejected(request_id=frame.req, streams=refused, code=frame.code, message=frame.text)
        case "left":
            return say.Unsubscribed(request_id=frame.req, streams=None)
        case "beat":
            return say.HighWater(marks=marks)
        case "proof":
            return say.MustAnswer(answer=json_text({"op": "proof", "token": frame.token}))
        case "pong":
            return say.Pong(request_id=frame.req or "")
        case "moving":
            return say.Leaving(reason=frame.text)
        case "word":
            return say.Notice(kind="maintenance", code=frame.code, message=frame.text)
        case unknown:
            return say.Ignored(kind=unknown)


def trade(market: str, row: Row) -> say.TradeUpdate:
    side: Literal["buy", "sell"] = "buy" if row.side == "b" else "sell"
    at = rfc3339_of_ms(row.unix_ms)
    return trade_update(("trade", market), row.number, at, price=row.price, amount=row.amount, side=side)


def named(op: str, streams: Sequence[Stream], request_id: str) -> list[str]:
    parts = [streams[at : at + MARKETS_PER_FRAME] for at in range(0, len(streams), MARKETS_PER_FRAME)]
    return [json_text({"op": op, "req": request_id, "markets": [each.symbol for each in part]}) for part in parts]
