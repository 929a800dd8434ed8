"""What the simulated Binance says on its WebSocket, heard by a trio-websocket client on virtual time."""

import trio
from trio.testing import MockClock

from gapless.simulator.venues import BinanceSpot
from tests.venues.simulator_kit import simulated

BTC = "BTCUSDT"


async def test_a_trade_has_the_fields_of_the_documentation_in_their_order(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial() as client:
        await client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        assert await client.hear() == {"result": None, "id": 1}
        issued = world.venue.publish(BTC, price="61837.63000000", amount="0.02000000", side="sell")
        message = await client.hear()
        now_ms = issued.time_ns // 1_000_000
        assert list(message.items()) == [
            ("e", "trade"),
            ("E", now_ms),
            ("s", "BTCUSDT"),
            ("t", 3_735_683_259),
            ("p", "61837.63000000"),
            ("q", "0.02000000"),
            ("T", now_ms),
            ("m", True),
            ("M", True),
        ]
        world.venue.publish(BTC, side="buy")
        assert ((await client.hear())["t"], world.venue.trades(BTC)[-1].side) == (3_735_683_260, "buy")


async def test_historical_trades_show_the_same(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.publish(5, BTC)
        await trio.sleep(1)
        reply = await world.get("/api/v3/historicalTrades", symbol=BTC, fromId=3_735_683_261, limit=2)
        rows = reply.json()
        assert [row["id"] for row in rows] == [3_735_683_261, 3_735_683_262]
        issued = world.venue.trades(BTC)[2]
        assert (rows[0]["price"], rows[0]["qty"], rows[0]["time"]) == (
            issued.price,
            issued.amount,
            issued.time_ns // 1_000_000,
        )
        assert rows[0]["isBuyerMaker"] is (issued.side == "sell")
        assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "25"
