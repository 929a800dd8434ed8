"""Coinbase's adapter: frames and replies written by hand from its documentation, bent out of shape, and recorded."""

import gzip
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import ConfigurationError, InvalidMessageError, InvalidReplyError, Stream
from gapless.controller.exchange import (
    HighWater,
    HistoryQuery,
    Ignored,
    Message,
    Notice,
    Outcome,
    Rejected,
    SequenceRule,
    Subscribed,
    TradeUpdate,
)
from gapless.controller.exchanges import CoinbaseExchange
from tests.exchanges.wire_kit import bent, recorded, reply

COINBASE = CoinbaseExchange()
BITCOIN, ETHER = Stream("matches", "BTC-USD"), Stream("matches", "ETH-USD")

MATCH = (
    b'{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",'
    b'"taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2014-11-07T08:19:27.028459Z",'
    b'"product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}'
)
LAST_MATCH = MATCH.replace(b'"match"', b'"last_match"')
HEARTBEAT = (
    b'{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}'
)
SUBSCRIPTIONS = (
    b'{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD","ETH-USD"]},'
    b'{"name":"heartbeat","product_ids":["BTC-USD","ETH-USD","LTC-USD"]}]}'
)
NO_PRODUCT = b'{"type":"error","message":"Failed to subscribe","reason":"BTC-XYZ is not a valid product"}'
ROWS = (
    b'[{"time":"2014-11-07T22:19:28.578544Z","trade_id":75,"price":"10.00000000","size":"0.01000000","side":"buy"},'
    b'{"time":"2014-11-07T01:08:43.642366Z","trade_id":74,"price":"32.00000000","size":"0.01000000","side":"sell"}]'
)


def said(frame: str | bytes) -> Message:
    return COINBASE.decode(frame)


def query(*, limit: int = 1000, **asked: Any) -> HistoryQuery:
    return HistoryQuery(stream=BITCOIN, limit=limit, **asked)


def rows(*ids: int) -> list[dict[str, object]]:
    """As the venue keeps them: the newest first."""
    return [msgspec.json.decode(ROWS)[0] | {"trade_id": each} for each in ids]


# -- what is said -----------------------------------------------------------------------------------------------------


def test_each_product_is_asked_for_with_its_heartbeat_in_a_frame_of_its_own() -> None:
    asked = [msgspec.json.decode(frame) for frame in COINBASE.subscribe([BITCOIN, ETHER], "s-1-1")]
    channels = ["matches", "heartbeat"]
    assert asked == [
        {"type": "subscribe", "product_ids": [each.symbol], "channels": channels} for each in (BITCOIN, ETHER)
    ]
    (frame,) = COINBASE.unsubscribe([ETHER], "s-1-2")
    assert msgspec.json.decode(frame) == {"type": "unsubscribe", "product_ids": ["ETH-USD"], "channels": channels}


def test_there_is_no_ping() -> None:
    assert COINBASE.ping("p-1") is None


@pytest.mark.parametrize(
    "symbol", ["BTCUSD", "btc-usd", "BTC/USD", "BTC-", "-USD", "BTC-USD-X", "BTC USD-X", "A-" + "B" * 21]
)
def test_a_symbol_that_can_be_none_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a (symbol|product) like BTC-USD, got"):
        COINBASE.check(Stream("matches", symbol))


def test_what_it_says_about_its_streams_and_its_limits() -> None:
    for stream in (BITCOIN, Stream("matches", "1INCH-GBP")):
        COINBASE.check(stream)
        assert COINBASE.sequence_rule(stream) is SequenceRule.CONTIGUOUS
        assert COINBASE.has_history(stream)
        assert not COINBASE.is_account(stream)
    with pytest.raises(ConfigurationError, match="there is no channel 'level2'; expected one of matches"):
        COINBASE.check(Stream("level2", "BTC-USD"))
    assert (COINBASE.budget, COINBASE.connect_budget, COINBASE.send_budget) == ((10, 1.0), (8, 1.0), (8, 1.0))
    assert (COINBASE.streams_max, COINBASE.rotate_after_s, COINBASE.ids_restart) == (50, None, False)
    assert COINBASE.rest_host == "api.exchange.coinbase.com:443"


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_a_match_keeps_its_digits_and_names_the_taker() -> None:
    """The venue names the maker's side: one who sold was met by a taker who bought."""
    assert said(MATCH) == TradeUpdate(
        channel="matches",
        symbol="BTC-USD",
        sequence_id=10,
        timestamp="2014-11-07T08:19:27.028459Z",
        price=400.23,
        amount=5.23512,
        price_text="400.23",
        amount_text="5.23512",
        side="buy",
        trade_id="10",
    )
    other = said(MATCH.replace(b'"sell"', b'"buy"').decode())
    assert isinstance(other, TradeUpdate)
    assert other.side == "sell"


