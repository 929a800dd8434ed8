"""Binance's adapter: frames and replies written by hand from its documentation, bent out of shape, and recorded."""

import gzip
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import ConfigurationError, InvalidMessageError, InvalidReplyError, Stream
from gapless.controller.exchange import (
    HistoryQuery,
    Ignored,
    Leaving,
    MarketUpdate,
    Message,
    Notice,
    Outcome,
    Pong,
    Rejected,
    RestReply,
    SequenceRule,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
)
from gapless.controller.exchanges import BinanceExchange
from tests.exchanges.wire_kit import bent, recorded, reply

BINANCE = BinanceExchange()
TRADES, AGGREGATES, QUOTES = (Stream(channel, "BTCUSDT") for channel in ("trade", "aggTrade", "bookTicker"))

TRADE = (
    b'{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.00100000","q":"100.50","T":1672515782136,'
    b'"m":true,"M":true}'
)
AGGREGATE = (
    b'{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,'
    b'"T":1672515782007,"m":false,"M":true}'
)
QUOTE = b'{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}'
SHUTDOWN = b'{"e":"serverShutdown","E":1770123456789}'
ENVELOPE = b'{"stream":"bnbbtc@trade","data":%b}'
DONE = b'{"result":null,"id":"sub-s-1-1"}'
REFUSED = b'{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":"sub-s-1-1"}'

ROWS = (
    b'[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,'
    b'"isBuyerMaker":true,"isBestMatch":true},'
    b'{"id":28458,"price":"4.00000200","qty":"1.00000000","quoteQty":"4.000002","time":1499865549591,'
    b'"isBuyerMaker":false,"isBestMatch":true}]'
)
AGGREGATE_ROWS = (
    b'[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true},'
    b'{"a":26130,"p":"0.01633103","q":"1","f":27782,"l":27784,"T":1498793709154,"m":false,"M":true}]'
)


def said(frame: str | bytes) -> Message:
    return BINANCE.decode(frame)


def query(stream: Stream = TRADES, *, limit: int = 1000, **asked: Any) -> HistoryQuery:
    return HistoryQuery(stream=stream, limit=limit, **asked)


def read(body: object, status: int = 200, *, used: str | None = None) -> RestReply:
    headers = {} if used is None else {"x-mbx-used-weight-1m": used}
    return msgspec.structs.replace(reply(body, status), headers=headers)


# -- what is said -----------------------------------------------------------------------------------------------------


def test_streams_are_asked_for_by_their_names_in_small_letters() -> None:
    (frame,) = BINANCE.subscribe([TRADES, AGGREGATES, QUOTES], "s-1-1")
    assert msgspec.json.decode(frame) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker"],
        "id": "sub-s-1-1",
    }
    (frame,) = BINANCE.unsubscribe([TRADES], "s-1-2")
    assert msgspec.json.decode(frame) == {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "unsub-s-1-2"}


