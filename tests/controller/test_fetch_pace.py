"""Polling as often as a stream moves: the rule (pure), then a market whose streams differ, in virtual time."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from urllib.parse import parse_qs

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gapless.controller import (
    ConfigurationError,
    MarketData,
    NetworkConfig,
    Source,
    State,
    Stream,
    open_controller,
)
from gapless.controller.fetch_pace import FetchPace, pace_of
from gapless.controller.instants import instant
from gapless.simulator import FailuresConfig, RefuseMode
from tests.kit import TICKER, World, virtual_wall_clock, world

BUSY, USUAL, QUIET = (Stream("ticker", f"{name}/USD") for name in ("BUSY", "USUAL", "QUIET"))
RATES = {BUSY: 16.0, USUAL: 1.0, QUIET: 1 / 60}
"""Per second."""


def pace(budget_per_s: float = 1_000.0) -> FetchPace:
    return FetchPace(interval_s=2.0, min_s=0.5, max_s=10.0, budget_per_s=budget_per_s)


def seen(rates: Mapping[str, float], budget_per_s: float = 1_000.0) -> dict[str, float]:
    """The intervals after ten minutes of these rates."""
    it = pace(budget_per_s)
    for at in (0, 600):
        for name, rate in rates.items():
            it.look(name, count=int(rate * at), weight=1, now=float(at))
    return {name: it.interval_s(name) for name in rates}


@pytest.mark.parametrize(
    ("rate", "interval_s"),
    [(1.0, 2.0), (4.0, 1.0), (16.0, 0.5), (1_000.0, 0.5), (0.25, 4.0), (0.01, 10.0), (0.0, 10.0)],
)
def test_the_interval_goes_with_the_root_of_the_rate_between_two_bounds(rate: float, interval_s: float) -> None:
    assert seen({"a": rate})["a"] == pytest.approx(interval_s)


def test_what_is_not_known_yet_has_the_usual_interval() -> None:
    it = pace()
    assert it.interval_s("never seen") == 2.0
    it.look("once", count=7, weight=1, now=0.0)
    assert it.interval_s("once") == 2.0
    for at in range(10):
        it.look("account", count=None, weight=1, now=float(at))
    assert it.interval_s("account") == 2.0


@given(st.lists(st.floats(0.0, 1_000.0), min_size=1, max_size=200), st.floats(0.5, 50.0))
def test_no_more_is_planned_than_most_of_the_budget(rates: list[float], budget_per_s: float) -> None:
    intervals = seen({str(number): rate for number, rate in enumerate(rates)}, budget_per_s)
    assert (
        sum(1.0 / each for each in intervals.values()) <= 0.8 * budget_per_s + 1e-9 or len(rates) / 0.5 < budget_per_s
    )
    assert min(intervals.values()) >= 0.5


def test_a_heavier_poll_takes_more_of_the_budget() -> None:
    it = pace(budget_per_s=5.0)
    it.look("light", count=0, weight=1, now=0.0)
    assert it.interval_s("light") == 2.0
    it.look("heavy", count=0, weight=19, now=0.0)
    assert it.interval_s("light") == it.interval_s("heavy") == pytest.approx(2.0 * 10.0 / 4.0)
    it.keep(["light"])
    assert it.interval_s("light") == 2.0


def test_a_rate_is_mostly_forgotten_after_two_minutes() -> None:
    it = pace()
    count = 0
    for second in range(0, 240, 2):
        it.look("a", count=count, weight=1, now=float(second))
        count += 32 if second < 120 else 0
        if second == 118:
            assert it.interval_s("a") == pytest.approx(0.5, rel=0.01)
    assert it.interval_s("a") > 3.5, "sixteen a second have become less than one in three"


def test_a_first_answer_says_little() -> None:
    """It comes milliseconds after the question, without rows or with many."""
    for rows in (0, 5):
        it = pace()
        it.look("a", count=0, weight=1, now=0.0)
        it.look("a", count=rows, weight=1, now=0.02)
        assert it.interval_s("a") == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("answers_after_s", [0.02, 20.0])
def test_what_has_waited_since_an_earlier_run_counts_for_the_time_that_it_spans(answers_after_s: float) -> None:
    """Six hundred rows of ten minutes are one a second, also where REST answers late."""
    it = pace()
    it.look("a", count=0, weight=1, now=0.0, newest_at=1_000.0)
    if answers_after_s > 1:
        it.look("a", count=0, weight=1, now=2.0, newest_at=1_000.0)
    it.look("a", count=600, weight=1, now=answers_after_s, newest_at=1_600.0)
    assert it.interval_s("a") == pytest.approx(2.0, rel=0.01)
    # From then on the clock tells: one that is wrong would mislead once.
    it.look("a", count=632, weight=1, now=answers_after_s + 2.0, newest_at=9_999.0)
    it.look("a", count=632 + 16 * 120, weight=1, now=answers_after_s + 122.0, newest_at=None)
    assert it.interval_s("a") == pytest.approx(0.5, rel=0.02)


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert pace_of(NetworkConfig()) is None
    assert pace_of(NetworkConfig(rest_fetch_adaptive=True)) is not None
    with pytest.raises(ConfigurationError, match="rest_fetch_interval_max must be at least rest_fetch_interval_min"):
        NetworkConfig(rest_fetch_interval_min=11.0)
    NetworkConfig(rest_fetch_interval=60.0)
    for interval_s in (0.4, 10.1):
        with pytest.raises(ConfigurationError, match=f"must lie between .*0.5.* and .*10.0.*, got {interval_s}"):
            NetworkConfig(rest_fetch_adaptive=True, rest_fetch_interval=interval_s)


async def trade(w: World) -> None:
    """Streams that differ a thousandfold, each at random."""
    random = Random(1)

    async def one(stream: Stream, rate: float) -> None:
        while True:
            await trio.sleep(random.expovariate(rate))
            w.publish(1, stream)

    async with trio.open_nursery() as nursery:
        for stream, rate in RATES.items():
            nursery.start_soon(one, stream, rate)


async def outage(*, adaptive: bool) -> tuple[Counter[str], dict[Stream, float]]:
    """A minute live, two without a socket: requests per symbol, and the mean age of the data when they came."""
    symbols = tuple(stream.symbol for stream in RATES)
    async with (
        world(rate_per_s=0, symbols=symbols) as w,
        trio.open_nursery() as nursery,
        w.feed(*RATES, rest_fetch_adaptive=adaptive, reconnect_max_attempts=None, ws_idle_timeout=120.0) as feed,
    ):
        nursery.start_soon(trade, w)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(60)
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)))
        w.network.reset(w.ws_port)
        await feed.until_state(State.REST_FALLBACK)
        since = w.exchange.now()
        await trio.sleep(120)
        asked = Counter(parse_qs(each.query)["symbol"][0] for each in w.exchange.requests if each.time_s >= since)
        ages = {stream: mean_age(feed.of(MarketData), stream) for stream in RATES}
        feed.assert_contract(*RATES, settled=False)
        nursery.cancel_scope.cancel()
    return asked, ages


def mean_age(data: list[MarketData], stream: Stream) -> float:
    ages = [d.received_at - instant(d.timestamp) for d in data if d.symbol == stream.symbol and d.source is Source.POLL]
    return sum(ages) / len(ages)


async def test_a_busy_stream_is_polled_more_often_and_a_quiet_one_less(autojump_clock: MockClock) -> None:
    fixed, fixed_age = await outage(adaptive=False)
    assert [fixed[each.symbol] for each in RATES] == [pytest.approx(60, abs=2)] * 3
    adaptive, age = await outage(adaptive=True)
    assert adaptive[BUSY.symbol] == pytest.approx(240, rel=0.1)
    assert adaptive[USUAL.symbol] == pytest.approx(60, rel=0.3)
    assert adaptive[QUIET.symbol] == pytest.approx(15, abs=5)
    assert age[BUSY] == pytest.approx(fixed_age[BUSY] / 4, rel=0.2)
    assert age[USUAL] == pytest.approx(fixed_age[USUAL], rel=0.35)


async def test_where_no_socket_opens_the_first_data_come_as_early_as_with_one_interval(
    autojump_clock: MockClock,
) -> None:
    """The first poll only tells how far the stream is; that it brings nothing is no word on the stream's rate."""
    first: list[float] = []
    for adaptive in (False, True):
        failures = FailuresConfig(refuse=RefuseMode(enabled=True))
        async with world(rate_per_s=10, failures=failures) as w, w.feed(rest_fetch_adaptive=adaptive) as feed:
            began_at = virtual_wall_clock()
            await trio.sleep(30)
            first.append(feed.of(MarketData)[0].received_at - began_at)
    assert first[1] == pytest.approx(first[0], abs=0.2)


