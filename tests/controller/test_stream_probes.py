"""Asking REST about silent streams: busy ones at once, all of them within a tenth of the budget."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import NetworkConfig, Source, State, Stream, open_controller
from gapless.controller.exchanges import ReferenceExchange
from gapless.simulator import FailuresConfig, RateLimitMode, ServerErrorMode
from gapless.simulator.failure_modes import SelectMode
from tests.kit import ETHER, SESSION, TICKER, Feed, World, virtual_wall_clock, world

IDLE_S = 10.0


def dead(*symbols: str) -> FailuresConfig:
    return FailuresConfig(drop=SelectMode(enabled=True, probability=1.0, symbols=symbols))


async def trades(w: World, stream: Stream, *, every_s: float, first_after_s: float = 0.0) -> None:
    await trio.sleep(first_after_s)
    while True:
        w.publish(1, stream)
        await trio.sleep(every_s)


def asked_for(w: World, since: float) -> list[str]:
    return [each.query for each in w.exchange.requests if each.time_s > since]


# -- at once ----------------------------------------------------------------------------------------------------------


async def first_news_after(feed: Feed, streams: list[Stream], died_at: float) -> dict[Stream, float]:
    """Seconds until each stream's first data over REST."""
    found: dict[Stream, float] = {}
    with trio.fail_after(60.0):
        while len(found) < len(streams):
            await trio.sleep(0.01)
            polled = {Stream(each.channel, each.symbol) for each in feed.data if each.source is Source.POLL}
            for stream in polled & set(streams) - set(found):
                found[stream] = trio.current_time() - died_at
    return found


async def test_busy_streams_that_die_together_are_found_together(autojump_clock: MockClock) -> None:
    """Five of six die five seconds after the subscription: each is known to be busy by what it has shown."""
    symbols = tuple(f"S{number}/USD" for number in range(6))
    streams = [Stream("ticker", symbol) for symbol in symbols]
    async with world(symbols=symbols) as w, w.feed(*streams) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.fail(dead(*symbols[1:]))
        took = await first_news_after(feed, streams[1:], trio.current_time())
        assert max(took.values()) <= IDLE_S + 0.1
        assert not feed.moved(State.SILENT)


async def test_a_busy_stream_that_dies_beside_a_slow_one_is_found_in_time(autojump_clock: MockClock) -> None:
    """The slow one speaks once, early in the silence: the connection itself may be judged four seconds later."""
    async with world(rate_per_s=0) as w, w.feed(TICKER, ETHER) as feed, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: trades(w, TICKER, every_s=0.1))
        nursery.start_soon(lambda: trades(w, ETHER, every_s=9.8, first_after_s=8.05))
        await feed.until_state(State.CONNECTED)
        await trio.sleep(4.0)
        w.fail(dead(TICKER.symbol))
        took = await first_news_after(feed, [TICKER], trio.current_time())
        assert took[TICKER] <= IDLE_S + 0.1
        nursery.cancel_scope.cancel()