@pytest.mark.parametrize(("count", "sizes"), [(100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_a_hundred_streams_go_in_a_frame_and_the_last_ones_answer_counts(count: int, sizes: list[int]) -> None:
    streams = [Stream("aggTrade", f"{number:020}"[:20]) for number in range(count)]
    for frames, kind in (
        (BINANCE.subscribe(streams, "s-1-1"), "sub-s-1-1"),
        (BINANCE.unsubscribe(streams, "s-1-1"), "unsub-s-1-1"),
    ):
        asked = [msgspec.json.decode(frame) for frame in frames]
        assert [len(each["params"]) for each in asked] == sizes
        assert [name for each in asked for name in each["params"]] == [f"{each.symbol}@aggTrade" for each in streams]
        assert [each["id"] for each in asked] == ["part-s-1-1"] * (len(sizes) - 1) + [kind]
        assert max(map(len, frames)) <= 4096, "what the venue takes in a frame"
        assert max(len(each["id"]) for each in asked) <= 36, "as documented"


def test_no_stream_no_frame() -> None:
    assert list(BINANCE.subscribe([], "s-1-1")) == []


def test_a_ping_is_a_question_that_its_answer_names() -> None:
    asked = msgspec.json.decode(BINANCE.ping("p-7"))
    assert asked == {"method": "LIST_SUBSCRIPTIONS", "id": "ping-p-7"}
    assert said(msgspec.json.encode({"result": ["btcusdt@trade"], "id": asked["id"]})) == Pong(request_id="p-7")
    assert said(b'{"result":[],"id":"ping-p-7"}') == Pong(request_id="p-7")


@pytest.mark.parametrize("symbol", ["btcusdt", "BTC-USDT", "BTC/USDT", "BTC USDT", "ÄÖÜ", "*"])
def test_a_symbol_that_can_be_none_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a symbol like BTCUSDT, got"):
        BINANCE.check(Stream("trade", symbol))


def test_a_channel_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no channel 'depth'; expected one of aggTrade, bookTicker, trade"):
        BINANCE.check(Stream("depth", "BTCUSDT"))


def test_what_it_says_about_its_streams_and_its_limits() -> None:
    for stream in (TRADES, AGGREGATES, QUOTES, Stream("trade", "1000SATSUSDT")):
        BINANCE.check(stream)
        assert not BINANCE.is_account(stream)
    assert [BINANCE.sequence_rule(each) for each in (TRADES, AGGREGATES)] == [SequenceRule.CONTIGUOUS] * 2
    assert BINANCE.sequence_rule(QUOTES) is SequenceRule.MONOTONIC
    assert [BINANCE.has_history(each) for each in (TRADES, AGGREGATES, QUOTES)] == [True, True, False]
    assert (BINANCE.budget, BINANCE.connect_budget, BINANCE.send_budget) == ((6_000, 60.0), (300, 300.0), (5, 1.0))
    assert (BINANCE.streams_max, BINANCE.page_rows_max, BINANCE.ids_restart) == (1_024, 1_000, False)
    assert 24 * 3_600 - 1_800 < (BINANCE.rotate_after_s or 0) < 24 * 3_600, "before the venue cuts it, not long before"
    assert BINANCE.websocket_url == "wss://stream.binance.com:9443/ws"
    assert BINANCE.rest_host == "api.binance.com:443"


def test_there_are_no_accounts() -> None:
    with pytest.raises(ConfigurationError, match="no account streams"):
        BINANCE.snapshot_request(TRADES)
    with pytest.raises(ConfigurationError, match="no account streams"):
        BINANCE.decode_snapshot(TRADES, reply([]))


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_a_trade_keeps_its_digits_and_its_milliseconds() -> None:
    assert said(TRADE) == TradeUpdate(
        channel="trade",
        symbol="BNBBTC",
        sequence_id=12345,
        timestamp="2022-12-31T19:43:02.136Z",
        price=0.001,
        amount=100.5,
        price_text="0.00100000",
        amount_text="100.50",
        side="sell",
        trade_id="12345",
    )


def test_the_taker_buys_where_the_buyer_was_no_maker() -> None:
    update = said(TRADE.replace(b"true", b"false"))
    assert isinstance(update, TradeUpdate)
    assert update.side == "buy"


def test_an_aggregate_counts_by_its_own_id() -> None:
    assert said(AGGREGATE) == TradeUpdate(
        channel="aggTrade",
        symbol="BNBBTC",
        sequence_id=12345,
        timestamp="2022-12-31T19:43:02.007Z",
        price=0.001,
        amount=100.0,
        price_text="0.001",
        amount_text="100",
        side="buy",
        trade_id="12345",
    )


def test_a_quote_has_no_time() -> None:
    assert said(QUOTE) == MarketUpdate(
        channel="bookTicker",
        symbol="BNBUSDT",
        sequence_id=400900217,
        timestamp="",
        price=(25.3519 + 25.3652) / 2,
        bid=25.3519,
        ask=25.3652,
    )


@pytest.mark.parametrize("event", [TRADE, AGGREGATE, QUOTE, SHUTDOWN], ids=["trade", "aggregate", "quote", "shutdown"])
def test_a_combined_stream_says_the_same_in_an_envelope(event: bytes) -> None:
    assert said(ENVELOPE % event) == said(event)
    assert said((ENVELOPE % event).decode()) == said(event), "as text, too"


def test_a_server_that_will_shut_down_is_leaving() -> None:
    assert isinstance(said(SHUTDOWN), Leaving)


@pytest.mark.parametrize(
    ("frame", "means"),
    [
        (DONE, Subscribed(request_id="s-1-1", marks=None)),
        (b'{"result":null,"id":"part-s-1-1"}', Ignored(kind="part")),
        (b'{"result":null,"id":"unsub-s-1-2"}', Unsubscribed(request_id="s-1-2", streams=None)),
        (b'{"result":null,"id":17}', Ignored(kind="17")),
        (b'{"result":null,"id":null}', Ignored(kind="reply")),
        (b"{}", Ignored(kind="reply")),
        (b'{"e":"kline","E":1,"s":"BNBBTC","k":{}}', Ignored(kind="kline")),
        (b'{"e":"depthUpdate","E":1,"s":"BNBBTC","U":157,"u":160,"b":[],"a":[]}', Ignored(kind="depthUpdate")),
    ],
)
def test_answers_and_whatever_else_there_is(frame: bytes, means: Message) -> None:
    assert said(frame) == means


@pytest.mark.parametrize("part", ["sub", "part"])
def test_a_refused_subscription_has_the_venues_code_and_words(part: str) -> None:
    """Nested, and as the older documentation has it."""
    rejected = Rejected(request_id="s-1-1", streams=None, code="2", message="Invalid request")
    assert said(f'{{"error":{{"code":2,"msg":"Invalid request"}},"id":"{part}-s-1-1"}}') == rejected
    assert said(f'{{"code":2,"msg":"Invalid request","id":"{part}-s-1-1"}}') == rejected


@pytest.mark.parametrize(
    "frame",
    [
        '{"error":{"code":3,"msg":"Invalid JSON: EOF"}}',
        '{"error":{"code":3,"msg":"Invalid JSON: EOF"},"id":"unsub-s-1-1"}',
        '{"error":{"code":3,"msg":"Invalid JSON: EOF"},"id":"ping-p-1"}',
        '{"code":3,"msg":"Invalid JSON: EOF"}',
    ],
)
def test_an_error_that_refuses_no_stream_is_a_notice(frame: str) -> None:
    assert said(frame) == Notice(kind="error", code="3", message="Invalid JSON: EOF")


def test_an_error_without_words_has_its_code() -> None:
    assert said('{"code":0}') == Notice(kind="error", code="0", message="")


@pytest.mark.parametrize(
    ("sample", "field", "value"),
    [
        (sample, field, value)
        for sample, fields in ((TRADE, "stpqTm"), (AGGREGATE, "sapqTm"), (QUOTE, "sbau"))
        for field in fields
        for value in (None, [1], {"a": 1}, 1.5, "soon" if field != "s" else 7)
        if (field, value) != ("u", None)  # then it is no quote, but some reply
    ],
)
def test_a_field_that_changes_its_type_is_an_invalid_message(sample: bytes, field: str, value: object) -> None:
    frame = msgspec.json.encode(msgspec.json.decode(sample) | {field: value})
    with pytest.raises(InvalidMessageError):
        said(frame)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("t", -1),
        ("t", 2**63),
        ("t", "12345"),
        ("p", "1e5"),
        ("p", "NaN"),
        ("p", ""),
        ("p", "1\n"),
        ("p", 0.001),
        ("q", "9" * 41),
        ("T", -1),
        ("T", 253_402_300_800_000),
        ("m", 1),
    ],
)
def test_a_value_that_cannot_be_is_an_invalid_message(field: str, value: object) -> None:
    with pytest.raises(InvalidMessageError, match="expected an event or a reply of Binance"):
        said(msgspec.json.encode(msgspec.json.decode(TRADE) | {field: value}))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b"null",
        b'"trade"',
        b"\xff\xfe",
        b'{"e":"trade"',
        b'{"e":7}',
        b'{"id":[]}',
        b'{"error":"no"}',
        b'{"e":"trade","s":"BNBBTC"}',
        b'{"stream":"x","data":7}',
        b'{"data":' * 2_000 + b"{}" + b"}" * 2_000,
        b"[" * 20_000,
    ],
    ids=lambda frame: frame[:20].decode("latin-1") or "empty",
)
def test_what_is_no_message_is_invalid(frame: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        said(frame)


# -- history ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ({"start_seq": 42, "end_seq": 42}, 1),
        ({"start_seq": 42, "end_seq": 44}, 3),
        ({"start_seq": 42, "end_seq": 9_999}, 1_000),
        ({"start_seq": 42}, 1_000),
        ({"start_seq": 42, "limit": 7}, 7),
    ],
)
@pytest.mark.parametrize(("stream", "name", "weight"), [(TRADES, "historicalTrades", 25), (AGGREGATES, "aggTrades", 4)])
def test_as_many_rows_are_asked_for_as_there_are_ids(
    stream: Stream, name: str, weight: int, asked: dict[str, int], limit: int
) -> None:
    request = BINANCE.history_request(query(stream, **asked))
    assert (request.method, request.url.host, request.url.path) == ("GET", "api.binance.com", f"/api/v3/{name}")
    assert dict(request.url.params) == {"symbol": "BTCUSDT", "fromId": "42", "limit": str(limit)}
    assert BINANCE.weight(request) == weight