async def test_what_was_missed_while_the_app_was_down_is_no_haste_afterwards(autojump_clock: MockClock) -> None:
    """Ten minutes of one datum a second come with the first poll; then it is polled as such a stream is."""
    async with world(rate_per_s=1) as w:
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)
            await trio.sleep(5)
            cursor = feed.controller.cursor()
        await trio.sleep(600)
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)), None)
        since = w.exchange.now()
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            config=NetworkConfig(rest_fetch_adaptive=True, reconnect_max_attempts=None),
            wall_clock=virtual_wall_clock,
            resume=cursor,
            on_message=lambda _: None,
        ) as controller:
            await trio.sleep(120)
            assert controller.stats.polled > 700
        assert w.requests_since(since) == pytest.approx(60, rel=0.1)


async def test_streams_that_were_given_up_while_all_was_well_take_no_part_of_the_budget(
    autojump_clock: MockClock,
) -> None:
    """A hundred and fifty, beside one of sixteen a second."""
    others = [Stream("ticker", f"X{number}/USD") for number in range(150)]
    symbols = (BUSY.symbol, *(each.symbol for each in others))

    async def trade_busily() -> None:
        while True:
            w.publish(1, BUSY)
            await trio.sleep(1 / 16)

    async with (
        world(rate_per_s=0, symbols=symbols) as w,
        trio.open_nursery() as nursery,
        w.feed(BUSY, *others, rest_fetch_adaptive=True, reconnect_max_attempts=None, ws_idle_timeout=60.0) as feed,
    ):
        nursery.start_soon(trade_busily)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(60)
        feed.controller.unsubscribe(*others)
        await trio.sleep(60)
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)), None)
        w.network.reset(w.ws_port)
        await trio.sleep(5)
        since = w.exchange.now()
        await trio.sleep(120)
        assert w.requests_since(since) == pytest.approx(240, rel=0.05)
        nursery.cancel_scope.cancel()
