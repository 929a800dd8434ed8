"""Every failure on a socket: that it happens as said, is counted, and ends as said."""

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import (
    FailureMode,
    FailuresConfig,
    Mode,
    RefuseMode,
    ReorderMode,
    RestartMode,
    SelectMode,
    SettingsError,
)
from tests.simulator.conftest import BTC, ETH, HANDSHAKE, PATIENCE_S, Client, World, ended, served


async def arrived(client: Client) -> list[int]:
    """The ids of everything that comes until nothing more does."""
    ids: list[int] = []
    with trio.move_on_after(PATIENCE_S / 2):
        while True:
            ids.append((await client.hear())["sequence_id"])
    return ids


async def heard_of(world: World, count: int, session_id: str = "a") -> list[int]:
    """What a new connection hears of ``count`` messages."""
    async with world.welcomed(session_id) as client:
        await client.subscribe(BTC)
        world.publish(count)
        return await arrived(client)


def epochs_of(world: World) -> int:
    return len(world.exchange.issued.epochs)


# --- silence ----------------------------------------------------------------------------------------------------------


async def test_acknowledged_then_silent(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(acknowledged_silent=Mode(enabled=True))) as world:
        async with world.welcomed() as client:
            assert (await client.subscribe(BTC, "ticker:XXX"))["type"] == "SUBSCRIBED"
            assert (await client.hear())["type"] == "REJECTED"
            world.publish(5)
            await client.ping()
            assert await client.hears_nothing(for_s=600)
        assert world.exchange.injected == {"acknowledged_silent": 1}


