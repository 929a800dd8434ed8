"""The simulated Coinbase Exchange over REST: cursors, errors, and so many requests a second."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import CoinbaseExchange, CoinbaseOptions
from tests.venues.simulator_kit import ADDRESS, simulated

BTC = "BTC-USD"
TRADES = f"/products/{BTC}/trades"
FIRST = 881_614


def ids(reply: httpx.Response) -> list[int]:
    assert reply.status_code == 200, reply.text
    return [row["trade_id"] for row in reply.json()]


async def test_a_row_has_the_documented_fields_and_padded_decimals(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        issued = world.venue.publish(BTC, price="0.7903", amount="18", side="buy")
        (row,) = (await world.get(TRADES)).json()
        assert list(row.items()) == [
            ("time", f"2026-01-01T00:00:00.{issued.time_ns // 1_000 % 1_000_000:06d}Z"),
            ("trade_id", FIRST),
            ("price", "0.79030000"),
            ("size", "18.00000000"),
            ("side", "sell"),
        ]


async def test_or_the_texts_of_the_feed(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange(options=CoinbaseOptions(rest_decimals=None))) as world:
        world.venue.publish(BTC, price="0.7903", amount="18")
        (row,) = (await world.get(TRADES)).json()
        assert (row["price"], row["size"]) == ("0.7903", "18")


async def test_the_newest_come_first_with_the_cursors_of_the_page(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        world.publish(10, BTC)
        reply = await world.get(TRADES, limit=3)
        assert ids(reply) == [FIRST + 9, FIRST + 8, FIRST + 7]
        assert (reply.headers["CB-BEFORE"], reply.headers["CB-AFTER"]) == (str(FIRST + 9), str(FIRST + 7))


async def test_after_leads_to_all_that_is_older(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        world.publish(2_500, BTC)
        reply = await world.get(TRADES)
        assert len(ids(reply)) == 1_000, "the default is the maximum"
        collected = ids(reply)
        while "CB-AFTER" in reply.headers:
            reply = await world.get(TRADES, after=reply.headers["CB-AFTER"])
            collected += ids(reply)
        assert collected == list(range(FIRST + 2_499, FIRST - 1, -1))


async def test_before_leads_to_the_newest_of_what_is_newer(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        world.publish(10, BTC)
        assert ids(await world.get(TRADES, before=FIRST + 6)) == [FIRST + 9, FIRST + 8, FIRST + 7]
        assert ids(await world.get(TRADES, before=FIRST + 2, limit=2)) == [FIRST + 9, FIRST + 8]
        assert ids(await world.get(TRADES, before=FIRST + 9)) == []
        assert ids(await world.get(TRADES, after=FIRST + 6, before=FIRST + 3)) == [FIRST + 5, FIRST + 4]


async def test_what_is_evicted_is_gone(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange(), history_size=5) as world:
        assert ids(await world.get(TRADES)) == []
        world.publish(10, BTC)
        reply = await world.get(TRADES, after=FIRST + 5)
        assert (ids(reply), "CB-AFTER" in reply.headers) == ([], False)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/products/NO-SUCH/trades", 404, "NotFound"),
        ("/products/NO-SUCH", 404, "NotFound"),
        ("/nosuch", 404, "NotFound"),
        (f"/products/{BTC}/ticker", 404, "NotFound"),
        (f"{TRADES}?limit=0", 400, "limit 0 is out of range: expected 1 to 1000"),
        (f"{TRADES}?limit=1001", 400, "limit 1001 is out of range: expected 1 to 1000"),
        (f"{TRADES}?limit=many", 400, "Invalid limit: expected a number"),
        (f"{TRADES}?after=-1", 400, "Invalid after: expected a number"),
        (f"{TRADES}?before={'9' * 30}", 400, "Invalid before: expected a number"),
    ],
)
async def test_errors_have_the_venues_form(autojump_clock: MockClock, path: str, status: int, message: str) -> None:
    async with simulated(CoinbaseExchange()) as world:
        reply = await world.get(path)
        assert (reply.status_code, reply.json()) == (status, {"message": message})


async def test_the_small_endpoints(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        issued = world.venue.publish(BTC, price="100.5")
        assert [each["id"] for each in (await world.get("/products")).json()] == ["BTC-USD", "ETH-USD"]
        assert (await world.get(f"/products/{BTC}")).json()["quote_currency"] == "USD"
        ticker = (await world.get(f"/products/{BTC}/ticker")).json()
        assert (ticker["trade_id"], ticker["price"]) == (issued.trade_id, "100.50000000")
        assert (await world.get("/time")).json()["iso"].startswith("2026-01-01T00:00:0")


async def test_fifteen_requests_at_once_and_then_ten_a_second(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(world.get, "/time")
        assert sorted(each.status for each in world.venue.requests) == [200] * 15 + [429]
        assert [(each.kind, each.address) for each in world.venue.violations] == [("requests", ADDRESS)]
        assert max(each.used for each in world.venue.weight_log) == 16
        await trio.sleep(5)
        for _ in range(100):
            assert (await world.get("/time")).status_code == 200
            await trio.sleep(0.1)
        assert len(world.venue.violations) == 1


async def test_too_many_requests_have_the_venues_form_and_no_retry_after(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        replies: list[httpx.Response] = []

        async def ask() -> None:
            replies.append(await world.get("/time"))

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(ask)
        refused = [reply for reply in replies if reply.status_code != 200]
        assert refused
        assert {reply.status_code for reply in refused} == {429}
        assert refused[0].json() == {"message": "Public rate limit exceeded"}
        assert "Retry-After" not in refused[0].headers
