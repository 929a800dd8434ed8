"""Linden by examples, as its (imaginary) documentation has them, and its adapter, which lives in examples/."""

import json

from gapless.controller import Stream
from gapless.controller.exchange import (
    HighWater,
    HistoryPage,
    HistoryQuery,
    Ignored,
    Leaving,
    MustAnswer,
    Notice,
    Outcome,
    Pong,
    Rejected,
    ReplyReading,
    Several,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
)
from gapless.simulator.testkit.conformance import AdapterExamples, Expect, LiveRun, PageExample, rest_reply

OAK, ELM = Stream("trade", "OAK-EUR"), Stream("trade", "ELM-EUR")


def row(number: int) -> list[object]:
    """A trade as the venue writes it."""
    return [number, f"19.{number}0", "0.250", "b" if number % 2 else "s", 1_767_225_600_000 + number]


def trades(*numbers: int) -> str:
    """A frame of trades."""
    return json.dumps({"ev": "trades", "market": "OAK-EUR", "rows": [row(number) for number in numbers]})


def answer(frame: str) -> list[str]:
    """What Linden says to a frame of its client."""
    asked = json.loads(frame)
    match asked["op"]:
        case "join":
            said = {"ev": "joined", "req": asked["req"], "last": dict.fromkeys(asked["markets"], 41)}
        case "leave":
            said = {"ev": "left", "req": asked["req"]}
        case "ping":
            said = {"ev": "pong", "req": asked["req"]}
        case _:
            return []
    return [json.dumps(said)]


def refuse(frame: str) -> list[str]:
    """What Linden says where it does not have a market."""
    asked = json.loads(frame)
    refused = {"ev": "refused", "req": asked["req"], "code": "no-market", "text": "there is no such market"}
    return [json.dumps({**refused, "market": market}) for market in asked["markets"]]


FIRST = Expect(
    TradeUpdate,
    channel="trade",
    symbol="OAK-EUR",
    sequence_id=42,
    timestamp="2026-01-01T00:00:00.042Z",
    price=19.42,
    price_text="19.420",
    amount=0.25,
    amount_text="0.250",
    side="sell",
    trade_id="42",
)
"""What ``row(42)`` means."""
ROWS = [FIRST, Expect(TradeUpdate, price_text="19.430", side="buy"), Expect(TradeUpdate, price_text="19.440")]

LINDEN = AdapterExamples(
    streams=[OAK, ELM],
    unknown_streams=[Stream("trade", "oak"), Stream("trade", "OAK"), Stream("quotes", "OAK-EUR")],
    frames=[
        (trades(42), Expect(Several, messages=[FIRST])),
        (trades(42, 43), Expect(Several, messages=[FIRST, Expect(TradeUpdate, sequence_id=43, side="buy")])),
        ('{"ev":"joined","req":"s-1","last":{"OAK-EUR":41}}', Expect(Subscribed, request_id="s-1", marks={OAK: 41})),
        (
            '{"ev":"refused","req":"s-1","market":"ELM-EUR","code":"no-market","text":"No."}',
            Expect(Rejected, request_id="s-1", streams=[ELM], code="no-market", message="No."),
        ),
        ('{"ev":"left","req":"u-1"}', Expect(Unsubscribed, request_id="u-1", streams=None)),
        ('{"ev":"beat","last":{"OAK-EUR":57,"ELM-EUR":3}}', Expect(HighWater, marks={OAK: 57, ELM: 3})),
        ('{"ev":"proof","token":"a7"}', Expect(MustAnswer, answer='{"op":"proof","token":"a7"}')),
        ('{"ev":"pong","req":"p-1"}', Expect(Pong, request_id="p-1")),
        ('{"ev":"moving","text":"in a minute"}', Expect(Leaving, reason="in a minute")),
        ('{"ev":"word","code":"M1","text":"at 18:00"}', Expect(Notice, kind="maintenance", code="M1")),
        ('{"ev":"weather","text":"fair"}', Expect(Ignored, kind="weather")),
    ],
    runs=[LiveRun(stream=OAK, frames=[trades(42), trades(43, 44), trades(45)], ids=[42, 43, 44, 45])],
    answer=answer,
    refuse=refuse,
    streams_per_frame=20,
    frame_bytes_max=1024,
    pages=[
        PageExample(
            query=HistoryQuery(stream=OAK, limit=500, start_seq=42, end_seq=44),
            request="/v1/trades/OAK-EUR?from=42&count=3",
            reply=rest_reply({"rows": [row(42), row(43), row(44)], "oldest": 1}),
            page=Expect(HistoryPage, more=True, last_seq=None, first_seq=1, cursor=None, rows=ROWS),
            ids=[42, 43, 44],
        ),
        PageExample(
            query=HistoryQuery(stream=OAK, limit=500, start_seq=42),
            request="/v1/trades/OAK-EUR?from=42&count=500",
            reply=rest_reply({"rows": [row(43), row(44)], "oldest": 43}),
            page=Expect(HistoryPage, more=False, last_seq=44, first_seq=43),
            ids=[43, 44],
            weight=6,
        ),
        PageExample(
            query=HistoryQuery(stream=OAK, limit=500, start_seq=42),
            request="/v1/trades/OAK-EUR?from=42&count=500",
            reply=rest_reply({"rows": [], "oldest": 1}),
            page=Expect(HistoryPage, more=False, last_seq=41, first_seq=1),
            ids=[],
            weight=6,
        ),
        PageExample(
            query=HistoryQuery(stream=OAK, limit=1),
            request="/v1/trades/OAK-EUR?count=1",
            reply=rest_reply({"rows": [row(44)], "oldest": 1}, headers={"Linden-Used": "17"}),
            page=Expect(HistoryPage, more=False, last_seq=44),
            ids=[44],
        ),
    ],
    replies=[
        (rest_reply({"rows": [], "oldest": 1}, headers={"Linden-Used": "17"}), Expect(ReplyReading, used=17)),
        (
            rest_reply({"code": "no-market", "message": "There is no market ASH-EUR."}, status=404),
            Expect(ReplyReading, outcome=Outcome.NO_SUCH_STREAM, code="no-market", used=None),
        ),
        (
            rest_reply({"code": "weight", "message": "Slow down."}, status=429, headers={"Linden-Used": "121"}),
            Expect(ReplyReading, outcome=Outcome.LIMITED, code="weight", message="Slow down.", used=121),
        ),
        (
            rest_reply(b"<html>", status=503),
            Expect(ReplyReading, outcome=Outcome.UNAVAILABLE, code="503", message="without words"),
        ),
    ],
)