@pytest.mark.parametrize(
    ("frame", "means"),
    [
        (LAST_MATCH, HighWater(marks={BITCOIN: 10})),
        (HEARTBEAT, HighWater(marks={BITCOIN: 20})),
        (HEARTBEAT.replace(b"20,", b"0,"), HighWater(marks={BITCOIN: 0})),
        (SUBSCRIPTIONS, Subscribed(request_id=None, marks={BITCOIN: None, ETHER: None})),
        (b'{"type":"subscriptions","channels":[]}', Subscribed(request_id=None, marks={})),
        (b'{"type":"subscriptions","channels":[{"name":"matches"}]}', Subscribed(request_id=None, marks={})),
        (b'{"type":"ticker","product_id":"BTC-USD"}', Ignored(kind="ticker")),
        (b'{"type":"of tomorrow"}', Ignored(kind="of tomorrow")),
    ],
)
def test_what_else_it_says(frame: bytes, means: Message) -> None:
    assert said(frame) == means


def test_a_product_that_is_none_is_refused_with_the_venues_words() -> None:
    assert said(NO_PRODUCT) == Rejected(
        request_id=None,
        streams=[Stream("matches", "BTC-XYZ")],
        code="Failed to subscribe",
        message="BTC-XYZ is not a valid product",
    )


@pytest.mark.parametrize(
    ("frame", "code", "message"),
    [
        (b'{"type":"error","message":"Rate limit exceeded"}', "Rate limit exceeded", ""),
        (b'{"type":"error","message":"Failed to subscribe","reason":"odd"}', "Failed to subscribe", "odd"),
        (b'{"type":"error"}', "", ""),
    ],
)
def test_any_other_error_is_a_notice(frame: bytes, code: str, message: str) -> None:
    assert said(frame) == Notice(kind="error", code=code, message=message)


@pytest.mark.parametrize(
    ("sample", "field", "value"),
    [
        (MATCH, "trade_id", "10"),
        (MATCH, "trade_id", -1),
        (MATCH, "trade_id", 2**63),
        (MATCH, "trade_id", 1.5),
        (MATCH, "side", "BUY"),
        (MATCH, "side", None),
        (MATCH, "size", 5.2),
        (MATCH, "size", "5,2"),
        (MATCH, "price", None),
        (MATCH, "price", "Infinity"),
        (MATCH, "price", "1e3"),
        (MATCH, "time", 1415348367),
        (MATCH, "time", "2014-11-07"),
        (MATCH, "time", "2014-11-07T08:19:27.028459+00:00"),
        (MATCH, "time", "2014-11-07T08:19:27.028459Z\n"),
        (MATCH, "product_id", 7),
        (MATCH, "type", 7),
        (LAST_MATCH, "trade_id", None),
        (LAST_MATCH, "product_id", ""),
        (HEARTBEAT, "last_trade_id", "20"),
        (HEARTBEAT, "product_id", " "),
        (SUBSCRIPTIONS, "channels", None),
        (SUBSCRIPTIONS, "channels", [{"product_ids": []}]),
        (SUBSCRIPTIONS, "channels", [{"name": "matches", "product_ids": [""]}]),
        (NO_PRODUCT, "message", {}),
        (NO_PRODUCT, "reason", 7),
    ],
)
def test_a_value_that_cannot_be_is_an_invalid_message(sample: bytes, field: str, value: object) -> None:
    with pytest.raises(InvalidMessageError):
        said(msgspec.json.encode(msgspec.json.decode(sample) | {field: value}))


