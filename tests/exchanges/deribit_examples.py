"""Deribit by examples: JSON-RPC as documented, trades as recorded on 2025-12-12."""

import json

from gapless.controller import Stream
from gapless.controller.exchange import (
    Goodbye,
    HistoryPage,
    HistoryQuery,
    Ignored,
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

BTC, ETH = Stream("trades", "BTC-PERPETUAL"), Stream("trades", "ETH-PERPETUAL")

_FIRST = 271252854


def trade(number: int) -> dict[str, object]:
    """A trade, on the socket as in REST."""
    money = {"price": 92294.5, "amount": 10.0, "index_price": 92276.75, "mark_price": 92287.11}
    names = {"instrument_name": "BTC-PERPETUAL", "trade_seq": number, "trade_id": f"BTC-{number}"}
    return {"timestamp": 1765531356452, "direction": "sell", **money, **names}


def trades(*ids: int) -> str:
    """A frame of trades."""
    params = {"channel": "trades.BTC-PERPETUAL.100ms", "data": [trade(each) for each in ids]}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


def page(*ids: int, has_more: bool) -> dict[str, object]:
    """A reply of ``get_last_trades_by_instrument``."""
    return {"jsonrpc": "2.0", "result": {"trades": [trade(each) for each in ids], "has_more": has_more}, "usIn": 1}


def answer(frame: str) -> list[str]:
    """The channels that were taken or ended; a version."""
    asked = json.loads(frame)
    result = asked["params"].get("channels", {"version": "1.2.26"})
    return [json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})]


def refuse(frame: str) -> list[str]:
    """The venue's error."""
    error = {"code": -32602, "message": "Invalid params", "data": {"param": "channels", "reason": "wrong format"}}
    return [json.dumps({"jsonrpc": "2.0", "id": json.loads(frame)["id"], "error": error})]


SOLD = Expect(
    TradeUpdate,
    channel="trades",
    symbol="BTC-PERPETUAL",
    sequence_id=_FIRST,
    timestamp="2025-12-12T09:22:36.452Z",
    price=92294.5,
    price_text="92294.5",
    amount_text="10.0",
    side="sell",
    trade_id="BTC-271252854",
)

DERIBIT = AdapterExamples(
    streams=[BTC, ETH],
    unknown_streams=[Stream("trades", "BTC PERPETUAL"), Stream("book", "BTC-PERPETUAL")],
    frames=[
        (trades(_FIRST), SOLD),
        (trades(_FIRST, _FIRST + 1), Expect(Several, messages=[SOLD, Expect(TradeUpdate, sequence_id=_FIRST + 1)])),
        (
            '{"jsonrpc":"2.0","id":"sub-s-9","result":["trades.BTC-PERPETUAL.100ms","book.BTC-PERPETUAL.100ms"]}',
            Expect(Subscribed, request_id="s-9", marks={BTC: None}),
        ),
        (
            '{"jsonrpc":"2.0","id":"unsub-s-9","result":["trades.ETH-PERPETUAL.100ms"]}',
            Expect(Unsubscribed, request_id="s-9", streams=[ETH]),
        ),
        ('{"jsonrpc":"2.0","id":"ping-p-1","result":{"version":"1.2.26"}}', Expect(Pong, request_id="p-1")),
        (
            '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
            Expect(MustAnswer, answer='{"jsonrpc":"2.0","id":"answer","method":"public/test","params":{}}'),
        ),
        ('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}', Expect(Ignored)),
        (
            '{"jsonrpc":"2.0","id":"sub-s-9","error":{"code":11050,"message":"bad_request"}}',
            Expect(Rejected, request_id="s-9", code="11050", message="bad_request"),
        ),
        (
            '{"jsonrpc":"2.0","id":1,"error":{"code":10028,"message":"too_many_requests","data":null}}',
            Expect(Several, messages=[Expect(Notice, kind="limited", code="10028"), Expect(Goodbye)]),
        ),
    ],
    runs=[
        LiveRun(
            stream=BTC,
            frames=[trades(_FIRST), trades(_FIRST + 1, _FIRST + 2), trades(_FIRST + 3)],
            ids=[_FIRST + at for at in range(4)],
        )
    ],
    answer=answer,
    refuse=refuse,
    streams_per_frame=500,
    pages=[
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1000, start_seq=42, end_seq=44),
            request="/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL&start_seq=42&count=3"
            "&sorting=asc",
            reply=rest_reply(page(42, 43, 44, has_more=True)),
            page=Expect(
                HistoryPage, more=True, last_seq=None, cursor=None, rows=[Expect(TradeUpdate, amount=10.0)] * 3
            ),
            ids=[42, 43, 44],
            weight=500,
        ),
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1000, start_seq=42),
            request="/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL&start_seq=42&count=1000"
            "&sorting=asc",
            reply=rest_reply(page(42, 44, has_more=False)),
            page=Expect(HistoryPage, more=False, last_seq=44),
            ids=[42, 44],
            weight=500,
        ),
        PageExample(
            query=HistoryQuery(stream=BTC, limit=1),
            request="/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL&count=1&sorting=desc",
            reply=rest_reply(page(44, has_more=True)),
            page=Expect(HistoryPage, more=False, last_seq=44),
            ids=[44],
            weight=500,
        ),
    ],
    replies=[
        (
            rest_reply({"error": {"code": 13020, "message": "not_found"}}, 400),
            Expect(ReplyReading, outcome=Outcome.NO_SUCH_STREAM, code="13020", message="not_found"),
        ),
        (
            rest_reply({"error": {"code": 10028, "message": "too_many_requests"}}, 429),
            Expect(ReplyReading, outcome=Outcome.LIMITED, code="10028"),
        ),
        (
            rest_reply({"error": {"code": 11051, "message": "maintenance"}}, 400),
            Expect(ReplyReading, outcome=Outcome.UNAVAILABLE),
        ),
    ],
)
