"""The specification's own failure: after N messages a session hears nothing more, and its socket stays open."""

from typing import Any

import trio
from trio.testing import MockClock

from gapless.simulator import FailureMode, FailuresConfig, SilentConnectionStrategy
from tests.simulator.conftest import BTC, served

MESSAGE: dict[str, Any] = {"type": "MARKET_DATA", "sequence_id": 1}


def silent(after_messages: int, **more: Any) -> FailuresConfig:
    return FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=after_messages, **more))


async def test_messages_pass_up_to_the_threshold_and_are_dropped_after_it() -> None:
    strategy = SilentConnectionStrategy(after_messages=3)
    heard = [await strategy.apply_outbound(MESSAGE, "a") for _ in range(5)]
    assert heard == [MESSAGE, MESSAGE, MESSAGE, None, None]


async def test_the_seeds_default_is_ten() -> None:
    strategy = SilentConnectionStrategy()
    heard = [await strategy.apply_outbound(MESSAGE, "a") for _ in range(12)]
    assert heard.count(MESSAGE) == 10
    assert FailureMode() == FailureMode(enabled=False, after_messages=10)
    assert FailuresConfig().silent_connection is None


async def test_each_session_has_a_count_of_its_own() -> None:
    strategy = SilentConnectionStrategy(after_messages=2)
    for _ in range(3):
        await strategy.apply_outbound(MESSAGE, "a")
    assert await strategy.apply_outbound(MESSAGE, "a") is None
    assert await strategy.apply_outbound(MESSAGE, "b") is MESSAGE


async def test_a_silent_session_does_not_count_against_another() -> None:
    strategy = SilentConnectionStrategy(after_messages=2)
    assert await strategy.apply_outbound(MESSAGE, "b") is MESSAGE
    for _ in range(100):
        await strategy.apply_outbound(MESSAGE, "a")
    assert await strategy.apply_outbound(MESSAGE, "b") is MESSAGE
    assert await strategy.apply_outbound(MESSAGE, "b") is None


async def test_on_the_wire_welcome_and_acknowledgement_count_too(autojump_clock: MockClock) -> None:
    async with served(failures=silent(5)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(10)
        assert await client.ids(3) == [1, 2, 3]
        await client.ping()
        assert await client.hears_nothing(for_s=3_600)
        assert len(world.exchange.hub.sessions) == 1, "TCP stays open"
        assert world.exchange.injected == {"silent_connection": 1}


async def test_a_reconnect_begins_a_new_count(autojump_clock: MockClock) -> None:
    async with served(failures=silent(3)) as world:
        for expected in (1, 11):
            async with world.welcomed() as client:
                await client.subscribe(BTC)
                world.publish(10)
                assert await client.ids(1) == [expected]
                assert await client.hears_nothing()
        assert world.exchange.injected["silent_connection"] == 2


async def test_it_can_happen_once_and_be_over(autojump_clock: MockClock) -> None:
    """What a demo wants: the first connection goes silent, the next one is whole."""
    async with served(failures=silent(3, count=1)) as world:
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            world.publish(10)
            assert await client.ids(1) == [1]
            assert await client.hears_nothing()
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            world.publish(10)
            assert await client.ids(10) == list(range(11, 21))


async def test_it_can_last_for_a_while(autojump_clock: MockClock) -> None:
    async with served(failures=silent(2, duration_s=10.0)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(5)
        await trio.sleep(9.5)
        world.publish(1)
        await trio.sleep(1.0)
        world.publish(1)
        assert await client.ids(1) == [7]


async def test_one_session_is_silent_and_another_is_not(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("a") as client, world.welcomed("b") as other:
        await client.subscribe(BTC)
        await other.subscribe(BTC)
        world.exchange.failures.set(silent(2), session_id="a")
        world.publish(5)
        assert await client.ids(2) == [1, 2]
        assert await client.hears_nothing()
        assert await other.ids(5) == [1, 2, 3, 4, 5]


async def test_a_session_is_exempt_by_its_own_setting(autojump_clock: MockClock) -> None:
    async with served(failures=silent(2)) as world:
        world.exchange.failures.set(FailuresConfig(silent_connection=FailureMode(enabled=False)), session_id="vip")
        async with world.welcomed("vip") as vip, world.welcomed("a") as client:
            await vip.subscribe(BTC)
            await client.subscribe(BTC)
            world.publish(5)
            assert await vip.ids(5) == [1, 2, 3, 4, 5]
            assert await client.hears_nothing()


async def test_switched_on_live_it_counts_from_then_and_switched_off_it_ends(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client, world.rest() as rest:
        await client.subscribe(BTC)
        world.publish(100)
        assert len(await client.ids(100)) == 100
        await rest.put("/api/v1/simulator/failures", json={"silent_connection": {"enabled": True, "after_messages": 1}})
        world.publish(2)
        assert await client.ids(1) == [101]
        assert await client.hears_nothing()
        await rest.put("/api/v1/simulator/failures", json={})
        world.publish(1)
        assert await client.ids(1) == [103]
