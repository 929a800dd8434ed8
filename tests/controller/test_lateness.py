"""A process that was held up reads what came in time before it calls anything overdue, dead or timed out."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State, Trigger
from gapless.controller.lateness import LATE_S, let_link_read, sleep_until
from tests.kit import world
from tests.scripted import Socket, Venue, history

HELD_UP_S = 15.0
"""Longer than every time-out; ``suspend_after`` is set so that this is no sleep of the machine."""


async def test_a_punctual_timer_costs_no_time(autojump_clock: MockClock) -> None:
    await sleep_until(5.0)
    assert trio.current_time() == 5.0
    await let_link_read(7.0)
    assert trio.current_time() == 5.0, "woken by something else, before the time"


async def test_after_a_late_one_there_is_time_to_read(autojump_clock: MockClock) -> None:
    autojump_clock.jump(6.0)
    await sleep_until(5.0)
    assert trio.current_time() == pytest.approx(6.0 + LATE_S)


async def test_a_pong_that_came_in_time_is_not_overdue(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        socket.answers = False
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1)
        while not socket.pings:  # noqa: ASYNC110, the script has no other way to see a PING
            await trio.sleep(0.1)
        await socket.send(type="PONG", request_id="p-1")
        autojump_clock.jump(HELD_UP_S)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 1)).feed(ws_idle_timeout=300.0, suspend_after=60.0) as feed:
        await trio.sleep(100.0)
        assert feed.controller.round_trip_s == pytest.approx(HELD_UP_S, abs=0.2)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]


async def test_a_silence_that_was_answered_in_time_is_a_quiet_market(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed(suspend_after=60.0) as feed:
        await trio.sleep(0.1)
        w.publish()
        await feed.until_state(State.SILENT)
        await trio.sleep(0.007)
        autojump_clock.jump(HELD_UP_S)
        await feed.until(lambda: feed.moves[-1].before is State.SILENT)
        assert feed.moves[-1].trigger is Trigger.MARKET_QUIET
        assert feed.controller.generation == 1


async def test_a_subscription_that_was_answered_in_time_has_not_timed_out(autojump_clock: MockClock) -> None:
    async with world(latency_s=0.1) as w, w.feed(suspend_after=60.0) as feed:
        while not w.exchange.subscriptions:  # noqa: ASYNC110, the exchange tells nobody
            await trio.sleep(0.01)
        autojump_clock.jump(HELD_UP_S)
        await feed.until_state(State.CONNECTED)
        assert feed.controller.generation == 1
        assert not [move for move in feed.moves if move.trigger is Trigger.LINK_LOST]


async def test_a_peer_that_did_not_answer_in_time_has(autojump_clock: MockClock) -> None:
    async with world(latency_s=20.0) as w, w.feed(suspend_after=60.0) as feed:
        await trio.sleep(1.0)
        autojump_clock.jump(HELD_UP_S)
        await trio.sleep(0.1)
        assert feed.moves[0].reason == "timed out: the handshake took more than 10 s"
        assert not w.exchange.subscriptions
