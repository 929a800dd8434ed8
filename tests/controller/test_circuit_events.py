"""The circuit breaker of a REST host, as an app sees it."""

import trio
from trio.testing import MockClock

from gapless.controller import CircuitChanged, GapFilled, RestRateLimiter, State
from gapless.simulator import FailuresConfig, RefuseMode, ServerErrorMode
from tests.kit import ETHER, SESSION, Feed, World, world

NO_SOCKET = RefuseMode(enabled=True)


def rest_is_down(w: World) -> None:
    w.fail(FailuresConfig(refuse=NO_SOCKET, server_error=ServerErrorMode(enabled=True)), None)


def words(feed: Feed) -> list[tuple[str, int, float | None]]:
    return [(each.circuit, each.failures, each.probe_in_s) for each in feed.of(CircuitChanged)]


async def test_it_is_said_once_when_it_opens_and_once_when_it_closes(autojump_clock: MockClock) -> None:
    """Through all the probes that fail in between."""
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        rest_is_down(w)
        w.network.reset()
        await trio.sleep(60)
        assert words(feed) == [("open", 5, 5.0)]
        assert feed.controller.metrics().rest.circuit_opened > 5, "one for each probe"
        w.fail(FailuresConfig(), None)
        await feed.until_whole()
        opened, closed = feed.of(CircuitChanged)
        assert words(feed)[1:] == [("closed", 0, None)]
        assert opened.host == closed.host == w.rest_url.removeprefix("http://")
        assert closed.at - opened.at > 50
        assert feed.events.index(closed) < feed.events.index(feed.of(GapFilled)[-1])


async def test_everybody_who_shares_the_host_is_told(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as one, w.feed(ETHER, session_id="other") as other:
        await other.until_state(State.CONNECTED)
        rest_is_down(w)
        w.network.reset()
        await trio.sleep(20)
        assert words(one) == words(other) == [("open", 5, 5.0)]


async def test_a_controller_that_is_gone_is_told_no_more(autojump_clock: MockClock) -> None:
    limiter = RestRateLimiter()
    async with world() as w:
        async with w.feed(limiter=limiter) as feed:
            await feed.until_state(State.CONNECTED)
            assert len(limiter.circuit_listeners) == 1
        assert not limiter.circuit_listeners


async def test_where_it_is_switched_off_nothing_is_said(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(circuit_breaker_failures=0) as feed:
        await feed.until_state(State.CONNECTED)
        rest_is_down(w)
        w.network.reset()
        await trio.sleep(60)
        assert words(feed) == []
        assert feed.controller.metrics().rest.failed > 5
        assert feed.session_id == SESSION