def test_where_a_stream_stands_its_last_row_says() -> None:
    request = BINANCE.history_request(query(limit=1))
    assert dict(request.url.params) == {"symbol": "BTCUSDT", "limit": "1"}
    page = BINANCE.decode_history(query(limit=1), reply(ROWS))
    assert (page.last_seq, page.more) == (28458, False)


def test_a_path_may_stand_before_and_one_host_has_one_name() -> None:
    mirror = BinanceExchange(ws_url="ws://Localhost:1/ws", rest_url="http://u:p@LOCALHOST:2/mirror/")
    request = mirror.history_request(query(start_seq=1))
    assert request.url.path == "/mirror/api/v3/historicalTrades"
    assert mirror.weight(request) == 25
    assert mirror.rest_host == "localhost:2"


def test_a_range_of_time_is_refused() -> None:
    at = "2026-01-01T00:00:00Z"
    for asked in (query(start=at), query(end=at)):
        with pytest.raises(ConfigurationError, match="leave out start and end"):
            BINANCE.history_request(asked)


def test_a_full_page_goes_on() -> None:
    page = BINANCE.decode_history(query(start_seq=28457, end_seq=28458), reply(ROWS))
    assert [row.sequence_id for row in page.rows] == [28457, 28458]
    assert (page.more, page.last_seq, page.first_seq, page.cursor, page.epoch) == (True, None, None, None, None)
    assert page.rows[0] == TradeUpdate(
        channel="trade",
        symbol="BTCUSDT",
        sequence_id=28457,
        timestamp="2017-07-12T13:19:09.590Z",
        price=4.000001,
        amount=12.0,
        price_text="4.00000100",
        amount_text="12.00000000",
        side="sell",
        trade_id="28457",
    )
    assert isinstance(page.rows[1], TradeUpdate)
    assert page.rows[1].side == "buy"


