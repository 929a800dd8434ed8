"""What the exchange answers over REST, asked by httpx on virtual time."""

import time
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import ExchangeSimulator, SimulatorConfig
from tests.simulator.conftest import BTC, WALL_BEGIN_S, World, error_of, served

PRICES = "/api/v1/prices"


async def asked(world: World, **params: Any) -> dict[str, Any]:
    async with world.rest() as rest:
        reply = await rest.get(PRICES, params={"symbol": "BTC/USD", **params})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def ids(body: dict[str, Any]) -> list[int]:
    return [row["sequence_id"] for row in body["prices"]]


async def publish_every_second(world: World, count: int) -> None:
    """Ids 1, 2, 3, ... at 0.5 s, 1.5 s, 2.5 s, ... of the world's clock, whatever its clock says now."""
    for number in range(count):
        await trio.sleep_until(number + 0.5)
        world.publish(1)


async def test_a_row_has_the_protocols_fields(autojump_clock: MockClock) -> None:
    async with served() as world:
        world.exchange.publish("ticker", "BTC/USD", price=50_000.0, bid=49_999.0, ask=50_001.0, volume_24h=1_000.0)
        assert await asked(world) == {
            "prices": [
                {
                    "sequence_id": 1,
                    "timestamp": "2026-01-01T00:00:00.000Z",
                    "price": 50_000.0,
                    "bid": 49_999.0,
                    "ask": 50_001.0,
                    "volume_24h": 1_000.0,
                }
            ],
            "epoch": world.exchange.epoch,
            "first_seq": 1,
            "last_seq": 1,
        }


async def test_a_row_is_what_the_socket_said(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(3)
        heard = await client.hear_many(3)
        rows = (await asked(world))["prices"]
        for message, row in zip(heard, rows, strict=True):
            assert {name: value for name, value in message.items() if name in row} == row


async def test_nothing_kept(autojump_clock: MockClock) -> None:
    async with served() as world:
        body = await asked(world)
        assert (body["prices"], body["first_seq"], body["last_seq"]) == ([], 1, 0)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, range(1, 1001)),
        ({"limit": 3}, range(1, 4)),
        ({"limit": 0}, range(1, 2)),
        ({"limit": -5}, range(1, 2)),
        ({"limit": 99_999}, range(1, 1001)),
        ({"start_seq": 1_195}, range(1_195, 1_201)),
        ({"end_seq": 4}, range(1, 5)),
        ({"start_seq": 7, "end_seq": 9}, range(7, 10)),
        ({"start_seq": 7, "end_seq": 9, "limit": 2}, range(7, 9)),
        ({"start_seq": 9, "end_seq": 7}, range(0)),
        ({"start_seq": 5_000}, range(0)),
        ({"end_seq": 0}, range(0)),
        ({"start_seq": -10, "end_seq": 2}, range(1, 3)),
        ({"start_seq": 600, "end_seq": 1_199}, range(600, 1_200)),
    ],
)
async def test_ranges_of_ids(autojump_clock: MockClock, params: dict[str, int], expected: range) -> None:
    async with served() as world:
        world.publish(1_200)
        body = await asked(world, **params)
        assert ids(body) == list(expected)
        assert (body["first_seq"], body["last_seq"]) == (1, 1_200)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"start": "2026-01-01T00:00:02.500Z"}, [3, 4, 5]),
        ({"start": "2026-01-01T00:00:02.500001Z"}, [4, 5]),
        ({"end": "2026-01-01T00:00:02.500Z"}, [1, 2, 3]),
        ({"end": "2026-01-01T00:00:02.499999Z"}, [1, 2]),
        ({"start": "2026-01-01T00:00:01.500Z", "end": "2026-01-01T00:00:03.500Z"}, [2, 3, 4]),
        ({"start": "2026-01-01T01:00:01.500+01:00", "end": "2026-01-01T00:00:02.600"}, [2, 3]),
        ({"start": "2026-01-01T00:00:01.500Z", "limit": 1}, [2]),
        ({"start": "2026-01-01T00:00:01.500Z", "end_seq": 3}, [2, 3]),
        ({"start_seq": 4, "end": "2026-01-01T00:00:03.500Z"}, [4]),
        ({"start": "2027-01-01T00:00:00Z"}, []),
        ({"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}, [1, 2, 3, 4, 5]),
        ({"start": "2026-01-01T00:00:03Z", "end": "2026-01-01T00:00:02Z"}, []),
        ({"start": "2025-12-31", "end": "2026-01-01T00:00:01Z"}, [1]),
    ],
)
async def test_ranges_of_times(autojump_clock: MockClock, params: dict[str, Any], expected: list[int]) -> None:
    async with served() as world:
        await publish_every_second(world, 5)
        assert ids(await asked(world, **params)) == expected


