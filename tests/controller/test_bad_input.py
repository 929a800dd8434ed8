"""What a venue must not send and sometimes does: logged with the reason, counted, skipped; the contract is kept.

On the WebSocket a bad frame stands in the place of id 6, so that the hole it leaves must be repaired over REST. Over
REST a bad reply answers the request that would repair a hole; the one after it is right.
"""

import json
from collections.abc import Callable

import msgspec
import pytest
import trio
from loguru import logger
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import FeedStats, RestStats, State
from tests.kit import Feed
from tests.scripted import Query, Rest, Socket, Venue, history, page, timestamp

DATUM: dict[str, object] = {
    "type": "MARKET_DATA",
    "channel": "ticker",
    "symbol": "BTC/USD",
    "sequence_id": 6,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "price": 1.0,
}
NOTHING = "nothing: it is no fault, only of no use"


def datum(**changes: object) -> str:
    """Id 6 with a fault in it."""
    return json.dumps(DATUM | changes)


def without(name: str) -> str:
    return json.dumps({key: value for key, value in DATUM.items() if key != name})


# Each bad frame, and the counter that shows it was seen.
FRAMES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "invalid_messages"),
    "not JSON": ("<html>502 Bad Gateway</html>", "invalid_messages"),
    "cut off": (datum()[:-20], "invalid_messages"),
    "two objects in a frame": (datum() + datum(), "invalid_messages"),
    "NaN for a price": (datum().replace("1.0", "NaN"), "invalid_messages"),
    "infinity for a price": (datum().replace("1.0", "1e999"), "invalid_messages"),
    "an array": (json.dumps([DATUM]), "invalid_messages"),
    "a number": ("42", "invalid_messages"),
    "null": ("null", "invalid_messages"),
    "bytes that are no text": (b"\xff\xfe\x00\x01", "invalid_messages"),
    "a lone surrogate": (datum().replace("ticker", "\\ud800"), "invalid_messages"),
    "ten thousand brackets": ("[" * 10_000, "invalid_messages"),
    "ten thousand brackets in a field": (datum().replace("1.0", "[" * 10_000), "invalid_messages"),
    "no type": (without("type"), "invalid_messages"),
    "a type that is a number": (datum(type=7), "invalid_messages"),
    "an unknown type": (datum(type="ORDER_BOOK"), NOTHING),
    "no channel": (without("channel"), "invalid_messages"),
    "no symbol": (without("symbol"), "invalid_messages"),
    "no price": (without("price"), "invalid_messages"),
    "no timestamp": (without("timestamp"), "invalid_messages"),
    "a price that is a text": (datum(price="1.0"), "invalid_messages"),
    "a price that is an object": (datum(price={}), "invalid_messages"),
    "a symbol that is a list": (datum(symbol=["BTC/USD"]), "invalid_messages"),
    "a stream nobody asked for": (datum(symbol="DOGE/USD"), "unexpected"),
    "an id that is a text": (datum(sequence_id="6"), "invalid_messages"),
    "an id that is a fraction": (datum(sequence_id=6.5), "invalid_messages"),
    "an id below zero": (datum(sequence_id=-6), "invalid_messages"),
    "an id of 2^70": (datum(sequence_id=2**70), "invalid_messages"),
    "an id 10^12 ahead": (datum(sequence_id=10**12), "suspects"),
    "an id from long ago": (datum(sequence_id=2), "duplicates"),
    "id 0": (datum(sequence_id=0), "duplicates"),
    "a SUBSCRIBED with a mark below zero": (
        json.dumps({"type": "SUBSCRIBED", "streams": [{"channel": "ticker", "symbol": "BTC/USD", "sequence_id": -1}]}),
        "invalid_messages",
    ),
    "a PONG without an id": (json.dumps({"type": "PONG"}), "invalid_messages"),
    "a PONG to no PING": (json.dumps({"type": "PONG", "request_id": "p-999"}), NOTHING),
    "a GOODBYE for a year": (json.dumps({"type": "GOODBYE", "retry_after_s": 31_536_000}), "invalid_messages"),
}


def warned() -> list[str]:
    """Collects what is logged as a warning or worse."""
    texts: list[str] = []
    logger.enable("gapless")
    logger.add(lambda message: texts.append(str(message)), level="WARNING", format="{message}")
    return texts


@pytest.fixture
def warnings() -> object:
    texts = warned()
    yield texts
    logger.remove()
    logger.disable("gapless")


@pytest.mark.parametrize("name", FRAMES)
async def test_a_bad_frame(name: str, warnings: list[str], autojump_clock: MockClock) -> None:
    frame, counter = FRAMES[name]
    issued = [5]

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2, 3, 4, 5)
        await trio.sleep(1.0)
        await socket.send_raw(frame)
        issued[0] = 10
        await socket.data(7, 8, 9, 10)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued[0]))
    async with venue.feed() as feed:
        await feed.until(lambda: len(feed.data) == 10)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1.0)
        assert sorted(event.sequence_id or 0 for event in feed.data) == list(range(1, 11))
        assert feed.lost == []
        assert feed.controller.generation == 1
        if counter != NOTHING:
            assert getattr(feed.controller.stats, counter) >= 1
        if counter == "invalid_messages":
            assert any("a frame is skipped" in text for text in warnings)


