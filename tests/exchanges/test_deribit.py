"""Deribit's adapter: frames and replies written by hand, bent out of shape, and recorded."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import ConfigurationError, InvalidMessageError, InvalidReplyError, Stream
from gapless.controller.exchange import (
    Goodbye,
    HistoryQuery,
    Ignored,
    Message,
    MustAnswer,
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
from gapless.controller.exchanges import DeribitExchange
from tests.exchanges.wire_kit import bent, recorded, reply

PERPETUAL, OPTION = Stream("trades", "BTC-PERPETUAL"), Stream("trades", "XRP_USDC-30JUN26-0d625-C")
TRADES = (
    b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":['
    b'{"trade_seq":101,"trade_id":"ETH-7","timestamp":1767225601123,"tick_direction":0,"price":64000.50,'
    b'"mark_price":64001.1,"instrument_name":"BTC-PERPETUAL","index_price":64002.0,"direction":"buy","amount":10.0},'
    b'{"trade_seq":102,"trade_id":"8","timestamp":1767225601124,"price":64000,"instrument_name":"BTC-PERPETUAL",'
    b'"direction":"sell","amount":2e1}]}}'
)
TEST_REQUEST = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
TAKEN = b'{"jsonrpc":"2.0","id":"sub-s-1-1","result":["trades.BTC-PERPETUAL.100ms"],"usIn":1,"usOut":2}'
FAILED = b'{"jsonrpc":"2.0","id":"sub-s-1-1","error":{"code":%d,"message":"words","data":{"param":"channels"}}}'
PAGE = (
    b'{"jsonrpc":"2.0","result":{"trades":[{"trade_seq":101,"trade_id":"7","timestamp":1767225601123,"price":64000.50,'
    b'"instrument_name":"BTC-PERPETUAL","direction":"buy","amount":10.0},{"trade_seq":102,"trade_id":"8","timestamp":'
    b'1767225601124,"price":64000.0,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":20.0}],'
    b'"has_more":false},"usIn":1,"usOut":2}'
)


def said(frame: bytes) -> Message:
    return DeribitExchange().decode(frame)


def query(**asked: Any) -> HistoryQuery:
    fields: dict[str, Any] = {"stream": PERPETUAL, "limit": 1000} | asked
    return HistoryQuery(**fields)


def page_of(body: bytes, **asked: Any) -> tuple[list[int | None], int | None, bool]:
    page = DeribitExchange().decode_history(query(**asked), reply(body))
    return [row.sequence_id for row in page.rows], page.last_seq, page.more


# -- what is said -----------------------------------------------------------------------------------------------------


def test_heartbeats_are_asked_for_on_every_socket() -> None:
    (frame,) = DeribitExchange().greeting()
    assert msgspec.json.decode(frame) == {
        "jsonrpc": "2.0",
        "id": "greeting",
        "method": "public/set_heartbeat",
        "params": {"interval": 30},
    }
    assert said(b'{"jsonrpc":"2.0","id":"greeting","result":"ok"}') == Ignored(kind="greeting")


def test_streams_are_asked_for_in_one_frame() -> None:
    deribit = DeribitExchange()
    (frame,) = deribit.subscribe([PERPETUAL, OPTION], "s-1-1")
    asked = msgspec.json.decode(frame)
    channels = ["trades.BTC-PERPETUAL.100ms", "trades.XRP_USDC-30JUN26-0d625-C.100ms"]
    assert (asked["method"], asked["params"], asked["id"]) == ("public/subscribe", {"channels": channels}, "sub-s-1-1")
    (frame,) = deribit.unsubscribe([OPTION], "s-1-2")
    ended = msgspec.json.decode(frame)
    assert (ended["method"], ended["params"]) == ("public/unsubscribe", {"channels": channels[1:]})
    answer = {"id": ended["id"], "result": ended["params"]["channels"]}
    assert deribit.decode(msgspec.json.encode(answer)) == Unsubscribed(request_id="s-1-2", streams=[OPTION])


def test_a_ping_is_a_question_that_any_reply_answers() -> None:
    asked = msgspec.json.decode(DeribitExchange().ping("p-9"))
    assert asked["method"] == "public/test"
    assert said(msgspec.json.encode({"id": asked["id"], "result": {"version": "1"}})) == Pong(request_id="p-9")


@pytest.mark.parametrize("symbol", ["BTC.PERPETUAL", "BTC-", "*", "BTC PERPETUAL", "Ä"])
def test_a_symbol_that_is_no_instrument_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigurationError, match="BTC-PERPETUAL"):
        DeribitExchange().check(Stream("trades", symbol))


def test_what_it_says_about_its_streams() -> None:
    deribit = DeribitExchange()
    for stream in (PERPETUAL, OPTION, Stream("trades", "BTC_USDC"), Stream("trades", "BTC-FS-26JUN26_PERP")):
        deribit.check(stream)
        assert deribit.sequence_rule(stream) is SequenceRule.CONTIGUOUS
        assert deribit.has_history(stream)
    with pytest.raises(ConfigurationError, match="there is no channel 'trade'"):
        deribit.check(Stream("trade", "BTC-PERPETUAL"))
    assert DeribitExchange(ws_url="ws://localhost:1/ws", rest_url="http://localhost:2").rest_host == "localhost:2"


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_trades_keep_their_digits() -> None:
    message = said(TRADES)
    assert isinstance(message, Several)
    first, second = message.messages
    assert first == TradeUpdate(
        channel="trades",
        symbol="BTC-PERPETUAL",
        sequence_id=101,
        timestamp="2026-01-01T00:00:01.123Z",
        price=64000.5,
        amount=10.0,
        price_text="64000.50",
        amount_text="10.0",
        side="buy",
        trade_id="ETH-7",
    )
    assert isinstance(second, TradeUpdate)
    assert (second.sequence_id, second.price_text, second.amount_text, second.amount) == (102, "64000", "20", 20.0)


def test_a_single_trade_is_one_message() -> None:
    value = msgspec.json.decode(TRADES)
    del value["params"]["data"][0]
    assert isinstance(said(msgspec.json.encode(value)), TradeUpdate)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trade_seq", "101"),
        ("trade_seq", -1),
        ("trade_id", 7),
        ("timestamp", "2026-01-01T00:00:01Z"),
        ("price", "64000.5"),
        ("amount", None),
        ("direction", "up"),
        ("instrument_name", 1),
    ],
)
def test_a_trade_whose_field_changes_its_type_is_invalid(field: str, value: object) -> None:
    frame = msgspec.json.decode(TRADES)
    frame["params"]["data"][0][field] = value
    with pytest.raises(InvalidMessageError):
        said(msgspec.json.encode(frame))


def test_a_test_request_must_be_answered() -> None:
    message = said(TEST_REQUEST)
    assert isinstance(message, MustAnswer)
    answer = msgspec.json.decode(message.answer)
    assert answer["method"] == "public/test"
    assert said(msgspec.json.encode({"id": answer["id"], "result": {}})) == Ignored(kind="answer")
    assert said(TEST_REQUEST.replace(b"test_request", b"heartbeat")) == Ignored(kind="heartbeat")


def test_channels_that_the_reply_names_are_taken_and_all_others_refused() -> None:
    deribit = DeribitExchange()
    deribit.subscribe([PERPETUAL, OPTION], "s-1-1")
    deribit.subscribe([PERPETUAL], "s-2-1")
    message = deribit.decode(TAKEN)
    assert isinstance(message, Several)
    taken, refused = message.messages
    assert taken == Subscribed(request_id="s-1-1", marks={PERPETUAL: None})
    assert isinstance(refused, Rejected)
    assert (refused.request_id, refused.streams, refused.code) == ("s-1-1", [OPTION], "not_taken")
    assert deribit.decode(TAKEN) == message, "a trace played again says the same"
    whole = TAKEN.replace(b"s-1-1", b"s-2-1")
    assert deribit.decode(whole) == Subscribed(request_id="s-2-1", marks={PERPETUAL: None})


@pytest.mark.parametrize("named", [b"trades..100ms", b"trades. .100ms", b"trades.\\u0000.100ms"])
def test_a_reply_that_names_no_possible_stream_is_invalid(named: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="reply"):
        said(TAKEN.replace(b"trades.BTC-PERPETUAL.100ms", named))


def test_what_was_asked_is_remembered_of_the_last_requests_only() -> None:
    deribit = DeribitExchange()
    deribit.subscribe([PERPETUAL, OPTION], "s-1-1")
    for number in range(64):
        deribit.subscribe([PERPETUAL], f"s-2-{number}")
    assert deribit.decode(TAKEN) == Subscribed(request_id="s-1-1", marks={PERPETUAL: None})


def test_a_subscription_that_fails_is_refused_unless_it_may_succeed_later() -> None:
    deribit = DeribitExchange()
    deribit.subscribe([OPTION], "s-1-1")
    refused = deribit.decode(FAILED % -32602)
    assert refused == Rejected(request_id="s-1-1", streams=(OPTION,), code="-32602", message="words")
    assert deribit.decode(FAILED % 11051) == Notice(kind="maintenance", code="11051", message="words")
    assert said(FAILED % -32602) == Rejected(request_id="s-1-1", streams=None, code="-32602", message="words")


def test_too_many_requests_end_the_session() -> None:
    notice = Notice(kind="limited", code="10028", message="words")
    assert said(FAILED % 10028) == Several(messages=[notice, Goodbye(reason="words", retry_after_s=1.0)])
    assert said(FAILED.replace(b"sub-", b"ping-") % 10066) == Notice(kind="limited", code="10066", message="words")
    assert said(FAILED.replace(b"sub-", b"ping-") % 13004) == Notice(kind="error", code="13004", message="words")


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'{"method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.100ms","data":{"a":1}}}', "ticker"),
        (b'{"method":"subscription","params":{"channel":"book.A.100ms","data":[]}}', "book"),
        (b'{"method":"of tomorrow"}', "of tomorrow"),
        (b'{"id":7,"result":[]}', "7"),
        (b"{}", "reply"),
    ],
)
def test_whatever_else_is_ignored_by_name(frame: bytes, kind: str) -> None:
    assert said(frame) == Ignored(kind=kind)


# -- history ----------------------------------------------------------------------------------------------------------


def test_history_is_asked_for_by_sequence() -> None:
    url = DeribitExchange().history_request(query(start_seq=101, end_seq=110)).url
    assert url.path == "/api/v2/public/get_last_trades_by_instrument"
    assert dict(url.params) == {
        "instrument_name": "BTC-PERPETUAL",
        "start_seq": "101",
        "count": "10",
        "sorting": "asc",
    }
    newest = DeribitExchange().history_request(query(limit=1)).url.params
    assert dict(newest) == {"instrument_name": "BTC-PERPETUAL", "count": "1", "sorting": "desc"}
    with pytest.raises(ConfigurationError, match="leave out start and end"):
        DeribitExchange().history_request(query(end="2026-01-01T00:00:00Z"))


def test_a_page_tells_how_far_the_stream_is_unless_there_is_more() -> None:
    more = PAGE.replace(b"false", b"true")
    assert page_of(PAGE, start_seq=101) == ([101, 102], 102, False)
    assert page_of(PAGE, start_seq=101, limit=2) == ([101, 102], None, True), "a full one might go on"
    assert page_of(more, start_seq=101) == ([101, 102], None, True)
    assert page_of(more, limit=2) == ([101, 102], 102, False), "of the newest, what is older is more"
    assert page_of(b'{"result":{"trades":[],"has_more":false}}', start_seq=103) == ([], 102, False)


def test_rows_come_oldest_first_whatever_their_order() -> None:
    value = msgspec.json.decode(PAGE)
    value["result"]["trades"].reverse()
    assert page_of(msgspec.json.encode(value), limit=2)[0] == [101, 102]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"result":[]}',
        b'{"result":{"trades":[],"has_more":true}}',
        PAGE.replace(b"64000.50", b'"64000.50"'),
        PAGE.replace(b'"trade_seq":102', b'"trade_seq":101'),
        PAGE.replace(b'"BTC-PERPETUAL","direction":"sell"', b'"ETH-PERPETUAL","direction":"sell"'),
        PAGE.replace(b"false", b"0"),
    ],
)
def test_a_reply_that_is_no_page_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidReplyError):
        page_of(body, start_seq=101)


@pytest.mark.parametrize(
    ("code", "data", "outcome"),
    [
        (10028, None, Outcome.LIMITED),
        (10066, None, Outcome.LIMITED),
        (11051, None, Outcome.UNAVAILABLE),
        (13028, "slow", Outcome.UNAVAILABLE),
        (13020, None, Outcome.NO_SUCH_STREAM),
        (10020, None, Outcome.NO_SUCH_STREAM),
        (-32602, {"param": "instrument_name", "reason": "wrong format"}, Outcome.NO_SUCH_STREAM),
        (-32602, {"param": "count", "reason": "must be a number"}, Outcome.REFUSED),
        (13009, None, Outcome.REFUSED),
    ],
)
def test_errors_have_a_code_and_words(code: int, data: object, outcome: Outcome) -> None:
    error = {"code": code, "message": "words", "data": data}
    reading = DeribitExchange().read_reply(reply({"jsonrpc": "2.0", "error": error}, 400))
    assert (reading.outcome, reading.code, reading.message) == (outcome, str(code), "words")


def test_a_reply_without_an_error_is_read_by_its_status() -> None:
    deribit = DeribitExchange()
    assert deribit.read_reply(reply(PAGE)).outcome is Outcome.OK
    assert deribit.read_reply(reply(b"<html>", 503)).outcome is Outcome.UNAVAILABLE
    assert deribit.read_reply(reply(b"<html>", 403)).outcome is Outcome.REFUSED
    assert deribit.read_reply(reply({"error": "text"}, 400)).outcome is Outcome.REFUSED


# -- bent and recorded ------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([TRADES, TEST_REQUEST, TAKEN, FAILED % 10028, b'{"id":"unsub-s-1-2","result":["trades.A.100ms"]}']))
def test_whatever_a_frame_is_it_is_decoded_or_invalid(frame: bytes) -> None:
    deribit = DeribitExchange()
    deribit.subscribe([PERPETUAL, OPTION], "s-1-1")
    try:
        deribit.decode(frame)
    except InvalidMessageError:
        return


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([PAGE, FAILED % -32602]), st.sampled_from([None, 101]), st.integers(1, 3), st.sampled_from([200, 400]))
def test_whatever_a_reply_is_it_is_a_page_or_invalid(
    body: bytes, start_seq: int | None, limit: int, status: int
) -> None:
    DeribitExchange().read_reply(reply(body, status))
    try:
        page_of(body, start_seq=start_seq, limit=limit)
    except InvalidReplyError:
        return


def test_recorded_frames_are_decoded_or_classified() -> None:
    kinds = {name: type(said(frame)) for name, frame in recorded("deribit", "ws_*.json").items()}
    assert kinds == {
        "ws_book_delta.json": Ignored,
        "ws_book_grouped_snapshot.json": Ignored,
        "ws_book_snapshot.json": Ignored,
        "ws_error.json": Several,
        "ws_quote.json": Ignored,
        "ws_subscribe_response.json": Ignored,
        "ws_test_request.json": MustAnswer,
        "ws_ticker.json": Ignored,
        "ws_trades.json": Several,
    }


def test_a_recorded_page_holds_ten_trades_and_goes_on() -> None:
    body = recorded("deribit", "http_get_last_trades.json")["http_get_last_trades.json"]
    asked = HistoryQuery(stream=Stream("trades", "ETH-PERPETUAL"), limit=1000, start_seq=203_024_587)
    page = DeribitExchange().decode_history(asked, reply(body))
    assert [row.sequence_id for row in page.rows] == list(range(203_024_587, 203_024_597))
    assert page.more
