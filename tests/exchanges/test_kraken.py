"""Kraken's adapter: frames and replies written by hand, bent out of shape, and recorded."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gapless.controller import ConfigurationError, InvalidMessageError, InvalidReplyError, Stream
from gapless.controller.exchange import (
    HistoryQuery,
    Ignored,
    Message,
    Notice,
    Outcome,
    Pong,
    Rejected,
    SequenceRule,
    Several,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
)
from gapless.controller.exchanges import KrakenExchange
from gapless.controller.exchanges.request_numbers import number_of, request_id_of
from gapless.controller.instants import instant
from tests.exchanges.wire_kit import bent, recorded, reply

KRAKEN = KrakenExchange()
BITCOIN = Stream("trade", "BTC/USD")
TRADES = (
    b'{"channel":"trade","type":"update","data":['
    b'{"symbol":"BTC/USD","side":"buy","price":64000.10,"qty":0.00500000,"ord_type":"limit","trade_id":71,'
    b'"timestamp":"2026-01-01T00:00:01.123456Z"},'
    b'{"symbol":"ETH/USD","side":"sell","price":3e3,"qty":2,"ord_type":"market","trade_id":9,'
    b'"timestamp":"2026-01-01T00:00:01.2Z"}]}'
)
STATUS = (
    b'{"channel":"status","type":"update","data":[{"system":"cancel_only","api_version":"v2","connection_id":'
    b'13834774380200032777,"version":"2.0.0"}]}'
)
TAKEN = b'{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true,"req_id":%d}'
REFUSED = (
    b'{"error":"Currency pair not supported AAA/BBB","method":"subscribe","success":false,"symbol":"AAA/BBB",'
    b'"req_id":%d}'
)
PAGE = (
    b'{"error":[],"result":{"XXBTZUSD":[["64000.10000","0.00500000",1767225601.1234561,"b","l","",71],'
    b'["64000.20000","1.00000000",1767225601.1234561,"s","m","",73]],"last":"1767225601123456123"}}'
)


def said(frame: bytes) -> Message:
    return KRAKEN.decode(frame)


def query(**asked: Any) -> HistoryQuery:
    fields: dict[str, Any] = {"stream": BITCOIN, "limit": 1000} | asked
    return HistoryQuery(**fields)


def since_of(asked: HistoryQuery) -> str | None:
    return dict(KRAKEN.history_request(asked).url.params).get("since")


# -- what is said -----------------------------------------------------------------------------------------------------


def test_streams_are_asked_for_in_one_frame_without_a_snapshot() -> None:
    (frame,) = KRAKEN.subscribe([BITCOIN, Stream("trade", "ETH/USD")], "s-1-1")
    assert msgspec.json.decode(frame) == {
        "method": "subscribe",
        "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": False},
        "req_id": number_of("s-1-1"),
    }
    (frame,) = KRAKEN.unsubscribe([BITCOIN], "s-1-2")
    assert msgspec.json.decode(frame)["params"] == {"channel": "trade", "symbol": ["BTC/USD"]}


def test_a_pong_answers_the_ping_of_its_number() -> None:
    asked = msgspec.json.decode(KRAKEN.ping("p-17"))
    assert asked == {"method": "ping", "req_id": number_of("p-17")}
    assert said(msgspec.json.encode({"method": "pong", "req_id": asked["req_id"]})) == Pong(request_id="p-17")
    assert said(b'{"method":"pong"}') == Pong(request_id=""), "nobody's"


@given(st.text("-0123456789abcdefghijklmnopqrstuvwxyz", max_size=12))
@example("zzzzzzzzzzzz")
def test_a_request_id_comes_back_from_its_number(request_id: str) -> None:
    assert 0 <= number_of(request_id) < 2**63
    assert request_id_of(number_of(request_id)) == request_id


@pytest.mark.parametrize("request_id", ["p-12345678901", "p 1", "P-1", "é"])
def test_a_request_id_that_no_number_holds_is_nobodys(request_id: str) -> None:
    assert number_of(request_id) == 0


@pytest.mark.parametrize("symbol", ["BTC", "BTC/", "BTC-USD", "BTC/USD/X", "B C/USD", "ÄÖ/USD"])
def test_a_symbol_that_is_no_pair_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigurationError, match="BTC/USD"):
        KRAKEN.check(Stream("trade", symbol))


def test_what_it_says_about_its_streams() -> None:
    KRAKEN.check(BITCOIN)
    KRAKEN.check(Stream("trade", "TSLAx/USD"))
    with pytest.raises(ConfigurationError, match="there is no channel 'book'"):
        KRAKEN.check(Stream("book", "BTC/USD"))
    assert KRAKEN.sequence_rule(BITCOIN) is SequenceRule.MONOTONIC
    assert KRAKEN.has_history(BITCOIN)
    assert KRAKEN.rest_host == "api.kraken.com:443"
    assert KrakenExchange(ws_url="ws://localhost:1/v2", rest_url="http://localhost:2").rest_host == "localhost:2"


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_trades_keep_their_digits_and_their_times() -> None:
    message = said(TRADES)
    assert isinstance(message, Several)
    first, second = message.messages
    assert first == TradeUpdate(
        channel="trade",
        symbol="BTC/USD",
        sequence_id=71,
        timestamp="2026-01-01T00:00:01.123456Z",
        price=64000.1,
        amount=0.005,
        price_text="64000.10",
        amount_text="0.00500000",
        side="buy",
        trade_id="71",
    )
    assert isinstance(second, TradeUpdate)
    assert (second.symbol, second.price_text, second.price, second.side) == ("ETH/USD", "3000", 3000.0, "sell")


def test_a_single_trade_is_one_message() -> None:
    value = msgspec.json.decode(TRADES)
    value["data"] = value["data"][:1]
    assert isinstance(said(msgspec.json.encode(value)), TradeUpdate)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trade_id", "71"),
        ("trade_id", -1),
        ("trade_id", 2**63),
        ("price", "64000.1"),
        ("price", None),
        ("qty", [1]),
        ("side", "b"),
        ("timestamp", 1767225601),
        ("timestamp", "today"),
        ("symbol", None),
    ],
)
def test_a_trade_whose_field_changes_its_type_is_invalid(field: str, value: object) -> None:
    frame = msgspec.json.decode(TRADES)
    frame["data"][0][field] = value
    with pytest.raises(InvalidMessageError):
        said(msgspec.json.encode(frame))


def test_answers_name_their_streams_and_their_request() -> None:
    assert said(TAKEN % number_of("s-1-1")) == Subscribed(request_id="s-1-1", marks={BITCOIN: None})
    ended = TAKEN.replace(b'"subscribe"', b'"unsubscribe"') % number_of("s-1-2")
    assert said(ended) == Unsubscribed(request_id="s-1-2", streams=[BITCOIN])
    assert said(REFUSED % number_of("s-1-1")) == Rejected(
        request_id="s-1-1",
        streams=[Stream("trade", "AAA/BBB")],
        code="unknown",
        message="Currency pair not supported AAA/BBB",
    )


@pytest.mark.parametrize("answer", [TAKEN, REFUSED])
def test_an_answer_that_names_no_possible_stream_is_invalid(answer: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="reply"):
        said((answer % 5).replace(b'"BTC/USD"', b'""').replace(b'"AAA/BBB"', b'""'))


def test_trouble_that_passes_refuses_no_stream() -> None:
    limited = said(b'{"error":"Exceeded msg rate","method":"subscribe","success":false,"symbol":"BTC/USD"}')
    assert limited == Notice(kind="limited", code="unknown", message="Exceeded msg rate")
    busy = said(b'{"error":"EService:Unavailable","method":"subscribe","success":false}')
    assert busy == Notice(kind="maintenance", code="EService", message="Unavailable")
    other = said(b'{"error":"EGeneral:Invalid arguments","method":"ping","success":false}')
    assert other == Notice(kind="error", code="EGeneral", message="Invalid arguments")


def test_the_condition_of_the_venue_is_told_unless_it_is_online() -> None:
    notice = said(STATUS)
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.code) == ("maintenance", "cancel_only")
    assert said(STATUS.replace(b"cancel_only", b"online")) == Ignored(kind="status")


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'{"channel":"heartbeat"}', "heartbeat"),
        (b'{"channel":"book","type":"update","data":[]}', "book"),
        (b'{"channel":"of tomorrow","data":7}', "of tomorrow"),
        (b'{"method":"add_order","success":true}', "add_order"),
        (b"{}", "reply"),
    ],
)
def test_whatever_else_is_ignored_by_name(frame: bytes, kind: str) -> None:
    assert said(frame) == Ignored(kind=kind)


# -- history ----------------------------------------------------------------------------------------------------------


def test_history_is_asked_for_from_a_microsecond_before_the_last_datum() -> None:
    url = KRAKEN.history_request(query(start_seq=72, since="2026-01-01T00:00:01.123456Z")).url
    assert url.path == "/0/public/Trades"
    assert dict(url.params) == {"pair": "XBTUSD", "count": "1000", "since": "1767225601123455000"}
    doge = HistoryQuery(stream=Stream("trade", "DOGE/BTC"), limit=5)
    assert dict(KRAKEN.history_request(doge).url.params) == {"pair": "XDGXBT", "count": "5"}


def test_where_a_page_goes_on_its_last_instant_comes_again() -> None:
    """Many trades have the same time, and a page may end between two of them."""
    assert since_of(query(start_seq=74, since="2026-01-01T00:00:01Z", cursor="1767225601123456123")) == (
        "1767225601123456122"
    )


def test_without_a_time_history_is_asked_for_from_its_beginning() -> None:
    assert since_of(query(start_seq=1)) == "0"


def test_a_range_of_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="leave out start and end"):
        KRAKEN.history_request(query(start="2026-01-01T00:00:00Z"))


def test_a_page_that_is_not_full_ends_with_the_newest_there_is() -> None:
    page = KRAKEN.decode_history(query(start_seq=71), reply(PAGE))
    assert [row.sequence_id for row in page.rows] == [71, 73]
    assert (page.last_seq, page.more, page.cursor) == (73, False, None)
    first = page.rows[0]
    assert isinstance(first, TradeUpdate)
    assert (first.symbol, first.timestamp) == ("BTC/USD", "2026-01-01T00:00:01.123456Z")
    assert (first.price_text, first.amount_text, first.side, first.trade_id) == (
        "64000.10000",
        "0.00500000",
        "buy",
        "71",
    )


def test_a_full_page_goes_on_by_cursor() -> None:
    page = KRAKEN.decode_history(query(start_seq=71, limit=2), reply(PAGE))
    assert (page.last_seq, page.more, page.cursor) == (None, True, "1767225601123456123")


def test_an_empty_page_says_that_nothing_is_newer() -> None:
    page = KRAKEN.decode_history(query(start_seq=71), reply(b'{"error":[],"result":{"XXBTZUSD":[],"last":"17"}}'))
    assert (list(page.rows), page.last_seq, page.more) == ([], 70, False)


def test_where_the_stream_stands_its_newest_row_says() -> None:
    asked = query(limit=1)
    assert since_of(asked) is None
    page = KRAKEN.decode_history(asked, reply(PAGE))
    assert [row.sequence_id for row in page.rows] == [73]
    assert page.last_seq == 73


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"error":[]}',
        b'{"result":{"last":"17"}}',
        b'{"result":{"A":[],"B":[],"last":"17"}}',
        b'{"result":{"A":[]}}',
        b'{"result":{"A":[],"last":"soon"}}',
        PAGE.replace(b'"64000.10000"', b"64000.1"),
        PAGE.replace(b',"",71]', b"]"),
        PAGE.replace(b'"b"', b'"x"'),
        PAGE.replace(b"1767225601.1234561", b"1e300"),
    ],
)
def test_a_reply_that_is_no_page_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidReplyError):
        KRAKEN.decode_history(query(start_seq=71), reply(body))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("EAPI:Rate limit exceeded", Outcome.LIMITED),
        ("EService: Throttled: 1767225601", Outcome.LIMITED),
        ("EGeneral:Temporary lockout", Outcome.LIMITED),
        ("EService:Unavailable", Outcome.UNAVAILABLE),
        ("EService:Busy", Outcome.UNAVAILABLE),
        ("EQuery:Unknown asset pair", Outcome.NO_SUCH_STREAM),
        ("EGeneral:Invalid arguments", Outcome.REFUSED),
        ("nothing that it documents", Outcome.REFUSED),
    ],
)
def test_errors_come_with_status_200(error: str, outcome: Outcome) -> None:
    reading = KRAKEN.read_reply(reply({"error": [error]}))
    assert reading.outcome is outcome
    assert reading.message
    assert reading.message in error.replace(": ", ":")
    assert reading.code in {error.partition(":")[0], "unknown"}


def test_a_reply_without_errors_is_read_by_its_status() -> None:
    assert KRAKEN.read_reply(reply(PAGE)).outcome is Outcome.OK
    assert KRAKEN.read_reply(reply({"error": ["WGeneral:Danger"], "result": {}})).outcome is Outcome.OK
    assert KRAKEN.read_reply(reply(b"<html>", 502)).outcome is Outcome.UNAVAILABLE
    assert KRAKEN.read_reply(reply(b"<html>", 429)).outcome is Outcome.LIMITED
    assert KRAKEN.read_reply(reply(b"<html>", 200)).outcome is Outcome.OK, "decoding it says what is wrong"


# -- bent and recorded ------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([TRADES, STATUS, TAKEN % 5, REFUSED % 5, b'{"method":"pong","req_id":42}', b'{"channel":"heartbeat"}']))
def test_whatever_a_frame_is_it_is_decoded_or_invalid(frame: bytes) -> None:
    try:
        said(frame)
    except InvalidMessageError:
        return


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([PAGE, b'{"error":["EAPI:Rate limit exceeded"]}']), st.sampled_from([None, 71]), st.integers(1, 3))
def test_whatever_a_reply_is_it_is_a_page_or_invalid(body: bytes, start_seq: int | None, limit: int) -> None:
    KRAKEN.read_reply(reply(body))
    try:
        page = KRAKEN.decode_history(query(start_seq=start_seq, limit=limit), reply(body))
    except InvalidReplyError:
        return
    if page.more:
        KRAKEN.history_request(query(start_seq=start_seq, cursor=page.cursor))


def test_recorded_frames_are_decoded_or_classified() -> None:
    kinds = {name: type(said(frame)) for name, frame in recorded("kraken", "ws_*.json").items()}
    assert kinds == {
        "ws_book_snapshot.json": Ignored,
        "ws_book_update.json": Ignored,
        "ws_pong.json": Pong,
        "ws_subscribe_response.json": Subscribed,
        "ws_ticker_snapshot.json": Ignored,
        "ws_trade_update.json": Several,
    }


def test_a_recorded_page_holds_a_thousand_trades_and_a_cursor() -> None:
    body = recorded("kraken", "http_trades.json")["http_trades.json"]
    assert KRAKEN.read_reply(reply(body)).outcome is Outcome.OK
    page = KRAKEN.decode_history(query(start_seq=10_218_208, since="2025-11-10T17:23:53Z"), reply(body))
    assert [row.sequence_id for row in page.rows] == list(range(10_218_208, 10_219_208))
    assert page.more
    assert page.cursor == "1762820035982277754"
    assert all(instant(old.timestamp) <= instant(new.timestamp) for old, new in pairwise(page.rows))
    assert instant(page.rows[-1].timestamp) == pytest.approx(int(page.cursor) / 1e9, abs=1e-6)