async def test_a_stream_that_is_subscribed_meanwhile_is_watched_from_then_on(autojump_clock: MockClock) -> None:
    async with world(failures=dead("ETH/USD")) as w, w.feed(TICKER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        feed.controller.subscribe(ETHER)
        took = await first_news_after(feed, [ETHER], trio.current_time())
        assert IDLE_S <= took[ETHER] <= IDLE_S + 0.1


async def test_streams_that_die_with_the_connection_are_left_to_its_verifier(autojump_clock: MockClock) -> None:
    """Within half of the promised 100 ms: what else is due is not asked for one by one."""
    async with world(rate_per_s=50.0) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.fail(dead())
        since = w.exchange.now()
        await feed.until_state(State.SILENT)
        assert asked_for(w, since) == []


async def test_one_failed_request_delays_the_finding_by_a_second(autojump_clock: MockClock) -> None:
    failures = dead("ETH/USD")
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        server_error = ServerErrorMode(enabled=True, count=1)
        w.fail(FailuresConfig(drop=failures.drop, server_error=server_error))
        took = await first_news_after(feed, [ETHER], trio.current_time())
        assert took[ETHER] == pytest.approx(IDLE_S + 1.0, abs=0.15)


async def test_a_probe_that_a_ban_keeps_in_line_is_withdrawn_if_the_stream_speaks(autojump_clock: MockClock) -> None:
    """Found by torture: the question was put a minute after the stream had answered it."""
    async with world(rate_per_s=0) as w, w.feed(TICKER, ETHER) as feed, trio.open_nursery() as nursery:
        w.publish(1, ETHER)
        nursery.start_soon(lambda: trades(w, TICKER, every_s=0.5))
        await feed.until_state(State.CONNECTED)
        since = w.exchange.now()
        w.fail(FailuresConfig(rate_limited=RateLimitMode(enabled=True, status=418, count=1, retry_after_s=60)))
        await trio.sleep(2 * IDLE_S)
        assert len(asked_for(w, since)) == 1, "the probe was refused, and the next one waits for the end of the ban"
        for _ in range(10):
            w.publish(1, ETHER)
            await trio.sleep(IDLE_S / 2)
        assert len(asked_for(w, since)) == 1
        nursery.cancel_scope.cancel()


# -- within the budget ------------------------------------------------------------------------------------------------

SYMBOLS = tuple(f"S{number}/USD" for number in range(60))
STREAMS = [Stream("ticker", symbol) for symbol in SYMBOLS]


class Heavy(ReferenceExchange):
    """A venue at which every request costs five."""

    def weight(self, request: httpx.Request) -> int:  # noqa: ARG002, as in the protocol
        return 5


@asynccontextmanager
async def one_lively_stream_among_sixty(w: World, *, heavy: bool = False, **settings: object) -> AsyncIterator[Feed]:
    kind = Heavy if heavy else ReferenceExchange
    async with (
        open_controller(
            exchange=kind(ws_url=w.ws_url, rest_url=w.rest_url, session_id=SESSION),
            streams=STREAMS,
            config=NetworkConfig.from_mapping({"ws_idle_timeout": 5.0, **settings}),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
        ) as controller,
        trio.open_nursery() as nursery,
    ):
        feed = Feed(controller)
        nursery.start_soon(feed.consume)
        for stream in STREAMS:
            w.publish(1, stream)
        nursery.start_soon(lambda: trades(w, STREAMS[0], every_s=0.5))
        await feed.until_state(State.CONNECTED)
        yield feed
        nursery.cancel_scope.cancel()


async def test_heavy_requests_are_paid_by_their_weight(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0, symbols=SYMBOLS) as w, one_lively_stream_among_sixty(w, heavy=True):
        since = w.exchange.now()
        await trio.sleep(60.0)
        weight = 5 * len(asked_for(w, since))
        assert 40 <= weight <= 60 + 5, "a tenth of 600"


@pytest.mark.parametrize("circuit_breaker_failures", [5, 0])
@pytest.mark.parametrize("probability", [0.5, 1.0])
async def test_requests_that_fail_are_paid_too(
    circuit_breaker_failures: int, probability: float, autojump_clock: MockClock
) -> None:
    async with (
        world(rate_per_s=0, symbols=SYMBOLS) as w,
        one_lively_stream_among_sixty(w, circuit_breaker_failures=circuit_breaker_failures),
    ):
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True, probability=probability)))
        since = w.exchange.now()
        await trio.sleep(60.0)
        asked = asked_for(w, since)
        assert len(asked) <= 61
        assert max(Counter(asked).values()) <= 5, "in turns, though each fails"


async def test_every_page_is_paid(autojump_clock: MockClock) -> None:
    """A stream dies at 20 ids a second, in pages of 10: what one probe asks for, later ones wait for."""
    async with world(rate_per_s=20.0) as w, w.feed(TICKER, ETHER, price_history_limit=10) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.fail(dead("ETH/USD"))
        since = w.exchange.now()
        await trio.sleep(9.9)
        assert asked_for(w, since) == []
        await trio.sleep(0.2)
        assert len(asked_for(w, since)) == 10, "one second's budget"


async def test_what_busy_streams_borrow_is_paid_back(autojump_clock: MockClock) -> None:
    """Sixty busy streams fall quiet at once and are asked about at once; then a minute is theirs no more."""
    async with world(rate_per_s=0, symbols=SYMBOLS) as w, one_lively_stream_among_sixty(w) as feed:
        for _ in range(10):
            for stream in STREAMS[1:]:
                w.publish(1, stream)
            await trio.sleep(0.2)
        fell_quiet_at = w.exchange.now()
        await trio.sleep(5.0 + 6.5)
        assert len(asked_for(w, fell_quiet_at)) == 59, "at the pace of the whole budget"
        await trio.sleep(47.0)
        assert len(asked_for(w, fell_quiet_at)) == 59
        await trio.sleep(60.0)
        assert len(asked_for(w, fell_quiet_at)) == pytest.approx(59 + 58, abs=5), "one a second"
        assert feed.controller.generation == 1


# -- by deadline ------------------------------------------------------------------------------------------------------


class Steps(trio.abc.Instrument):
    """Counts how often tasks are run."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of[task.name] += 1


async def test_an_hour_of_an_idle_controller_costs_few_wake_ups(autojump_clock: MockClock) -> None:
    steps = Steps()
    async with world(rate_per_s=0.1) as w, w.feed(TICKER, ETHER, ws_idle_timeout=60.0) as feed:
        await feed.until_state(State.CONNECTED)
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(3_600.0)
        trio.lowlevel.remove_instrument(steps)
    watching = {name: count for name, count in steps.of.items() if "watch" in name.lower()}
    assert 0 < watching["gapless.IDLE_WATCH"] <= 2 * 60 + 60, watching
    assert 0 < watching["gapless.suspend_watch"] <= 3_600 / 2.5 + 1, watching
