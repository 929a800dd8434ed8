"""The reference adapter: every frame and reply of the wire format, and everything that is none."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import Balance, ConfigurationError, InvalidMessageError, InvalidReplyError, Order, Stream
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HistoryPage,
    HistoryQuery,
    HistoryRow,
    Ignored,
    MarketUpdate,
    Message,
    Pong,
    Rejected,
    RestReply,
    Snapshot,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.exchanges.reference import BALANCE, ORDERS

TICKER, ETHER = Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD")
ANY_QUERY = HistoryQuery(stream=TICKER, limit=1000)

ORDER = {
    "order_id": "o-1",
    "symbol": "BTC/USD",
    "side": "buy",
    "type": "limit",
    "quantity": 1.0,
    "price": 50000.0,
    "filled": 0.0,
    "status": "open",
    "updated_at": "2026-01-01T00:00:00.000Z",
}
USD = {"asset": "USD", "free": 1000.0, "locked": 0.0}
PRICE = {
    "sequence_id": 42,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "price": 50000.0,
    "bid": 49999.0,
    "ask": 50001.0,
    "volume_24h": 1000.0,
}
NAMES = [{"channel": "ticker", "symbol": "BTC/USD", "sequence_id": 41}, {"channel": "ticker", "symbol": "ETH/USD"}]

FRAMES: dict[str, tuple[dict[str, object], Message]] = {
    "WELCOME": (
        {"type": "WELCOME", "session_id": "ID", "epoch": "e-1", "server_time": "2026-01-01T00:00:00.000Z"},
        Welcome(epoch="e-1"),
    ),
    "WELCOME without an epoch": ({"type": "WELCOME", "session_id": "ID"}, Welcome(epoch=None)),
    "SUBSCRIBED": (
        {"type": "SUBSCRIBED", "request_id": "s-1", "streams": NAMES},
        Subscribed(request_id="s-1", marks={TICKER: 41, ETHER: None}),
    ),
    "SUBSCRIBED, nothing issued yet": (
        {"type": "SUBSCRIBED", "streams": [{"channel": "orders", "symbol": "*", "sequence_id": 0}]},
        Subscribed(request_id=None, marks={ORDERS: 0}),
    ),
    "SUBSCRIBED in general": ({"type": "SUBSCRIBED"}, Subscribed(request_id=None, marks=None)),
    "UNSUBSCRIBED": (
        {"type": "UNSUBSCRIBED", "request_id": "u-1", "streams": NAMES},
        Unsubscribed(request_id="u-1", streams=[TICKER, ETHER]),
    ),
    "UNSUBSCRIBED in general": ({"type": "UNSUBSCRIBED"}, Unsubscribed(request_id=None, streams=None)),
    "REJECTED": (
        {"type": "REJECTED", "request_id": "s-1", "streams": NAMES[1:], "code": "unknown_symbol", "message": "No."},
        Rejected(request_id="s-1", streams=[ETHER], code="unknown_symbol", message="No."),
    ),
    "REJECTED, those that SUBSCRIBED omits": (
        {"type": "REJECTED"},
        Rejected(request_id=None, streams=None, code="unknown", message=""),
    ),
    "REJECTED, none": (
        {"type": "REJECTED", "streams": []},
        Rejected(request_id=None, streams=[], code="unknown", message=""),
    ),
    "PONG": ({"type": "PONG", "request_id": "p-1", "server_time": "2026-01-01T00:00:00.000Z"}, Pong(request_id="p-1")),
    "ORDER_UPDATE": (
        {"type": "ORDER_UPDATE", "sequence_id": 7, "order": ORDER},
        AccountUpdate(
            stream=ORDERS,
            sequence_id=7,
            content=Order(
                order_id="o-1",
                symbol="BTC/USD",
                side="buy",
                type="limit",
                quantity=1.0,
                price=50000.0,
                filled=0.0,
                status="open",
                updated_at="2026-01-01T00:00:00.000Z",
            ),
        ),
    ),
    "BALANCE_UPDATE": (
        {"type": "BALANCE_UPDATE", "sequence_id": 3, "balance": USD},
        AccountUpdate(stream=BALANCE, sequence_id=3, content=Balance(asset="USD", free=1000.0, locked=0.0)),
    ),
    "GOODBYE": (
        {"type": "GOODBYE", "reason": "maintenance", "retry_after_s": 5},
        Goodbye(reason="maintenance", retry_after_s=5.0),
    ),
    "GOODBYE, no more said": ({"type": "GOODBYE"}, Goodbye(reason="", retry_after_s=0.0)),
}


@pytest.fixture
def exchange() -> ReferenceExchange:
    return ReferenceExchange(ws_url="ws://host:1/ws", rest_url="http://host:2", session_id="ID")


def reply(content: object) -> RestReply:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return RestReply(status=200, headers={}, body=body)


# -- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "meaning"), FRAMES.values(), ids=FRAMES.keys())
def test_every_frame_of_the_protocol(exchange: ReferenceExchange, wire: dict[str, object], meaning: Message) -> None:
    text = json.dumps(wire)
    assert exchange.decode(text) == meaning
    assert exchange.decode(text.encode()) == meaning, "a binary frame says the same"
    assert exchange.decode(json.dumps(dict(reversed(wire.items())))) == meaning, "in whatever order"


def test_market_data(exchange: ReferenceExchange) -> None:
    frame = json.dumps({"type": "MARKET_DATA", "channel": "ticker", "symbol": "BTC/USD", **PRICE})
    datum = exchange.decode(frame)
    assert isinstance(datum, MarketUpdate)
    assert (datum.channel, datum.symbol, datum.sequence_id) == ("ticker", "BTC/USD", 42)
    assert (datum.timestamp, datum.price) == ("2026-01-01T00:00:00.000Z", 50000.0)
    assert (datum.bid, datum.ask, datum.volume_24h) == (49999.0, 50001.0, 1000.0)


def test_market_data_of_the_least_kind(exchange: ReferenceExchange) -> None:
    frame = {"type": "MARKET_DATA", "channel": "ticker", "symbol": "BTC/USD", "timestamp": "t", "price": 1}
    datum = exchange.decode(json.dumps(frame))
    assert isinstance(datum, MarketUpdate)
    assert (datum.sequence_id, datum.bid, datum.ask, datum.volume_24h, datum.price) == (None, None, None, None, 1.0)


@pytest.mark.parametrize(("wire", "meaning"), FRAMES.values(), ids=FRAMES.keys())
def test_unknown_fields_are_ignored(exchange: ReferenceExchange, wire: dict[str, object], meaning: Message) -> None:
    assert exchange.decode(json.dumps({**wire, "new": {"nested": [1, 2, {"type": "PONG"}]}})) == meaning


@pytest.mark.parametrize("kind", ["TRADES", "market_data", "", "☃"])
def test_unknown_types_are_ignored(exchange: ReferenceExchange, kind: str) -> None:
    assert exchange.decode(json.dumps({"type": kind, "request_id": 5})) == Ignored(kind=kind)


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ('{"type":"PONG"}', "malformed PONG: Object missing required field `request_id`"),
        ('{"type":"PONG","request_id":5}', "malformed PONG: .*`int`.*request_id"),
        ('{"type":"WELCOME","epoch":5}', "malformed WELCOME: .*epoch"),
        ('{"type":"MARKET_DATA"}', "malformed MARKET_DATA: .*`timestamp`"),
        (
            '{"type":"MARKET_DATA","channel":"c","symbol":"s","timestamp":"t","price":"1"}',
            "malformed MARKET_DATA: .*price",
        ),
        (
            '{"type":"MARKET_DATA","channel":"c","symbol":"s","timestamp":"t","price":1e400}',
            "malformed MARKET_DATA: .*price",
        ),
        ('{"type":"ORDER_UPDATE","order":{"order_id":"o-1"}}', "malformed ORDER_UPDATE: .*order"),
        ('{"type":"BALANCE_UPDATE","sequence_id":3}', "malformed BALANCE_UPDATE: .*balance"),
        ('{"type":"SUBSCRIBED","streams":{}}', "malformed SUBSCRIBED: .*streams"),
        ('{"type":"SUBSCRIBED","streams":[{"channel":" ","symbol":"s"}]}', "channel must be a text"),
        ('{"type":"REJECTED","streams":[{"channel":"c","symbol":""}]}', "symbol must be a text"),
        ('{"type":"GOODBYE","retry_after_s":-1}', "malformed GOODBYE: .*retry_after_s"),
        ('{"type":"GOODBYE","retry_after_s":1e9}', "malformed GOODBYE: .*retry_after_s"),
        ('{"type":5}', "expected a JSON object with a type"),
        ('{"types":"PONG"}', "expected a JSON object with a type"),
        ('["PONG"]', "expected a JSON object with a type"),
        ("null", "expected a JSON object with a type"),
        ("PONG", "expected a JSON object with a type"),
        ("", "expected a JSON object with a type"),
        ('{"type":"PONG","request_id":"p-1"', "expected a JSON object with a type"),
        ('{"type":"TRADES"} {"type":"TRADES"}', "expected a JSON object with a type"),
        ('\ufeff{"type":"TRADES"}', "expected a JSON object with a type"),
    ],
)
def test_a_malformed_frame_is_named(exchange: ReferenceExchange, frame: str, named: str) -> None:
    with pytest.raises(InvalidMessageError, match=named):
        exchange.decode(frame)


@pytest.mark.parametrize("sequence_id", ["-1", "9223372036854775808", "9" * 5_000, "4.5", '"42"', "true", "[]"])
def test_ids_that_are_none(exchange: ReferenceExchange, sequence_id: str) -> None:
    datum = '"channel":"c","symbol":"s","timestamp":"t","price":1'
    for frame in (
        f'{{"type":"MARKET_DATA",{datum},"sequence_id":{sequence_id}}}',
        f'{{"type":"SUBSCRIBED","streams":[{{"channel":"c","symbol":"s","sequence_id":{sequence_id}}}]}}',
    ):
        with pytest.raises(InvalidMessageError, match="sequence_id"):
            exchange.decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"PONG","request_id":"\ud800"}',
        '{"type":"PONG","request_id":"\\ud800"}',
        '{"type":"\ud800"}',
        b"\xff\xfe",
        b'{"type":"PONG","request_id":"\xff"}',
        b'{"type":"\xff"}',
        "[" * 100_000,
        '{"type":"TRADES","x":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"PONG","request_id":' + '{"a":' * 100_000,
        '{"type":"PONG","request_id":"p-1","x":' + "[" * 100_000 + "]" * 100_000 + "}",
        "\0",
    ],
    ids=lambda frame: repr(frame[:30]),
)
def test_hostile_texts_are_malformed_frames(exchange: ReferenceExchange, frame: str | bytes) -> None:
    with pytest.raises(InvalidMessageError):
        exchange.decode(frame)


def test_what_the_adapter_says(exchange: ReferenceExchange) -> None:
    assert [json.loads(frame) for frame in exchange.subscribe([TICKER, ORDERS], "s-1")] == [
        {
            "type": "SUBSCRIBE",
            "request_id": "s-1",
            "streams": [{"channel": "ticker", "symbol": "BTC/USD"}, {"channel": "orders", "symbol": "*"}],
        }
    ]
    assert json.loads(exchange.ping("p-1")) == {"type": "PING", "request_id": "p-1"}


# -- streams and addresses --------------------------------------------------------------------------------------------


def test_account_channels_are_orders_and_balance_of_no_symbol(exchange: ReferenceExchange) -> None:
    for stream in (ORDERS, BALANCE):
        exchange.check(stream)
        assert (exchange.is_account(stream), exchange.has_history(stream)) == (True, False)
    exchange.check(TICKER)
    assert (exchange.is_account(TICKER), exchange.has_history(TICKER)) == (False, True)
    for wrong in (Stream("orders", "BTC/USD"), Stream("balance", "USD")):
        with pytest.raises(
            ConfigurationError, match=f"channel {wrong.channel} has the symbol \\*, got '{wrong.symbol}'"
        ):
            exchange.check(wrong)


@pytest.mark.parametrize(
    ("ws_url", "dialled"),
    [
        ("ws://host:1", "ws://host:1/ws?session_id=ID"),
        ("ws://host:1/", "ws://host:1/ws?session_id=ID"),
        ("ws://host:1/ws", "ws://host:1/ws?session_id=ID"),
        ("wss://host/feed/v2", "wss://host/feed/v2?session_id=ID"),
        ("ws://host/ws?token=a%26b", "ws://host/ws?token=a%26b&session_id=ID"),
        ("ws://[::1]:1/ws", "ws://[::1]:1/ws?session_id=ID"),
    ],
)
def test_the_websocket_address(ws_url: str, dialled: str) -> None:
    exchange = ReferenceExchange(ws_url=ws_url, rest_url="http://host", session_id="ID")
    assert exchange.websocket_url == dialled


def test_a_session_id_in_the_address_counts_for_rest_too() -> None:
    exchange = ReferenceExchange(ws_url="ws://h/ws?session_id=mine", rest_url="http://h", session_id="ID")
    assert exchange.websocket_url == "ws://h/ws?session_id=mine"
    assert exchange.snapshot_request(ORDERS).headers["x-session-id"] == "mine"


def test_a_session_id_is_quoted() -> None:
    exchange = ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="a&b=c d")
    assert exchange.websocket_url == "ws://h/ws?session_id=a%26b%3Dc+d"


@pytest.mark.parametrize(
    ("rest_url", "asked", "host"),
    [
        ("http://host:2", "http://host:2/api/v1/orders", "host:2"),
        ("http://host:2/", "http://host:2/api/v1/orders", "host:2"),
        ("https://host/behind/a/proxy/", "https://host/behind/a/proxy/api/v1/orders", "host:443"),
        ("http://[::1]:2", "http://[::1]:2/api/v1/orders", "[::1]:2"),
    ],
)
def test_the_rest_address(rest_url: str, asked: str, host: str) -> None:
    exchange = ReferenceExchange(ws_url="ws://host", rest_url=rest_url, session_id="ID")
    assert str(exchange.snapshot_request(ORDERS).url) == asked
    assert exchange.rest_host == host


@pytest.mark.parametrize(
    "url",
    ["", "host:1", "//host:1", "ftp://host", "ws://", "ws://:1", "ws://h:0", "ws://h:99999", "ws://h:x", "ws://[::1"],
)
def test_bad_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ws_url = ") as caught:
        ReferenceExchange(ws_url=url, rest_url="http://h", session_id="ID")
    assert repr(url) in str(caught.value)
    with pytest.raises(ConfigurationError, match="rest_url = "):
        ReferenceExchange(ws_url="ws://h", rest_url=url.replace("ws:", "http:"), session_id="ID")


def test_the_two_addresses_are_not_interchangeable() -> None:
    with pytest.raises(ConfigurationError, match="expected ws://HOST:PORT or wss://HOST:PORT"):
        ReferenceExchange(ws_url="http://h", rest_url="http://h", session_id="ID")
    with pytest.raises(ConfigurationError, match="expected http://HOST:PORT or https://HOST:PORT"):
        ReferenceExchange(ws_url="ws://h", rest_url="ws://h", session_id="ID")


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (HistoryQuery(stream=TICKER, limit=1000), {}),
        (HistoryQuery(stream=TICKER, limit=1000, start_seq=3, end_seq=4), {"start_seq": "3", "end_seq": "4"}),
        (HistoryQuery(stream=TICKER, limit=1000, start_seq=0), {"start_seq": "0"}),
        (
            HistoryQuery(stream=TICKER, limit=1000, start="2026-01-01T00:00:00Z", end="2026-01-01T01:00:00+00:00"),
            {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00+00:00"},
        ),
    ],
)
def test_a_history_request(exchange: ReferenceExchange, query: HistoryQuery, params: dict[str, str]) -> None:
    request = exchange.history_request(query)
    assert (request.method, request.url.host, request.url.path) == ("GET", "host", "/api/v1/prices")
    assert dict(request.url.params) == {"symbol": "BTC/USD", "channel": "ticker", "limit": "1000", **params}
    assert request.headers["x-session-id"] == "ID"


@pytest.mark.parametrize(("stream", "path"), [(ORDERS, "/api/v1/orders"), (BALANCE, "/api/v1/balance")])
def test_a_snapshot_request(exchange: ReferenceExchange, stream: Stream, path: str) -> None:
    request = exchange.snapshot_request(stream)
    assert (request.method, request.url.path, request.headers["x-session-id"]) == ("GET", path, "ID")


# -- replies ----------------------------------------------------------------------------------------------------------


def test_a_page_of_history(exchange: ReferenceExchange) -> None:
    page = exchange.decode_history(
        ANY_QUERY, reply({"prices": [PRICE], "epoch": "e-1", "first_seq": 1, "last_seq": 99, "x": 1})
    )
    assert (page.epoch, page.first_seq, page.last_seq) == ("e-1", 1, 99)
    (row,) = page.rows
    assert isinstance(row, HistoryRow)
    assert (row.sequence_id, row.timestamp, row.price) == (42, "2026-01-01T00:00:00.000Z", 50000.0)
    assert (row.bid, row.ask, row.volume_24h) == (49999.0, 50001.0, 1000.0)


def test_the_specifications_literal_page(exchange: ReferenceExchange) -> None:
    literal = {name: value for name, value in PRICE.items() if name != "sequence_id"}
    page = exchange.decode_history(ANY_QUERY, reply({"prices": [literal]}))
    assert (page.epoch, page.first_seq, page.last_seq) == (None, None, None)
    assert page.rows[0].sequence_id is None


def test_an_empty_page(exchange: ReferenceExchange) -> None:
    page = exchange.decode_history(ANY_QUERY, reply({"prices": [], "epoch": "e-1", "first_seq": 100, "last_seq": 99}))
    assert page == HistoryPage(rows=[], epoch="e-1", first_seq=100, last_seq=99)


def test_snapshots(exchange: ReferenceExchange) -> None:
    orders = exchange.decode_snapshot(ORDERS, reply({"orders": [ORDER], "sequence_id": 7}))
    assert orders.sequence_id == 7
    assert [each.order_id for each in orders.contents if isinstance(each, Order)] == ["o-1"]
    balances = exchange.decode_snapshot(BALANCE, reply({"balances": [USD], "sequence_id": 3}))
    assert balances == Snapshot(contents=[Balance(asset="USD", free=1000.0)], sequence_id=3)
    assert exchange.decode_snapshot(ORDERS, reply({"orders": []})) == Snapshot(contents=[], sequence_id=None)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"<html><h1>502 Bad Gateway</h1></html>", "the body begins '<html><h1>502 Bad Gateway"),
        (b'{"prices":[{"timestamp":"t","pri', "truncated"),
        (b"", "the body begins ''"),
        (b"{}", "missing required field `(prices|orders|balances)`"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"prices":{},"orders":{},"balances":{}}', "Expected `array`, got `object`"),
        (b'{"prices":[1],"orders":[1],"balances":[1]}', "Expected `object`, got `int`"),
        (b'{"prices":[{}],"orders":[{}],"balances":[{}]}', "missing required field `(timestamp|order_id|asset)`"),
        (b"\xff\xfe{}", "the body begins"),
        (b"[" * 100_000, "the body begins"),
        (b'{"x":' * 100_000, "the body begins"),
    ],
    ids=lambda part: repr(part[:30]) if isinstance(part, bytes) else "",
)
def test_a_reply_that_is_none_says_how_it_begins(exchange: ReferenceExchange, body: bytes, named: str) -> None:
    with pytest.raises(InvalidReplyError, match=named):
        exchange.decode_history(ANY_QUERY, reply(body))
    for stream in (ORDERS, BALANCE):
        with pytest.raises(InvalidReplyError, match=named):
            exchange.decode_snapshot(stream, reply(body))


@pytest.mark.parametrize(
    "field",
    [
        {"epoch": 5},
        {"first_seq": -1},
        {"last_seq": "99"},
        {"last_seq": 2**63},
        {"prices": [{**PRICE, "sequence_id": -1}]},
        {"prices": [{**PRICE, "price": None}]},
        {"prices": [{**PRICE, "timestamp": 1_767_225_600}]},
        {"prices": [PRICE, {**PRICE, "bid": "49999"}]},
    ],
)
def test_wrong_types_in_a_page(exchange: ReferenceExchange, field: dict[str, object]) -> None:
    with pytest.raises(InvalidReplyError, match=next(iter(field))):
        exchange.decode_history(
            ANY_QUERY, reply({"prices": [PRICE], "epoch": "e-1", "first_seq": 1, "last_seq": 99, **field})
        )


# -- anything at all --------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def mutilated(examples: Sequence[dict[str, object]]) -> st.SearchStrategy[str | bytes]:
    """A good message with a field replaced or removed, cut off, a byte changed; or no message at all."""

    def replaced(example: dict[str, object], name_at: int, value: object) -> dict[str, object]:
        return {**example, list(example)[name_at % len(example)]: value}

    def removed(example: dict[str, object], name_at: int) -> dict[str, object]:
        return {name: value for at, (name, value) in enumerate(example.items()) if at != name_at % len(example)}

    def changed(body: bytes, at: int, byte: int) -> bytes:
        return body[: at % len(body)] + bytes([byte]) + body[at % len(body) + 1 :]

    good = st.sampled_from(examples)
    number = st.integers(0, 500)
    objects = st.one_of(good, good, st.builds(replaced, good, number, values), st.builds(removed, good, number))
    bodies = objects.map(lambda each: json.dumps(each).encode())
    cut = st.builds(lambda body, at: body[: at % len(body)], bodies, number)
    whole = st.one_of(bodies, bodies.map(bytes.decode))
    return st.one_of(whole, whole, cut, st.builds(changed, bodies, number, st.integers(0, 255)), st.text())


def test_decoding_a_frame_raises_nothing_but_invalid_message() -> None:
    reached: Counter[str] = Counter()
    exchange = ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="ID")
    datum = {"type": "MARKET_DATA", "channel": "ticker", "symbol": "BTC/USD", **PRICE}

    @settings(max_examples=1_000, derandomize=True, deadline=None)
    @given(mutilated([datum, datum, datum, *(wire for wire, _ in FRAMES.values())]) | st.binary())
    def explore(frame: str | bytes) -> None:
        try:
            message = exchange.decode(frame)
        except InvalidMessageError:
            reached["invalid"] += 1
        else:
            reached["market data" if isinstance(message, MarketUpdate) else type(message).__name__] += 1

    explore()
    kinds = {type(message).__name__ for _, message in FRAMES.values()} | {"market data", "invalid", "Ignored"}
    assert reached.keys() == kinds


def test_decoding_a_reply_raises_nothing_but_invalid_reply() -> None:
    reached: Counter[str] = Counter()
    exchange = ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="ID")
    prices = {"prices": [PRICE, PRICE], "epoch": "e-1", "first_seq": 1, "last_seq": 99}
    snapshots = {"orders": [ORDER], "balances": [USD], "sequence_id": 7}

    @settings(max_examples=400, derandomize=True, deadline=None)
    @given(mutilated([prices, snapshots]) | st.binary())
    def explore(body: str | bytes) -> None:
        raw = reply(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
        try:
            page = exchange.decode_history(ANY_QUERY, raw)
            reached["a page"] += 1
            assert all(row.sequence_id is None or 0 <= row.sequence_id < 2**63 for row in page.rows)
        except InvalidReplyError:
            reached["no page"] += 1
        for stream in (ORDERS, BALANCE):
            try:
                exchange.decode_snapshot(stream, raw)
                reached["a snapshot"] += 1
            except InvalidReplyError:
                reached["no snapshot"] += 1

    explore()
    assert reached.keys() == {"a page", "no page", "a snapshot", "no snapshot"}