async def test_pong_only(autojump_clock: MockClock) -> None:
    mode = FailureMode(enabled=True, after_messages=4)
    async with served(failures=FailuresConfig(pong_only=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(10)
        assert await client.ids(2) == [1, 2]
        for number in range(3):
            await client.ping(f"p-{number}")
            assert (await client.hear())["request_id"] == f"p-{number}"
        world.publish(10)
        assert (await client.hears_nothing()) is True
        assert world.exchange.injected == {"pong_only": 1}


# --- single messages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "heard"),
    [
        (SelectMode(enabled=True, ids=(2, 5)), [1, 3, 4, 6, 7, 8]),
        (SelectMode(enabled=True, every_nth=3), [1, 2, 4, 5, 7, 8]),
        (SelectMode(enabled=True, probability=1.0), []),
        (SelectMode(enabled=True, probability=1.0, count=3), [4, 5, 6, 7, 8]),
        (SelectMode(enabled=True, probability=1.0, symbols=("ETH/USD",)), [1, 2, 3, 4, 5, 6, 7, 8]),
        (SelectMode(enabled=False, probability=1.0), [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
async def test_drop(autojump_clock: MockClock, mode: SelectMode, heard: list[int]) -> None:
    async with served(failures=FailuresConfig(drop=mode)) as world:
        assert await heard_of(world, 8) == heard
        assert world.exchange.injected["drop"] == 8 - len(heard)
        assert world.exchange.last_id("ticker", "BTC/USD") == 8, "what is dropped was issued all the same"


async def test_only_data_is_dropped(autojump_clock: MockClock) -> None:
    mode = SelectMode(enabled=True, probability=1.0)
    async with served(failures=FailuresConfig(drop=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC, "orders:*")
        world.publish(3)
        world.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        assert world.exchange.injected == {"drop": 4}


async def test_chance_is_repeatable_and_each_connections_own(autojump_clock: MockClock) -> None:
    async def two_connections(seed: int, session_id: str) -> list[list[int]]:
        mode = SelectMode(enabled=True, probability=0.3)
        async with served(seed=seed, failures=FailuresConfig(drop=mode)) as world:
            first = await heard_of(world, 100, session_id)
            world.exchange.restart()
            return [first, await heard_of(world, 100, session_id)]

    once = await two_connections(1, "a")
    assert once == await two_connections(1, "a")
    assert once[0] != once[1]
    assert once != await two_connections(2, "a")
    assert once != await two_connections(1, "b")
    assert 50 <= len(once[0]) <= 90


async def test_duplicate(autojump_clock: MockClock) -> None:
    mode = SelectMode(enabled=True, ids=(2,))
    async with served(failures=FailuresConfig(duplicate=mode)) as world:
        assert await heard_of(world, 3) == [1, 2, 2, 3]
        assert world.exchange.injected == {"duplicate": 1}


@pytest.mark.parametrize(
    ("mode", "heard"),
    [
        (ReorderMode(enabled=True, ids=(2,)), [1, 3, 2, 4, 5, 6]),
        (ReorderMode(enabled=True, ids=(2,), distance=3), [1, 3, 4, 5, 2, 6]),
        (ReorderMode(enabled=True, probability=1.0), [2, 1, 4, 3, 6, 5]),
        (ReorderMode(enabled=True, ids=(2, 3), distance=2), [1, 3, 4, 2, 5, 6]),
        (ReorderMode(enabled=True, ids=(6,)), [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_reorder(autojump_clock: MockClock, mode: ReorderMode, heard: list[int]) -> None:
    async with served(failures=FailuresConfig(reorder=mode)) as world:
        assert await heard_of(world, 6) == heard


async def test_a_held_message_is_released_in_time_when_none_overtakes_it(autojump_clock: MockClock) -> None:
    mode = ReorderMode(enabled=True, ids=(3,), hold_s=2.0)
    async with served(failures=FailuresConfig(reorder=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(3)
        assert await client.ids(2) == [1, 2]
        begin = trio.current_time()
        assert await client.ids(1) == [3]
        assert trio.current_time() - begin == pytest.approx(2.0, abs=0.1)


async def test_only_data_overtakes(autojump_clock: MockClock) -> None:
    mode = ReorderMode(enabled=True, ids=(1,), hold_s=60.0)
    async with served(failures=FailuresConfig(reorder=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(1)
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        assert await client.hears_nothing()
        world.publish(1)
        assert await client.ids(2) == [2, 1]


async def test_a_held_message_is_let_go_when_the_failure_is_switched_off(autojump_clock: MockClock) -> None:
    mode = ReorderMode(enabled=True, ids=(3,), hold_s=60.0)
    async with served(failures=FailuresConfig(reorder=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(3)
        assert await arrived(client) == [1, 2]
        world.exchange.failures.clear()
        world.publish(1)
        assert await client.ids(2) == [3, 4]


async def test_failures_act_together(autojump_clock: MockClock) -> None:
    """A message duplicated may be reordered too, and both count towards the silence."""
    config = FailuresConfig(
        drop=SelectMode(enabled=True, ids=(1,)),
        duplicate=SelectMode(enabled=True, ids=(2,)),
        reorder=ReorderMode(enabled=True, ids=(3,)),
        silent_connection=FailureMode(enabled=True, after_messages=6),
    )
    async with served(failures=config) as world:
        assert await heard_of(world, 10) == [2, 2, 4, 3]
        assert world.exchange.injected == {"drop": 1, "duplicate": 1, "reorder": 1, "silent_connection": 1}


# --- connections ------------------------------------------------------------------------------------------------------


async def test_disconnect_after_so_many_messages(autojump_clock: MockClock) -> None:
    mode = FailureMode(enabled=True, after_messages=4, count=2)
    async with served(failures=FailuresConfig(disconnect=mode)) as world:
        for begin in (1, 11):
            async with world.welcomed() as client:
                await client.subscribe(BTC)
                world.publish(10)
                assert await client.ids(2) == [begin, begin + 1]
                assert await client.is_dropped()
        assert await heard_of(world, 10) == list(range(21, 31))
        assert world.exchange.injected == {"disconnect": 2}


async def test_a_disconnect_after_no_message_comes_before_welcome(autojump_clock: MockClock) -> None:
    mode = FailureMode(enabled=True, after_messages=0)
    async with served(failures=FailuresConfig(disconnect=mode)) as world, world.dial() as client:
        assert await client.is_dropped()


async def test_refuse_by_closing(autojump_clock: MockClock) -> None:
    mode = RefuseMode(enabled=True, count=2)
    async with served(failures=FailuresConfig(refuse=mode)) as world:
        for _ in range(2):
            async with world.tcp(world.endpoints.ws_url) as stream:
                await stream.send_all(HANDSHAKE)
                assert await stream.receive_some() == b""
        async with world.welcomed():
            pass
        assert world.exchange.injected == {"refuse": 2}


async def test_refuse_with_503(autojump_clock: MockClock) -> None:
    mode = RefuseMode(enabled=True, how="http_503", retry_after_s=7, count=1)
    async with served(failures=FailuresConfig(refuse=mode)) as world:
        rejected = await world.rejection()
        assert rejected.status_code == 503
        assert dict(rejected.headers)[b"retry-after"] == b"7"
        async with world.welcomed():
            pass


async def test_a_stalled_handshake_is_never_answered(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(stalled_handshake=Mode(enabled=True, count=1))) as world:
        async with world.tcp(world.endpoints.ws_url) as stream:
            await stream.send_all(HANDSHAKE)
            with trio.move_on_after(120) as patience:
                await stream.receive_some()
            assert patience.cancelled_caught
        async with world.welcomed():
            pass
        assert world.exchange.injected == {"stalled_handshake": 1}


async def test_one_sessions_connections_are_refused_and_no_others(autojump_clock: MockClock) -> None:
    async with served() as world:
        config = FailuresConfig(refuse=RefuseMode(enabled=True, how="http_503"))
        world.exchange.failures.set(config, session_id="a")
        assert (await world.rejection("a")).status_code == 503
        async with world.welcomed("b"):
            pass


async def test_a_used_up_failure_is_used_up_for_its_session_only(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(refuse=RefuseMode(enabled=True, how="http_503", count=1))) as world:
        for session_id in ("a", "b"):
            assert (await world.rejection(session_id)).status_code == 503
            async with world.welcomed(session_id):
                pass


# --- the whole exchange -----------------------------------------------------------------------------------------------


async def test_restart_by_the_clock(autojump_clock: MockClock) -> None:
    async with served() as world:
        mode = RestartMode(enabled=True, after_s=10.0, downtime_s=2.0, count=2)
        world.exchange.failures.set(FailuresConfig(restart=mode))
        world.publish(1)
        begun = world.exchange.epoch
        await trio.sleep(9.9)
        assert world.exchange.epoch == begun
        world.exchange.failures.set(FailuresConfig(), session_id="a")  # another session's settings change no timer
        await trio.sleep(0.2)
        assert world.exchange.is_down
        world.exchange.failures.set(FailuresConfig(), session_id="a")
        await trio.sleep(11)
        assert epochs_of(world) == 2
        await trio.sleep(100)
        assert epochs_of(world) == 3
        assert world.exchange.injected == {"restart": 2}


async def test_a_restart_can_be_called_off(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(restart=RestartMode(enabled=True, after_s=10.0))) as world:
        await trio.sleep(5)
        world.exchange.failures.clear()
        await trio.sleep(100)
        assert epochs_of(world) == 1


async def test_a_restart_cannot_be_set_for_one_session(autojump_clock: MockClock) -> None:
    async with served() as world:
        with pytest.raises(SettingsError, match="concerns all sessions"):
            world.exchange.failures.set(FailuresConfig(restart=RestartMode(enabled=True)), session_id="a")


async def test_a_change_for_all_leaves_a_sessions_own_counters_alone(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        own = FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=3))
        world.exchange.failures.set(own, session_id="a")
        await client.subscribe(BTC, ETH)
        world.publish(1)
        assert await client.ids(1) == [1]
        world.exchange.failures.set(FailuresConfig(drop=SelectMode(enabled=True, ids=(99,))))
        world.publish(5)
        assert await client.ids(1) == [2]
        assert await client.hears_nothing()


async def test_too_many_sessions_with_failures_of_their_own_are_refused(autojump_clock: MockClock) -> None:
    async with served() as world:
        for number in range(1_000):
            world.exchange.failures.set(FailuresConfig(refuse=RefuseMode()), session_id=f"s-{number}")
        with pytest.raises(SettingsError, match="clear some first"):
            world.exchange.failures.set(FailuresConfig(refuse=RefuseMode()), session_id="one-more")
        world.exchange.failures.set(FailuresConfig(), session_id="s-0")
        world.exchange.failures.set(FailuresConfig(refuse=RefuseMode()), session_id="one-more")


async def test_a_stalled_handshake_ends_with_a_restart(autojump_clock: MockClock) -> None:
    config = FailuresConfig(stalled_handshake=Mode(enabled=True))
    async with served(failures=config) as world, world.tcp(world.endpoints.ws_url) as stream:
        await stream.send_all(HANDSHAKE)
        await trio.sleep(1)
        world.exchange.restart()
        with trio.fail_after(1):
            assert await ended(stream)