async def test_a_time_without_a_zone_is_utc_wherever_the_exchange_runs(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        async with served() as world:
            await publish_every_second(world, 3)
            assert ids(await asked(world, start="2026-01-01T00:00:01", end="2026-01-01T00:00:02")) == [2]
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_times_may_repeat(autojump_clock: MockClock) -> None:
    async with served() as world:
        await trio.sleep(1)
        world.publish(4)
        instant = "2026-01-01T00:00:01.000Z"
        assert ids(await asked(world, start=instant, end=instant)) == [1, 2, 3, 4]


async def test_what_lies_below_first_seq_is_gone(autojump_clock: MockClock) -> None:
    async with served(history_size=10) as world:
        world.publish(25)
        body = await asked(world, start_seq=1, end_seq=17)
        assert ids(body) == [16, 17]
        assert (body["first_seq"], body["last_seq"]) == (16, 25)


async def test_paging_through_a_large_history_finds_every_row_once(autojump_clock: MockClock) -> None:
    async with served(history_size=5_000) as world:
        world.publish(7_777)
        found: list[int] = []
        at = 0
        while rows := ids(await asked(world, start_seq=at)):
            found += rows
            at = rows[-1] + 1
        assert found == list(range(2_778, 7_778))


async def test_a_wall_clock_set_back_repeats_the_last_instant(autojump_clock: MockClock) -> None:
    """Time filters are binary searches: they rest on timestamps that never decrease."""
    now_s = WALL_BEGIN_S
    exchange = ExchangeSimulator(SimulatorConfig(rate_per_s=0), wall_clock=lambda: now_s)
    exchange.publish("ticker", "BTC/USD")
    now_s -= 3_600.0
    exchange.publish("ticker", "BTC/USD")
    first, second = exchange.get_price_history("BTC/USD")
    assert first.timestamp == second.timestamp


async def test_get_price_history_takes_what_rest_takes(autojump_clock: MockClock) -> None:
    async with served() as world:
        await publish_every_second(world, 5)
        history = world.exchange.get_price_history("BTC/USD", WALL_BEGIN_S + 1.5, WALL_BEGIN_S + 3.5, 2)
        assert [point.sequence_id for point in history] == [2, 3]
        history = world.exchange.get_price_history("BTC/USD", start_seq=4, end_seq=9)
        assert [point.sequence_id for point in history] == [4, 5]
        assert world.exchange.get_price_history("BTC/USD", channel="trade") == []
        with pytest.raises(KeyError):
            world.exchange.get_price_history("XXX")


async def test_channels_and_symbols_have_histories_of_their_own(autojump_clock: MockClock) -> None:
    async with served() as world:
        world.publish(2, "trade:BTC/USD")
        world.publish(3, "ticker:ETH/USD")
        assert ids(await asked(world)) == []
        assert ids(await asked(world, channel="trade")) == [1, 2]
        assert ids(await asked(world, symbol="ETH/USD")) == [1, 2, 3]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 400, "missing_parameter"),
        ({"symbol": ""}, 400, "missing_parameter"),
        ({"symbol": "XXX"}, 404, "unknown_symbol"),
        ({"symbol": "BTC/USD", "channel": "candles"}, 404, "unknown_channel"),
        ({"symbol": "*", "channel": "orders"}, 404, "unknown_channel"),
        ({"symbol": "BTC/USD", "start": "yesterday"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "start": "9999-12-31T23:59:59-12:00"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "end": "1767225600"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "start_seq": "one"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "end_seq": "1_0"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "limit": "1.5"}, 400, "bad_parameter"),
        ({"symbol": "BTC/USD", "limit": "9" * 5_000}, 400, "bad_parameter"),
    ],
)
async def test_what_cannot_be_answered(
    autojump_clock: MockClock, params: dict[str, str], status: int, code: str
) -> None:
    async with served() as world, world.rest() as rest:
        reply = await rest.get(PRICES, params=params)
        assert (reply.status_code, error_of(reply)) == (status, code)


