"""The simulated Binance over REST: pages, parameters, errors, weights, 429 and the ban behind it."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import BinanceLimits, BinanceSpot
from gapless.simulator.venues.binance.aggregates import HOLD_S
from tests.venues.simulator_kit import ADDRESS, VenueWorld, simulated, wall_ms

BTC = "BTCUSDT"
FIRST = 3_735_683_259
HISTORICAL = "/api/v3/historicalTrades"


async def ids(world: VenueWorld, path: str = HISTORICAL, name: str = "id", **params: Any) -> list[int]:
    reply = await world.get(path, symbol=BTC, **params)
    assert reply.status_code == 200, reply.text
    return [row[name] for row in reply.json()]


async def test_a_row_has_the_documented_fields(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        issued = world.venue.publish(BTC, price="61837.63000000", amount="0.02000000", side="buy")
        for path in ("/api/v3/trades", HISTORICAL):
            (row,) = (await world.get(path, symbol=BTC)).json()
            assert list(row.items()) == [
                ("id", FIRST),
                ("price", "61837.63000000"),
                ("qty", "0.02000000"),
                ("quoteQty", "1236.75260000"),
                ("time", issued.time_ns // 1_000_000),
                ("isBuyerMaker", False),
                ("isBestMatch", True),
            ]


async def test_from_id_is_inclusive_and_pages_meet_without_a_hole(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.publish(2_500, BTC)
        collected: list[int] = []
        while page := await ids(world, fromId=FIRST + len(collected), limit=1_000):
            collected += page
        assert collected == list(range(FIRST, FIRST + 2_500))
        assert collected == [trade.trade_id for trade in world.venue.trades(BTC)]


async def test_without_from_id_the_latest_are_shown(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.publish(1_200, BTC)
        last = FIRST + 1_199
        assert await ids(world) == list(range(last - 499, last + 1)), "500 is the default"
        assert await ids(world, "/api/v3/trades", limit=2) == [last - 1, last]
        assert len(await ids(world, limit=1_000)) == 1_000


async def test_from_id_beyond_the_last_or_before_the_first(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot(), history_size=10) as world:
        assert await ids(world) == []
        world.publish(30, BTC)
        assert await ids(world, fromId=FIRST + 30) == []
        assert await ids(world, fromId=0) == list(range(FIRST + 20, FIRST + 30)), "what is older is gone"
        assert len(world.venue.trades(BTC)) == 30, "the oracle remembers it"


async def test_aggregates_by_id_and_by_time(autojump_clock: MockClock) -> None:
    path = "/api/v3/aggTrades"
    async with simulated(BinanceSpot()) as world:
        begin_ms = wall_ms()
        for number in range(10):
            world.venue.publish(BTC, price=f"{number + 1}.0")
            await trio.sleep(1.0)
        every = await ids(world, path, "a")
        assert len(every) == 10
        assert await ids(world, path, "a", fromId=every[4], limit=3) == every[4:7]
        assert await ids(world, path, "a", startTime=begin_ms + 4_000, limit=2) == every[4:6]
        assert await ids(world, path, "a", endTime=begin_ms + 4_000, limit=2) == every[3:5]
        assert await ids(world, path, "a", startTime=begin_ms + 1_500, endTime=begin_ms + 4_000) == every[2:5]
        refused = await world.get(path, symbol=BTC, fromId=every[0], startTime=begin_ms)
        assert (refused.status_code, refused.json()["code"]) == (400, -1128)


async def test_an_open_aggregate_is_not_shown_yet(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.venue.publish(BTC, price="1.0", amount="1")
        assert await ids(world, "/api/v3/aggTrades", "a") == []
        await trio.sleep(HOLD_S)
        (row,) = (await world.get("/api/v3/aggTrades", symbol=BTC)).json()
        assert list(row) == ["a", "p", "q", "f", "l", "T", "m", "M"]
        assert Decimal(row["q"]) == 1


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        (HISTORICAL, {}, 400, -1102),
        (HISTORICAL, {"symbol": ""}, 400, -1102),
        (HISTORICAL, {"symbol": "NOSUCH"}, 400, -1121),
        (HISTORICAL, {"symbol": "btcusdt"}, 400, -1121),
        ("/api/v3/aggTrades", {"symbol": "NOSUCH"}, 400, -1121),
        (HISTORICAL, {"symbol": BTC, "limit": "many"}, 400, -1100),
        (HISTORICAL, {"symbol": BTC, "limit": "-1"}, 400, -1100),
        (HISTORICAL, {"symbol": BTC, "fromId": "1.5"}, 400, -1100),
        (HISTORICAL, {"symbol": BTC, "fromId": "9" * 30}, 400, -1100),
        (HISTORICAL, {"symbol": BTC, "limit": "0"}, 400, -1130),
        (HISTORICAL, {"symbol": BTC, "limit": "1001"}, 400, -1130),
    ],
)
async def test_errors_have_the_venues_form(
    autojump_clock: MockClock, path: str, params: dict[str, str], status: int, code: int
) -> None:
    async with simulated(BinanceSpot()) as world:
        reply = await world.get(path, **params)
        assert reply.status_code == status
        assert list(reply.json()) == ["code", "msg"]
        assert reply.json()["code"] == code
        assert reply.headers["X-MBX-USED-WEIGHT-1M"], "an error costs, too"


async def test_the_small_endpoints(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.publish(1, BTC)
        assert (await world.get("/api/v3/ping")).json() == {}
        assert (await world.get("/api/v3/time")).json()["serverTime"] == pytest.approx(wall_ms(), abs=100)
        info = (await world.get("/api/v3/exchangeInfo")).json()
        assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
        assert info["rateLimits"][0]["limit"] == 6_000
        ticker = (await world.get("/api/v3/ticker/bookTicker", symbol=BTC)).json()
        assert ticker["bidPrice"] == world.venue.trades(BTC)[-1].bid
        assert (await world.get("/api/v3/nosuch")).status_code == 404


async def test_weights_add_up_within_a_minute_of_the_wall_clock(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        await trio.sleep(30)

        async def used(path: str, **params: str) -> int:
            return int((await world.get(path, **params)).headers["X-MBX-USED-WEIGHT-1M"])

        assert await used("/api/v3/ping") == 1
        assert await used(HISTORICAL, symbol=BTC) == 26
        assert await used("/api/v3/aggTrades", symbol=BTC) == 30
        assert await used("/api/v3/trades", symbol=BTC) == 55
        assert await used("/api/v3/exchangeInfo") == 75
        assert [(each.weight, each.used, each.status) for each in world.venue.weight_log] == [
            (1, 1, 200),
            (25, 26, 200),
            (4, 30, 200),
            (25, 55, 200),
            (20, 75, 200),
        ]
        assert {each.address for each in world.venue.weight_log} == {ADDRESS}
        await trio.sleep(30)
        assert await used("/api/v3/ping") == 1, "a new minute"
        await world.get("/api/v1/simulator/failures")
        assert len(world.venue.weight_log) == 6, "the control API is not the venue's"


async def test_two_clients_of_one_address_share_its_weight(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.rest("a") as first, world.rest("b") as second:
        replies = [await client.get("/api/v3/ping") for client in (first, second)]
        assert [reply.headers["X-MBX-USED-WEIGHT-1M"] for reply in replies] == ["1", "2"]
        assert [each.session_id for each in world.venue.requests] == ["a", "b"]


async def test_beyond_the_limit_429_until_the_minute_is_over(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot(BinanceLimits(weight_per_minute=50))) as world:
        await trio.sleep(20)
        for _ in range(2):
            assert (await world.get(HISTORICAL, symbol=BTC)).status_code == 200
        refused = await world.get(HISTORICAL, symbol=BTC)
        assert (refused.status_code, refused.json()["code"]) == (429, -1003)
        assert int(refused.headers["Retry-After"]) == pytest.approx(40, abs=1)
        assert refused.headers["X-MBX-USED-WEIGHT-1M"] == "75"
        assert [(each.kind, each.address) for each in world.venue.violations] == [("requests", ADDRESS)]
        await trio.sleep(int(refused.headers["Retry-After"]))
        assert (await world.get(HISTORICAL, symbol=BTC)).status_code == 200
        assert max(each.used for each in world.venue.weight_log) > 50, "a test sees that a client went beyond"


async def test_who_goes_on_is_banned_and_the_next_ban_is_longer(autojump_clock: MockClock) -> None:
    limits = BinanceLimits(weight_per_minute=1, refusals_before_ban=3, ban_s=120)

    async def banned(world: VenueWorld) -> httpx.Response:
        replies = [await world.get("/api/v3/ping") for _ in range(5)]
        assert [reply.status_code for reply in replies] == [200, 429, 429, 429, 418]
        return replies[-1]

    async with simulated(BinanceSpot(limits)) as world:
        reply = await banned(world)
        assert (reply.json()["code"], reply.headers["Retry-After"]) == (-1003, "120")
        await trio.sleep(119)
        banned_still = await world.get("/api/v3/ping")
        assert (banned_still.status_code, banned_still.headers["X-MBX-USED-WEIGHT-1M"]) == (418, "1"), (
            "refused, counted"
        )
        await trio.sleep(61)
        assert (await banned(world)).headers["Retry-After"] == "240"


async def test_requests_are_noted_with_what_became_of_them(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        await world.get(HISTORICAL, symbol=BTC, limit=5)
        (record,) = world.venue.requests
        assert (record.method, record.path, record.query, record.status) == (
            "GET",
            HISTORICAL,
            f"symbol={BTC}&limit=5",
            200,
        )
