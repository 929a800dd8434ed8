"""What spends an attempt, and what gives all of them back."""

import trio
from trio.testing import MockClock

from gapless.controller import ReconnectGaveUp, State, Trigger
from gapless.simulator import FailureMode, FailuresConfig, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import Feed, World, world


class BootClock:
    """Goes on while the machine sleeps."""

    slept_s = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.slept_s


async def two_attempts_are_spent(w: World, feed: Feed) -> None:
    await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 2)
    w.network.accept(w.ws_port)
    await feed.until_state(State.CONNECTED)


async def test_data_gives_the_attempts_back_where_a_wake_ends_the_generation(autojump_clock: MockClock) -> None:
    """Two failures, half a minute of data, a sleep and a network that wakes late: that is one failure, not three."""
    clock = BootClock()
    async with world() as w:
        w.network.refuse(w.ws_port)
        async with w.feed(boot_clock=clock, reconnect_max_attempts=3) as feed:
            await two_attempts_are_spent(w, feed)
            await trio.sleep(30.0)
            w.network.black_hole(Direction.BOTH, w.ws_port)
            w.network.refuse(w.ws_port)
            clock.slept_s = 3_600.0
            await feed.until(lambda: feed.moves[-1].trigger is Trigger.RECONNECT_REQUESTED)
            w.network.heal(w.ws_port)
            await feed.until(lambda: feed.moves[-1].after is State.REST_FALLBACK)
            assert feed.moves[-1].retry_in_s is not None
            await trio.sleep(0.1)
            assert not feed.of(ReconnectGaveUp)


async def test_a_wake_before_any_data_gives_nothing_back(autojump_clock: MockClock) -> None:
    clock = BootClock()
    async with world(rate_per_s=0.01) as w:
        w.network.refuse(w.ws_port)
        async with w.feed(boot_clock=clock, reconnect_max_attempts=3) as feed:
            await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 2)
            clock.slept_s = 3_600.0
            await feed.until(lambda: bool(feed.of(ReconnectGaveUp)))
            assert len(feed.moved(State.REST_FALLBACK)) == 3


async def test_reconnect_gives_the_attempts_back(autojump_clock: MockClock) -> None:
    """Two are spent and the third fails: after the app's wish it is the first."""
    async with world() as w:
        w.network.refuse(w.ws_port)
        async with w.feed(reconnect_max_attempts=3) as feed:
            await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 2)
            feed.controller.reconnect()
            await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 3)
            retry_in_s = feed.moves[-1].retry_in_s
            assert retry_in_s is not None
            assert retry_in_s <= 1.1 + 1.0, "the spacing of attempts and the first jitter"
            assert not feed.of(ReconnectGaveUp)


async def test_a_silence_that_nobody_could_verify_spends_no_attempt(autojump_clock: MockClock) -> None:
    """PONGs and no data while REST is down: the link is given up again and again, but never for good."""
    silent_and_down = FailuresConfig(
        pong_only=FailureMode(enabled=True, after_messages=3), server_error=ServerErrorMode(enabled=True)
    )
    async with world(failures=silent_and_down) as w, w.feed(reconnect_max_attempts=2) as feed:
        await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 4, within_s=600.0)
        assert all(move.unverified for move in feed.moved(State.REST_FALLBACK))
        assert not feed.of(ReconnectGaveUp)
