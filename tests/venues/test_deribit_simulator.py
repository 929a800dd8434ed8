"""What the simulated Deribit says on its WebSocket, heard by a trio-websocket client on virtual time."""

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailureMode, FailuresConfig, Mode, RejectMode
from gapless.simulator.venues import Deribit, DeribitLimits
from tests.simulator.conftest import WALL_BEGIN_S, Client
from tests.venues.simulator_kit import ADDRESS, simulated

BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
FIRST = 271_252_854
HEARTBEAT = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}}
TEST_REQUEST = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}


def call(method: str, request_id: int = 1, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def channel(instrument: str = BTC) -> str:
    return f"trades.{instrument}.100ms"


async def asked(client: Client, message: dict[str, object]) -> dict[str, Any]:
    await client.say(message)
    return await client.hear()


async def subscribed(client: Client, *instruments: str) -> None:
    channels = [channel(each) for each in instruments]
    assert (await asked(client, call("public/subscribe", channels=channels)))["result"] == channels


async def batch(client: Client) -> list[dict[str, Any]]:
    message = await client.hear()
    assert (message["jsonrpc"], message["method"]) == ("2.0", "subscription")
    data: list[dict[str, Any]] = message["params"]["data"]
    assert message["params"]["channel"] == channel(data[0]["instrument_name"])
    return data


async def ids(client: Client, count: int) -> list[int]:
    heard: list[int] = []
    while len(heard) < count:
        heard += [each["trade_seq"] for each in await batch(client)]
    return heard


# --- requests and answers -------------------------------------------------------------------------------------------


async def test_a_subscription_is_answered_with_what_was_taken(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        channels = [channel(), channel("NO-SUCH"), "trades.BTC-PERPETUAL.agg2", "nosuch", "book.ETH-PERPETUAL.100ms"]
        answer = await asked(client, call("public/subscribe", 42, channels=channels))
        assert list(answer) == ["jsonrpc", "id", "result", "testnet", "usIn", "usOut", "usDiff"]
        assert (answer["jsonrpc"], answer["id"], answer["testnet"]) == ("2.0", 42, False)
        assert answer["result"] == [channel(), "book.ETH-PERPETUAL.100ms"], "what does not exist is left out"
        assert answer["usDiff"] == answer["usOut"] - answer["usIn"] >= 0
        assert answer["usIn"] // 1_000_000 == WALL_BEGIN_S
        assert [(each.symbol, each.mark) for each in world.venue.subscriptions] == [(BTC, 0)]


async def test_unsubscribing_answers_with_what_was_subscribed(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await subscribed(client, BTC, ETH)
        await subscribed(client, BTC)
        assert len(world.venue.subscriptions) == 2, "a repeated one is taken, and is the same"
        answer = await asked(client, call("public/unsubscribe", channels=[channel(), channel("NO-SUCH")]))
        assert answer["result"] == [channel()]
        world.publish(1, BTC)
        world.publish(1, ETH)
        assert [each["instrument_name"] for each in await batch(client)] == [ETH]
        assert (await asked(client, call("public/unsubscribe_all")))["result"] == "ok"
        world.publish(1, ETH)
        assert await client.hears_nothing()


async def test_the_small_requests(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        assert (await asked(client, call("public/test")))["result"] == {"version": "1.2.26"}
        assert (await asked(client, call("public/hello", client_name="x")))["result"] == {"version": "1.2.26"}
        assert (await asked(client, call("public/get_time")))["result"] // 1_000 == WALL_BEGIN_S
        unnamed = await asked(client, {"jsonrpc": "2.0", "method": "public/test"})
        assert "id" not in unnamed


@pytest.mark.parametrize(
    ("said", "code", "data"),
    [
        ("hello", -32700, None),
        ("[" * 5_000, -32700, None),
        ("[]", -32600, None),
        ('{"jsonrpc":"2.0","id":1}', -32600, None),
        ('{"jsonrpc":"1.0","id":1,"method":"public/test"}', -32600, None),
        ('{"jsonrpc":"2.0","id":[],"method":"public/test"}', -32600, None),
        ('{"jsonrpc":"2.0","id":1,"method":"public/shout"}', -32601, None),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/test","params":[]}',
            -32602,
            {"reason": "must be object", "param": "params"},
        ),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/subscribe"}',
            -32602,
            {"reason": "is required", "param": "channels"},
        ),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":[7]}}',
            -32602,
            {"reason": "must be array of strings", "param": "channels"},
        ),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":["trades.BTC-PERPETUAL.raw"]}}',
            13778,
            None,
        ),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":9}}',
            -32602,
            {"reason": "must be at least 10", "param": "interval"},
        ),
        (
            '{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":"soon"}}',
            -32602,
            {"reason": "must be number", "param": "interval"},
        ),
    ],
)
async def test_what_is_not_understood_is_answered_and_nothing_is_done(
    autojump_clock: MockClock, said: str, code: int, data: dict[str, str] | None
) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await client.socket.send_message(said)
        answer = await client.hear()
        assert "result" not in answer
        assert (answer["error"]["code"], answer["error"].get("data")) == (code, data)
        assert {"usIn", "usOut", "usDiff", "testnet"} <= set(answer)
        assert not world.venue.subscriptions


