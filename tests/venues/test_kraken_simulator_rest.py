"""The simulated Kraken over REST: pages by time, names of pairs, errors with status 200, about one request a second."""

from typing import Any

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import KrakenLimits, KrakenOptions, KrakenSpot
from tests.simulator.conftest import WALL_BEGIN_S
from tests.venues.simulator_kit import ADDRESS, VenueWorld, simulated

BTC = "BTC/USD"
TRADES = "/0/public/Trades"
FIRST = 61_044_952
LAVISH = KrakenLimits(requests_per_s=1_000.0, requests_burst=1_000)


async def page(world: VenueWorld, **params: object) -> dict[str, Any]:
    reply = await world.get(TRADES, **{"pair": "XBTUSD", **params})
    assert reply.status_code == 200
    body = reply.json()
    assert list(body) == ["error", "result"]
    assert body["error"] == []
    result: dict[str, Any] = body["result"]
    return result


def ids(result: dict[str, Any]) -> list[int]:
    return [row[6] for row in result["XXBTZUSD"]]


async def test_a_row_has_the_documented_form(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world:
        trade = world.venue.publish(BTC, price="30243.4", amount="0.34507674", side="buy")
        result = await page(world)
        (row,) = result["XXBTZUSD"]
        assert row == ["30243.40000", "0.34507674", trade.time_ns / 1e9, "b", row[4], "", FIRST]
        assert row[4] in {"l", "m"}
        assert isinstance(row[2], float)
        assert result["last"] == str(trade.time_ns)


async def test_or_the_digits_of_the_socket(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(options=KrakenOptions(rest_price_decimals=None))) as world:
        world.venue.publish(BTC, price="30243.4", side="sell")
        assert (await page(world))["XXBTZUSD"][0][0] == "30243.4"


async def test_the_order_type_is_the_same_on_the_socket(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(options=KrakenOptions(absent_share=0.0))) as world, world.dial() as client:
        await client.hear()
        await client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": [BTC]}})
        await client.hear()
        world.publish(9, BTC)
        heard = [each["ord_type"][0] for each in (await client.hear())["data"]]
        assert heard == [row[4] for row in (await page(world))["XXBTZUSD"]]
        assert set(heard) == {"l", "m"}


async def test_without_since_the_newest_come_oldest_first(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH)) as world:
        world.publish(1_200, BTC)
        assert ids(await page(world)) == list(range(FIRST + 200, FIRST + 1_200)), "a thousand are the default"
        assert ids(await page(world, count=3)) == [FIRST + 1_197, FIRST + 1_198, FIRST + 1_199]


async def test_since_is_exclusive_and_last_leads_through_all(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH), rate_per_s=100.0, symbols=(BTC,)) as world:
        await trio.sleep(30)
        end = FIRST + 3_000
        collected: list[int] = []
        last = "0"
        while not collected or collected[-1] < end:
            result = await page(world, since=last)
            assert ids(result), "each page goes on"
            collected += ids(result)
            last = result["last"]
        assert collected == list(range(FIRST, FIRST + len(collected))), "each once"


async def test_a_page_that_ends_within_a_moment_loses_nothing(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH)) as world:
        world.publish(7, BTC)
        times = {row[2] for row in (await page(world))["XXBTZUSD"]}
        assert len(times) == 1, "one moment, as far as a row tells"
        first = await page(world, since=0, count=3)
        second = await page(world, since=first["last"])
        assert ids(first) + ids(second) == list(range(FIRST, FIRST + 7))


async def test_an_empty_page_has_its_cursor(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH)) as world:
        assert await page(world) == {"XXBTZUSD": [], "last": "0"}
        world.publish(1, BTC)
        last = (await page(world))["last"]
        assert await page(world, since=last) == {"XXBTZUSD": [], "last": last}


async def test_since_in_seconds_is_taken_for_such(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH)) as world:
        world.publish(1, BTC)
        await trio.sleep(10)
        world.publish(1, BTC)
        assert ids(await page(world, since=round(WALL_BEGIN_S) + 5)) == [FIRST + 1]


async def test_what_is_evicted_is_gone(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(LAVISH), history_size=5) as world:
        world.publish(10, BTC)
        assert ids(await page(world, since=0)) == list(range(FIRST + 5, FIRST + 10))


@pytest.mark.parametrize(
    ("symbol", "pair", "key"),
    [
        ("BTC/USD", "XBTUSD", "XXBTZUSD"),
        ("BTC/USD", "XXBTZUSD", "XXBTZUSD"),
        ("BTC/USD", "BTC/USD", "XXBTZUSD"),
        ("BTC/USD", "BTCUSD", "XXBTZUSD"),
        ("BTC/USDT", "XBTUSDT", "XBTUSDT"),
        ("ETH/EUR", "ETHEUR", "XETHZEUR"),
        ("ETH/BTC", "ETHXBT", "XETHXXBT"),
        ("DOGE/USD", "XDGUSD", "XDGUSD"),
        ("SOL/USD", "SOLUSD", "SOLUSD"),
    ],
)
async def test_pairs_go_by_several_names_and_answer_to_one(
    autojump_clock: MockClock, symbol: str, pair: str, key: str
) -> None:
    async with simulated(KrakenSpot(), symbols=(symbol,)) as world:
        world.venue.publish(symbol)
        assert set((await world.get(TRADES, pair=pair)).json()["result"]) == {key, "last"}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"{TRADES}?pair=NOSUCH", 200, "EQuery:Unknown asset pair"),
        (TRADES, 200, "EGeneral:Invalid arguments"),
        (f"{TRADES}?pair=XBTUSD&since=-1", 200, "EGeneral:Invalid arguments:since"),
        (f"{TRADES}?pair=XBTUSD&since={'9' * 30}", 200, "EGeneral:Invalid arguments:since"),
        (f"{TRADES}?pair=XBTUSD&count=1001", 200, "EGeneral:Invalid arguments:count"),
        (f"{TRADES}?pair=XBTUSD&count=0", 200, "EGeneral:Invalid arguments:count"),
        ("/0/public/NoSuch", 404, "EGeneral:Unknown method"),
    ],
)
async def test_errors_have_the_venues_form(autojump_clock: MockClock, path: str, status: int, said: str) -> None:
    async with simulated(KrakenSpot()) as world:
        reply = await world.get(path)
        assert (reply.status_code, reply.json()) == (status, {"error": [said]})


async def test_the_small_endpoints(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world:
        status = (await world.get("/0/public/SystemStatus")).json()["result"]
        assert (status["status"], status["timestamp"][:17]) == ("online", "2026-01-01T00:00:")
        time = (await world.get("/0/public/Time")).json()["result"]
        assert time["unixtime"] == WALL_BEGIN_S
        assert time["rfc1123"] == "Thu, 01 Jan 26 00:00:00 +0000"


async def test_one_request_a_second_and_three_at_once(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world:
        replies: list[httpx.Response] = []

        async def ask() -> None:
            replies.append(await world.get("/0/public/Time"))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
        assert {reply.status_code for reply in replies} == {200}
        (refused,) = [reply for reply in replies if reply.json()["error"]]
        assert msgspec.json.decode(refused.content) == {"error": ["EAPI:Rate limit exceeded"]}
        assert "Retry-After" not in refused.headers
        assert [(each.kind, each.address) for each in world.venue.violations] == [("requests", ADDRESS)]
        assert sorted(each.status for each in world.venue.weight_log) == [200, 200, 200, 429]
        await trio.sleep(5)
        for _ in range(20):
            assert (await world.get("/0/public/Time")).json()["error"] == []
            await trio.sleep(1.0)
        assert len(world.venue.violations) == 1
