"""``controller.metrics()``: what happened to a feed, in figures that agree with its events."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gapless.controller import (
    ContinuityLost,
    DeliveryOverflowError,
    GapFilled,
    GapFound,
    MarketData,
    Metrics,
    RestRateLimiter,
    Source,
    State,
    StateChanged,
    Stream,
)
from gapless.controller.circuit_breaker import Circuit
from gapless.controller.metrics import Histogram
from gapless.simulator import (
    FailuresConfig,
    RefuseMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
    SymbolSilentMode,
)
from tests.kit import ETHER, TICKER, Feed, world
from tests.work import calls_of


def counted(feed: Feed, source: Source) -> int:
    return sum(1 for each in feed.of(MarketData) if each.source is source)


async def test_a_feed_that_lost_its_link_and_frames(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER, heartbeat_interval=5.0) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.2)))
        await trio.sleep(20)
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)))
        w.network.reset(w.ws_port)
        await feed.until_state(State.REST_FALLBACK)
        await trio.sleep(7)
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        await feed.until_whole()
        await w.pass_time(1.0)
        agrees(feed, feed.controller.metrics())


def agrees(feed: Feed, figures: Metrics) -> None:
    """The figures are those of the events that the app received."""
    moves = feed.of(StateChanged)
    assert figures.state.current is feed.state
    assert sum(figures.state.seconds.values()) == pytest.approx(trio.current_time(), abs=0.1)
    assert figures.state.seconds[State.REST_FALLBACK] > 5.0
    assert sum(each.count for each in figures.state.transitions) == len(moves)
    for each in figures.state.transitions:
        assert each.count == sum(
            (each.source, each.trigger, each.target) == (m.before, m.trigger, m.after) for m in moves
        )
    assert figures.data.live == counted(feed, Source.LIVE) > 0
    assert figures.data.backfilled == counted(feed, Source.BACKFILL) > 0
    assert figures.data.polled == counted(feed, Source.POLL) > 0
    gaps, filled = feed.of(GapFound), feed.of(GapFilled)
    assert figures.gaps.opened == len(gaps) > 0
    assert figures.gaps.ids_missed == sum(gap.end_seq - gap.start_seq + 1 for gap in gaps)
    assert figures.gaps.filled == len(filled)
    assert figures.gaps.ids_filled == figures.gaps.ids_missed
    assert (figures.gaps.open, figures.gaps.ids_open, figures.gaps.lost) == (0, 0, {})
    assert figures.rest.succeeded == feed.controller.rest_stats.succeeded > 0
    assert figures.rest.request_duration.count == figures.rest.succeeded + figures.rest.failed
    assert figures.rest.limiter_wait.count == figures.rest.request_duration.count + figures.rest.cancelled
    assert figures.rest.bytes_received == figures.rest.bytes_read > 0
    assert (figures.rest.circuit, figures.rest.circuit_opened, figures.rest.in_line) == (Circuit.CLOSED, 0, 0)
    assert figures.link.attempts == 1 + sum(each.after is State.RECONNECTING for each in moves)
    assert figures.link.round_trip.count > 0
    assert figures.link.round_trip.sum / figures.link.round_trip.count == pytest.approx(0.01, abs=0.005)
    assert [each.stream for each in figures.streams] == [TICKER, ETHER]
    assert figures.data.streams == 2
    assert figures.data.freshness_worst_s == max(each.freshness_s or 0.0 for each in figures.streams)
    assert all(0.0 <= (each.freshness_s or 0.0) < 1.0 for each in figures.streams), figures.streams


async def test_what_is_lost_is_counted_by_its_reason(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reconciliation_enabled=False) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.3)))
        await trio.sleep(10)
        lost = feed.of(ContinuityLost)
        figures = feed.controller.metrics().gaps
        assert figures.lost == {"reconciliation_disabled": len(lost)}
        assert figures.ids_lost == {"reconciliation_disabled": sum((e.end_seq or 0) - e.start_seq + 1 for e in lost)}
        assert len(lost) > 0


async def test_an_open_gap_and_an_open_circuit_are_seen(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(rest_timeout=0.2) as feed:
        await feed.until_state(State.CONNECTED)
        w.network.refuse(w.rest_port)
        w.network.reset(w.rest_port)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.5)))
        await trio.sleep(20)
        figures = feed.controller.metrics()
        (row,), (missing,) = figures.streams, feed.controller.open_gaps.values()
        assert figures.gaps.open == row.gaps_open == len(missing) > 0
        assert figures.gaps.ids_open == row.ids_open == sum(end - start + 1 for start, end in missing)
        assert figures.gaps.ids_open == figures.gaps.ids_missed - figures.gaps.ids_filled
        assert figures.rest.circuit is not Circuit.CLOSED
        assert figures.rest.circuit_opened >= 1
        assert figures.rest.failed > 0


async def test_requests_that_a_transition_cancels_have_an_outcome_too(autojump_clock: MockClock) -> None:
    """The socket is back before REST has answered: what was asked meanwhile is given up, and was sent all the same."""
    limiter = RestRateLimiter()
    async with world() as w, w.feed(TICKER, ETHER, limiter=limiter) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(slow_reply=SlowReplyMode(enabled=True, delay_s=2.0)))
        for _ in range(8):
            w.network.reset(w.ws_port)
            await trio.sleep(12)
        w.fail(FailuresConfig())
        await feed.until_whole()
        await trio.sleep(5)
        rest = feed.controller.metrics().rest
        assert rest.cancelled == feed.controller.rest_stats.cancelled > 0
        assert rest.succeeded + rest.cancelled == limiter.requests_sent == len(w.exchange.requests)
        assert rest.request_duration.count == rest.succeeded, "how long the others would have taken nobody knows"


async def test_the_worst_freshness_counts_a_stream_that_never_came(autojump_clock: MockClock) -> None:
    """From its subscription on; the orders, which may rest for days, it does not count."""
    silent = SymbolSilentMode(enabled=True, after_messages=0, symbols=("ETH/USD",), until="reconnect")
    async with world(failures=FailuresConfig(symbol_silent=silent)) as w, w.feed(TICKER, Stream("orders", "*")) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(300)
        figures = feed.controller.metrics()
        assert (figures.data.freshness_worst_s or 1.0) < 0.2, figures.streams
        feed.controller.subscribe(ETHER)
        await trio.sleep(9)
        figures = feed.controller.metrics()
        assert figures.data.freshness_worst_s == pytest.approx(9.0)
        assert figures.streams[-1].freshness_s is None
        feed.controller.unsubscribe(TICKER, ETHER)
        assert feed.controller.metrics().data.freshness_worst_s is None


async def test_before_anything_came_the_worst_freshness_is_the_age_of_the_controller(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True), server_error=ServerErrorMode(enabled=True)), None)
        async with w.feed() as feed:
            await trio.sleep(33)
            assert feed.controller.metrics().data.freshness_worst_s == pytest.approx(33.0, abs=0.1)


async def test_what_a_gap_holds_back_is_told_apart_from_what_waits_for_the_app(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=50) as w, w.feed(ordering="sequence", consume=False, buffer_size=200) as feed:
        await trio.sleep(2)
        w.network.refuse(w.rest_port)
        w.network.reset(w.rest_port)
        before = feed.controller.metrics().data
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=20)))
        await trio.sleep(3)
        data = feed.controller.metrics().data
        assert before.held_back == 0
        assert 100 < data.held_back <= data.held_max == 200
        assert data.held <= data.held_max
        assert data.held + data.held_back == feed.controller.events_held > data.held_max


async def test_a_buffer_that_failed_holds_back_nothing(autojump_clock: MockClock) -> None:
    """It has no room for anything then, which is not to say that it is full."""
    async with world(rate_per_s=0.0) as w, w.feed(TICKER, consume=False, buffer_size=20, overflow="raise") as feed:
        await feed.until_state(State.CONNECTED)
        for _ in range(30):
            w.exchange.publish(TICKER.channel, TICKER.symbol)
        await trio.sleep(1.0)
        full, waiting = feed.controller.metrics().data, feed.controller.events_held
        batches = feed.controller.batches()
        await anext(batches)
        with pytest.raises(DeliveryOverflowError):
            await anext(batches)
        data = feed.controller.metrics().data
    assert (full.held, full.held_back) == (waiting, 0)
    assert waiting >= full.held_max == 20
    assert (data.held, data.held_back) == (0, 0)


async def test_a_snapshot_does_not_change_afterwards(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        before = feed.controller.metrics()
        live, seconds = before.data.live, dict(before.state.seconds)
        await trio.sleep(10)
        assert (before.data.live, before.state.seconds) == (live, seconds)
        with pytest.raises(AttributeError):
            before.data.live = 0  # type: ignore[misc]
        assert feed.controller.metrics().data.live > live


async def test_a_long_line_before_the_limiter_is_waited_in(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, rate_limit_requests=1) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        waits: list[float] = []
        feed.controller.histograms.limiter_wait.listeners.append(waits.append)
        before = feed.controller.metrics().rest.limiter_wait
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(feed.controller.price_history, "BTC/USD", None, None, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert feed.controller.metrics().rest.in_line == 3
        after = feed.controller.metrics().rest.limiter_wait
        assert after.count - before.count == len(waits) == 4
        assert after.sum - before.sum == pytest.approx(sum(waits))
        assert sum(waits) == pytest.approx(1.1 + 2.2 + 3.3, abs=0.2)


def test_values_fall_below_their_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.1, 99.0):
        histogram.record(value)
    snapshot = histogram.snapshot()
    assert snapshot.counts == (2, 2, 2)
    assert snapshot.count == 6
    assert snapshot.sum == pytest.approx(106.1)


async def test_a_thousand_streams_are_read_by_some_calls_each(autojump_clock: MockClock) -> None:
    """It is for a scrape every few seconds; the loop must not stand still for it."""
    symbols = tuple(f"S{number}/USD" for number in range(1_000))

    async with world(rate_per_s=0, symbols=symbols) as w, w.feed(*(Stream("ticker", each) for each in symbols)) as feed:
        assert calls_of(feed.controller.metrics) < 30 * 1_000
        few = feed.controller.metrics(streams_max=999)
        assert (few.streams, few.data.streams) == ((), 1_000)
        assert len(feed.controller.metrics(streams_max=1_000).streams) == 1_000
