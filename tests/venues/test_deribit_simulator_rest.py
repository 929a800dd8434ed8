"""The simulated Deribit over HTTP: pages by number, JSON-RPC errors, the same credits as on the socket."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import Deribit, DeribitLimits
from tests.simulator.conftest import WALL_BEGIN_S
from tests.venues.simulator_kit import ADDRESS, VenueWorld, simulated

BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
TRADES = "/api/v2/public/get_last_trades_by_instrument"
FIRST = 271_252_854


async def page(world: VenueWorld, **params: object) -> dict[str, Any]:
    reply = await world.get(TRADES, **{"instrument_name": BTC, **params})
    assert reply.status_code == 200
    body = reply.json()
    assert list(body) == ["jsonrpc", "result", "testnet", "usIn", "usOut", "usDiff"]
    result: dict[str, Any] = body["result"]
    assert list(result) == ["trades", "has_more"]
    return result


def numbers(result: dict[str, Any]) -> list[int]:
    return [each["trade_seq"] - FIRST for each in result["trades"]]


async def test_a_trade_is_the_same_as_on_the_socket(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        wish = {"channels": [f"trades.{ETH}.100ms"]}
        await client.say({"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": wish})
        await client.hear()
        world.venue.publish(ETH, price="2968.30", amount="106.0", side="buy")
        (heard,) = (await client.hear())["params"]["data"]
        reply = await world.get(TRADES, instrument_name=ETH)
        assert '"price":2968.30,"amount":106.0,' in reply.text, "every digit"
        assert reply.json()["result"] == {"trades": [heard], "has_more": False}
        assert (heard["trade_id"], heard["contracts"]) == ("ETH-403691824", 106.0)


async def test_without_a_beginning_the_newest_come_first(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world:
        world.publish(15, BTC)
        result = await page(world)
        assert (numbers(result), result["has_more"]) == ([14, 13, 12, 11, 10, 9, 8, 7, 6, 5], True), "ten by default"
        result = await page(world, count=15, sorting="desc")
        assert (numbers(result), result["has_more"]) == (list(range(14, -1, -1)), False)


async def test_from_a_number_on_the_oldest_come_first(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world:
        world.publish(2_500, BTC)
        collected: list[int] = []
        while True:
            result = await page(world, start_seq=FIRST + len(collected), count=1_000, sorting="asc")
            collected += numbers(result)
            if not result["has_more"]:
                break
        assert collected == list(range(2_500))


@pytest.mark.parametrize(
    ("params", "expected", "has_more"),
    [
        ({"start_seq": 3, "sorting": "asc", "count": 3}, [3, 4, 5], True),
        ({"start_seq": 3, "end_seq": 5, "sorting": "asc"}, [3, 4, 5], False),
        ({"start_seq": 3, "end_seq": 5, "sorting": "asc", "count": 2}, [3, 4], True),
        ({"start_seq": 3, "end_seq": 5, "count": 2}, [5, 4], True),
        ({"start_seq": 8}, [9, 8], False),
        ({"end_seq": 1}, [1, 0], False),
        ({"sorting": "asc", "count": 2}, [0, 1], True),
        ({"start_seq": 10, "sorting": "asc"}, [], False),
        ({"start_seq": 7, "end_seq": 3, "sorting": "asc"}, [], False),
    ],
)
async def test_pages_by_number(
    autojump_clock: MockClock, params: dict[str, Any], expected: list[int], has_more: bool
) -> None:
    async with simulated(Deribit()) as world:
        world.publish(10, BTC)
        asked = {name: value + FIRST if name.endswith("_seq") else value for name, value in params.items()}
        result = await page(world, **asked)
        assert (numbers(result), result["has_more"]) == (expected, has_more)


async def test_what_is_evicted_is_gone(autojump_clock: MockClock) -> None:
    async with simulated(Deribit(), history_size=5) as world:
        world.publish(10, BTC)
        assert numbers(await page(world, start_seq=FIRST, sorting="asc")) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("path", "code", "data"),
    [
        (TRADES, -32602, {"reason": "is required", "param": "instrument_name"}),
        (f"{TRADES}?instrument_name=NO-SUCH", 13020, None),
        (
            f"{TRADES}?instrument_name={BTC}&count=1001",
            -32602,
            {"reason": "must be between 1 and 1000", "param": "count"},
        ),
        (f"{TRADES}?instrument_name={BTC}&count=0", -32602, {"reason": "must be between 1 and 1000", "param": "count"}),
        (f"{TRADES}?instrument_name={BTC}&start_seq=x", -32602, {"reason": "must be integer", "param": "start_seq"}),
        (
            f"{TRADES}?instrument_name={BTC}&sorting=up",
            -32602,
            {"reason": "must be one of default, asc, desc", "param": "sorting"},
        ),
        ("/api/v2/public/shout", -32601, None),
        ("/nosuch", -32601, None),
    ],
)
async def test_errors_are_json_rpc_with_status_400(
    autojump_clock: MockClock, path: str, code: int, data: dict[str, str] | None
) -> None:
    async with simulated(Deribit()) as world:
        reply = await world.get(path)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error.get("data")) == (400, code, data)
        assert {"jsonrpc", "usIn", "usOut", "usDiff", "testnet"} <= set(reply.json())


async def test_the_small_endpoints(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world:
        assert (await world.get("/api/v2/public/test")).json()["result"] == {"version": "1.2.26"}
        assert (await world.get("/api/v2/public/get_time")).json()["result"] // 1_000 == WALL_BEGIN_S


async def test_a_hundred_requests_at_once_and_then_twenty_a_second(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world:
        for _ in range(100):
            assert (await world.get("/api/v2/public/test")).status_code == 200
        assert not world.venue.violations
    async with simulated(Deribit(DeribitLimits(credits_max=1_000, credits_per_s=500.0))) as world:
        statuses = [(await world.get("/api/v2/public/test")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        reply = await world.get("/api/v2/public/test")
        assert reply.json() == {
            "jsonrpc": "2.0",
            "error": {"code": 10028, "message": "too_many_requests", "data": None},
        }
        await trio.sleep(1.0)
        assert (await world.get("/api/v2/public/test")).status_code == 200
        assert {(each.kind, each.address) for each in world.venue.violations} == {("requests", ADDRESS)}
        assert {each.weight for each in world.venue.weight_log} == {500}


async def test_the_socket_spends_the_same_credits(autojump_clock: MockClock) -> None:
    async with (
        simulated(Deribit(DeribitLimits(credits_max=1_000, credits_per_s=0.1))) as world,
        world.dial() as client,
    ):
        for _ in range(2):
            await client.say({"jsonrpc": "2.0", "id": 1, "method": "public/test", "params": {}})
            await client.hear()
        assert (await world.get("/api/v2/public/test")).status_code == 429
        assert [each.path for each in world.venue.weight_log] == ["public/test"] * 2 + ["/api/v2/public/test"]
