"""Late, silent, garbled, cut, stale, forgotten: each failure alone, as an independent client sees it."""

import json
from datetime import datetime

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from gapless.simulator import (
    ClockSkewMode,
    CorruptMode,
    DelayMode,
    EvictedMode,
    FailuresConfig,
    FlappingMode,
    RestMode,
    SettingsError,
    SlowReplyMode,
    StaleReplyMode,
    SymbolSilentMode,
    WrongReplyMode,
    WrongTypesMode,
)
from gapless.simulator.failures import KINDS
from gapless.simulator.garble import CORRUPT, WRONG_TYPES
from gapless.simulator.rest_garble import WRONG_REPLIES
from tests.simulator.conftest import BTC, ETH, Client, named, served

PRICES = "/api/v1/prices?symbol=BTC/USD"


async def texts(client: Client, count: int) -> list[str | bytes]:
    with trio.fail_after(5.0):
        return [await client.socket.get_message() for _ in range(count)]


# -- time -------------------------------------------------------------------------------------------------------------


async def test_delayed_data_keeps_its_order_and_everything_else_is_on_time(autojump_clock: MockClock) -> None:
    mode = DelayMode(enabled=True, delay_s=0.5, jitter_s=0.3)
    async with served(failures=FailuresConfig(delay=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        began = trio.current_time()
        world.publish(5)
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        assert trio.current_time() - began < 0.1
        assert await client.ids(5) == [1, 2, 3, 4, 5]
        assert 0.5 <= trio.current_time() - began <= 0.9
        assert world.exchange.injected["delay"] == 1
        world.exchange.failures.set(FailuresConfig())
        began = trio.current_time()
        world.publish(1)
        assert await client.ids(1) == [6]
        assert trio.current_time() - began < 0.1


@pytest.mark.parametrize(
    ("over", "late", "bursts"),
    [
        ({"duration_s": 2.0}, 20, range(3, 5)),
        ({"count": 1}, 5, range(1, 2)),
        ({"count": 2, "jitter_s": 0.1}, 12, range(2, 3)),
        ({}, 50, range(9, 12)),
    ],
)
async def test_a_delay_ends_when_it_is_over(
    over: dict[str, float], late: int, bursts: range, autojump_clock: MockClock
) -> None:
    """Ten messages a second, each half a second late: something is held all the time, and yet it ends."""
    mode = DelayMode(**{"enabled": True, "delay_s": 0.5, **over})  # type: ignore[arg-type]
    async with served(failures=FailuresConfig(delay=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        came_at: dict[int, float] = {}

        async def listen() -> None:
            while True:
                (number,) = await client.ids(1)
                came_at[number] = trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            begun_at = trio.current_time()
            for _ in range(50):
                world.publish(1)
                await trio.sleep(0.1)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert list(came_at) == list(range(1, 51)), "nothing overtakes"
        lags = [at - (begun_at + 0.1 * (number - 1)) for number, at in came_at.items()]
        assert sum(lag > 0.45 for lag in lags) == pytest.approx(late, abs=1)
        assert max(lags[late + 7 :], default=0.0) < 0.1, "it drains within one delay"
        assert world.exchange.injected["delay"] in bursts


async def test_one_symbol_is_silent_until_it_is_subscribed_again(autojump_clock: MockClock) -> None:
    mode = SymbolSilentMode(enabled=True, symbols=("ETH/USD",), after_messages=2, count=1)
    async with served(failures=FailuresConfig(symbol_silent=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC, ETH)
        for _ in range(4):
            world.publish(1, BTC)
            world.publish(1, ETH)
        heard = [(message["symbol"], message["sequence_id"]) for message in await client.hear_many(6)]
        assert [number for symbol, number in heard if symbol == "ETH/USD"] == [1, 2]
        assert [number for symbol, number in heard if symbol == "BTC/USD"] == [1, 2, 3, 4]
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        await client.say({"type": "UNSUBSCRIBE", "request_id": "u", "streams": named(ETH)})
        assert (await client.hear())["type"] == "UNSUBSCRIBED"
        assert (await client.subscribe(ETH))["streams"][0]["sequence_id"] == 4
        world.publish(3, ETH)
        assert await client.ids(3) == [5, 6, 7]
        assert world.exchange.injected == {"symbol_silent": 1}


async def test_one_symbol_is_silent_until_the_connection_is_new(autojump_clock: MockClock) -> None:
    mode = SymbolSilentMode(enabled=True, symbols=("BTC/USD",), after_messages=1, until="reconnect")
    async with served(failures=FailuresConfig(symbol_silent=mode)) as world:
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            world.publish(2)
            assert await client.ids(1) == [1]
            await client.say({"type": "UNSUBSCRIBE", "request_id": "u", "streams": named(BTC)})
            assert (await client.hear())["type"] == "UNSUBSCRIBED"
            await client.subscribe(BTC)
            world.publish(2)
            assert await client.hears_nothing()
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            world.publish(2)
            assert await client.ids(1) == [5]


async def test_flapping_connections_live_as_long_as_said_again_and_again(autojump_clock: MockClock) -> None:
    mode = FlappingMode(enabled=True, up_min_s=2.0, up_max_s=4.0, count=3)
    async with served(failures=FailuresConfig(flapping=mode)) as world:
        for _ in range(3):
            async with world.welcomed() as client:
                began = trio.current_time()
                with pytest.raises(ConnectionClosed):
                    await client.socket.get_message()
                assert 1.9 <= trio.current_time() - began <= 4.1
        async with world.welcomed() as client:
            assert await client.hears_nothing(for_s=60.0)
        assert world.exchange.injected == {"flapping": 3}


async def test_a_clock_that_is_off_is_off_until_it_is_over_and_counts_once(autojump_clock: MockClock) -> None:
    async with served() as world:
        for times in (1, 2):
            mode = ClockSkewMode(enabled=True, offset_s=3_600.0, duration_s=10.0)
            world.exchange.failures.switch("clock_skew", mode)
            assert {world.exchange.server_time()[11:13] for _ in range(5)} == {"01"}
            await trio.sleep(9.9)
            assert world.exchange.server_time()[11:13] == "01"
            await trio.sleep(0.2)
            assert world.exchange.server_time()[11:13] == "00"
            assert world.exchange.injected["clock_skew"] == times


async def test_the_clock_is_off_on_both_ways_and_time_never_goes_back_in_a_stream(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client, world.rest() as rest:
        await client.subscribe(BTC)
        world.publish(1)
        before = datetime.fromisoformat((await client.hear())["timestamp"])
        world.exchange.failures.set(FailuresConfig(clock_skew=ClockSkewMode(enabled=True, offset_s=3_600.0)))
        world.publish(1)
        ahead = datetime.fromisoformat((await client.hear())["timestamp"])
        assert 3_599 < (ahead - before).total_seconds() < 3_601
        await client.ping()
        assert datetime.fromisoformat((await client.hear())["server_time"]) >= ahead
        world.exchange.failures.set(FailuresConfig(clock_skew=ClockSkewMode(enabled=True, offset_s=-3_600.0)))
        world.publish(1)
        rows = (await rest.get(PRICES)).json()["prices"]
        assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
        assert rows[2]["timestamp"] == rows[1]["timestamp"]
        with pytest.raises(SettingsError, match="clock_skew concerns all sessions"):
            world.exchange.failures.set(FailuresConfig(clock_skew=ClockSkewMode(enabled=True)), "a")


# -- garbled frames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", CORRUPT)
async def test_a_corrupt_frame_is_no_message(how: str, autojump_clock: MockClock) -> None:
    mode = msgspec.convert({"enabled": True, "ids": [2], "how": [how], "huge_bytes": 100_000}, CorruptMode)
    async with served(failures=FailuresConfig(corrupt=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(3)
        good, bad, after = await texts(client, 3)
        assert json.loads(good)["sequence_id"] == 1
        assert json.loads(after)["sequence_id"] == 3
        if how == "huge":
            assert len(bad) > 100_000
        else:
            with pytest.raises((msgspec.DecodeError, RecursionError)):
                msgspec.json.decode(bad, type=dict[str, object])
        assert world.exchange.injected == {"corrupt": 1}


@pytest.mark.parametrize("how", WRONG_TYPES)
async def test_a_message_with_a_wrong_field(how: str, autojump_clock: MockClock) -> None:
    mode = msgspec.convert({"enabled": True, "ids": [4], "how": [how]}, WrongTypesMode)
    async with served(failures=FailuresConfig(wrong_types=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(5)
        await client.ids(3)
        (bad,) = await texts(client, 1)
        fields = json.loads(bad)
        whole = {"type": "MARKET_DATA", "sequence_id": 4, "symbol": "BTC/USD"}
        assert {name: fields.get(name) for name in whole} != whole or not isinstance(fields.get("price"), float)
        assert await client.ids(1) == [5]
        assert world.exchange.injected == {"wrong_types": 1}


# -- REST -------------------------------------------------------------------------------------------------------------


async def test_a_slow_reply_is_late_and_a_trickling_one_comes_in_pieces(autojump_clock: MockClock) -> None:
    mode = SlowReplyMode(enabled=True, delay_s=2.0, trickle_s=1.0, count=1)
    async with served(failures=FailuresConfig(slow_reply=mode)) as world, world.rest() as rest:
        world.publish(20)
        began = trio.current_time()
        reply = await rest.get(PRICES)
        assert len(reply.json()["prices"]) == 20
        assert 2.8 <= trio.current_time() - began <= 3.2
        began = trio.current_time()
        await rest.get(PRICES)
        assert trio.current_time() - began < 0.5


async def test_a_cut_reply_ends_in_the_middle(autojump_clock: MockClock) -> None:
    async with (
        served(failures=FailuresConfig(cut_reply=RestMode(enabled=True, count=1))) as world,
        world.rest() as rest,
    ):
        world.publish(20)
        with pytest.raises(httpx.RemoteProtocolError):
            await rest.get(PRICES)
        assert len((await rest.get(PRICES)).json()["prices"]) == 20
        assert world.exchange.injected == {"cut_reply": 1}


@pytest.mark.parametrize("how", WRONG_REPLIES)
async def test_a_wrong_reply_is_of_no_use(how: str, autojump_clock: MockClock) -> None:
    mode = msgspec.convert({"enabled": True, "how": [how], "paths": ["/api/v1/prices"]}, WrongReplyMode)
    async with served(failures=FailuresConfig(wrong_reply=mode)) as world, world.rest() as rest:
        reply = await rest.get(PRICES)
        assert (reply.status_code, reply.text) == (200, WRONG_REPLIES[how])
        assert (await rest.get("/api/v1/orders")).json()["orders"] == []


async def test_a_stale_reply_knows_less(autojump_clock: MockClock) -> None:
    mode = StaleReplyMode(enabled=True, behind=5)
    async with served() as world, world.rest() as rest:
        world.publish(20)
        world.exchange.failures.set(FailuresConfig(stale_reply=mode))
        world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        body = (await rest.get(PRICES)).json()
        assert (body["last_seq"], body["prices"][-1]["sequence_id"]) == (15, 15)
        assert (await rest.get("/api/v1/orders")).json()["sequence_id"] == 1
        world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        assert (await rest.get("/api/v1/orders")).json()["sequence_id"] == 1
        world.exchange.failures.set(FailuresConfig())
        assert (await rest.get("/api/v1/orders")).json()["sequence_id"] == 2
        assert (await rest.get(PRICES)).json()["last_seq"] == 20


async def test_a_stale_literal_reply_is_of_the_symbol_and_the_range_asked_for(autojump_clock: MockClock) -> None:
    mode = StaleReplyMode(enabled=True, behind=2)
    async with served(literal=True, failures=FailuresConfig(stale_reply=mode)) as world, world.rest() as rest:
        for price in (1.0, 2.0, 3.0, 4.0):
            world.exchange.publish("ticker", "BTC/USD", price=price)
            world.exchange.publish("ticker", "ETH/USD", price=10.0 * price)
            await trio.sleep(1)

        async def prices(query: str) -> list[float]:
            return [row["price"] for row in (await rest.get(f"/api/v1/prices?{query}")).json()["prices"]]

        assert await prices("symbol=BTC/USD") == [1.0, 2.0]
        assert await prices("symbol=ETH/USD") == [10.0, 20.0]
        assert await prices("symbol=ETH/USD&start=2026-01-01T00:00:01Z") == [20.0]
        world.exchange.publish("ticker", "BTC/USD", price=5.0)
        assert await prices("symbol=BTC/USD") == [1.0, 2.0, 3.0], "a replica that lags moves on, too"
        before = (await rest.get("/api/v1/orders")).json()
        world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        assert (await rest.get("/api/v1/orders")).json() == before


async def test_evicted_history_says_so_truthfully(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest("a") as rest, world.rest("b") as other:
        world.publish(50)
        world.exchange.failures.set(FailuresConfig(evicted_history=EvictedMode(enabled=True, keep=10)), "a")
        body = (await rest.get(PRICES + "&start_seq=1&limit=3")).json()
        assert (body["first_seq"], body["last_seq"]) == (41, 50)
        assert [row["sequence_id"] for row in body["prices"]] == [41, 42, 43]
        assert (await rest.get(PRICES + "&end_seq=40")).json()["prices"] == []
        assert (await other.get(PRICES)).json()["first_seq"] == 1


# -- all of them ------------------------------------------------------------------------------------------------------


def test_every_failure_can_be_configured_and_survives_json() -> None:
    config = msgspec.convert({kind: {"enabled": True} | _CHOICE.get(kind, {}) for kind in KINDS}, FailuresConfig)
    again = msgspec.json.decode(msgspec.json.encode(config), type=FailuresConfig)
    assert again == config
    assert all(getattr(again, kind).enabled for kind in KINDS)


_CHOICE: dict[str, dict[str, object]] = {
    **{kind: {"probability": 0.5} for kind in ("drop", "duplicate", "reorder", "corrupt", "wrong_types")},
    **{kind: {"symbols": ["BTC/USD"]} for kind in ("symbol_silent", "reject")},
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"symbol_silent": {"enabled": True}}, "at least one symbol that falls silent"),
        ({"flapping": {"up_min_s": 5.0, "up_max_s": 1.0}}, "at least up_min_s = 5.0"),
        ({"corrupt": {"how": []}}, "at least one way"),
        ({"wrong_types": {"how": ["nothing"]}}, "Invalid enum value 'nothing'"),
        ({"wrong_reply": {"how": []}}, "at least one way"),
        ({"delay": {"delay_s": -1.0}}, "Expected `float` >= 0.0"),
        ({"stale_reply": {"behind": 0}}, "Expected `int` >= 1"),
        ({"nonsense": {}}, "unknown field `nonsense`"),
    ],
)
def test_a_mode_that_cannot_work_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises((SettingsError, msgspec.ValidationError), match=message):
        msgspec.convert(wrong, FailuresConfig)
