"""Every failure of a socket, on top of the venues that say several trades in one frame."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import (
    CorruptMode,
    DelayMode,
    FailureMode,
    FlappingMode,
    Mode,
    PingFloodMode,
    RefuseMode,
    ReorderMode,
    SelectMode,
    SymbolSilentMode,
    WrongTypesMode,
)
from gapless.simulator.garble import CORRUPT, WRONG_TYPES
from tests.venues.batching_kit import (
    Tongue,
    batch,
    both,
    fail,
    ids,
    issued,
    listening,
    rows,
    said,
    subscribed,
)
from tests.venues.simulator_kit import simulated


@both
async def test_silence_takes_signs_of_life_and_answers_with_it(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        fail(world, silent_connection=FailureMode(enabled=True, after_messages=0))
        await said(world, tongue.symbols[0])
        await client.say(tongue.ping)
        assert await client.hears_nothing(10.0)
        assert world.venue.hub.sessions, "it is silent, not closed"
        world.venue.behave()
        await said(world, tongue.symbols[0])
        assert await ids(tongue, client, 1) == [3, 4, 5]


@both
async def test_an_acknowledgement_and_then_nothing(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        fail(world, acknowledged_silent=Mode(enabled=True))
        await subscribed(tongue, client)
        await said(world, tongue.symbols[0])
        assert await client.hears_nothing(10.0)


@both
async def test_pong_only_answers_and_says_nothing_else(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        fail(world, pong_only=FailureMode(enabled=True, after_messages=0))
        await said(world, tongue.symbols[0])
        for _ in range(3):
            await client.say(tongue.ping)
            assert tongue.pong(await client.hear())
        assert await client.hears_nothing(10.0)


@both
async def test_drop_and_duplicate_take_a_frame_by_any_of_its_ids(autojump_clock: MockClock, tongue: Tongue) -> None:
    first = tongue.venue().first_trade_id
    async with listening(tongue) as (world, client):
        fail(
            world,
            drop=SelectMode(enabled=True, ids=(first + 4,)),
            duplicate=SelectMode(enabled=True, ids=(first + 8,)),
        )
        await said(world, tongue.symbols[0], count=4)
        assert await ids(tongue, client, 4) == [0, 1, 2, 6, 7, 8, 6, 7, 8, 9, 10, 11]
        assert await rows(world, tongue) == issued(world, tongue), "REST has them all"


@both
async def test_a_frame_is_overtaken(autojump_clock: MockClock, tongue: Tongue) -> None:
    first = tongue.venue().first_trade_id
    async with listening(tongue) as (world, client):
        fail(world, reorder=ReorderMode(enabled=True, ids=(first,), distance=1, hold_s=60.0))
        await said(world, tongue.symbols[0], count=2)
        assert await ids(tongue, client, 2) == [3, 4, 5, 0, 1, 2]


@both
async def test_a_delay_keeps_the_order(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        fail(world, delay=DelayMode(enabled=True, delay_s=3.0))
        begin = trio.current_time()
        await said(world, tongue.symbols[0], count=3)
        assert await ids(tongue, client, 3) == list(range(9))
        assert 3.2 < trio.current_time() - begin < 3.8


@both
async def test_one_symbol_falls_silent_until_it_is_subscribed_again(autojump_clock: MockClock, tongue: Tongue) -> None:
    dead, alive = tongue.symbols
    async with listening(tongue, dead, alive) as (world, client):
        fail(world, symbol_silent=SymbolSilentMode(enabled=True, symbols=(dead,), after_messages=0, count=1))
        await said(world, dead, alive, count=2)
        for _ in range(2):
            assert {each[tongue.symbol] for each in await batch(tongue, client)} == {alive}
        await client.say(tongue.wish(dead, leave=True))
        while "result" not in await client.hear():
            pass
        await subscribed(tongue, client, dead)
        await said(world, dead)
        assert (await batch(tongue, client))[0][tongue.symbol] == dead


@both
async def test_connections_drop_and_flap(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        fail(world, disconnect=FailureMode(enabled=True, after_messages=2))
        await said(world, tongue.symbols[0], count=2)
        assert await ids(tongue, client, 2) == [0, 1, 2, 3, 4, 5]
        assert await client.is_dropped()
        fail(world, flapping=FlappingMode(enabled=True, up_min_s=2.0, up_max_s=2.0))
        async with world.dial() as again:
            await subscribed(tongue, again)
            await trio.sleep(1.5)
            assert world.venue.hub.sessions
            await trio.sleep(1.0)
            assert not world.venue.hub.sessions


@both
async def test_a_ping_flood(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        fail(world, ping_flood=PingFloodMode(enabled=True, pings_per_s=100.0))
        await said(world, tongue.symbols[0])
        assert await ids(tongue, client, 1) == [0, 1, 2]
        assert world.venue.injected == {"ping_flood": 1}


@both
@pytest.mark.parametrize("how", CORRUPT)
async def test_a_corrupt_frame_is_no_message_of_the_venue(autojump_clock: MockClock, tongue: Tongue, how: str) -> None:
    async with listening(tongue) as (world, client):
        fail(world, corrupt=CorruptMode(enabled=True, probability=1.0, how=(how,), huge_bytes=1_000))  # type: ignore[arg-type]
        world.publish(2, tongue.symbols[0])
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
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_wrong_type_is_in_one_trade_of_a_frame(
    autojump_clock: MockClock, tongue: Tongue, how: str, size: int
) -> None:
    symbol = tongue.symbols[0]
    async with listening(tongue) as (world, client):
        fail(world, wrong_types=WrongTypesMode(enabled=True, probability=1.0, how=(how,)))  # type: ignore[arg-type]
        for _ in range(size):
            world.venue.publish(symbol, price="105944.20", amount="0.00027600")
        text = str(await client.socket.get_message())
        wrong = msgspec.json.decode(text)
        if how.startswith("type"):
            assert wrong.get(tongue.type) == ("ORDER_BOOK" if how == "type_unknown" else None)
            return
        entries = tongue.entries(wrong)
        assert entries is not None
        assert len(entries) == size
        fields = {"id": tongue.id, "price": "price", "symbol": tongue.symbol}
        field = fields[how.partition("_")[0]]
        right = [
            {tongue.id: trade.trade_id, "price": float(trade.price), tongue.symbol: symbol}[field]
            for trade in world.venue.trades(symbol)
        ]
        spoilt = [value for value, entry in zip(right, entries, strict=True) if entry.get(field, "missing") != value]
        assert len(spoilt) == 1, "one trade, whichever, and only this field"
        price_is_spoilt = field == "price"
        assert text.count('"price":105944.20,') == size - price_is_spoilt, "the digits of the others stay"


@both
async def test_a_refused_handshake(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        fail(world, refuse=RefuseMode(enabled=True, how="http_429", retry_after_s=7, count=1))
        assert (await world.rejection()).status_code == 429
        async with world.dial() as client:
            await subscribed(tongue, client)
