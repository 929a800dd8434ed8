"""What a client may ask on the simulated Binance's WebSocket, and how it is refused."""

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, RejectMode
from gapless.simulator.venues import BinanceLimits, BinanceOptions, BinanceSpot
from tests.venues.simulator_kit import ADDRESS, simulated

BTC = "BTCUSDT"


@pytest.mark.parametrize("request_id", [1, 0, -1, "a", "0123456789" * 3, None])
async def test_an_id_is_echoed(autojump_clock: MockClock, request_id: object) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": request_id})
        assert await client.hear() == {"result": None, "id": request_id}


async def test_the_acknowledgement_comes_before_the_first_trade(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot(), rate_per_s=1_000.0, symbols=(BTC,)) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 7})
        heard = await client.hear_many(20)
        assert heard[0] == {"result": None, "id": 7}
        (record,) = world.venue.subscriptions
        assert (record.channel, record.symbol, record.session_id) == ("trade", BTC, ADDRESS)
        assert [each["t"] for each in heard[1:]] == list(range(record.mark + 1, record.mark + 20))


async def test_unsubscribed_is_silent_and_listed_no_more(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@aggTrade"], "id": 1})
        await client.say({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        await client.say({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        heard = await client.hear_many(3)
        assert heard[1:] == [{"result": None, "id": 2}, {"result": ["ethusdt@aggTrade"], "id": 3}]
        world.publish(3, BTC)
        assert await client.hears_nothing(1.0)


@pytest.mark.parametrize(
    ("said", "code", "says"),
    [
        ("hello", 3, "Invalid JSON"),
        ("[1]", 2, "expected an object"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"SHOUT","id":1}', 2, "unknown variant `SHOUT`"),
        ('{"method":["SUBSCRIBE"],"id":1}', 2, "unknown variant"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2, "`params` must be an array"),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2, "names no stream"),
        ('{"method":"SUBSCRIBE","id":1}', 2, "names no stream"),
        ('{"method":"SUBSCRIBE","params":[7],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":["BTCUSDT@trade"],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":["btcusdt"],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade","@"],"id":1}', 2, "invalid stream"),
        ('{"method":"UNSUBSCRIBE","params":["nonsense"],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}', 2, "request ID"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":{}}', 2, "request ID"),
        ('{"method":"SET_PROPERTY","params":["speed",1],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
        ("[" * 5_000, 3, "Invalid JSON"),
    ],
)
async def test_what_is_not_understood_is_answered_and_nothing_is_done(
    autojump_clock: MockClock, said: str, code: int, says: str
) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.socket.send_message(said)
        answer = await client.hear()
        assert set(answer) == {"error", "id"}
        assert answer["error"]["code"] == code
        assert says in answer["error"]["msg"]
        assert answer["id"] == (1 if '"id":1,' in said or '"id":1}' in said else None)
        assert not world.venue.subscriptions


async def test_binary_is_read_as_the_text_it_holds(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.socket.send_message(b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        assert await client.hear() == {"result": None, "id": 1}


async def test_the_older_form_of_an_error(autojump_clock: MockClock) -> None:
    venue = BinanceSpot(options=BinanceOptions(error_form="flat"))
    async with simulated(venue) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["nonsense"], "id": 9})
        assert await client.hear() == {"code": 2, "msg": "Invalid request: invalid stream 'nonsense'", "id": 9}


@pytest.mark.parametrize("stream", ["nosuch@trade", "btcusdt@depth@100ms"])
async def test_a_stream_that_does_not_exist_is_acknowledged_and_silent(autojump_clock: MockClock, stream: str) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": [stream], "id": 1})
        assert await client.hear() == {"result": None, "id": 1}
        world.publish(3, BTC)
        assert await client.hears_nothing(1.0)


async def test_or_it_is_refused_where_a_test_wants_that(autojump_clock: MockClock) -> None:
    venue = BinanceSpot(options=BinanceOptions(unknown_streams="reject"))
    async with simulated(venue) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nosuch@trade"], "id": 1})
        assert (await client.hear())["error"]["code"] == 2
        world.publish(3, BTC)
        assert await client.hears_nothing(1.0), "all of a request, or nothing"


async def test_a_rejected_symbol_is_an_error_of_the_venues_form(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        world.venue.failures.set(FailuresConfig(reject=RejectMode(enabled=True, symbols=(BTC,), count=1)))
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        answer = await client.hear()
        assert (answer["error"]["code"], answer["id"]) == (2, 1)
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert await client.hear() == {"result": None, "id": 2}
        assert world.venue.injected == {"reject": 1}


async def test_the_combined_property_changes_the_form(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial("/ws/btcusdt@trade") as client:
        requests: list[dict[str, object]] = [
            {"method": "GET_PROPERTY", "params": ["combined"], "id": 1},
            {"method": "SET_PROPERTY", "params": ["combined", True], "id": 2},
            {"method": "GET_PROPERTY", "params": ["combined"], "id": 3},
        ]
        answers: list[object] = []
        for request in requests:
            await client.say(request)
            answers.append((await client.hear())["result"])
        assert answers == [False, None, True]
        world.publish(1, BTC)
        assert (await client.hear())["stream"] == "btcusdt@trade"


async def test_five_messages_a_second_and_the_sixth_cuts(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        async with world.dial() as client:
            for _ in range(3):
                for number in range(5):
                    await client.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
                assert len(await client.hear_many(5)) == 5
                await trio.sleep(1.0)
            assert not world.venue.violations
            for number in range(6):
                await client.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
            assert await client.is_dropped()
        (violation,) = world.venue.violations
        assert (violation.kind, violation.address) == ("messages", ADDRESS)


async def test_so_many_streams_and_no_more(autojump_clock: MockClock) -> None:
    assert BinanceLimits().streams_max == 1_024
    venue = BinanceSpot(BinanceLimits(streams_max=2))
    async with simulated(venue) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": 1})
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 2})
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 3})
        first, second, third = await client.hear_many(3)
        assert (first["result"], second["error"]["code"], third) == (None, 2, {"result": None, "id": 3})
        assert [each.kind for each in world.venue.violations] == ["streams"]
        rejected = await world.rejection("/stream?streams=btcusdt@trade/ethusdt@trade/btcusdt@aggTrade")
        assert rejected.status_code == 400


@pytest.mark.parametrize("target", ["/", "/api", "/ws2", "/streams", "/ws//", "/ws/BTCUSDT", "/stream?streams=x"])
async def test_a_path_that_does_not_exist_is_rejected(autojump_clock: MockClock, target: str) -> None:
    async with simulated(BinanceSpot()) as world:
        assert (await world.rejection(target)).status_code in {400, 404}


async def test_so_many_connects_in_five_minutes(autojump_clock: MockClock) -> None:
    assert BinanceLimits().connects_per_5_minutes == 300
    async with simulated(BinanceSpot(BinanceLimits(connects_per_5_minutes=3))) as world:
        for _ in range(3):
            async with world.dial():
                await trio.sleep(10)
        rejected = await world.rejection()
        assert rejected.status_code == 429
        assert [(each.outcome, each.status) for each in world.venue.handshakes][2:] == [
            ("accepted", 101),
            ("rejected", 429),
        ]
        assert [each.kind for each in world.venue.violations] == ["connects"]
        retry_after_s = world.venue.handshakes[-1].retry_after_s
        assert retry_after_s is not None
        await trio.sleep(retry_after_s)
        async with world.dial():
            pass
