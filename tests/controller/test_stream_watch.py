"""One dead stream among live ones is found, asked about, subscribed again; a quiet one is left alone."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Source, State, Stream, Trigger
from gapless.controller.stream_pulse import StreamPulse
from gapless.simulator import FailuresConfig, SymbolSilentMode
from gapless.simulator.failure_modes import SelectMode
from tests.kit import ETHER, TICKER, Feed, world

IDLE_S = 5.0


def silenced(count: int) -> FailuresConfig:
    mode = SymbolSilentMode(enabled=True, symbols=("ETH/USD",), after_messages=20, count=count)
    return FailuresConfig(symbol_silent=mode)


def last_live_at(feed: Feed, stream: Stream) -> float:
    return trio.current_time() - feed.controller.freshness()[stream]


# -- the rhythm -------------------------------------------------------------------------------------------------------


def pulse_of(*looks: tuple[int, float]) -> StreamPulse:
    pulse = StreamPulse(window_min_s=10.0, window_max_s=60.0)
    for count, at in looks:
        pulse.sample(count, at)
    return pulse


def test_a_lively_stream_has_the_plain_window() -> None:
    assert pulse_of(*[(number * 10, float(number)) for number in range(1, 20)]).window_s == 10.0


def test_a_slow_stream_has_five_of_its_intervals() -> None:
    pulse = pulse_of(*[(number, 60.0 * number) for number in range(1, 5)])
    assert pulse.usual_s == 60.0
    assert pulse.window_s == 300.0


def test_a_burst_is_one_step_of_the_estimate() -> None:
    pulse = pulse_of((1, 0.0), (2, 10.0), (3, 20.0), (103, 20.1), (104, 30.1))
    assert 5.0 < pulse.usual_s < 10.0


def test_quiet_verdicts_double_the_window_up_to_a_bound_and_data_makes_it_plain_again() -> None:
    pulse = pulse_of((1, 0.0), (2, 1.0))
    windows = []
    for at in range(5):
        windows.append(pulse.window_s)
        pulse.quiet(100.0 + at)
    assert windows == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert pulse.since == 104.0
    pulse.sample(3, 200.0)
    assert pulse.since == 200.0
    assert pulse.window_s < 1_000.0


def test_two_tries_and_then_no_more_until_data_or_a_new_socket() -> None:
    pulse = pulse_of((1, 0.0), (2, 1.0))
    assert [pulse.dead(at) for at in (10.0, 20.0, 30.0, 40.0)] == [True, True, False, False]
    pulse.new_socket()
    assert pulse.dead(50.0)
    pulse.sample(3, 60.0)
    assert pulse.tries == 0


def subscribed_at(now: float) -> StreamPulse:
    pulse = StreamPulse(window_min_s=10.0, window_max_s=60.0)
    pulse.begin(0, float("-inf"), now)
    return pulse


def test_one_look_is_enough_to_know_a_busy_stream() -> None:
    assert not subscribed_at(100.0).is_urgent
    pulse = subscribed_at(100.0)
    pulse.sample(40, 104.0)
    assert pulse.usual_s == 0.1
    assert pulse.is_urgent
    assert pulse.due_at == 114.0


def test_a_few_data_after_a_subscription_make_no_rhythm() -> None:
    """Venues send what they have at once; that says nothing of what comes next."""
    pulse = subscribed_at(100.0)
    pulse.sample(4, 100.004)
    assert pulse.usual_s == 0.0
    assert not pulse.is_urgent
    pulse.sample(5, 160.004)
    assert pulse.usual_s == pytest.approx(60.0)


def test_looks_may_lie_any_time_apart() -> None:
    """A stream of one datum in three seconds, looked at after each, and once a minute."""
    often = pulse_of(*[(number, 3.0 * number) for number in range(1, 200)])
    rarely = pulse_of(*[(20 * number, 60.0 * number) for number in range(1, 10)])
    assert often.usual_s == pytest.approx(rarely.usual_s)
    assert often.window_s == pytest.approx(15.0)


def test_a_slow_stream_that_becomes_busy_is_known_as_such_within_a_minute() -> None:
    pulse, count = pulse_of(*[(number, 60.0 * number) for number in range(1, 10)]), 9
    assert pulse.window_s == 300.0
    looks = 0
    while not pulse.is_urgent:
        looks, count = looks + 1, count + 100
        pulse.sample(count, 540.0 + 10.0 * looks)
    assert looks <= 6
    assert pulse.window_s == 10.0


def test_a_subscription_after_a_pause_says_nothing_of_the_rhythm() -> None:
    pulse = pulse_of(*[(number * 100, 10.0 * number) for number in range(1, 10)])
    pulse.begin(900, 90.0, 400.0)
    assert pulse.due_at == 410.0
    pulse.sample(901, 400.5)
    pulse.sample(1_000, 410.0)
    assert pulse.usual_s == pytest.approx(0.1, abs=0.01)


def test_only_the_first_question_after_a_datum_is_urgent() -> None:
    ways: dict[str, Callable[[StreamPulse], object]] = {
        "quiet": lambda pulse: pulse.quiet(120.0),
        "failed": lambda pulse: pulse.failed(120.0),
        "dead": lambda pulse: pulse.dead(120.0),
    }
    for name, conclude in ways.items():
        pulse = subscribed_at(100.0)
        pulse.sample(100, 110.0)
        urgent = [pulse.is_urgent]
        conclude(pulse)
        urgent.append(pulse.is_urgent)
        pulse.sample(300, 130.0)
        urgent.append(pulse.is_urgent)
        assert urgent == [True, False, True], name


def test_where_rest_says_nothing_it_is_asked_again_soon_and_ever_more_rarely() -> None:
    pulse, now, pauses = subscribed_at(100.0), 110.0, []
    for _ in range(8):
        pulse.failed(now)
        pauses.append(pulse.due_at - now)
        now = pulse.due_at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    pulse.quiet(now)
    pulse.failed(now)
    assert pulse.due_at == now + 20.0, "an answer counts from then on"


# -- in the whole -----------------------------------------------------------------------------------------------------


async def test_a_dead_symbol_among_live_ones_is_found_and_subscribed_again(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER, ws_idle_timeout=IDLE_S) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(silenced(count=1))
        await feed.until(lambda: w.exchange.injected["symbol_silent"] == 1)
        await trio.sleep(0.5)
        silent_since = last_live_at(feed, ETHER)
        await feed.until(lambda: Source.POLL in {event.source for event in feed.data if event.symbol == "ETH/USD"})
        assert trio.current_time() - silent_since <= IDLE_S + 0.1 + 0.1, "REST data is on its way within the window"
        await feed.until(lambda: feed.controller.freshness()[ETHER] < 1.0)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        assert feed.controller.generation == 1
        assert not feed.moved(State.SILENT)
        assert len([each for each in w.exchange.subscriptions if each.symbol == "ETH/USD"]) == 2
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_a_stream_that_stays_dead_costs_one_reconnect_in_five_minutes(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER, ws_idle_timeout=IDLE_S) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=1.0, symbols=("ETH/USD",))))
        await trio.sleep(290.0)
        asked = [move for move in feed.moves if move.trigger is Trigger.RECONNECT_REQUESTED]
        assert len(asked) == 1
        assert asked[0].reason.startswith("ticker:ETH/USD stays dead: REST has moved on: ticker:ETH/USD has id")
        await trio.sleep(60.0)
        asked = [move for move in feed.moves if move.trigger is Trigger.RECONNECT_REQUESTED]
        assert len(asked) == 2
        live = feed.ids(Source.LIVE, ETHER)
        everything = feed.ids(stream=ETHER)
        assert len(everything) > 3_000 > len(live), "collected over REST meanwhile"
        w.fail(FailuresConfig())
        await feed.until(lambda: feed.controller.freshness()[ETHER] < 1.0)
        await trio.sleep(10.0)
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_a_quiet_stream_is_asked_about_ever_more_rarely_and_left_alone(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed(TICKER, ETHER, ws_idle_timeout=IDLE_S) as feed:
        w.publish(1, ETHER)

        async def market() -> None:
            while True:
                w.publish(1, TICKER)
                await trio.sleep(1.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(market)
            await feed.until_state(State.CONNECTED)
            began = w.exchange.now()
            await trio.sleep(600.0)
            nursery.cancel_scope.cancel()
        probes = [each for each in w.exchange.requests if each.time_s > began and "ETH" in each.query]
        assert 8 <= len(probes) <= 16, len(probes)
        assert len(w.exchange.subscriptions) == 2
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 1


async def test_many_quiet_streams_stay_within_a_tenth_of_the_budget(autojump_clock: MockClock) -> None:
    symbols = tuple(f"S{number}/USD" for number in range(60))
    streams = [Stream("ticker", symbol) for symbol in symbols]
    async with world(rate_per_s=0, symbols=symbols) as w, w.feed(*streams, ws_idle_timeout=IDLE_S) as feed:
        for stream in streams:
            w.publish(1, stream)

        async def market() -> None:
            while True:
                w.publish(1, streams[0])
                await trio.sleep(0.5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(market)
            await feed.until_state(State.CONNECTED)
            began = w.exchange.now()
            await trio.sleep(60.0)
            nursery.cancel_scope.cancel()
        asked = [each for each in w.exchange.requests if each.time_s > began]
        assert 40 <= len(asked) <= 61, "one a second, of ten"
        assert len({each.query for each in asked}) >= 40, "each in its turn"


async def test_rest_a_little_ahead_is_no_proof(autojump_clock: MockClock) -> None:
    """The socket shows each datum 200 ms after REST knows it; the stream is slow, not dead."""
    async with world(latency_s=0.2) as w, w.feed(TICKER, ETHER, ws_idle_timeout=0.5) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=2, symbols=("ETH/USD",))))
        await trio.sleep(30.0)
        w.fail(FailuresConfig())
        await trio.sleep(3.0)
        assert len(w.exchange.subscriptions) == 2
        w.assert_contract(feed, TICKER, ETHER, settled=False)
