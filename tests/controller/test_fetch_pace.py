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

from gapless.controller import ConfigurationError, MarketData, NetworkConfig, Source, State, Stream
from gapless.controller.fetch_pace import FetchPace, pace_of
from gapless.controller.instants import instant
from gapless.simulator import FailuresConfig, RefuseMode
from tests.kit import World, world

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
    it.forget("heavy")
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


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert pace_of(NetworkConfig()) is None
    assert pace_of(NetworkConfig(rest_fetch_adaptive=True)) is not None
    with pytest.raises(ConfigurationError, match="rest_fetch_interval_max must be at least rest_fetch_interval_min"):
        NetworkConfig(rest_fetch_interval_min=11.0)


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