@pytest.mark.parametrize("field", ["trade_id", "time", "size", "price", "side", "product_id", "type"])
def test_a_match_without_one_of_its_fields_is_an_invalid_message(field: str) -> None:
    match = msgspec.json.decode(MATCH)
    del match[field]
    with pytest.raises(InvalidMessageError):
        said(msgspec.json.encode(match))


@pytest.mark.parametrize(
    "frame", [b"", b"[]", b"null", b"{}", b"\xff\xfe", MATCH[:-1], b"[" * 20_000, b'{"a":' * 20_000]
)
def test_what_is_no_message_is_invalid(frame: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="expected a JSON object with a type"):
        said(frame)


# -- history ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        ({"start_seq": 42, "end_seq": 42}, {"limit": "2", "after": "44"}),
        ({"start_seq": 42, "end_seq": 44}, {"limit": "4", "after": "46"}),
        ({"start_seq": 42, "end_seq": 9_999}, {"limit": "1000", "after": "1042"}),
        ({"start_seq": 42}, {"limit": "1000", "after": "1042"}),
        ({"limit": 1}, {"limit": "1"}),
    ],
)
def test_rows_are_asked_for_from_behind_the_last_one_wanted(asked: dict[str, int], params: dict[str, str]) -> None:
    request = COINBASE.history_request(query(**asked))
    assert (request.method, request.url.path) == ("GET", "/products/BTC-USD/trades")
    assert dict(request.url.params) == params
    assert COINBASE.weight(request) == 1


def test_a_range_of_time_is_refused() -> None:
    at = "2026-01-01T00:00:00Z"
    for asked in (query(start=at), query(end=at)):
        with pytest.raises(ConfigurationError, match="leave out start and end"):
            COINBASE.history_request(asked)


def test_rows_come_newest_first_and_are_turned() -> None:
    page = COINBASE.decode_history(query(start_seq=74), reply(ROWS))
    assert [row.sequence_id for row in page.rows] == [74, 75]
    assert page.rows[0] == TradeUpdate(
        channel="matches",
        symbol="BTC-USD",
        sequence_id=74,
        timestamp="2014-11-07T01:08:43.642366Z",
        price=32.0,
        amount=0.01,
        price_text="32.00000000",
        amount_text="0.01000000",
        side="buy",
        trade_id="74",
    )


@pytest.mark.parametrize(
    ("asked", "came", "kept", "last_seq", "more"),
    [
        # full: the last one wanted is there, and nothing is said of what is newer
        ({"start_seq": 42, "end_seq": 44}, (44, 43, 42), [42, 43, 44], None, True),
        # of a page that ends before the last one wanted, its newest row is the newest there is
        ({"start_seq": 42, "end_seq": 44}, (43, 42, 41), [42, 43], 43, False),
        ({"start_seq": 42}, (43, 42, 41), [42, 43], 43, False),
        # what is newer than asked for says that there is more
        ({"start_seq": 42, "end_seq": 44}, (46, 45, 44), [44, 45, 46], None, True),
        # the one behind the last one wanted tells that this one does not exist
        ({"start_seq": 42, "end_seq": 44}, (45, 43, 42), [42, 43, 45], None, True),
        # nothing new yet
        ({"start_seq": 42}, (41, 40), [], 41, False),
        ({"start_seq": 42}, (), [], 41, False),
        # where does the stream stand?
        ({"limit": 1}, (44,), [44], 44, False),
        ({"limit": 1}, (), [], None, False),
    ],
)
def test_a_page_says_how_far_the_stream_is(
    asked: dict[str, int], came: tuple[int, ...], kept: list[int], last_seq: int | None, more: bool
) -> None:
    page = COINBASE.decode_history(query(**asked), reply(rows(*came)))
    assert [row.sequence_id for row in page.rows] == kept
    assert (page.last_seq, page.more) == (last_seq, more)
    assert (page.first_seq, page.epoch, page.cursor) == (None, None, None)