async def test_a_frame_of_ten_megabytes_ends_the_connection_and_nothing_else(autojump_clock: MockClock) -> None:
    """It is never held whole: the limit is the point. What came with it is fetched again."""
    issued = [5]

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0 if number == 1 else issued[0])
        if number == 1:
            await socket.data(1, 2, 3, 4, 5)
            await trio.sleep(1.0)
            issued[0] = 6
            await socket.send_raw(datum(padding="x" * 10_000_000))
            await trio.sleep_forever()
        issued[0] = 10
        await socket.data(7, 8, 9, 10)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued[0]))
    async with venue.feed() as feed:
        await feed.until(lambda: len(feed.data) == 10)
        await feed.until_state(State.CONNECTED)
        assert sorted(event.sequence_id or 0 for event in feed.data) == list(range(1, 11))
        assert feed.lost == []
        assert feed.controller.generation == 2
        (lost,) = feed.moved(State.REST_FALLBACK)
        assert "1009" in lost.reason


def row(number: object, **changes: object) -> dict[str, object]:
    return {"sequence_id": number, "timestamp": timestamp(), "price": 1.0} | changes


def body(rows: object, **changes: object) -> Response:
    reply = {"prices": rows, "epoch": "e-1", "first_seq": 1, "last_seq": 10} | changes
    return Response(msgspec.json.encode(reply))


def text(content: str | bytes, status: int = 200, **headers: str) -> Callable[[], Response]:
    return lambda: Response(content, status, headers)


# Each bad reply to the request for ids 4..6, and the counter that shows it was seen.
REPLIES: dict[str, tuple[Callable[[], Response], str]] = {
    "HTML": (text("<html><body>Just a moment...</body></html>"), "invalid_replies"),
    "empty": (text(""), "invalid_replies"),
    "not UTF-8": (text(b"\xff\xfe\xfd"), "invalid_replies"),
    "JSON cut off": (text('{"prices":[{"sequence_id":4,'), "invalid_replies"),
    "null": (text("null"), "invalid_replies"),
    "an array": (text("[]"), "invalid_replies"),
    "a text": (text('"no"'), "invalid_replies"),
    "no prices": (text('{"epoch":"e-1","first_seq":1,"last_seq":10}'), "invalid_replies"),
    "prices null": (lambda: body(None), "invalid_replies"),
    "prices an object": (lambda: body({}), "invalid_replies"),
    "a row that is a number": (lambda: body([4]), "invalid_replies"),
    "a row without a price": (lambda: body([{"sequence_id": 4, "timestamp": timestamp()}]), "invalid_replies"),
    "a row without a time": (lambda: body([{"sequence_id": 4, "price": 1.0}]), "invalid_replies"),
    "a price that is a text": (lambda: body([row(4, price="1.0")]), "invalid_replies"),
    "a price that is null": (lambda: body([row(4, price=None)]), "invalid_replies"),
    "an id that is a text": (lambda: body([row("4")]), "invalid_replies"),
    "an id below zero": (lambda: body([row(-4)]), "invalid_replies"),
    "an id of 2^70": (text('{"prices":[{"sequence_id":1180591620717411303424}]}'), "invalid_replies"),
    "first_seq a text": (lambda: body([row(4)], first_seq="1"), "invalid_replies"),
    "last_seq below zero": (lambda: body([row(4)], last_seq=-1), "invalid_replies"),
    "epoch a number": (lambda: body([row(4)], epoch=1), "invalid_replies"),
    "ten thousand brackets": (text('{"prices":' + "[" * 10_000), "invalid_replies"),
    "stale": (lambda: page([], last_seq=3), "stale_replies"),
    "stale by one": (lambda: page([4, 5], last_seq=6), "stale_replies"),
    "another epoch": (lambda: page([4, 5, 6], last_seq=10, epoch="e-0"), "stale_replies"),
    "larger than allowed": (text("x" * 100_000), "failed"),
    "a header of a length it does not have": (text("{}", 200, **{"content-length": "5000"}), "failed"),
    "500": (text("oops", 500), "failed"),
    "502 in HTML": (text("<html>", 502), "failed"),
    "599": (text("", 599), "failed"),
    "400": (text("{}", 400), "refused"),
    "404": (text("not JSON", 404), "refused"),
    "a redirect": (text("", 301, location="/elsewhere"), "refused"),
    "204 without a body": (text("", 204), "refused"),
    "429": (text("{}", 429), "limited"),
    "418 with a date gone by": (text("", 418, **{"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}), "limited"),
}


def counted(feed: Feed, name: str) -> int:
    stats: FeedStats | RestStats = feed.controller.stats
    if not hasattr(stats, name):
        stats = feed.controller.rest_stats
    number: int = getattr(stats, name)
    return number


@pytest.mark.parametrize("name", REPLIES)
async def test_a_bad_reply(name: str, autojump_clock: MockClock) -> None:
    make, counter = REPLIES[name]
    issued = [3]
    bad_left = [2]

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2, 3)
        await trio.sleep(1.0)
        issued[0] = 10
        await socket.data(7, 8, 9, 10)
        await trio.sleep_forever()

    well: Rest = history(lambda: issued[0])

    def rest(path: str, query: Query) -> Response:
        if issued[0] == 10 and bad_left[0]:
            bad_left[0] -= 1
            return make()
        return well(path, query)

    venue = Venue(script, rest)
    async with venue.feed(reply_size_max=50_000, rate_limit_initial_backoff=0.1) as feed:
        await feed.until(lambda: len(feed.data) == 10)
        await feed.until_state(State.CONNECTED)
        assert sorted(event.sequence_id or 0 for event in feed.data) == list(range(1, 11))
        assert feed.lost == []
        assert feed.controller.generation == 1
        assert bad_left == [0]
        assert counted(feed, counter) >= 1
