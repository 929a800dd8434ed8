"""Binance spot by examples: events as recorded on 2024-08-08, requests and errors as documented."""

import json

from gapless.controller import Stream
from gapless.controller.exchange import (
    HistoryPage,
    HistoryQuery,
    Ignored,
    Leaving,
    MarketUpdate,
    Notice,
    Outcome,
    Pong,
    Rejected,
    ReplyReading,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
)
from gapless.simulator.testkit.conformance import AdapterExamples, Expect, LiveRun, PageExample, rest_reply

TRADES, AGGREGATES, QUOTES = (Stream(channel, "BTCUSDT") for channel in ("trade", "aggTrade", "bookTicker"))

QUOTE = '{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}'
HEAVY = {"X-MBX-USED-WEIGHT": "75", "X-MBX-USED-WEIGHT-1M": "75"}
_FIRST = 3735683259
_TIME_MS = 1723161255342


def trade(number: int) -> str:
    """The event of a trade."""
    money = {"p": "61837.63000000", "q": "0.02000000"}
    event = {"e": "trade", "E": _TIME_MS + 1, "s": "BTCUSDT", "t": number, **money, "T": _TIME_MS, "m": True, "M": True}
    return json.dumps(event, separators=(",", ":"))


def aggregate(number: int) -> str:
    """The event of an aggregate trade."""
    span = {"p": "0.001", "q": "100", "f": 100 * number, "l": 100 * number + 5}
    return json.dumps({"e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": number, **span, "T": 1672515782136, "m": False})


def quote(number: int) -> str:
    """The event of a best quote."""
    return QUOTE.replace("50093239212", str(number))


def kept(*ids: int) -> list[dict[str, object]]:
    """Rows of ``historicalTrades``."""
    money = {"price": "4.00000100", "qty": "12.00000000", "quoteQty": "48.000012"}
    return [{"id": each, **money, "time": _TIME_MS, "isBuyerMaker": False, "isBestMatch": True} for each in ids]


def answer(frame: str) -> list[str]:
    """Everything is answered alike: by its id."""
    asked = json.loads(frame)
    result = ["btcusdt@trade"] if asked["method"] == "LIST_SUBSCRIPTIONS" else None
    return [json.dumps({"result": result, "id": asked["id"]})]


def refuse(frame: str) -> list[str]:
    """What a request that it does not like gets."""
    return [json.dumps({"error": {"code": 2, "msg": "Invalid request: too many"}, "id": json.loads(frame)["id"]})]


SOLD = Expect(
    TradeUpdate,
    channel="trade",
    symbol="BTCUSDT",
    sequence_id=_FIRST,
    timestamp="2024-08-08T23:54:15.342Z",
    price=61837.63,
    price_text="61837.63000000",
    amount_text="0.02000000",
    side="sell",
    trade_id="3735683259",
)

BINANCE = AdapterExamples(
    streams=[TRADES, AGGREGATES, QUOTES],
    unknown_streams=[Stream("trade", "btcusdt"), Stream("trade", "BTC-USDT"), Stream("depth", "BTCUSDT")],
    frames=[
        (trade(_FIRST), SOLD),
        (f'{{"stream":"btcusdt@trade","data":{trade(_FIRST)}}}', SOLD),
        (aggregate(26129), Expect(TradeUpdate, channel="aggTrade", sequence_id=26129, side="buy", amount_text="100")),
        (QUOTE, Expect(MarketUpdate, sequence_id=50093239212, bid=61837.63, ask=61837.64, timestamp="")),
        ('{"result":null,"id":"sub-s-1"}', Expect(Subscribed, request_id="s-1", marks=None)),
        ('{"result":null,"id":"unsub-s-2"}', Expect(Unsubscribed, request_id="s-2", streams=None)),
        ('{"result":["btcusdt@trade"],"id":"ping-p-1"}', Expect(Pong, request_id="p-1")),
        (
            '{"error":{"code":2,"msg":"Invalid request"},"id":"sub-s-1"}',
            Expect(Rejected, request_id="s-1", streams=None, code="2", message="Invalid request"),
        ),
        ('{"code":3,"msg":"Invalid JSON"}', Expect(Notice, kind="error", code="3", message="Invalid JSON")),
        ('{"e":"serverShutdown","E":1770123456789}', Expect(Leaving)),
        ('{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}', Expect(Ignored, kind="depthUpdate")),
    ],
    runs=[
        LiveRun(stream=TRADES, frames=[trade(_FIRST + at) for at in range(4)], ids=[_FIRST + at for at in range(4)]),
        LiveRun(stream=AGGREGATES, frames=[aggregate(26129 + at) for at in range(3)], ids=[26129, 26130, 26131]),
        LiveRun(stream=QUOTES, frames=[quote(each) for each in (7, 9, 20)], ids=[7, 9, 20]),
    ],
    answer=answer,
    refuse=refuse,
    frame_bytes_max=4096,
    pages=[
        PageExample(
            query=HistoryQuery(stream=TRADES, limit=1000, start_seq=42, end_seq=44),
            request="/api/v3/historicalTrades?symbol=BTCUSDT&limit=3&fromId=42",
            weight=25,
            reply=rest_reply(kept(42, 43, 44), headers=HEAVY),
            page=Expect(
                HistoryPage,
                more=True,
                last_seq=None,
                cursor=None,
                rows=[
                    Expect(TradeUpdate, price=4.000001, price_text="4.00000100", amount_text="12.00000000", side="buy")
                ]
                * 3,
            ),
            ids=[42, 43, 44],
        ),
        PageExample(
            query=HistoryQuery(stream=TRADES, limit=1000, start_seq=42),
            request="/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=42",
            weight=25,
            reply=rest_reply(kept(42)),
            page=Expect(HistoryPage, more=False, last_seq=42, first_seq=None),
            ids=[42],
        ),
        PageExample(
            query=HistoryQuery(stream=AGGREGATES, limit=1),
            request="/api/v3/aggTrades?symbol=BTCUSDT&limit=1",
            weight=4,
            reply=rest_reply(b'[{"a":26129,"p":"0.01633102","q":"4.70443515","f":1,"l":2,"T":1498793709153,"m":true}]'),
            page=Expect(HistoryPage, more=False, last_seq=26129),
            ids=[26129],
        ),
    ],
    replies=[
        (rest_reply([], headers=HEAVY), Expect(ReplyReading, outcome=Outcome.OK, used=75)),
        (
            rest_reply({"code": -1121, "msg": "Invalid symbol."}, 400),
            Expect(ReplyReading, outcome=Outcome.NO_SUCH_STREAM, code="-1121", message="Invalid symbol."),
        ),
        (
            rest_reply({"code": -1003, "msg": "Too much request weight used."}, 429, {"Retry-After": "7"}),
            Expect(ReplyReading, outcome=Outcome.LIMITED, code="-1003"),
        ),
        (rest_reply({"code": -1003, "msg": "IP banned."}, 418), Expect(ReplyReading, outcome=Outcome.LIMITED)),
        (rest_reply(b"<html>Bad gateway</html>", 502), Expect(ReplyReading, outcome=Outcome.UNAVAILABLE, code="502")),
    ],
)