async def test_a_rejected_channel_is_left_out(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        world.venue.failures.set(FailuresConfig(reject=RejectMode(enabled=True, symbols=(BTC,), count=1)))
        wish = call("public/subscribe", channels=[channel(BTC), channel(ETH)])
        assert (await asked(client, wish))["result"] == [channel(ETH)]
        assert (await asked(client, wish))["result"] == [channel(BTC), channel(ETH)]


# --- trades ---------------------------------------------------------------------------------------------------------


async def test_a_trade_has_the_fields_of_the_documentation_and_its_digits(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await subscribed(client, BTC)
        trade = world.venue.publish(BTC, price="92294.50", amount="750.0", side="sell")
        text = str(await client.socket.get_message())
        assert '"price":92294.50,"amount":750.0,' in text, "numbers, and every digit of them"
        (entry,) = msgspec.json.decode(text)["params"]["data"]
        assert list(entry) == [
            "timestamp",
            "price",
            "amount",
            "direction",
            "index_price",
            "instrument_name",
            "trade_seq",
            "mark_price",
            "tick_direction",
            "contracts",
            "trade_id",
        ]
        assert (entry["instrument_name"], entry["direction"], entry["trade_seq"]) == (BTC, "sell", FIRST)
        assert entry["timestamp"] == trade.time_ns // 1_000_000
        assert (entry["contracts"], entry["trade_id"]) == (75.0, "403691824"), "ten dollars are a contract"


async def test_generated_prices_and_amounts_are_on_the_venues_grid(autojump_clock: MockClock) -> None:
    async with simulated(Deribit(), rate_per_s=50.0) as world:
        await trio.sleep(5)
        for symbol in (BTC, ETH):
            trades = world.venue.trades(symbol)
            assert trades
            assert all(float(trade.price) % 0.5 == 0.0 and float(trade.price) > 0 for trade in trades)
            assert all(float(trade.amount) % 10 == 0.0 and float(trade.amount) > 0 for trade in trades)


async def test_a_batch_is_what_a_tenth_of_a_second_brought(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await subscribed(client, BTC, ETH)
        await trio.sleep_until(10.01)
        world.publish(2, BTC)
        await trio.sleep_until(10.09)
        world.publish(1, ETH)
        world.publish(1, BTC)
        assert [each["trade_seq"] for each in await batch(client)] == [FIRST, FIRST + 1, FIRST + 2]
        assert trio.current_time() == pytest.approx(10.1, abs=0.02)
        assert [each["instrument_name"] for each in await batch(client)] == [ETH], "an instrument, a frame"
        await trio.sleep_until(10.11)
        world.publish(1, BTC)
        assert [each["trade_seq"] for each in await batch(client)] == [FIRST + 3]
        assert trio.current_time() == pytest.approx(10.2, abs=0.02)


async def test_a_client_hears_of_a_batch_only_what_came_after_its_subscription(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as early, world.dial() as late:
        await subscribed(early, BTC)
        await trio.sleep_until(10.01)
        world.publish(2, BTC)
        await subscribed(late, BTC)
        world.publish(2, BTC)
        assert await ids(early, 4) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
        assert await ids(late, 2) == [FIRST + 2, FIRST + 3]
        assert [each.mark for each in world.venue.subscriptions] == [0, FIRST + 1]


async def test_numbers_are_contiguous_for_each_instrument(autojump_clock: MockClock) -> None:
    async with simulated(Deribit(), rate_per_s=300.0) as world, world.dial() as client:
        await trio.sleep(0.5)
        await subscribed(client, BTC, ETH)
        heard: dict[str, list[int]] = {BTC: [], ETH: []}
        for _ in range(100):
            for each in await batch(client):
                heard[each["instrument_name"]].append(each["trade_seq"])
        for numbers in heard.values():
            assert len(numbers) > 500
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


# --- heartbeats -----------------------------------------------------------------------------------------------------


async def test_heartbeats_come_each_interval_and_want_an_answer(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        assert (await asked(client, call("public/set_heartbeat", interval=10)))["result"] == "ok"
        begin = trio.current_time()
        for turn in range(1, 4):
            with trio.fail_after(11):
                said = [msgspec.json.decode(await client.socket.get_message()) for _ in range(2)]
            assert said == [HEARTBEAT, TEST_REQUEST]
            assert trio.current_time() - begin == pytest.approx(10 * turn, abs=0.1)
            assert (await asked(client, call("public/test")))["result"] == {"version": "1.2.26"}
        assert world.venue.hub.sessions


async def test_who_does_not_answer_within_the_interval_is_cut(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await asked(client, call("public/set_heartbeat", interval=10))
        await trio.sleep(10.5)
        await asked_to_no_avail(client)
        assert world.venue.hub.sessions, "there is an interval to answer in"
        await trio.sleep(9)
        assert await client.is_dropped()
        assert not world.venue.hub.sessions


async def asked_to_no_avail(client: Client) -> None:
    """Requests other than ``public/test`` are no answers."""
    await client.hear_many(2)
    assert "result" in await asked(client, call("public/get_time"))


async def test_heartbeats_can_be_ended(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await asked(client, call("public/set_heartbeat", interval=10))
        await trio.sleep(10.5)
        await client.hear_many(2)
        assert (await asked(client, call("public/disable_heartbeat")))["result"] == "ok"
        assert await client.hears_nothing(60.0)
        assert world.venue.hub.sessions


@pytest.mark.parametrize("kind", ["silent_connection", "acknowledged_silent", "pong_only"])
async def test_a_silent_connection_is_not_cut_for_what_the_client_did_not_hear(
    autojump_clock: MockClock, kind: str
) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await asked(client, call("public/set_heartbeat", interval=10))
        mode = Mode(enabled=True) if kind == "acknowledged_silent" else FailureMode(enabled=True, after_messages=0)
        world.venue.failures.set(FailuresConfig(**{kind: mode}))  # type: ignore[arg-type]
        assert await client.hears_nothing(65.0)
        assert world.venue.hub.sessions
        world.venue.behave()
        for _ in range(2):
            with trio.fail_after(11):
                said = [msgspec.json.decode(await client.socket.get_message()) for _ in range(2)]
            assert said == [HEARTBEAT, TEST_REQUEST], "the first one that is heard is the first to be answered"
            await asked(client, call("public/test"))


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_a_request_beyond_the_credits_ends_the_session(autojump_clock: MockClock) -> None:
    async with simulated(Deribit(DeribitLimits(credits_max=4_000, credits_per_s=0.5))) as world:
        async with world.dial() as client:
            await subscribed(client, BTC)
            for _ in range(2):
                assert "result" in await asked(client, call("public/test"))
            assert await asked(client, call("public/test", 9)) == {
                "jsonrpc": "2.0",
                "id": 9,
                "error": {"code": 10028, "message": "too_many_requests", "data": None},
            }
            assert await client.is_dropped()
        assert [(each.path, each.weight, each.used, each.status) for each in world.venue.weight_log] == [
            ("public/subscribe", 3_000, 3_000, 200),
            ("public/test", 500, 3_500, 200),
            ("public/test", 500, 4_000, 200),
            ("public/test", 500, 4_500, 429),
        ]
        assert [(each.kind, each.address) for each in world.venue.violations] == [("requests", ADDRESS)]
        await trio.sleep(6_000)
        async with world.dial() as client:
            await subscribed(client, BTC)


async def test_twenty_requests_a_second_are_always_paid(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        for _ in range(200):
            assert "result" in await asked(client, call("public/test"))
            await trio.sleep(0.05)
        assert not world.venue.violations


async def test_so_many_connections_at_a_time(autojump_clock: MockClock) -> None:
    async with simulated(Deribit(DeribitLimits(connections_max=2))) as world:
        async with world.dial(), world.dial():
            assert (await world.rejection()).status_code == 429
        await trio.sleep(1)
        async with world.dial(), world.dial():
            assert [each.kind for each in world.venue.violations] == ["connects"]


async def test_there_is_one_path(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world:
        assert world.endpoints.ws_url.endswith("/ws/api/v2")
        assert (await world.rejection("/ws")).status_code == 404


async def test_no_word_announces_a_close(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        await subscribed(client, BTC)
        assert world.venue.goodbye() == 1
        assert await client.is_dropped()