async def test_other_paths_and_methods(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest:
        assert error_of(await rest.get("/api/v2/prices")) == "not_found"
        assert error_of(await rest.delete(PRICES)) == "method_not_allowed"
        head = await rest.head("/api/v1/orders")
        assert (head.status_code, head.content) == (200, b"")


async def test_snapshots_cover_the_updates_up_to_their_id(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest:
        assert (await rest.get("/api/v1/orders")).json() == {"orders": [], "sequence_id": 0}
        assert (await rest.get("/api/v1/balance")).json() == {"balances": [], "sequence_id": 0}
        order = world.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        world.exchange.fill_order(order.order_id, 0.5)
        world.exchange.set_balance("USD", 1_000.0, 500.0)
        body = (await rest.get("/api/v1/orders")).json()
        assert body["sequence_id"] == 2
        assert [(o["order_id"], o["filled"], o["status"]) for o in body["orders"]] == [("o-1", 0.5, "partially_filled")]
        balances = (await rest.get("/api/v1/balance")).json()
        assert balances == {"balances": [{"asset": "USD", "free": 1_000.0, "locked": 500.0}], "sequence_id": 1}


async def test_orders_and_balances_outlive_a_restart_their_ids_do_not(autojump_clock: MockClock) -> None:
    async with served() as world:
        world.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        world.exchange.restart()
        async with world.rest() as rest:
            body = (await rest.get("/api/v1/orders")).json()
        assert (len(body["orders"]), body["sequence_id"]) == (1, 0)
        world.exchange.fill_order("o-1")
        assert world.exchange.last_id("orders", "*") == 1


async def test_only_so_many_orders_are_kept_and_open_ones_longest(autojump_clock: MockClock) -> None:
    async with served() as world:
        still_open = world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        for _ in range(1_100):
            world.exchange.cancel_order(world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0).order_id)
        kept = [order.order_id for order in world.exchange.orders]
        assert len(kept) == 1_000
        assert still_open.order_id in kept


async def test_rest_is_never_behind_a_socket(autojump_clock: MockClock) -> None:
    async with served(rate_per_s=500.0) as world, world.welcomed() as client, world.rest() as rest:
        await client.subscribe(BTC)
        for _ in range(20):
            heard = (await client.hear())["sequence_id"]
            reply = await rest.get(PRICES, params={"symbol": "BTC/USD", "limit": 1})
            assert reply.json()["last_seq"] >= heard


async def test_a_restart_empties_the_history(autojump_clock: MockClock) -> None:
    async with served() as world:
        world.publish(5)
        left = await asked(world)
        world.exchange.restart()
        entered = await asked(world)
        assert entered["epoch"] != left["epoch"]
        assert (entered["prices"], entered["first_seq"], entered["last_seq"]) == ([], 1, 0)


async def test_requests_are_logged(autojump_clock: MockClock) -> None:
    async with served() as world:
        await trio.sleep(1)
        async with world.rest("alice") as rest:
            await rest.get(PRICES, params={"symbol": "XXX"})
        async with httpx.AsyncClient(base_url=world.endpoints.rest_url, trust_env=False) as nobody:
            await nobody.get("/api/v1/orders")
        first, second = world.exchange.requests
        assert (first.method, first.path, first.query) == ("GET", PRICES, "symbol=XXX")
        assert (first.session_id, first.status) == ("alice", 404)
        assert first.time_s == pytest.approx(WALL_BEGIN_S + 1, abs=0.1)
        assert (second.path, second.session_id, second.status) == ("/api/v1/orders", "", 200)
