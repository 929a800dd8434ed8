"""What the simulated Kraken says on WebSocket v2, heard by a trio-websocket client on virtual time."""

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, RejectMode
from gapless.simulator.venues import KrakenLimits, KrakenOptions, KrakenSpot
from tests.simulator.conftest import WALL_BEGIN_S, Client
from tests.venues.simulator_kit import ADDRESS, simulated

BTC, ETH = "BTC/USD", "ETH/USD"
FIRST = 61_044_952
TIMES = {"time_in", "time_out"}


def whole(**options: Any) -> KrakenSpot:
    """A venue whose socket leaves nothing out."""
    return KrakenSpot(options=KrakenOptions(absent_share=0.0, **options))


def wish(*symbols: str, method: str = "subscribe", req_id: int | None = 1, **params: object) -> dict[str, object]:
    message: dict[str, object] = {
        "method": method,
        "params": {"channel": "trade", "symbol": list(symbols), **params},
    }
    return message if req_id is None else message | {"req_id": req_id}


async def hear(client: Client) -> dict[str, Any]:
    """The next message that is no heartbeat."""
    while True:
        message = await client.hear()
        if message.get("channel") != "heartbeat":
            return message


async def asked(client: Client, message: dict[str, object]) -> dict[str, Any]:
    """The answer without its times, of which it has both."""
    await client.say(message)
    answer = await hear(client)
    assert set(answer) >= TIMES
    assert answer["time_in"] <= answer["time_out"]
    return {name: value for name, value in answer.items() if name not in TIMES}


async def subscribed(client: Client, *symbols: str, **params: Any) -> None:
    """Hear the status and one acknowledgement for each pair."""
    assert (await client.hear())["channel"] == "status"
    await client.say(wish(*symbols, **params))
    for symbol in symbols:
        answer = await hear(client)
        assert (answer["success"], answer["result"]["symbol"]) == (True, symbol)


async def ids(client: Client, count: int) -> list[int]:
    heard: list[int] = []
    while len(heard) < count:
        message = await hear(client)
        assert (message["channel"], message["type"]) == ("trade", "update")
        heard += [each["trade_id"] for each in message["data"]]
    return heard


# --- requests and answers -------------------------------------------------------------------------------------------


