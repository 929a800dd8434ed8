"""The reference exchange by examples, from docs/protocol.md."""

import json

from gapless.controller import Balance, Order, Stream
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HistoryPage,
    HistoryQuery,
    HistoryRow,
    Ignored,
    MarketUpdate,
    Outcome,
    Pong,
    Rejected,
    ReplyReading,
    Snapshot,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from gapless.simulator.testkit.conformance import (
    AdapterExamples,
    Expect,
    LiveRun,
    PageExample,
    SnapshotExample,
    rest_reply,
)

BTC, ETH = Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD")
ORDERS, BALANCE = Stream("orders", "*"), Stream("balance", "*")

ORDER = {"order_id": "o-1", "symbol": "BTC/USD", "side": "buy", "type": "limit", "quantity": 1.0, "status": "open"}
USD = {"asset": "USD", "free": 1000.0, "locked": 0.0}


def row(number: int) -> dict[str, object]:
    """A datum as REST keeps it."""
    timestamp = f"2026-01-01T00:00:{number % 60:02}.000Z"
    return {"sequence_id": number, "timestamp": timestamp, "price": 50000.5, "bid": 49999.0, "ask": 50001.0}


def datum(number: int) -> str:
    """The same on the socket."""
    return json.dumps({"type": "MARKET_DATA", "channel": "ticker", "symbol": "BTC/USD", **row(number)})


def named(kind: str, *streams: Stream, **fields: object) -> str:
    """A frame about streams."""
    names = [{"channel": each.channel, "symbol": each.symbol} for each in streams]
    return json.dumps({"type": kind, "streams": names, **fields})


def answer(frame: str) -> list[str]:
    """As ``gapless simulate`` answers."""
    asked = json.loads(frame)
    match asked["type"]:
        case "SUBSCRIBE":
            marked = [{**name, "sequence_id": 41} for name in asked["streams"]]
            return [json.dumps({"type": "SUBSCRIBED", "request_id": asked["request_id"], "streams": marked})]
        case "UNSUBSCRIBE":
            return [json.dumps({**asked, "type": "UNSUBSCRIBED"})]
        case _:
            return [json.dumps({"type": "PONG", "request_id": asked["request_id"], "server_time": "x"})]


def refuse(frame: str) -> list[str]:
    """As a venue without these streams answers."""
    return [json.dumps({**json.loads(frame), "type": "REJECTED", "code": "unknown_symbol", "message": "No."})]


def prices(*ids: int, **said: object) -> dict[str, object]:
    """The body of a page."""
    return {"prices": [row(number) for number in ids], "epoch": "e-1", **said}


REFERENCE = AdapterExamples(
    streams=[BTC, ETH, ORDERS, BALANCE],
    unknown_streams=[Stream("orders", "BTC/USD"), Stream("balance", "USD")],
    frames=[
        ('{"type":"WELCOME","session_id":"ID","epoch":"e-1"}', Expect(Welcome, epoch="e-1")),
        (
            datum(42),
            Expect(MarketUpdate, channel="ticker", symbol="BTC/USD", sequence_id=42, price=50000.5, bid=49999.0),
        ),
        (
            named("SUBSCRIBED", BTC, ETH, request_id="s-1"),
            Expect(Subscribed, request_id="s-1", marks={BTC: None, ETH: None}),
        ),
        (named("UNSUBSCRIBED", ETH, request_id="u-1"), Expect(Unsubscribed, request_id="u-1", streams=[ETH])),
        (named("REJECTED", ETH, code="unknown_symbol"), Expect(Rejected, streams=[ETH], code="unknown_symbol")),
        ('{"type":"PONG","request_id":"p-1"}', Expect(Pong, request_id="p-1")),
        (
            json.dumps({"type": "ORDER_UPDATE", "sequence_id": 7, "order": ORDER}),
            Expect(AccountUpdate, stream=ORDERS, sequence_id=7, content=Expect(Order, order_id="o-1", quantity=1.0)),
        ),
        (
            json.dumps({"type": "BALANCE_UPDATE", "sequence_id": 3, "balance": USD}),
            Expect(AccountUpdate, stream=BALANCE, sequence_id=3, content=Balance(asset="USD", free=1000.0)),
        ),
        ('{"type":"GOODBYE","reason":"maintenance","retry_after_s":5}', Expect(Goodbye, retry_after_s=5.0)),
        ('{"type":"WEATHER","report":"fair"}', Expect(Ignored, kind="WEATHER")),
    ],
    runs=[LiveRun(stream=BTC, frames=[datum(each) for each in range(42, 46)], ids=[42, 43, 44, 45])],
    answer=answer,
    refuse=refuse,
    pages=[
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1000, start_seq=42, end_seq=44),
            request="/api/v1/prices?channel=ticker&symbol=BTC/USD&start_seq=42&end_seq=44&limit=1000",
            reply=rest_reply(prices(42, 43, 44, first_seq=1, last_seq=99)),
            page=Expect(
                HistoryPage,
                epoch="e-1",
                first_seq=1,
                last_seq=99,
                more=False,
                rows=[Expect(HistoryRow, bid=49999.0)] * 3,
            ),
            ids=[42, 43, 44],
        ),
        PageExample(
            query=HistoryQuery(stream=BTC, limit=10, start="2026-01-01T00:00:00Z"),
            request="/api/v1/prices?channel=ticker&symbol=BTC/USD&start=2026-01-01T00:00:00Z&limit=10",
            reply=rest_reply({"prices": []}),
            page=Expect(HistoryPage, epoch=None, first_seq=None, last_seq=None, cursor=None),
            ids=[],
        ),
    ],
    replies=[
        (
            rest_reply({"error": {"code": "bad_request", "message": "No."}}, 400),
            Expect(ReplyReading, outcome=Outcome.REFUSED),
        ),
        (rest_reply({}, 429, {"Retry-After": "5"}), Expect(ReplyReading, outcome=Outcome.LIMITED)),
        (rest_reply(b"", 500), Expect(ReplyReading, outcome=Outcome.UNAVAILABLE)),
    ],
    snapshots=[
        SnapshotExample(
            stream=ORDERS,
            request="/api/v1/orders",
            reply=rest_reply({"orders": [ORDER], "sequence_id": 7}),
            snapshot=Expect(Snapshot, sequence_id=7, contents=[Expect(Order, order_id="o-1", price=None)]),
        ),
        SnapshotExample(
            stream=BALANCE,
            request="/api/v1/balance",
            reply=rest_reply({"balances": [USD]}),
            snapshot=Expect(Snapshot, sequence_id=None, contents=[Balance(asset="USD", free=1000.0)]),
        ),
    ],
)
