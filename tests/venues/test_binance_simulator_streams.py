"""What the simulated Binance says on its streams, heard by a trio-websocket client on virtual time."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import BinanceLimits, BinanceSpot
from gapless.simulator.venues.binance.aggregates import HOLD_S
from tests.simulator.conftest import Client
from tests.venues.simulator_kit import simulated, wall_ms

BTC, ETH = "BTCUSDT", "ETHUSDT"
FIRST = 3_735_683_259


async def subscribed(client: Client, *streams: str) -> None:
    await client.say({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
    assert await client.hear() == {"result": None, "id": 1}


async def test_a_trade_has_the_fields_of_the_documentation_in_their_order(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await subscribed(client, "btcusdt@trade")
        issued = world.venue.publish(BTC, price="61837.63000000", amount="0.02000000", side="sell")
        message = await client.hear()
        now_ms = issued.time_ns // 1_000_000
        assert list(message.items()) == [
            ("e", "trade"),
            ("E", now_ms),
            ("s", "BTCUSDT"),
            ("t", FIRST),
            ("p", "61837.63000000"),
            ("q", "0.02000000"),
            ("T", now_ms),
            ("m", True),
            ("M", True),
        ]
        world.venue.publish(BTC, side="buy")
        message = await client.hear()
        assert (message["t"], message["m"]) == (FIRST + 1, False)


async def test_combined_streams_wrap_the_same_event(autojump_clock: MockClock) -> None:
    target = "/stream?streams=btcusdt@trade/ethusdt@trade"
    async with simulated(BinanceSpot()) as world, world.dial(target) as client:
        await trio.sleep(0.1)
        world.publish(1, ETH)
        message = await client.hear()
        assert list(message) == ["stream", "data"]
        assert message["stream"] == "ethusdt@trade"
        assert (message["data"]["e"], message["data"]["s"], message["data"]["t"]) == ("trade", ETH, FIRST)
        await client.say({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await client.hear() == {"result": ["btcusdt@trade", "ethusdt@trade"], "id": 3}, "answers are not wrapped"


async def test_streams_in_the_raw_path_begin_at_once(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial("/ws/btcusdt@trade/ethusdt@trade") as client:
        await trio.sleep(0.1)
        world.publish(1, BTC)
        world.publish(1, ETH)
        assert [message["s"] for message in await client.hear_many(2)] == [BTC, ETH]


async def test_raw_and_combined_clients_hear_the_same_trades(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as raw, world.dial("/stream") as combined:
        await subscribed(raw, "btcusdt@trade")
        await subscribed(combined, "btcusdt@trade")
        world.publish(3, BTC)
        assert await raw.hear_many(3) == [each["data"] for each in await combined.hear_many(3)]


async def test_an_aggregate_is_made_of_consecutive_trades_of_one_price_side_and_millisecond(
    autojump_clock: MockClock,
) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await subscribed(client, "btcusdt@aggTrade")
        for price, amount, side in (("10.0", "1.5", "buy"), ("10.0", "0.25", "buy"), ("10.0", "1", "sell")):
            world.venue.publish(BTC, price=price, amount=amount, side=side)  # type: ignore[arg-type]
        begin = trio.current_time()
        first = await client.hear()
        assert trio.current_time() - begin < HOLD_S, "the third trade closes it"
        assert list(first) == ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"]
        assert (first["e"], first["p"], first["q"], first["f"], first["l"], first["m"]) == (
            "aggTrade",
            "10.0",
            "1.75",
            FIRST,
            FIRST + 1,
            False,
        )
        second = await client.hear()
        assert (second["a"], second["f"], second["l"], second["m"]) == (first["a"] + 1, FIRST + 2, FIRST + 2, True)
        assert trio.current_time() - begin >= HOLD_S, "nothing joins the last one, so its time closes it"


async def test_aggregates_of_a_busy_market_tile_its_trades_and_agree_with_rest(autojump_clock: MockClock) -> None:
    venue = BinanceSpot()
    async with simulated(venue, rate_per_s=20.0, symbols=(BTC,)) as world, world.dial() as client:
        await subscribed(client, "btcusdt@aggTrade")
        heard = [await client.hear() for _ in range(200)]
        assert all(earlier["a"] + 1 == later["a"] for earlier, later in pairwise(heard))
        assert all(earlier["l"] + 1 == later["f"] for earlier, later in pairwise(heard))
        assert any(each["l"] > each["f"] for each in heard), "some orders filled several makers at one price"
        rows = (await world.get("/api/v3/aggTrades", symbol=BTC, fromId=heard[0]["a"], limit=200)).json()
        fields = ("a", "p", "q", "f", "l", "T", "m", "M")
        assert rows == [{name: each[name] for name in fields} for each in heard]
        known = {each.number: each for each in venue.aggregates(BTC)}
        assert [known[each["a"]].amount for each in heard] == [each["q"] for each in heard]


async def test_the_book_ticker_says_where_the_best_prices_moved(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await subscribed(client, "btcusdt@bookTicker")
        world.publish(5, BTC)
        heard = await client.hear_many(5)
        assert all(list(each) == ["u", "s", "b", "B", "a", "A"] for each in heard)
        assert all(earlier["u"] < later["u"] for earlier, later in pairwise(heard))
        last = world.venue.trades(BTC)[-1]
        assert (heard[-1]["b"], heard[-1]["a"]) == (last.bid, last.ask)


async def test_the_server_pings_every_20_seconds_and_hears_the_pong(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await subscribed(client, "btcusdt@trade")
        await trio.sleep(300)
        assert len(world.venue.hub.sessions) == 1, "trio-websocket answers PINGs by itself"
        world.publish(1, BTC)
        assert (await client.hear())["t"] == FIRST


async def test_a_client_that_answers_no_ping_is_cut_within_80_seconds(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial():
        await trio.sleep(1)
        world.network.black_hole()
        await trio.sleep(78.0)
        assert world.venue.hub.sessions
        await trio.sleep(2.0)
        assert not world.venue.hub.sessions
        world.network.heal()


async def test_a_connection_lives_for_a_day(autojump_clock: MockClock) -> None:
    limits = BinanceLimits(connection_max_s=3_600)
    assert BinanceLimits().connection_max_s == 86_400
    async with simulated(BinanceSpot(limits)) as world, world.dial() as client:
        await trio.sleep(3_599)
        assert world.venue.hub.sessions
        await trio.sleep(2)
        assert await client.is_dropped()


@pytest.mark.parametrize("target", ["/ws", "/stream"])
async def test_a_shutdown_is_announced(autojump_clock: MockClock, target: str) -> None:
    async with simulated(BinanceSpot()) as world, world.dial(target) as client:
        await subscribed(client, "btcusdt@trade")
        assert world.venue.goodbye("maintenance", notice_s=600) == 1
        assert await client.hear() == {"e": "serverShutdown", "E": pytest.approx(wall_ms(), abs=100)}
        world.publish(1, BTC)
        await client.hear()
        await trio.sleep(599)
        assert world.venue.hub.sessions
        await trio.sleep(2)
        assert not world.venue.hub.sessions


async def test_a_goodbye_without_notice_closes_behind_the_word(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await trio.sleep(0.1)
        world.venue.goodbye()
        assert (await client.hear())["e"] == "serverShutdown"
        assert await client.is_dropped()
