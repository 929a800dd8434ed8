"""Coinbase Exchange by examples: a trade as recorded on 2021-04-17, the rest as documented."""

import json

from gapless.controller import Stream
from gapless.controller.exchange import (
    HighWater,
    HistoryPage,
    HistoryQuery,
    Ignored,
    Notice,
    Outcome,
    Rejected,
    ReplyReading,
    Subscribed,
    TradeUpdate,
)
from gapless.simulator.testkit.conformance import AdapterExamples, Expect, LiveRun, PageExample, rest_reply

BAND, SKALE = Stream("matches", "BAND-GBP"), Stream("matches", "SKL-GBP")

_TIME = "2021-04-17T16:43:30.244075Z"


def row(number: int) -> dict[str, object]:
    """A trade as REST keeps it; ``side`` is the maker's."""
    return {"trade_id": number, "side": "sell", "size": "0.04", "price": "14.7775", "time": _TIME}


def match(number: int, kind: str = "match") -> str:
    """The same on the socket."""
    return json.dumps({"type": kind, "product_id": "BAND-GBP", "sequence": 333938798, **row(number)})


def answer(frame: str) -> list[str]:
    """All that is subscribed: here, what this frame leaves. There are no ids."""
    asked = json.loads(frame)
    left = asked["product_ids"] if asked["type"] == "subscribe" else []
    channels = [{"name": name, "product_ids": left} for name in ("matches", "heartbeat")]
    return [json.dumps({"type": "subscriptions", "channels": channels})]


def refuse(frame: str) -> list[str]:
    """What a product that is none gets."""
    products = json.loads(frame)["product_ids"]
    failed = {"type": "error", "message": "Failed to subscribe"}
    return [json.dumps({**failed, "reason": f"{each} is not a valid product"}) for each in products]


BOUGHT = Expect(
    TradeUpdate,
    channel="matches",
    symbol="BAND-GBP",
    sequence_id=881614,
    timestamp=_TIME,
    price=14.7775,
    price_text="14.7775",
    amount_text="0.04",
    side="buy",
    trade_id="881614",
)

COINBASE = AdapterExamples(
    streams=[BAND, SKALE],
    unknown_streams=[Stream("matches", "BTCUSD"), Stream("matches", "btc-usd"), Stream("level2", "BTC-USD")],
    frames=[
        (match(881614), BOUGHT),
        (match(881613, "last_match"), Expect(HighWater, marks={BAND: 881613})),
        (
            f'{{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"SKL-GBP","time":"{_TIME}"}}',
            Expect(HighWater, marks={SKALE: 20}),
        ),
        (
            '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BAND-GBP"]},{"name":"heartbeat"}]}',
            Expect(Subscribed, request_id=None, marks={BAND: None}),
        ),
        (
            '{"type":"error","message":"Failed to subscribe","reason":"SKL-GBP is not a valid product"}',
            Expect(Rejected, streams=[SKALE], message="SKL-GBP is not a valid product"),
        ),
        ('{"type":"error","message":"rate limit exceeded"}', Expect(Notice, code="rate limit exceeded")),
        ('{"type":"ticker","product_id":"BAND-GBP","price":"14.7775"}', Expect(Ignored, kind="ticker")),
    ],
    runs=[LiveRun(stream=BAND, frames=[match(each) for each in (7, 8, 9)], ids=[7, 8, 9])],
    answer=answer,
    refuse=refuse,
    echoes_ids=False,
    pages=[
        PageExample(
            query=HistoryQuery(stream=BAND, limit=1000, start_seq=42, end_seq=44),
            request="/products/BAND-GBP/trades?limit=4&after=46",
            reply=rest_reply([row(45), row(44), row(43), row(42)]),
            page=Expect(HistoryPage, more=True, last_seq=None, rows=[Expect(TradeUpdate, side="buy", amount=0.04)] * 4),
            ids=[42, 43, 44, 45],
        ),
        PageExample(
            query=HistoryQuery(stream=BAND, limit=3, start_seq=42),
            request="/products/BAND-GBP/trades?limit=3&after=45",
            reply=rest_reply([row(42), row(41), row(40)]),
            page=Expect(HistoryPage, more=False, last_seq=42),
            ids=[42],
        ),
        PageExample(
            query=HistoryQuery(stream=BAND, limit=1),
            request="/products/BAND-GBP/trades?limit=1",
            reply=rest_reply([row(44)]),
            page=Expect(HistoryPage, more=False, last_seq=44),
            ids=[44],
        ),
    ],
    replies=[
        (
            rest_reply({"message": "NotFound"}, 404),
            Expect(ReplyReading, outcome=Outcome.NO_SUCH_STREAM, code="404", message="NotFound"),
        ),
        (
            rest_reply({"message": "Public rate limit exceeded"}, 429),
            Expect(ReplyReading, outcome=Outcome.LIMITED, message="Public rate limit exceeded"),
        ),
    ],
)
