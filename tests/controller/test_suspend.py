"""The machine slept: what is buffered is read first, then a PING decides whether the socket lived."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State, Trigger
from gapless.controller.suspend_watch import SuspendDetector, boot_clock, tick_s
from gapless.simulator import FailuresConfig
from gapless.simulator.network import Direction
from tests.kit import Feed, World, world
from tests.ways import WAY_TO


class BootClock:
    """A boot clock that counts the sleep that the other clocks do not see."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.slept_s


def _asked(feed: Feed) -> bool:
    return bool(requested(feed))


def requested(feed: Feed) -> list[str]:
    return [move.reason for move in feed.moves if move.trigger is Trigger.RECONNECT_REQUESTED]


def test_the_boot_clock_gaining_on_the_other_is_a_wake() -> None:
    detector = SuspendDetector(10.0, now=0.0, boot=100.0)
    assert detector.look(now=1.0, boot=101.0, due_at=1.0) == 0.0
    assert detector.look(now=2.0, boot=111.9, due_at=2.0) == 0.0, "not longer than the threshold"
    assert detector.look(now=3.0, boot=3_712.9, due_at=3.0) == 3_600.0
    assert detector.look(now=4.0, boot=3_713.9, due_at=4.0) == 0.0, "told once"


def test_a_timer_that_comes_far_too_late_is_one_too() -> None:
    detector = SuspendDetector(10.0, now=0.0, boot=0.0)
    assert detector.look(now=9.0, boot=9.0, due_at=1.0) == 0.0
    assert detector.look(now=40.0, boot=40.0, due_at=10.0) == 30.0


@pytest.mark.parametrize(
    ("suspend_after_s", "every_s"), [(10.0, 2.5), (4.0, 1.0), (3_600.0, 2.5), (0.001, 0.25)], ids=str
)
def test_the_clocks_are_looked_at_a_few_times_in_the_time_that_counts(suspend_after_s: float, every_s: float) -> None:
    assert tick_s(suspend_after_s) == every_s


def test_the_platforms_boot_clock_runs() -> None:
    assert boot_clock() <= boot_clock()


@pytest.mark.parametrize("state", [State.CONNECTED, State.RESYNCING, State.SILENT])
async def test_a_socket_that_died_in_the_sleep_is_replaced(state: State, autojump_clock: MockClock) -> None:
    clock = BootClock()
    async with world() as w, w.feed(boot_clock=clock) as feed:
        await WAY_TO[state](w, feed)
        await feed.until_state(state)
        w.network.black_hole(Direction.BOTH)
        clock.slept_s = 3_600.0
        await feed.until(lambda: bool(requested(feed)), within_s=2.5 + 2.1)
        assert requested(feed) == ["the machine slept for 3600 s"]
        await _recovered(w, feed)


async def test_a_socket_that_lived_through_the_sleep_is_kept(autojump_clock: MockClock) -> None:
    clock = BootClock()
    async with world() as w, w.feed(boot_clock=clock) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        clock.slept_s = 3_600.0
        await trio.sleep(10.0)
        assert requested(feed) == []
        assert feed.controller.generation == 1
        w.assert_contract(feed, settled=False)


async def test_a_wake_without_a_socket_tries_at_once(autojump_clock: MockClock) -> None:
    clock = BootClock()
    async with world() as w, w.feed(boot_clock=clock, reconnect_initial_backoff=60.0) as feed:
        await WAY_TO[State.REST_FALLBACK](w, feed)
        w.network.accept(w.ws_port)
        assert feed.controller.state is State.REST_FALLBACK
        clock.slept_s = 60.0
        await feed.until(lambda: bool(requested(feed)), within_s=2.5 + 0.1)
        await _recovered(w, feed)


async def test_a_wake_during_an_attempt_changes_nothing(autojump_clock: MockClock) -> None:
    clock = BootClock()
    async with world() as w, w.feed(boot_clock=clock) as feed:
        await WAY_TO[State.RECONNECTING](w, feed)
        await feed.until_state(State.RECONNECTING)
        clock.slept_s = 60.0
        before = feed.controller.generation
        await trio.sleep(4.0)
        assert feed.controller.generation == before
        assert feed.controller.state is State.RECONNECTING


async def test_a_connection_made_right_after_the_wake_is_kept(autojump_clock: MockClock) -> None:
    """The wake is noticed while a handshake is in flight: no PING can be sent yet, and none is needed."""
    clock = BootClock()
    async with world() as w, w.feed(boot_clock=clock) as feed:
        await feed.until_state(State.CONNECTED)
        w.network.set_latency(0.3)
        await trio.sleep(5.0)
        clock.slept_s = 3_600.0
        feed.controller.reconnect()
        await trio.sleep(1.0)
        assert feed.moves[-1].after is State.RECONNECTING
        await trio.sleep(20.0)
        assert feed.path[-3:] == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        assert feed.controller.generation == 2


async def test_what_the_socket_received_meanwhile_is_read_first(autojump_clock: MockClock) -> None:
    """Every clock of ours jumps by a minute; the frames that lie in the socket are delivered, and it is alive."""
    async with world(rate_per_s=0) as w, w.feed() as feed:
        w.publish(5)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        w.publish(5)
        autojump_clock.jump(60.0)
        await trio.sleep(5.0)
        assert feed.ids()[-1] == 10
        assert requested(feed) == []
        assert feed.controller.generation == 1


async def test_a_long_quiet_time_is_no_sleep(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0.01) as w, w.feed() as feed:
        await trio.sleep(3_600.0)
        assert requested(feed) == []
        assert w.exchange.epoch


# -- many controllers -------------------------------------------------------------------------------------------------


class Steps(trio.abc.Instrument):
    """Counts how often the watch looks."""

    def __init__(self) -> None:
        self.looks = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.looks += "suspend_watch" in task.name


async def test_many_controllers_look_at_the_clocks_once(autojump_clock: MockClock) -> None:
    """One polls for all, and goes on when the first has left; each is told of a wake."""
    clock, steps = BootClock(), Steps()
    async with world() as w:
        async with w.feed(boot_clock=clock, session_id="b") as second:
            async with w.feed(boot_clock=clock, session_id="a"):
                await second.until_state(State.CONNECTED)
            async with w.feed(boot_clock=clock, session_id="c") as third:
                await third.until_state(State.CONNECTED)
                trio.lowlevel.add_instrument(steps)
                await trio.sleep(100.0)
                assert 0 < steps.looks <= 100.0 / 2.5 + 1
                w.network.black_hole(Direction.BOTH)
                clock.slept_s = 60.0
                for feed in (second, third):
                    await feed.until(partial(_asked, feed), within_s=2.5 + 2.1)
        steps.looks = 0
        await trio.sleep(100.0)
        assert steps.looks <= 1, "nobody asks any more"
        trio.lowlevel.remove_instrument(steps)


async def test_a_clock_that_raises_ends_the_controller_and_not_the_trio_run(autojump_clock: MockClock) -> None:
    class Broken(BootClock):
        def __call__(self) -> float:
            if trio.current_time() > 20.0:
                raise ZeroDivisionError("no such clock")
            return super().__call__()

    async with world() as w:
        with pytest.raises(ZeroDivisionError, match="no such clock"):
            async with w.feed(boot_clock=Broken()):
                await trio.sleep(30.0)
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)


async def _recovered(w: World, feed: Feed) -> None:
    w.network.heal()
    w.fail(FailuresConfig())
    await feed.until_state(State.CONNECTED, within_s=60.0)
    await trio.sleep(3.0)
    w.assert_contract(feed, settled=False)
