"""Every failure of the simulator, on top of the venues' own languages."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import (
    ClockSkewMode,
    CorruptMode,
    DelayMode,
    EvictedMode,
    FailureMode,
    FailuresConfig,
    FlappingMode,
    Mode,
    PingFloodMode,
    RateLimitMode,
    RefuseMode,
    ReorderMode,
    RestartMode,
    RestMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
    StaleReplyMode,
    SymbolSilentMode,
    WrongReplyMode,
    WrongTypesMode,
)
from gapless.simulator.garble import CORRUPT, WRONG_TYPES
from gapless.simulator.rest_garble import WRONG_REPLIES
from gapless.simulator.venues import BinanceSpot, CoinbaseExchange, Venue, VenueTrade
from tests.simulator.conftest import Client
from tests.venues.simulator_kit import ADDRESS, VenueWorld, simulated


@dataclass(frozen=True, kw_only=True)
class Tongue:
    """How a test speaks to a venue."""

    venue: Callable[[], Venue]
    symbols: tuple[str, str]
    subscribe: Callable[..., dict[str, object]]
    data: Callable[[dict[str, Any]], dict[str, Any]]
    id: str
    price: str
    symbol: str
    type: str
    history: Callable[[str], str]
    row_id: str
    error: frozenset[str]


def binance_wish(*symbols: str) -> dict[str, object]:
    return {"method": "SUBSCRIBE", "params": [f"{symbol.lower()}@trade" for symbol in symbols], "id": 1}


def coinbase_wish(*symbols: str) -> dict[str, object]:
    return {"type": "subscribe", "product_ids": list(symbols), "channels": ["matches"]}


BINANCE: Final = Tongue(
    venue=BinanceSpot,
    symbols=("BTCUSDT", "ETHUSDT"),
    subscribe=binance_wish,
    data=lambda message: message,
    id="t",
    price="p",
    symbol="s",
    type="e",
    history=lambda symbol: f"/api/v3/historicalTrades?symbol={symbol}",
    row_id="id",
    error=frozenset({"code", "msg"}),
)
COINBASE: Final = Tongue(
    venue=CoinbaseExchange,
    symbols=("BTC-USD", "ETH-USD"),
    subscribe=coinbase_wish,
    data=lambda message: message,
    id="trade_id",
    price="price",
    symbol="product_id",
    type="type",
    history=lambda symbol: f"/products/{symbol}/trades",
    row_id="trade_id",
    error=frozenset({"message"}),
)

both = pytest.mark.parametrize("tongue", [BINANCE, COINBASE], ids=["binance", "coinbase"])


async def subscribed(tongue: Tongue, client: Client, *symbols: str) -> None:
    await client.say(tongue.subscribe(*(symbols or tongue.symbols[:1])))
    await client.hear()


async def heard(tongue: Tongue, client: Client, count: int) -> list[int]:
    return [tongue.data(message)[tongue.id] for message in await client.hear_many(count)]


def issued(world: VenueWorld, tongue: Tongue) -> list[int]:
    return [trade.trade_id for trade in world.venue.trades(tongue.symbols[0])]


def fail(world: VenueWorld, **modes: Mode) -> None:
    world.venue.failures.set(FailuresConfig(**modes))  # type: ignore[arg-type]


async def rows(world: VenueWorld, tongue: Tongue) -> list[int]:
    reply = await world.get(tongue.history(tongue.symbols[0]))
    return sorted(row[tongue.row_id] for row in reply.json())


# --- on the socket --------------------------------------------------------------------------------------------------


@both
async def test_silence_begins_after_so_many_messages_and_follows_the_address(
    autojump_clock: MockClock, tongue: Tongue
) -> None:
    async with simulated(tongue.venue()) as world:
        fail(world, silent_connection=FailureMode(enabled=True, after_messages=3, count=2))
        for _ in range(2):
            async with world.dial() as client:
                await subscribed(tongue, client)
                world.publish(5, tongue.symbols[0])
                await client.hear_many(2)
                assert await client.hears_nothing(10.0)
                assert world.venue.hub.sessions, "it is silent, not closed"
        async with world.dial() as client:
            await subscribed(tongue, client)
            world.publish(5, tongue.symbols[0])
            assert len(await client.hear_many(5)) == 5, "used up: both times it was this client"
        assert world.venue.injected == {"silent_connection": 2}


@both
async def test_one_command_silences_and_another_ends_it(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        world.venue.go_silent()
        world.publish(1, tongue.symbols[0])
        assert await client.hears_nothing(10.0)
        world.venue.behave()
        world.publish(1, tongue.symbols[0])
        assert await heard(tongue, client, 1) == issued(world, tongue)[1:]


@both
async def test_an_acknowledgement_and_then_nothing(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, acknowledged_silent=Mode(enabled=True))
        await subscribed(tongue, client)
        world.publish(5, tongue.symbols[0])
        assert await client.hears_nothing(10.0)


@both
async def test_pong_only_leaves_the_websockets_own_pongs(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, pong_only=FailureMode(enabled=True, after_messages=1))
        await subscribed(tongue, client)
        world.publish(5, tongue.symbols[0])
        assert await client.hears_nothing(10.0)
        with trio.fail_after(5):
            await client.socket.ping()


@both
async def test_drop_duplicate_and_reorder(autojump_clock: MockClock, tongue: Tongue) -> None:
    first = tongue.venue().first_trade_id
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        fail(
            world,
            drop=SelectMode(enabled=True, ids=(first + 1,)),
            duplicate=SelectMode(enabled=True, ids=(first + 2,)),
            reorder=ReorderMode(enabled=True, ids=(first + 3,), distance=2),
        )
        world.publish(7, tongue.symbols[0])
        got = [each - first for each in await heard(tongue, client, 7)]
        assert got == [0, 2, 2, 4, 5, 3, 6]
        assert await rows(world, tongue) == issued(world, tongue), "REST has them all"


@both
async def test_a_delay_keeps_the_order(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        fail(world, delay=DelayMode(enabled=True, delay_s=3.0))
        world.publish(3, tongue.symbols[0])
        begin = trio.current_time()
        assert await heard(tongue, client, 3) == issued(world, tongue)
        assert trio.current_time() - begin == pytest.approx(3.0, abs=0.1)


@both
async def test_one_symbol_falls_silent_until_it_is_subscribed_again(autojump_clock: MockClock, tongue: Tongue) -> None:
    dead, alive = tongue.symbols
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client, dead, alive)
        fail(world, symbol_silent=SymbolSilentMode(enabled=True, symbols=(dead,), after_messages=0, count=1))
        world.publish(2, dead)
        world.publish(2, alive)
        assert {each[tongue.symbol] for each in await client.hear_many(2)} == {alive}
        await subscribed(tongue, client, dead)
        world.publish(1, dead)
        assert (await client.hear())[tongue.symbol] == dead


@both
async def test_a_disconnect_after_so_many_messages(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, disconnect=FailureMode(enabled=True, after_messages=3))
        await subscribed(tongue, client)
        world.publish(5, tongue.symbols[0])
        assert await heard(tongue, client, 2) == issued(world, tongue)[:2]
        assert await client.is_dropped()


@both
async def test_connections_flap(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, flapping=FlappingMode(enabled=True, up_min_s=2.0, up_max_s=2.0))
        await subscribed(tongue, client)
        await trio.sleep(1.5)
        assert world.venue.hub.sessions
        await trio.sleep(1.0)
        assert not world.venue.hub.sessions


@both
async def test_a_ping_flood(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, ping_flood=PingFloodMode(enabled=True, pings_per_s=100.0))
        await subscribed(tongue, client)
        await trio.sleep(2.0)
        world.publish(1, tongue.symbols[0])
        assert await heard(tongue, client, 1) == issued(world, tongue)
        assert world.venue.injected == {"ping_flood": 1}


@both
@pytest.mark.parametrize("how", CORRUPT)
async def test_a_corrupt_frame_is_no_message_of_the_venue(autojump_clock: MockClock, tongue: Tongue, how: str) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        fail(world, corrupt=CorruptMode(enabled=True, probability=1.0, how=(how,), huge_bytes=1_000))  # type: ignore[arg-type]
        world.publish(1, tongue.symbols[0])
        text = await client.socket.get_message()
        if how == "huge":
            assert len(text) > 1_000
            return
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
        assert not isinstance(message, dict), f"{how} was to spoil the frame"


@both
@pytest.mark.parametrize("how", WRONG_TYPES)
async def test_a_wrong_type_is_in_a_field_of_the_venues_own(
    autojump_clock: MockClock, tongue: Tongue, how: str
) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        world.publish(1, tongue.symbols[0])
        right = await client.hear()
        fail(world, wrong_types=WrongTypesMode(enabled=True, probability=1.0, how=(how,)))  # type: ignore[arg-type]
        world.publish(1, tongue.symbols[0])
        wrong = await client.hear()
        field = {"id": tongue.id, "price": tongue.price, "symbol": tongue.symbol, "type": tongue.type}[
            how.partition("_")[0]
        ]
        assert set(right) - set(wrong) <= {field}
        assert [name for name in right if type(wrong.get(name)) is not type(right[name])] in ([field], [])
        changed = {
            "id_jump": lambda: wrong[field] > right[field] + 10**11,
            "id_backwards": lambda: wrong[field] < right[field],
            "id_negative": lambda: wrong[field] == -1,
            "price_text": lambda: wrong[field] == "cheap",
            "type_unknown": lambda: wrong[field] == "ORDER_BOOK",
        }
        by_type = type(wrong.get(field)) is not type(right[field])
        assert by_type or changed[how]()


async def test_a_wrong_type_is_found_inside_a_combined_event(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world, world.dial("/stream?streams=btcusdt@trade") as client:
        await trio.sleep(0.1)
        fail(world, wrong_types=WrongTypesMode(enabled=True, probability=1.0, how=("id_text",)))
        world.publish(1, "BTCUSDT")
        message = await client.hear()
        assert message["stream"] == "btcusdt@trade"
        assert message["data"]["t"] == str(world.venue.trades("BTCUSDT")[0].trade_id)


@both
async def test_a_refused_handshake(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        fail(world, refuse=RefuseMode(enabled=True, how="http_429", retry_after_s=7, count=1))
        rejected = await world.rejection()
        assert (rejected.status_code, dict(rejected.headers or ())[b"retry-after"]) == (429, b"7")
        async with world.dial() as client:
            await subscribed(tongue, client)
        assert [each.outcome for each in world.venue.handshakes] == ["rejected", "accepted"]


# --- over REST ------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("modes", "status"),
    [
        ({"rate_limited": RateLimitMode(enabled=True, retry_after_s=9)}, 429),
        ({"rate_limited": RateLimitMode(enabled=True, status=418, retry_after_s=9)}, 418),
        ({"server_error": ServerErrorMode(enabled=True, status=502)}, 502),
    ],
    ids=["429", "418", "502"],
)
async def test_an_injected_error_has_the_venues_form(
    autojump_clock: MockClock, tongue: Tongue, modes: dict[str, Mode], status: int
) -> None:
    async with simulated(tongue.venue()) as world:
        fail(world, **modes)
        reply = await world.get(tongue.history(tongue.symbols[0]))
        assert (reply.status_code, set(reply.json())) == (status, set(tongue.error))
        assert reply.headers.get("Retry-After") == (None if status == 502 else "9")
        assert len(world.venue.weight_log) == 1, "what a failure answers has cost its weight"
        assert world.venue.weight_log[0].status == 200, "the venue's own limit did not refuse it"


async def test_an_injected_error_of_binance_tells_the_used_weight(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        fail(world, server_error=ServerErrorMode(enabled=True))
        reply = await world.get("/api/v3/aggTrades?symbol=BTCUSDT")
        assert (reply.status_code, reply.headers["X-MBX-USED-WEIGHT-1M"]) == (503, "4")


@both
async def test_a_stale_reply_ends_so_many_trades_ago(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(10, tongue.symbols[0])
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=4, count=1))
        assert await rows(world, tongue) == issued(world, tongue)[:-4]
        assert await rows(world, tongue) == issued(world, tongue)
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=40))
        assert await rows(world, tongue) == []


async def test_stale_aggregates_consist_of_the_trades_that_are_shown(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot(), rate_per_s=50.0, symbols=("BTCUSDT",)) as world:
        await trio.sleep(2.0)
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=30))
        shown = (await world.get("/api/v3/aggTrades?symbol=BTCUSDT")).json()
        assert shown[-1]["l"] <= world.venue.trades("BTCUSDT")[-31].trade_id
        assert all(earlier["a"] + 1 == later["a"] for earlier, later in pairwise(shown))


@both
async def test_an_evicted_history_shows_the_last_alone(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(10, tongue.symbols[0])
        fail(world, evicted_history=EvictedMode(enabled=True, keep=3))
        assert await rows(world, tongue) == issued(world, tongue)[-3:]


@both
@pytest.mark.parametrize("how", WRONG_REPLIES)
async def test_a_wrong_reply_is_nonsense_of_the_venue(autojump_clock: MockClock, tongue: Tongue, how: str) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(1, tongue.symbols[0])
        fail(world, wrong_reply=WrongReplyMode(enabled=True, how=(how,)))  # type: ignore[arg-type]
        reply = await world.get(tongue.history(tongue.symbols[0]))
        assert (reply.status_code, reply.text) == (200, world.venue.rest_form.wrong[how])
        assert reply.text != "[]", "an empty page is not nonsense"


@both
async def test_a_cut_and_a_slow_reply(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(3, tongue.symbols[0])
        fail(world, cut_reply=RestMode(enabled=True, count=1), slow_reply=SlowReplyMode(enabled=True, delay_s=2.0))
        begin = trio.current_time()
        with pytest.raises(httpx.RemoteProtocolError):
            await rows(world, tongue)
        assert await rows(world, tongue) == issued(world, tongue)
        assert trio.current_time() - begin == pytest.approx(4.0, abs=0.2)


# --- of the whole ---------------------------------------------------------------------------------------------------


@both
async def test_a_restart_drops_all_and_numbers_go_on(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        async with world.dial() as client:
            await subscribed(tongue, client)
            world.publish(2, tongue.symbols[0])
            await client.hear_many(2)
            world.venue.restart(downtime_s=10.0)
            assert await client.is_dropped()
        with pytest.raises(OSError, match=world.endpoints.ws_url.split(":")[2].split("/")[0]):
            async with world.dial():
                pass
        world.publish(1, tongue.symbols[0])
        await trio.sleep(10.1)
        async with world.dial() as client:
            await subscribed(tongue, client)
        assert await rows(world, tongue) == issued(world, tongue)
        assert len(issued(world, tongue)) == 3
        first = tongue.venue().first_trade_id
        assert issued(world, tongue) == [first, first + 1, first + 2]


@both
async def test_a_restart_by_the_clock(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        fail(world, restart=RestartMode(enabled=True, after_s=5.0))
        await trio.sleep(4.9)
        assert world.venue.hub.sessions
        await trio.sleep(0.2)
        assert not world.venue.hub.sessions


@both
async def test_a_clock_that_is_off_shows_in_times_that_never_fall(autojump_clock: MockClock, tongue: Tongue) -> None:
    def when() -> VenueTrade:
        return world.venue.publish(tongue.symbols[0])

    async with simulated(tongue.venue()) as world:
        before = when()
        fail(world, clock_skew=ClockSkewMode(enabled=True, offset_s=60.0))
        skewed = when()
        assert skewed.time_ns - before.time_ns == 60 * 10**9
        world.venue.behave()
        assert when().time_ns == skewed.time_ns


@both
async def test_the_control_api_is_at_the_venues_rest_port(autojump_clock: MockClock, tongue: Tongue) -> None:
    path = "/api/v1/simulator"
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client)
        drop = {"drop": {"enabled": True, "every_nth": 2}}
        assert (await world.client.put(f"{path}/sessions/{ADDRESS}/failures", json=drop)).status_code == 200
        world.publish(4, tongue.symbols[0])
        assert await heard(tongue, client, 2) == issued(world, tongue)[::2]
        unknown = {"drop": {"enabled": True, "every_nth": 2, "symbols": ["NOSUCH"]}}
        refused = await world.client.put(f"{path}/failures", json=unknown)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_failures")
        fail(world, server_error=ServerErrorMode(enabled=True))
        assert (await world.get(f"{path}/failures")).status_code == 200, "no failure touches it"
        restarted = await world.client.post(f"{path}/restart", json={"downtime_s": 0.0})
        assert restarted.json() == {"downtime_s": 0.0}
        assert await client.is_dropped()