@pytest.mark.parametrize("ids", [(42, 43), (43, 43), (44, 42, 43)])
def test_a_page_that_is_not_newest_first_is_invalid(ids: tuple[int, ...]) -> None:
    with pytest.raises(InvalidReplyError, match="matches:BTC-USD: expected trades newest first"):
        COINBASE.decode_history(query(start_seq=42), reply(rows(*ids)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'{"message":"NotFound"}',
        b"<html>Just a moment...</html>",
        ROWS[:-9],
        ROWS.replace(b'"10.00000000"', b"10.0"),
        ROWS.replace(b"75", b'"75"'),
        ROWS.replace(b'"buy"', b'"hold"'),
        ROWS.replace(b"2014-11-07T22", b"2014-11-07 22"),
        b"\xff",
        b"[" * 20_000,
    ],
    ids=lambda body: body[:30].decode("latin-1") or "empty",
)
def test_a_reply_that_is_no_page_is_invalid_and_its_beginning_is_shown(body: bytes) -> None:
    assert COINBASE.read_reply(reply(body)).outcome is Outcome.OK, "decoding it says what is wrong"
    with pytest.raises(InvalidReplyError, match="the body begins '"):
        COINBASE.decode_history(query(start_seq=74), reply(body))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.REFUSED),
        (404, Outcome.NO_SUCH_STREAM),
        (418, Outcome.LIMITED),
        (429, Outcome.LIMITED),
        (500, Outcome.UNAVAILABLE),
        (503, Outcome.UNAVAILABLE),
    ],
)
def test_an_error_has_the_venues_words(status: int, outcome: Outcome) -> None:
    reading = COINBASE.read_reply(reply({"message": "In its words"}, status))
    assert (reading.outcome, reading.code, reading.message) == (outcome, str(status), "In its words")
    for body in (b"", b"<html>", b"[]", b'{"message":7}', b"\xff", b"[" * 20_000):
        reading = COINBASE.read_reply(reply(body, status))
        assert (reading.outcome, reading.code, reading.message) == (outcome, str(status), "without words")


# -- bent and recorded ------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(bent([MATCH, LAST_MATCH, HEARTBEAT, SUBSCRIPTIONS, NO_PRODUCT]))
def test_whatever_a_frame_is_it_is_decoded_or_invalid(frame: bytes) -> None:
    try:
        said(frame)
    except InvalidMessageError:
        return


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(
    bent([ROWS, msgspec.json.encode(rows(44, 43, 42)), b'{"message":"NotFound"}']),
    st.sampled_from([None, 42, 74]),
    st.integers(1, 4),
    st.sampled_from([200, 400, 404, 429, 503, 999]),
)
def test_whatever_a_reply_is_it_is_read_and_is_a_page_or_invalid(
    body: bytes, start_seq: int | None, limit: int, status: int
) -> None:
    COINBASE.read_reply(reply(body, status))
    try:
        page = COINBASE.decode_history(query(start_seq=start_seq, limit=limit), reply(body))
    except InvalidReplyError:
        return
    ids = [row.sequence_id or 0 for row in page.rows]
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert start_seq is None or all(each >= start_seq for each in ids)


def test_recorded_frames_are_decoded_or_classified() -> None:
    met: Counter[str] = Counter()
    ids: defaultdict[str, list[int]] = defaultdict(list)
    for packed in recorded("coinbase", "*.gz").values():
        for line in gzip.decompress(packed).splitlines():
            head, is_frame, frame = line.partition(b": ")
            if not is_frame or b" <- " in head:
                continue
            message = said(frame)
            met[message.kind if isinstance(message, Ignored) else type(message).__name__] += 1
            if isinstance(message, TradeUpdate):
                ids[message.symbol].append(message.sequence_id or 0)
    assert met == {
        "TradeUpdate": 97,
        "HighWater": 10,
        "Subscribed": 3,
        "ticker": 107,
        "l2update": 9_719,
        "snapshot": 10,
    }
    assert len(ids) > 1
    assert all(later == earlier + 1 for each in ids.values() for earlier, later in pairwise(each))
