"""The specification's integration tests: a connection that is open and silent, from its detection to the recovery."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Source, State, Trigger
from gapless.simulator import FailureMode, FailuresConfig
from tests.kit import SESSION, Feed, World, world


def fall_silent(w: World, *, for_s: float | None = None) -> None:
    """TCP stays open, nothing is sent any more, PONGs included; ``for_s`` None: on this connection only."""
    once = FailureMode(enabled=True, after_messages=0, count=1)
    while_on = FailureMode(enabled=True, after_messages=0, duration_s=for_s)
    w.fail(FailuresConfig(silent_connection=once if for_s is None else while_on))


def fell_silent_at(feed: Feed) -> float:
    return max(event.received_at for event in feed.data if event.source is Source.LIVE)


async def test_heartbeat_detects_silent_connection(autojump_clock: MockClock) -> None:
    """The idle window is far off: only the PING that stays unanswered can tell."""
    async with (
        world() as w,
        w.feed(heartbeat_interval=15.0, heartbeat_timeout=5.0, ws_idle_timeout=120.0) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        opened_at = feed.moves[0].at
        await trio.sleep(4)
        fall_silent(w)
        await feed.until_state(State.REST_FALLBACK)
        overdue, confirmed = feed.moves[-2:]
        assert (overdue.trigger, confirmed.trigger) == (Trigger.PONG_OVERDUE, Trigger.SILENCE_CONFIRMED)
        assert overdue.at - opened_at == pytest.approx(20.0, abs=0.1), "PING after 15 s, overdue 5 s later"
        assert confirmed.at - overdue.at <= 5.0, "verified within the heartbeat's time-out"
        await feed.until_state(State.CONNECTED)
        w.assert_contract(feed, settled=False)


async def test_rest_fallback_activates(autojump_clock: MockClock) -> None:
    """From the moment of suspicion REST collects, every two seconds, while the socket stays silent."""
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        fall_silent(w, for_s=60.0)
        await feed.until_state(State.REST_FALLBACK)
        silent_at = feed.moved(State.SILENT)[0].at
        assert silent_at - fell_silent_at(feed) == pytest.approx(10.0, abs=0.1)
        polled = [event.received_at for event in feed.data if event.source is Source.POLL]
        assert min(polled) - silent_at < 0.1, "at once, before the verdict"
        assert feed.moved(State.REST_FALLBACK)[0].trigger is Trigger.SILENCE_CONFIRMED
        await trio.sleep(20)
        assert feed.controller.state is not State.CONNECTED
        polls = sorted({event.received_at for event in feed.data if event.source is Source.POLL})
        assert max(later - earlier for earlier, later in pairwise(polls)) <= 2.1
        w.assert_contract(feed, settled=False)


async def test_reconnection_after_silent_period(autojump_clock: MockClock) -> None:
    """Attempts go on while the server stays silent; when it speaks again REST stops and nothing is missing."""
    async with world() as w, w.feed(reconnect_max_attempts=None) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        fall_silent(w, for_s=120.0)
        await trio.sleep(100)
        assert feed.controller.generation > 2, "it keeps trying"
        assert State.CONNECTED not in {move.after for move in feed.moves[2:]}, "a silent socket is never CONNECTED"
        await feed.until_state(State.CONNECTED, within_s=120)
        back_at = feed.moves[-1].at
        await trio.sleep(10)
        assert w.requests_since(back_at) == 0, "REST collection has stopped"
        live = [event for event in feed.data if event.source is Source.LIVE and event.received_at > back_at]
        assert len(live) >= 90
        assert {each.session_id for each in w.exchange.subscriptions} == {SESSION}, "the session is kept"
        w.assert_contract(feed, settled=False)