def test_a_page_that_is_not_full_ends_with_the_newest_there_is() -> None:
    page = BINANCE.decode_history(query(start_seq=28457), reply(ROWS))
    assert (page.more, page.last_seq) == (False, 28458)


def test_an_empty_page_says_that_nothing_is_newer() -> None:
    page = BINANCE.decode_history(query(start_seq=28459), reply(b"[]"))
    assert (list(page.rows), page.more, page.last_seq) == ([], False, 28458)
    nothing = BINANCE.decode_history(query(limit=1), reply(b"[]"))
    assert (list(nothing.rows), nothing.more, nothing.last_seq) == ([], False, None)


def test_a_page_of_aggregates() -> None:
    page = BINANCE.decode_history(query(AGGREGATES, start_seq=26129), reply(AGGREGATE_ROWS))
    assert (page.more, page.last_seq) == (False, 26130)
    assert page.rows[0] == TradeUpdate(
        channel="aggTrade",
        symbol="BTCUSDT",
        sequence_id=26129,
        timestamp="2017-06-30T03:35:09.153Z",
        price=0.01633102,
        amount=4.70443515,
        price_text="0.01633102",
        amount_text="4.70443515",
        side="sell",
        trade_id="26129",
    )


def test_a_page_whose_ids_do_not_grow_is_invalid() -> None:
    rows = msgspec.json.decode(ROWS)
    for wrong in (rows[::-1], [rows[0], rows[0]]):
        with pytest.raises(InvalidReplyError, match="trade:BTCUSDT: expected rows whose ids grow"):
            BINANCE.decode_history(query(start_seq=1), reply(wrong))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b"<html>Just a moment...</body></html>",
        ROWS[:-9],
        ROWS.replace(b'"4.00000100"', b"4.000001"),
        ROWS.replace(b"28457", b'"28457"'),
        ROWS.replace(b"1499865549590", b"1499865549.59"),
        ROWS.replace(b"true", b'"true"'),
        AGGREGATE_ROWS,
        b"\xff",
        b"[" * 20_000,
    ],
    ids=lambda body: body[:30].decode("latin-1") or "empty",
)
def test_a_reply_that_is_no_page_is_invalid_and_its_beginning_is_shown(body: bytes) -> None:
    assert BINANCE.read_reply(read(body)).outcome is Outcome.OK, "decoding it says what is wrong"
    with pytest.raises(InvalidReplyError, match="the body begins '"):
        BINANCE.decode_history(query(start_seq=28457), reply(body))