async def test_a_connection_begins_with_the_status(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        status = await client.hear()
        assert list(status) == ["channel", "type", "data"]
        (data,) = status["data"]
        assert (data["system"], data["api_version"]) == ("online", "v2")
        assert data["connection_id"] > 2**63, "as documented: no signed 64-bit integer"
        async with world.dial() as other:
            assert (await other.hear())["data"][0]["connection_id"] != data["connection_id"]


async def test_each_pair_is_acknowledged_by_itself(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        await client.hear()
        await client.say(wish(BTC, ETH, req_id=7, snapshot=False))
        for symbol in (BTC, ETH):
            answer = await hear(client)
            assert list(answer) == ["method", "result", "success", "time_in", "time_out", "req_id"]
            assert answer["result"] == {"channel": "trade", "symbol": symbol, "snapshot": False}
            assert (answer["method"], answer["success"], answer["req_id"]) == ("subscribe", True, 7)
            assert answer["time_in"].startswith("2026-01-01T00:00:00.")
        assert [(each.symbol, each.mark) for each in world.venue.subscriptions] == [(BTC, 0), (ETH, 0)]


async def test_a_pair_that_does_not_exist_is_an_error_beside_the_others(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await client.hear()
        refused = await asked(client, wish("XXX/YYY", BTC))
        assert refused == {
            "error": "Currency pair not supported XXX/YYY",
            "method": "subscribe",
            "success": False,
            "symbol": "XXX/YYY",
            "req_id": 1,
        }
        assert (await hear(client))["result"]["symbol"] == BTC
        world.publish(1, BTC)
        assert await ids(client, 1) == [FIRST]


async def test_a_ping_is_answered_with_its_id(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        await client.hear()
        assert await asked(client, {"method": "ping", "req_id": 101}) == {"method": "pong", "req_id": 101}
        assert await asked(client, {"method": "ping"}) == {"method": "pong"}


async def test_unsubscribing_and_what_was_not_subscribed(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await subscribed(client, BTC)
        assert (await asked(client, wish(BTC)))["error"] == "Already subscribed"
        answer = await asked(client, wish(BTC, method="unsubscribe"))
        assert (answer["method"], answer["success"]) == ("unsubscribe", True)
        assert answer["result"] == {"channel": "trade", "symbol": BTC}
        world.publish(1, BTC)
        refused = await asked(client, wish(BTC, method="unsubscribe"))
        assert (refused["success"], refused["error"]) == (False, "Subscription Not Found")
        assert await client.hears_nothing(2.0), "no pair is left: not even a heartbeat"


async def test_or_a_repeated_subscription_is_acknowledged_and_stays_one(autojump_clock: MockClock) -> None:
    async with simulated(whole(repeated="acknowledge")) as world, world.dial() as client:
        await subscribed(client, BTC)
        assert (await asked(client, wish(BTC)))["success"]
        world.publish(1, BTC)
        assert await ids(client, 1) == [FIRST]
        assert len(world.venue.subscriptions) == 1


async def test_a_channel_without_data_here_is_acknowledged_and_silent(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await client.hear()
        assert (await asked(client, wish(BTC, channel="ticker")))["result"]["channel"] == "ticker"
        world.publish(1, BTC)
        assert [each["channel"] for each in await client.hear_many(3)] == ["heartbeat"] * 3


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("hello", "Malformed request"),
        ("[" * 5_000, "Malformed request"),
        ("[]", "Malformed request"),
        ("{}", "Method not found"),
        ('{"method":"shout"}', "Method not found"),
        ('{"method":"ping","req_id":"one"}', "Field 'req_id' must be an integer"),
        ('{"method":"subscribe"}', "Field 'params' is missing"),
        ('{"method":"subscribe","params":{"channel":"nosuch","symbol":["BTC/USD"]}}', "Channel not supported nosuch"),
        ('{"method":"subscribe","params":{"channel":"trade"}}', "Field 'symbol' must be a list of pairs"),
        ('{"method":"subscribe","params":{"channel":"trade","symbol":[7]}}', "Field 'symbol' must be a list of pairs"),
        (
            '{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":1}}',
            "Field 'snapshot' must be a boolean",
        ),
    ],
)
async def test_what_is_not_understood_is_answered_and_nothing_is_done(
    autojump_clock: MockClock, said: str, error: str
) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        await client.hear()
        await client.socket.send_message(said)
        answer = await hear(client)
        assert (answer["error"], answer["success"]) == (error, False)
        assert not world.venue.subscriptions


async def test_a_rejected_pair_is_an_error_of_the_venues_form(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        await client.hear()
        world.venue.failures.set(FailuresConfig(reject=RejectMode(enabled=True, symbols=(BTC,), count=1)))
        refused = await asked(client, wish(BTC))
        assert (refused["success"], refused["symbol"]) == (False, BTC)
        assert (await asked(client, wish(BTC)))["success"]


# --- trades ---------------------------------------------------------------------------------------------------------


async def test_a_trade_has_the_fields_of_the_documentation_and_its_digits(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await subscribed(client, BTC)
        trade = world.venue.publish(BTC, price="105944.20", amount="0.00027600", side="sell")
        text = str(await client.socket.get_message())
        assert '"price":105944.20,"qty":0.00027600,' in text, "numbers, and every digit of them"
        (entry,) = msgspec.json.decode(text)["data"]
        assert list(entry) == ["symbol", "side", "price", "qty", "ord_type", "trade_id", "timestamp"]
        assert (entry["symbol"], entry["side"], entry["trade_id"]) == (BTC, "sell", FIRST), "the side is the taker's"
        assert entry["timestamp"] == f"2026-01-01T00:00:00.{trade.time_ns // 1_000 % 1_000_000:06d}Z"
        assert trade.time_ns // 10**9 == WALL_BEGIN_S


@pytest.mark.parametrize(("price", "written"), [("007.50", "7.50"), ("0.5", "0.5"), ("00", None), ("12", "12")])
async def test_no_text_makes_a_number_that_is_none(autojump_clock: MockClock, price: str, written: str | None) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await subscribed(client, BTC)
        if written is None:
            with pytest.raises(ValueError, match="above zero"):
                world.venue.publish(BTC, price=price)
            return
        world.venue.publish(BTC, price=price)
        assert f'"price":{written},' in str(await client.socket.get_message())


async def test_the_trades_of_one_moment_are_one_frame(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await subscribed(client, BTC, ETH)
        world.publish(3, BTC)
        world.publish(2, ETH)
        first, second = await hear(client), await hear(client)
        assert [each["trade_id"] for each in first["data"]] == [FIRST, FIRST + 1, FIRST + 2]
        assert {each["symbol"] for each in second["data"]} == {ETH}, "a frame has one pair"
        world.publish(1, BTC)
        assert [each["trade_id"] for each in (await hear(client))["data"]] == [FIRST + 3]
        world.publish(250, BTC)
        sizes = [len((await hear(client))["data"]) for _ in range(3)]
        assert sizes == [100, 100, 50], "a frame has a bound"


async def test_a_share_of_the_trades_is_over_rest_alone(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(), rate_per_s=100.0, symbols=(BTC,)) as world, world.dial() as client:
        await subscribed(client, BTC)
        heard = await ids(client, 1_000)
        venue = world.venue.venue
        assert isinstance(venue, KrakenSpot)
        shown = [trade.trade_id for trade in world.venue.trades(BTC) if venue.on_socket(trade)]
        begin = shown.index(heard[0])
        assert heard == shown[begin : begin + len(heard)], "in order, none twice"
        absent = [number for number in range(heard[0], heard[-1] + 1) if number not in set(heard)]
        assert 0.12 < len(absent) / (heard[-1] - heard[0]) < 0.22
        rows = (await world.get("/0/public/Trades", pair="XBTUSD", since=0)).json()["result"]["XXBTZUSD"]
        assert [row[6] for row in rows] == list(range(FIRST, FIRST + 1_000))


async def test_a_snapshot_is_the_last_fifty_where_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        world.publish(80, BTC)
        await subscribed(client, BTC, snapshot=True)
        snapshot = await hear(client)
        assert (snapshot["channel"], snapshot["type"]) == ("trade", "snapshot")
        assert [each["trade_id"] for each in snapshot["data"]] == list(range(FIRST + 30, FIRST + 80))
        world.publish(1, BTC)
        assert await ids(client, 1) == [FIRST + 80], "what is in the snapshot is not said again"
        async with world.dial() as silent:
            await subscribed(silent, BTC)
            world.publish(1, BTC)
            assert await ids(silent, 1) == [FIRST + 81], "documented: none by default"


async def test_nothing_is_lost_or_doubled_around_a_subscription(autojump_clock: MockClock) -> None:
    async with (
        simulated(whole(snapshot_by_default=True), rate_per_s=500.0, symbols=(BTC,)) as world,
        world.dial() as client,
    ):
        await trio.sleep(0.5)
        await subscribed(client, BTC)
        heard: list[int] = []
        while len(heard) < 200:
            message = await hear(client)
            assert message["type"] == ("update" if heard else "snapshot")
            heard += [each["trade_id"] for each in message["data"]]
        assert heard == list(range(heard[0], heard[0] + len(heard)))


# --- signs of life, and the end -------------------------------------------------------------------------------------


async def test_a_heartbeat_comes_where_nothing_else_does_for_a_second(autojump_clock: MockClock) -> None:
    async with simulated(whole()) as world, world.dial() as client:
        await client.hear()
        assert await client.hears_nothing(3.0), "nothing is subscribed"
        await client.say(wish(BTC))
        await client.hear()
        begin = trio.current_time()
        assert await client.hear_many(3) == [{"channel": "heartbeat"}] * 3
        assert trio.current_time() - begin == pytest.approx(3.0, abs=0.1)
        for _ in range(10):
            await trio.sleep(0.5)
            world.publish(1, BTC)
        assert {(await client.hear())["channel"] for _ in range(10)} == {"trade"}, "trades are signs enough"


async def test_maintenance_is_said_before_the_close(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        await subscribed(client, BTC)
        assert world.venue.goodbye() == 1
        status = await hear(client)
        assert (status["channel"], status["data"][0]["system"]) == ("status", "maintenance")
        assert await client.is_dropped()


async def test_so_many_connects_in_ten_minutes(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot(KrakenLimits(connects_per_10_minutes=2))) as world:
        async with world.dial(), world.dial():
            assert (await world.rejection()).status_code == 429
        await trio.sleep(601)
        async with world.dial():
            pass
        assert [(each.kind, each.address) for each in world.venue.violations] == [("connects", ADDRESS)]
        assert KrakenLimits().connects_per_10_minutes == 150


async def test_there_is_one_path(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world:
        assert world.endpoints.ws_url.endswith("/v2")
        assert (await world.rejection("/ws")).status_code == 404
