"""One kind of failure switched while all others go on, and the two words for a test: go silent, behave."""

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import (
    ClockSkewMode,
    DelayMode,
    FailureMode,
    FailuresConfig,
    RefuseMode,
    ReorderMode,
    RestartMode,
    SelectMode,
    SettingsError,
)
from gapless.simulator.failures import KINDS, FailureControl
from tests.simulator.conftest import BTC, served

SILENT = FailureMode(enabled=True, after_messages=3)


# --- switch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session_id", [None, "a"])
def test_every_other_rule_stays_the_very_one_it_was(session_id: str | None) -> None:
    control = FailureControl(FailuresConfig())
    control.set(FailuresConfig(silent_connection=SILENT, refuse=RefuseMode(enabled=True)), session_id)
    silent, refuse = (control.rule(kind, "a") for kind in ("silent_connection", "refuse"))
    control.switch("drop", SelectMode(enabled=True, ids=(1,)), session_id)
    control.switch("refuse", RefuseMode(enabled=True), session_id)
    assert control.rule("silent_connection", "a") is silent
    assert control.rule("refuse", "a") is not refuse, "the kind that is switched begins anew"
    assert control.get(session_id) == FailuresConfig(
        silent_connection=SILENT, refuse=RefuseMode(enabled=True), drop=SelectMode(enabled=True, ids=(1,))
    )
    for kind in ("drop", "refuse", "silent_connection"):
        control.switch(kind, None, session_id)
    assert control.get(session_id) == FailuresConfig()
    assert control.session_ids == ()
    assert all(control.rule(kind, "a") is None for kind in KINDS)


async def test_who_is_silent_stays_silent_and_set_makes_everything_anew(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(silent_connection=SILENT)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(3)
        assert await client.ids(1) == [1]
        world.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(99,)))
        world.publish(3)
        assert await client.hears_nothing()
        world.exchange.failures.set(world.exchange.failures.get())
        world.publish(5)
        assert await client.ids(3) == [7, 8, 9], "a new rule counts from now"
        assert await client.hears_nothing()


async def test_a_budget_and_a_duration_go_on(autojump_clock: MockClock) -> None:
    config = FailuresConfig(
        drop=SelectMode(enabled=True, probability=1.0, count=2),
        duplicate=SelectMode(enabled=True, probability=1.0, duration_s=10.0),
    )
    async with served(failures=config) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(1)
        await trio.sleep(9)
        world.exchange.failures.switch("delay", DelayMode(enabled=True, delay_s=0.0))
        world.publish(2)
        assert await client.ids(2) == [3, 3], "one more is dropped, none is after it"
        await trio.sleep(2)
        world.publish(1)
        assert await client.ids(1) == [4]
        assert await client.hears_nothing()


async def test_what_is_held_back_by_another_kind_stays_held(autojump_clock: MockClock) -> None:
    mode = ReorderMode(enabled=True, ids=(1,), hold_s=60.0)
    async with served(failures=FailuresConfig(reorder=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.publish(1)
        await trio.sleep(0.1)
        world.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(99,)))
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        world.publish(1)
        assert await client.ids(2) == [2, 1]


async def test_it_takes_hold_of_an_open_connection(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("a") as client, world.welcomed("b") as other:
        await client.subscribe(BTC)
        await other.subscribe(BTC)
        world.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(1,)), "a")
        world.publish(2)
        assert await client.ids(1) == [2]
        assert await other.ids(2) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "mode", "session_id", "says"),
    [
        ("silence", SILENT, None, "there is no failure 'silence'; known are silent_connection, "),
        ("drop", SILENT, None, "FailuresConfig.drop = FailureMode"),
        ("restart", RestartMode(enabled=True), "a", "FailuresConfig.restart concerns all sessions"),
        ("clock_skew", ClockSkewMode(enabled=True), "a", "FailuresConfig.clock_skew concerns all sessions"),
    ],
)
def test_what_cannot_be_switched_changes_nothing(
    kind: str, mode: FailureMode, session_id: str | None, says: str
) -> None:
    control = FailureControl(FailuresConfig(silent_connection=SILENT))
    version = control.version
    with pytest.raises(SettingsError, match=says):
        control.switch(kind, mode, session_id)
    assert (control.version, control.get(session_id)) == (
        version,
        FailuresConfig() if session_id else FailuresConfig(silent_connection=SILENT),
    )


def test_too_many_sessions_with_failures_of_their_own_are_refused() -> None:
    control = FailureControl(FailuresConfig())
    for number in range(1_000):
        control.switch("refuse", RefuseMode(), f"s-{number}")
    with pytest.raises(SettingsError, match="clear some first"):
        control.switch("refuse", RefuseMode(), "one-more")
    control.switch("refuse", None, "one-more")
    control.switch("refuse", None, "s-0")
    control.switch("refuse", RefuseMode(), "one-more")


# --- go silent, behave ------------------------------------------------------------------------------------------------


async def test_a_session_goes_silent_at_once_and_its_next_connection_speaks(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("b") as other:
        await other.subscribe(BTC)
        async with world.welcomed("a") as client:
            await client.subscribe(BTC)
            world.exchange.go_silent("a")
            world.publish(2)
            await client.ping()
            assert await client.hears_nothing(for_s=600)
        async with world.welcomed("a") as client:
            await client.subscribe(BTC)
            world.publish(1)
            assert await client.ids(1) == [3]
        assert await other.ids(3) == [1, 2, 3]


@pytest.mark.parametrize(("connections", "silent"), [(1, 1), (2, 2), (None, 5)])
async def test_so_many_connections_in_a_row(connections: int | None, silent: int, autojump_clock: MockClock) -> None:
    async with served() as world:
        world.exchange.go_silent(connections=connections)
        for number in range(5):
            async with world.dial() as client:
                assert await client.hears_nothing() is (number < silent)


async def test_everybody_goes_silent_whatever_was_set_for_one(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("a") as client, world.welcomed("b") as other:
        world.exchange.failures.switch("silent_connection", FailureMode(enabled=False), "a")
        world.exchange.go_silent()
        for each in (client, other):
            await each.ping()
            assert await each.hears_nothing()


async def test_a_session_behaves_again_and_the_others_do_not(autojump_clock: MockClock) -> None:
    """Its own failures are off and those of all sessions hold for it no more; the exchange's clock is off for all."""
    config = FailuresConfig(
        drop=SelectMode(enabled=True, probability=1.0), clock_skew=ClockSkewMode(enabled=True, offset_s=-3600.0)
    )
    async with served(failures=config) as world, world.welcomed("a") as client, world.welcomed("b") as other:
        world.exchange.go_silent("a", connections=None)
        await client.say(
            {"type": "SUBSCRIBE", "request_id": "s", "streams": [{"channel": "ticker", "symbol": "BTC/USD"}]}
        )
        await other.subscribe(BTC)
        assert await client.hears_nothing()
        world.exchange.behave("a")
        world.publish(1)
        heard = await client.hear()
        assert (heard["sequence_id"], heard["timestamp"][:13]) == (1, "2025-12-31T23")
        assert await other.hears_nothing()


async def test_everybody_behaves_again(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(drop=SelectMode(enabled=True, probability=1.0))) as world:
        world.exchange.go_silent("a", connections=None)
        world.exchange.behave()
        assert world.exchange.failures.get() == world.exchange.failures.get("a") == FailuresConfig()
        async with world.welcomed("a") as client:
            await client.subscribe(BTC)
            world.publish(1)
            assert await client.ids(1) == [1]
