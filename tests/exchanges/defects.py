"""Linden's adapter, broken in one way each: what a conformance test must notice, and the words it must find for it."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

import httpx
from msgspec import structs

from examples.venue_linden import FRAMES, LindenExchange
from gapless.controller import InvalidMessageError, Stream
from gapless.controller import exchange as say
from gapless.controller.exchanges.texts import json_text

_A = TypeVar("_A", bound=type[LindenExchange])

DEFECTS: dict[str, tuple[type[LindenExchange], str]] = {}
"""Each defect, and a part of the failure that names it."""


def named(words: str) -> Callable[[_A], _A]:
    """A defect, and what a conformance test must say of it."""

    def keep(defect: _A) -> _A:
        DEFECTS[defect.__name__] = (defect, words)
        return defect

    return keep


def broken(name: str) -> LindenExchange:
    """The adapter with a defect."""
    return DEFECTS[name][0]()


class Trades(LindenExchange):
    """Changes each trade of a frame, and each row of a page."""

    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return trade

    def decode(self, frame: str | bytes) -> say.Message:
        message = super().decode(frame)
        if not isinstance(message, say.Several):
            return message
        return say.Several(
            messages=[self.change(each) for each in message.messages if isinstance(each, say.TradeUpdate)]
        )

    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        page = super().decode_history(query, reply)
        rows = [self.change(row) for row in page.rows if isinstance(row, say.TradeUpdate)]
        return structs.replace(page, rows=rows)


# -- data --------------------------------------------------------------------------------------------------------------


@named("expected Several.messages[0] = TradeUpdate.sequence_id = 42, got 43")
class WrongId(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, sequence_id=(trade.sequence_id or 0) + 1)


@named("expected price_text as its digits stand there, got '19.42'")
class FloatMoney(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, price_text=str(trade.price))


@named("expected amount_text '1234567890123.000000000100000001' where that stands")
class MoneyOfFewDigits(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, amount_text=trade.amount_text[:20])


@named("expected timestamp as RFC 3339 in UTC, got '2026-01-01 00:00:00.042'")
class LocalTime(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, timestamp=trade.timestamp.replace("T", " ").rstrip("Z"))


@named("expected data of a stream as an app names it (trade:OAK-EUR, trade:ELM-EUR), got trade:oak-eur")
class WireName(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, symbol=trade.symbol.lower())


@named("TradeUpdate.side = 'sell', got 'buy'")
class SideOfTheMaker(Trades):
    def change(self, trade: say.TradeUpdate) -> say.TradeUpdate:
        return structs.replace(trade, side="buy" if trade.side == "sell" else "sell")


@named("decode is not pure: frame 1")
class Remembering(LindenExchange):
    """Drops what it has seen, which is the ledger's business."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str | bytes] = set()

    def decode(self, frame: str | bytes) -> say.Message:
        if frame in self._seen:
            return say.Ignored(kind="seen")
        self._seen.add(frame)
        return super().decode(frame)


@named("sequence_rule: expected each to name the id before it (chained)")
class WrongRule(LindenExchange):
    def sequence_rule(self, stream: Stream) -> say.SequenceRule:  # noqa: ARG002
        return say.SequenceRule.CHAINED


# -- bad input ---------------------------------------------------------------------------------------------------------


@named("expected InvalidMessageError, but it raised KeyError")
class RaisesKeyError(LindenExchange):
    def decode(self, frame: str | bytes) -> say.Message:
        message = super().decode(frame)
        return {"": message}["" if not isinstance(message, say.HighWater) or len(message.marks) > 1 else "oh"]


@named("expected InvalidMessageError, but it raised DecodeError")
class LetsErrorsThrough(LindenExchange):
    def decode(self, frame: str | bytes) -> say.Message:
        FRAMES.decode(frame)
        return super().decode(frame)


@named("expected Ignored, but it raised InvalidMessageError")
class KnowsNoUnknown(LindenExchange):
    def decode(self, frame: str | bytes) -> say.Message:
        message = super().decode(frame)
        if isinstance(message, say.Ignored):
            raise InvalidMessageError(f"what is a {message.kind}?")
        return message


@named("expected InvalidReplyError, but it raised")
class RaisesAtReplies(LindenExchange):
    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        reply.body.decode("ascii")
        return super().decode_history(query, reply)


@named("read_reply: mutations: expected an answer, but it raised ValueError")
class RaisesAtHeaders(LindenExchange):
    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        return structs.replace(super().read_reply(reply), used=int(reply.headers.get("linden-used", 0)))


# -- the dialogue ------------------------------------------------------------------------------------------------------


@named("expected the request id 's-1' back in Subscribed, got None")
class LosesTheRequestId(LindenExchange):
    def decode(self, frame: str | bytes) -> say.Message:
        message = super().decode(frame)
        return structs.replace(message, request_id=None) if isinstance(message, say.Subscribed) else message


@named("ping 'p-2': expected [Pong(request_id='p-2')], got [Pong(request_id='p-1')]")
class OnePing(LindenExchange):
    def ping(self, request_id: str) -> str:  # noqa: ARG002
        return super().ping("p-1")


@named("subscribe of 200 streams: expected at most 20 streams in a frame, got 200")
class OneFrame(LindenExchange):
    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        return [json_text({"op": "join", "req": request_id, "markets": [stream.symbol for stream in streams]})]


