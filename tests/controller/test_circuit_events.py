"""The circuit breaker of a REST host, as an app sees it."""

import trio
from trio.testing import MockClock

from gapless.controller import CircuitChanged, GapFilled, RestRateLimiter, State
from gapless.controller.circuit_breaker import Circuit
from gapless.simulator import FailuresConfig, RefuseMode, ServerErrorMode
from tests.kit import ETHER, SESSION, Feed, World, world

NO_SOCKET = RefuseMode(enabled=True)


def rest_is_down(w: World) -> None:
    w.fail(FailuresConfig(refuse=NO_SOCKET, server_error=ServerErrorMode(enabled=True)), None)


def words(feed: Feed) -> list[tuple[str, int, float | None]]:
    return [(each.circuit, each.failures, each.probe_in_s) for each in feed.of(CircuitChanged)]


def times_opened(feed: Feed) -> int:
    return feed.controller.metrics().rest.circuit_opened


def circuits(feed: Feed) -> set[Circuit]:
    """What is said of it in the two places."""
    return {feed.controller.rest_stats.circuit, feed.controller.metrics().rest.circuit}


async def test_it_is_said_once_when_it_opens_and_once_when_it_closes(autojump_clock: MockClock) -> None:
    """Through all the probes that fail in between."""
    limiter = RestRateLimiter()
    async with world() as w, w.feed(limiter=limiter) as feed:
        await feed.until_state(State.CONNECTED)
        rest_is_down(w)
        w.network.reset()
        await trio.sleep(60)
        assert words(feed) == [("open", 5, 5.0)]
        assert limiter.circuit_opened > 5, "one for each probe"
        assert times_opened(feed) == feed.controller.rest_stats.circuit_opened == 1, "one for the event"
        assert circuits(feed) == {Circuit.OPEN}
        w.fail(FailuresConfig(), None)
        await feed.until_whole()
        assert circuits(feed) == {Circuit.CLOSED}
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
        async with w.feed(session_id="late") as late:
            assert [times_opened(each) for each in (one, other, late)] == [1, 1, 0], "who comes later was not there"


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


async def test_who_comes_while_it_is_open_is_told_so_at_once(autojump_clock: MockClock) -> None:
    limiter = RestRateLimiter()
    async with world() as w:
        async with w.feed(limiter=limiter) as feed:
            await feed.until_state(State.CONNECTED)
            rest_is_down(w)
            w.network.reset()
            await trio.sleep(20)
        failures = words(feed)[0][1]
        async with w.feed(limiter=limiter, session_id="late") as late:
            await trio.sleep(0.1)
            ((circuit, so_far, probe_in_s),) = words(late)
            assert circuit == "open"
            assert so_far > failures
            assert probe_in_s is not None
            assert 0.0 <= probe_in_s <= 5.0
            assert late.events[0] is late.of(CircuitChanged)[0]
            await trio.sleep(20)
            assert len(words(late)) == 1, "probes that fail are no news"
            w.fail(FailuresConfig(), None)
            await late.until_whole()
            assert words(late)[1:] == [("closed", 0, None)]
        async with w.feed(limiter=limiter, session_id="latest") as latest:
            await latest.until_state(State.CONNECTED)
            assert words(latest) == []


async def test_it_stays_open_until_somebody_asks(autojump_clock: MockClock) -> None:
    """No request is made only to find out; the first that is needed is the probe."""
    limiter = RestRateLimiter()
    async with world() as w:
        async with w.feed(limiter=limiter) as feed:
            await feed.until_state(State.CONNECTED)
            rest_is_down(w)
            w.network.reset()
            await trio.sleep(20)
        w.fail(FailuresConfig(), None)
        since = w.exchange.now()
        await trio.sleep(600)
        assert w.requests_since(since) == 0
        async with w.feed(limiter=limiter, session_id="late") as late:
            await trio.sleep(1)
            (circuit, _failures, probe_in_s), *_ = words(late)
            assert (circuit, probe_in_s) == ("open", 0.0)
            await late.until_state(State.CONNECTED)
            await trio.sleep(1)
            assert words(late)[1:] == [("closed", 0, None)]