# -- what a reply is good for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, -1121, Outcome.NO_SUCH_STREAM),
        (400, -1102, Outcome.REFUSED),
        (403, -1, Outcome.REFUSED),
        (429, -1003, Outcome.LIMITED),
        (418, -1003, Outcome.LIMITED),
        (429, -1121, Outcome.LIMITED),
        (500, -1000, Outcome.UNAVAILABLE),
        (503, -1121, Outcome.UNAVAILABLE),
    ],
)
def test_an_error_has_the_venues_code_and_words(status: int, code: int, outcome: Outcome) -> None:
    reading = BINANCE.read_reply(read({"code": code, "msg": "In its words."}, status))
    assert (reading.outcome, reading.code, reading.message) == (outcome, str(code), "In its words.")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"[" * 20_000])
def test_an_error_without_words_has_its_status(body: bytes) -> None:
    reading = BINANCE.read_reply(read(body, 502))
    assert (reading.outcome, reading.code, reading.message) == (Outcome.UNAVAILABLE, "502", "without words")


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("1234", 1234),
        ("0", 0),
        ("", None),
        ("-1", None),
        ("x", None),
        ("1.5", None),
        ("\uff19", None),
        ("1" * 10, None),
    ],
)
@pytest.mark.parametrize("status", [200, 429])
def test_every_reply_says_what_weight_the_minute_has_seen(text: str, used: int | None, status: int) -> None:
    assert BINANCE.read_reply(read(b"[]", status, used=text)).used == used
    assert BINANCE.read_reply(read(b"[]", status)).used is None


# -- bent and recorded ------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([TRADE, AGGREGATE, QUOTE, SHUTDOWN, ENVELOPE % TRADE, ENVELOPE % QUOTE, DONE, REFUSED]))
def test_whatever_a_frame_is_it_is_decoded_or_invalid(frame: bytes) -> None:
    try:
        said(frame)
    except InvalidMessageError:
        return


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(
    bent([ROWS, AGGREGATE_ROWS, b'{"code":-1121,"msg":"Invalid symbol."}']),
    st.sampled_from([TRADES, AGGREGATES]),
    st.sampled_from([None, 26129, 28457]),
    st.sampled_from([200, 400, 418, 429, 503, 999]),
    st.text(max_size=4),
)
def test_whatever_a_reply_is_it_is_read_and_is_a_page_or_invalid(
    body: bytes, stream: Stream, start_seq: int | None, status: int, used: str
) -> None:
    BINANCE.read_reply(read(body, status, used=used))
    try:
        page = BINANCE.decode_history(query(stream, start_seq=start_seq), reply(body))
    except InvalidReplyError:
        return
    ids = [row.sequence_id or 0 for row in page.rows]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_recorded_frames_are_decoded_or_classified() -> None:
    met: Counter[str] = Counter()
    ids: list[int | None] = []
    for packed in recorded("binance", "btcusdt_*.gz").values():
        for line in gzip.decompress(packed).splitlines():
            message = said(line.partition(b" ")[2])
            met[message.kind if isinstance(message, Ignored) else type(message).__name__] += 1
            if isinstance(message, TradeUpdate):
                ids.append(message.sequence_id)
    assert met == {"TradeUpdate": 19_904, "MarketUpdate": 73_174, "depthUpdate": 6_495, "reply": 1}
    assert ids == list(range(3_735_683_259, 3_735_703_163))


def test_recorded_replies_are_pages_or_invalid() -> None:
    """In four of the bodies those who recorded them have lost the name of the field ``m``."""
    (packed,) = recorded("binance", "rest_replies.json.gz").values()
    routes = msgspec.json.decode(gzip.decompress(packed))["routes"]
    met: Counter[str] = Counter()
    for name, stream in (("historicalTrades", TRADES), ("trades", TRADES), ("aggTrades", AGGREGATES)):
        for each in routes[f"/api/v3/{name}"]["GET"]:
            body = reply(each["data"])
            assert BINANCE.read_reply(body).outcome is Outcome.OK
            try:
                page = BINANCE.decode_history(query(stream, start_seq=0), body)
            except InvalidReplyError:
                met[f"{name}, invalid"] += 1
            else:
                met[name] += 1
                assert len(page.rows) == len(each["data"])
    assert met == {"historicalTrades": 1, "trades": 3, "aggTrades": 19, "aggTrades, invalid": 4}