@named("expected an acknowledgement of every stream, got none of trade:ELM-EUR")
class ForgetsTheRest(LindenExchange):
    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        return super().subscribe(streams[:1], request_id)


@named("subscribe of 1 streams as 's-1': expected valid JSON, got")
class NoJson(LindenExchange):
    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        return [*super().subscribe(streams, request_id), "{'op': 'join'}"]


@named("expected Rejected for")
class RefusalIsNotice(LindenExchange):
    def decode(self, frame: str | bytes) -> say.Message:
        message = super().decode(frame)
        if isinstance(message, say.Rejected):
            return say.Notice(kind="error", code=message.code, message=message.message)
        return message


# -- history -----------------------------------------------------------------------------------------------------------


@named("weight: expected 6, got 1")
class WrongWeight(LindenExchange):
    def weight(self, request: httpx.Request) -> int:  # noqa: ARG002
        return 1


@named("weight: expected an integer of at least 1, got 0")
class Weightless(LindenExchange):
    def weight(self, request: httpx.Request) -> int:
        return int(request.url.params["count"]) // 100


@named("host: expected 'rest.linden.example:443', got 'other.example:443'")
class OtherHost(LindenExchange):
    def history_request(self, query: say.HistoryQuery) -> httpx.Request:
        request = super().history_request(query)
        return httpx.Request("GET", request.url.copy_with(host="other.example"))


@named("request: expected ('/v1/trades/OAK-EUR', [('count', '3'), ('from', '42')])")
class AsksBehind(LindenExchange):
    """``from`` is inclusive."""

    def history_request(self, query: say.HistoryQuery) -> httpx.Request:
        start = None if query.start_seq is None else query.start_seq + 1
        return super().history_request(structs.replace(query, start_seq=start))


@named("the same query again: expected")
class NewNameEachTime(LindenExchange):
    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def history_request(self, query: say.HistoryQuery) -> httpx.Request:
        request = super().history_request(query)
        return httpx.Request("GET", request.url.copy_add_param("nonce", str(next(self._numbers))))


@named("expected rows whose ids grow, oldest first, got [44, 43, 42]")
class NewestFirst(LindenExchange):
    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        page = super().decode_history(query, reply)
        return structs.replace(page, rows=page.rows[::-1])


@named("expected last_seq None of a page that goes on (more), got 44")
class CutPageIsTheLast(LindenExchange):
    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        page = super().decode_history(query, reply)
        return structs.replace(page, last_seq=page.rows[-1].sequence_id if page.rows else None)


@named("expected rows from start_seq 42 on, got [41, 42, 43, 44]")
class RowsBefore(LindenExchange):
    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        page = super().decode_history(query, reply)
        if not page.more:
            return page
        before = structs.replace(page.rows[0], sequence_id=(page.rows[0].sequence_id or 0) - 1)
        return structs.replace(page, rows=[before, *page.rows])


@named("expected more with a cursor, got cursor '45' alone")
class CursorAlone(LindenExchange):
    def decode_history(self, query: say.HistoryQuery, reply: say.RestReply) -> say.HistoryPage:
        page = super().decode_history(query, reply)
        return structs.replace(page, cursor=str((page.last_seq or 0) + 1))


@named("the page after it: expected another request")
class TurnsInCircles(LindenExchange):
    def history_request(self, query: say.HistoryQuery) -> httpx.Request:
        within = query.start_seq is not None and query.start_seq < 50
        return super().history_request(structs.replace(query, start_seq=42) if within else query)


# -- replies and declarations ------------------------------------------------------------------------------------------


@named("expected ReplyReading.outcome = <Outcome.NO_SUCH_STREAM: 'no such stream'>")
class MissesTheUnknown(LindenExchange):
    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        reading = super().read_reply(reply)
        unknown = reading.outcome is say.Outcome.NO_SUCH_STREAM
        return structs.replace(reading, outcome=say.Outcome.REFUSED) if unknown else reading


@named("read_reply: HTTP 429 with an empty body: expected <Outcome.LIMITED: 'limited'>")
class HeedsNoLimit(LindenExchange):
    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        reading = super().read_reply(reply)
        limited = reading.outcome is say.Outcome.LIMITED and not reply.body
        return structs.replace(reading, outcome=say.Outcome.REFUSED) if limited else reading


@named("read_reply: HTTP 503 with an empty body: expected Outcome.UNAVAILABLE, which is asked again later")
class TakesTroubleForNo(LindenExchange):
    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        reading = super().read_reply(reply)
        return structs.replace(reading, outcome=say.Outcome.REFUSED) if reply.status == 503 else reading


@named("expected ReplyReading.used = 17, got None")
class CountsNothing(LindenExchange):
    def read_reply(self, reply: say.RestReply) -> say.ReplyReading:
        return structs.replace(super().read_reply(reply), used=None)


@named("expected send_budget as (at least 1, seconds above 0) or None, got (0, 1.0)")
class MaySayNothing(LindenExchange):
    send_budget = (0, 1.0)


@named("check of trade:OAK, which can never work: expected ConfigurationError, but it was let pass")
class TakesAnything(LindenExchange):
    def check(self, stream: Stream) -> None:
        pass


@named("examples: expected no page of trade, of which has_history says that it has none")
class DeniesItsHistory(LindenExchange):
    def has_history(self, stream: Stream) -> bool:  # noqa: ARG002
        return False
