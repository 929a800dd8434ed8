"""Kraken spot by examples: WebSocket v2 and REST as documented, ids and prices as recorded on 2023-10-06."""

import json

from gapless.controller import Stream
from gapless.controller.exchange import (
    HistoryPage,
    HistoryQuery,
    Ignored,
    Notice,
    Outcome,
    Rejected,
    ReplyReading,
    Several,
    Subscribed,
    TradeUpdate,
)
from gapless.simulator.testkit.conformance import AdapterExamples, Expect, LiveRun, PageExample, rest_reply

BTC, ETH = Stream("trade", "BTC/USD"), Stream("trade", "ETH/USD")

_ROW = '["105433.60000","0.00027625",{time},"b","l","",{number}]'


def trades(*ids: int) -> str:
    """A frame of trades; prices are JSON numbers with zeros at their end."""
    row = (
        '{{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit",'
        '"trade_id":{},"timestamp":"2023-10-06T17:35:55.440295Z"}}'
    )
    return f'{{"channel":"trade","type":"update","data":[{",".join(row.format(each) for each in ids)}]}}'


def page(*ids: int) -> bytes:
    """A reply of ``Trades``."""
    rows = ",".join(_ROW.format(time=f"1696613755.{number % 10}44029", number=number) for number in ids)
    return f'{{"error":[],"result":{{"XXBTZUSD":[{rows}],"last":"1696613755440295123"}}}}'.encode()


def answer(frame: str) -> list[str]:
    """Each pair is answered on its own, by the number of the request."""
    asked = json.loads(frame)
    if asked["method"] == "ping":
        return [json.dumps({"method": "pong", "req_id": asked["req_id"]})]
    said = {"method": asked["method"], "success": True, "req_id": asked["req_id"]}
    pairs = asked["params"]["symbol"]
    return [json.dumps({**said, "result": {"channel": "trade", "symbol": pair, "snapshot": False}}) for pair in pairs]


def refuse(frame: str) -> list[str]:
    """So are pairs that it does not have."""
    asked = json.loads(frame)
    said = {"method": asked["method"], "success": False, "req_id": asked["req_id"]}
    pairs = asked["params"]["symbol"]
    return [json.dumps({**said, "symbol": each, "error": f"Currency pair not supported {each}"}) for each in pairs]


BOUGHT = Expect(
    TradeUpdate,
    channel="trade",
    symbol="BTC/USD",
    sequence_id=10218208,
    timestamp="2023-10-06T17:35:55.440295Z",
    price=105944.2,
    price_text="105944.20",
    amount_text="0.00027625",
    side="buy",
)

KRAKEN = AdapterExamples(
    streams=[BTC, ETH],
    unknown_streams=[Stream("trade", "BTCUSD"), Stream("book", "BTC/USD")],
    frames=[
        (trades(10218208), BOUGHT),
        (trades(10218208, 10218209), Expect(Several, messages=[BOUGHT, Expect(TradeUpdate, sequence_id=10218209)])),
        (
            '{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true,"req_id":1}',
            Expect(Subscribed, marks={BTC: None}),
        ),
        (
            '{"error":"Currency pair not supported ETH/USD","method":"subscribe","success":false,"symbol":"ETH/USD"}',
            Expect(Rejected, streams=[ETH], message="Currency pair not supported ETH/USD"),
        ),
        (
            '{"channel":"status","type":"update","data":[{"system":"maintenance","connection_id":138347743802000327}]}',
            Expect(Notice, kind="maintenance", code="maintenance"),
        ),
        ('{"channel":"heartbeat"}', Expect(Ignored, kind="heartbeat")),
    ],
    runs=[LiveRun(stream=BTC, frames=[trades(7), trades(9, 10), trades(14)], ids=[7, 9, 10, 14])],
    answer=answer,
    refuse=refuse,
    pages=[
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1000, start_seq=71, since="2023-10-06T17:35:55.000Z"),
            request="/0/public/Trades?pair=XBTUSD&count=1000&since=1696613754999999000",
            reply=rest_reply(page(71, 73)),
            page=Expect(
                HistoryPage,
                more=False,
                last_seq=73,
                cursor=None,
                rows=[
                    Expect(TradeUpdate, price_text="105433.60000", side="buy", timestamp="2023-10-06T17:35:55.144029Z"),
                    Expect(TradeUpdate, sequence_id=73),
                ],
            ),
            ids=[71, 73],
        ),
        PageExample(
            query=HistoryQuery(stream=BTC, limit=2, start_seq=71, since="2023-10-06T17:35:55.000Z"),
            request="/0/public/Trades?pair=XBTUSD&count=2&since=1696613754999999000",
            reply=rest_reply(page(71, 73)),
            page=Expect(HistoryPage, more=True, last_seq=None, cursor="1696613755440295123"),
            ids=[71, 73],
        ),
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1),
            request="/0/public/Trades?pair=XBTUSD&count=1",
            reply=rest_reply(page(74)),
            page=Expect(HistoryPage, more=False, last_seq=74),
            ids=[74],
        ),
    ],
    replies=[
        (
            rest_reply({"error": ["EQuery:Unknown asset pair"]}),
            Expect(ReplyReading, outcome=Outcome.NO_SUCH_STREAM, code="EQuery", message="Unknown asset pair"),
        ),
        (rest_reply({"error": ["EAPI:Rate limit exceeded"]}), Expect(ReplyReading, outcome=Outcome.LIMITED)),
        (rest_reply({"error": ["EService:Unavailable"]}), Expect(ReplyReading, outcome=Outcome.UNAVAILABLE)),
    ],
)
