"""Linden, an imaginary venue: a whole adapter. docs/adapters.md walks through it; the tests run it against a server.

Trades count by 1 per market and come several in a frame; REST gives them from an id on. The venue says every few
seconds how far each market is, asks for a sign of life, and tells the weight it has counted in a header.
"""

from collections.abc import Sequence
from typing import Literal

import httpx
import msgspec
from msgspec import Struct, structs

from gapless.controller import ConfigurationError, InvalidMessageError, Stream
from gapless.controller import exchange as say
from gapless.controller.exchanges import BaseExchange
from gapless.controller.exchanges.pages import page_from, rows_wanted
from gapless.controller.exchanges.texts import UNDECODABLE, Decimal, Id, Millis, decoded_reply, rfc3339_of_ms

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


class Refusal(Struct, frozen=True):
    """The body of an error."""

    code: str
    text: str = ""


FRAMES = msgspec.json.Decoder(Frame)
PAGES = msgspec.json.Decoder(Page)
REFUSALS = msgspec.json.Decoder(Refusal)


class LindenExchange(BaseExchange):
    """Speaks Linden's wire format. Markets as in ``OAK-EUR``."""

    channels = frozenset({"trade"})
    budget = (120, 60.0)
    send_budget = (10, 1.0)
    streams_max = 200
    page_rows_max = 500
    rotate_after_s = 41_400.0  # a connection lives for 12 h; half an hour before

    def check(self, stream: Stream) -> None:
        """A market is two words in capitals."""
        super().check(stream)
        base, _, quote = stream.symbol.partition("-")
        if not (base.isalpha() and quote.isalpha() and stream.symbol.isascii() and stream.symbol.isupper()):
            raise ConfigurationError(f"{stream}: expected a market like OAK-EUR, got {stream.symbol!r}")

    def sequence_rule(self, stream: Stream) -> say.SequenceRule:  # noqa: ARG002 (the same for all)
        """Trades count by 1."""
        return say.SequenceRule.CONTIGUOUS

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """As many frames as it takes; each is answered with the marks of its markets."""
        return named("join", streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """Alike."""
        return named("leave", streams, request_id)

    def ping(self, request_id: str) -> str:
        """Answered by a pong of the same id."""
        return text(op="ping", req=request_id)

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
        if query.start is not None or query.end is not None:
            raise ConfigurationError("Linden's history goes by id, not by time: leave out start and end")
        params = {"count": str(rows_wanted(query))}
        if query.start_seq is not None:
            params["from"] = str(query.start_seq)
        return httpx.Request("GET", f"{self._rest_url}/v1/trades/{query.stream.symbol}", params=params)

    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        """By status, with the venue's own code and words, and the weight that it has counted."""
        reading, used = super().read_reply(reply), reply.headers.get("linden-used", "")
        if used.isascii() and used.isdigit() and len(used) < 10:
            reading = structs.replace(reading, used=int(used))
        if reading.outcome is say.Outcome.OK:
            return reading
        try:
            error = REFUSALS.decode(reply.body)
        except UNDECODABLE:
            return structs.replace(reading, code=str(reply.status), message="without words")
        unknown = reading.outcome is say.Outcome.REFUSED and error.code == "no-market"
        outcome = say.Outcome.NO_SUCH_STREAM if unknown else reading.outcome
        return structs.replace(reading, outcome=outcome, code=error.code, message=error.text)

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
            return say.MustAnswer(answer=text(op="proof", token=frame.token))
        case "pong":
            return say.Pong(request_id=frame.req or "")
        case "moving":
            return say.Leaving(reason=frame.text)
        case "word":
            return say.Notice(kind="maintenance", code=frame.code, message=frame.text)
        case unknown:
            return say.Ignored(kind=unknown)


def trade(market: str, row: Row) -> say.TradeUpdate:
    return say.TradeUpdate(
        channel="trade",
        symbol=market,
        sequence_id=row.number,
        timestamp=rfc3339_of_ms(row.unix_ms),
        price=float(row.price),
        amount=float(row.amount),
        price_text=row.price,
        amount_text=row.amount,
        side="buy" if row.side == "b" else "sell",
        trade_id=str(row.number),
    )


def named(op: str, streams: Sequence[Stream], request_id: str) -> list[str]:
    parts = [streams[at : at + MARKETS_PER_FRAME] for at in range(0, len(streams), MARKETS_PER_FRAME)]
    return [text(op=op, req=request_id, markets=[stream.symbol for stream in part]) for part in parts]


def text(**message: object) -> str:
    return msgspec.json.encode(message).decode()
