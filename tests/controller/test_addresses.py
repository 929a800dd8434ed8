"""Addresses, session ids, names of streams: what cannot work is refused when built, not by a running controller."""

from urllib.parse import quote, urlsplit

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConfigurationError, State, Stream, open_controller
from gapless.controller.exchange import HistoryQuery
from gapless.controller.exchanges import ReferenceExchange
from tests.kit import TICKER, world

HOSTS = [
    "256.1.1.1",
    "127.0.0.256",
    "xn--",
    "xn--a",
    "xn--zzzzzz--",
    "☃.com",
    "⒈com",
    "\u0660.1.1.1",
    "a..b",
    "a" * 64,
    ".",
    "[v1.x]",
    "\udcff",
]
"""Texts that urlsplit takes for a host, and one of those who would dial it does not."""


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_nobody_could_dial_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="ws_url = "):
        ReferenceExchange(ws_url=f"ws://{host}/ws", rest_url="http://h", session_id="ID")
    with pytest.raises(ConfigurationError, match="rest_url = "):
        ReferenceExchange(ws_url="ws://h", rest_url=f"http://{host}", session_id="ID")


@pytest.mark.parametrize(
    "host", ["a_b.com", "h.example.", "-a", "ß.de", "日本.example", "[::1]", "user:pw@h", "127.0.0.1"]
)
def test_a_host_that_can_be_dialled_is_taken_and_asked(host: str) -> None:
    exchange = ReferenceExchange(ws_url=f"ws://{host}:1/ws", rest_url=f"http://{host}:2", session_id="ID")
    assert exchange.history_request(HistoryQuery(stream=TICKER, limit=1)).url.port == 2
    assert urlsplit(exchange.websocket_url).port == 1


def test_an_address_has_a_length_that_servers_take() -> None:
    for ws_url, rest_url, name in (
        (f"ws://h/{'a' * 8_200}", "http://h", "ws_url"),
        ("ws://h", f"http://h/{'a' * 8_200}", "rest_url"),
    ):
        with pytest.raises(
            ConfigurationError, match=f"{name} is not allowed: expected at most 8192 characters, got 82"
        ):
            ReferenceExchange(ws_url=ws_url, rest_url=rest_url, session_id="ID")


@pytest.mark.parametrize("session_id", ["é", "☃", "\n", "\x7f", "", " ", " a", "a ", "\udcff"])
def test_a_session_id_must_fit_a_header_wherever_it_comes_from(session_id: str) -> None:
    says = "session_id = .* is not allowed: expected printable ASCII without outer blanks"
    with pytest.raises(ConfigurationError, match=says):
        ReferenceExchange(ws_url="ws://h/ws", rest_url="http://h", session_id=session_id)
    named = quote(session_id, errors="surrogateescape")
    with pytest.raises(ConfigurationError, match=says):
        ReferenceExchange(ws_url=f"ws://h/ws?session_id={named}", rest_url="http://h", session_id="ID")


def test_an_address_names_one_session_id_at_most() -> None:
    with pytest.raises(ConfigurationError, match="ws_url names session_id 2 times; expected one at most"):
        ReferenceExchange(ws_url="ws://h/ws?session_id=a&session_id=a", rest_url="http://h", session_id="ID")


def test_a_websocket_address_has_no_fragment() -> None:
    """RFC 6455, section 3."""
    for fragment in ("#part", "#"):
        with pytest.raises(ConfigurationError, match=f"ws_url = .*{fragment}' is not allowed: expected no fragment"):
            ReferenceExchange(ws_url=f"ws://h/ws{fragment}", rest_url="http://h", session_id="ID")


@pytest.mark.parametrize(
    ("asked", "dialled"),
    [
        ("/ws?a&b=&c=1&c=2", "/ws?a&b=&c=1&c=2&session_id=ID"),
        ("/ws?x=%FF+%20;y", "/ws?x=%FF+%20;y&session_id=ID"),
        ("/wés%20/?é=1", "/w%C3%A9s%20/?%C3%A9=1&session_id=ID"),
        ("/ws?a=1&session_id=b%20c&", "/ws?a=1&session_id=b%20c&"),
    ],
)
def test_a_query_is_kept_as_it_is(asked: str, dialled: str) -> None:
    exchange = ReferenceExchange(ws_url=f"ws://h{asked}", rest_url="http://h", session_id="ID")
    assert exchange.websocket_url == f"ws://h{dialled}"


async def test_a_path_beyond_ascii_is_dialled_quoted(autojump_clock: MockClock) -> None:
    async with world() as w:
        streams, ws_url = [TICKER], f"ws://127.0.0.1:{w.ws_port}/wés?é=1"
        async with open_controller(ws_url=ws_url, rest_url=f"http://127.0.0.1:{w.rest_port}", streams=streams) as feed:
            await feed.wait_for(State.REST_FALLBACK)
            await trio.sleep(30)

            assert {change.reason for change in feed.history if change.after is State.REST_FALLBACK} == {
                "refused: HTTP 404"
            }


async def test_the_session_id_of_an_address_is_that_of_both_sides(autojump_clock: MockClock) -> None:
    async with world() as w:
        ws_url = f"ws://127.0.0.1:{w.ws_port}/ws?a=&session_id=mine"
        rest_url = f"http://127.0.0.1:{w.rest_port}"
        async with open_controller(ws_url=ws_url, rest_url=rest_url, streams=[TICKER]) as feed:
            await feed.wait_for(State.CONNECTED)
        assert {each.session_id for each in w.exchange.subscriptions} == {"mine"}


async def test_an_empty_session_id_is_refused_rather_than_replaced(autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigurationError, match="session_id = '' is not allowed"):
        async with open_controller(ws_url="ws://h", rest_url="http://h", streams=[TICKER], session_id=""):
            pass


@pytest.mark.parametrize("name", ["\udcff", "BTC\n/USD", "\x00", "\x1b[31m", "a\x85b", "x" * 257])
def test_a_stream_is_named_by_what_can_be_said_to_a_venue(name: str) -> None:
    for channel, symbol in ((name, "BTC/USD"), ("ticker", name)):
        with pytest.raises(ConfigurationError, match="must be UTF-8 without control characters, at most 256 char"):
            Stream(channel, symbol)


@pytest.mark.parametrize("symbol", ["币安人生USDT", "👩‍🚀", "\U0001fae9", "a b", "x" * 256, "é"])
def test_a_stream_may_be_named_in_any_script(symbol: str) -> None:
    stream = Stream("ticker", symbol)
    exchange = ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="ID")
    assert exchange.history_request(HistoryQuery(stream=stream, limit=1)).url.params["symbol"] == symbol
    assert symbol in exchange.subscribe([stream], "s-1")[0]
