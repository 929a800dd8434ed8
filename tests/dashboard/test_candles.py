"""Candles: late points correct the past, losses are marked, and the order of arrival changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import MarketData, Source
from gapless.dashboard.candles import CandlestickAggregator
from gapless.dashboard.points import MarketDataBuffer, Refusal
from gapless.dashboard.wire import CandleWire
from tests.dashboard.happenings import BEGAN, datum, lost, reset


def chart(*data: MarketData, bars_max: int = 600) -> CandlestickAggregator:
    candles = CandlestickAggregator(MarketDataBuffer(), bars_max=bars_max)
    for each in data:
        candles.enter(each)
    return candles


def prices(candle: CandleWire) -> tuple[float, float, float, float]:
    return candle.o, candle.h, candle.l, candle.c


def marked(candles: CandlestickAggregator) -> list[int]:
    """Second of each bar that is marked as lost."""
    return [candle.t - int(BEGAN) for candle in candles.candles() if candle.lost]


def test_a_bar_sums_up_its_points() -> None:
    candles = chart(datum(0, 10), datum(1, 12), datum(2, 8), datum(4.999, 11), datum(5, 20)).candles()
    assert [candle.t - BEGAN for candle in candles] == [0, 5]
    assert prices(candles[0]) == (10, 12, 8, 11)
    assert (candles[0].n, candles[0].v, candles[0].over_rest, candles[0].lost) == (4, 4.0, 0, False)
    assert prices(candles[1]) == (20, 20, 20, 20)


def test_what_comes_late_over_rest_corrects_a_past_bar() -> None:
    candles = chart(datum(1, 10, 2), datum(6, 20, 4))
    for late in (
        datum(0.5, 9, 1, source=Source.BACKFILL, received=30),
        datum(4, 15, 3, source=Source.POLL, received=31),
    ):
        assert candles.enter(late, revision=7) is None
    assert prices(candles.candles()[0]) == (9, 15, 9, 15)
    assert [candle.over_rest for candle in candles.candles()] == [2, 0]
    assert [candle.t - BEGAN for candle in candles.newer_than(6)] == [0]


def test_what_comes_late_may_be_a_bar_of_its_own() -> None:
    candles = chart(datum(1, 10, 1), datum(21, 20, 3), datum(11, 15, 2, source=Source.BACKFILL))
    assert [candle.t - BEGAN for candle in candles.candles()] == [0, 10, 20]


def test_a_repeat_changes_nothing() -> None:
    candles = chart(datum(1, 10, 1), datum(2, 11, 2))
    before = candles.candles()
    assert candles.enter(datum(1, 99, 1, source=Source.POLL), revision=9) is Refusal.REPEATED
    assert candles.candles() == before
    assert candles.newer_than(0) == []


def test_the_oldest_bars_leave_and_points_older_than_the_rest_come_too_late() -> None:
    candles = chart(*(datum(5 * number, 1, number) for number in range(5)), bars_max=3)
    assert [candle.t - BEGAN for candle in candles.candles()] == [10, 15, 20]
    candles.enter(datum(6, 1, 90))
    candles.enter(datum(11, 1, 91))
    assert [(candle.t - BEGAN, candle.n) for candle in candles.candles()] == [(10, 2), (15, 1), (20, 1)]
    assert len(candles.newer_than(-1)) == 3


def test_only_whole_seconds_and_at_least_one_bar() -> None:
    for interval_s in (0.0, 0.5, 2.5):
        with pytest.raises(ValueError, match="whole number of seconds"):
            CandlestickAggregator(MarketDataBuffer(), interval_s=interval_s)
    with pytest.raises(ValueError, match="bars_max"):
        CandlestickAggregator(MarketDataBuffer(), bars_max=0)


def test_another_width_is_made_of_the_same_buffer() -> None:
    buffer = MarketDataBuffer()
    narrow = CandlestickAggregator(buffer, interval_s=1)
    for second in range(10):
        narrow.enter(datum(second, second, second))
    (wide,) = CandlestickAggregator(buffer, interval_s=10).candles()
    assert len(narrow) == 10
    assert (prices(wide), wide.n) == ((0, 9, 0, 9), 10)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_a_loss_marks_the_bars_of_its_neighbours() -> None:
    candles = chart(
        datum(1, sequence_id=1), datum(7, sequence_id=2), datum(18, sequence_id=9), datum(22, sequence_id=10)
    )
    candles.lose(lost(30, 3, 8), revision=4)
    assert marked(candles) == [5, 15]
    assert sorted(candle.t - BEGAN for candle in candles.newer_than(3)) == [5, 15]


def test_a_loss_within_a_bar_marks_that_one() -> None:
    candles = chart(datum(1, sequence_id=1), datum(6, sequence_id=2), datum(7, sequence_id=5), datum(12, sequence_id=6))
    candles.lose(lost(30, 3, 4))
    assert marked(candles) == [5]


def test_a_loss_is_marked_as_soon_as_a_neighbour_comes() -> None:
    candles = chart()
    candles.lose(lost(0, 1, 3))
    assert marked(candles) == []
    candles.enter(datum(6, sequence_id=4), revision=2)
    candles.enter(datum(11, sequence_id=5))
    assert marked(candles) == [5]
    candles.lose(lost(20, 6, None, "epoch_ended"))
    assert marked(candles) == [5, 10]
    candles.enter(datum(26, sequence_id=1, epoch="e-2"))
    assert marked(candles) == [5, 10, 25]


def test_a_loss_closes_in_on_itself_when_what_is_beside_it_is_filled() -> None:
    candles = chart(datum(1, sequence_id=1), datum(31, sequence_id=10))
    candles.lose(lost(32, 4, 5))
    assert marked(candles) == [0, 30]
    candles.enter(datum(6, sequence_id=2, source=Source.BACKFILL))
    candles.enter(datum(11, sequence_id=3, source=Source.BACKFILL))
    candles.enter(datum(21, sequence_id=7, source=Source.BACKFILL))
    candles.enter(datum(16, sequence_id=6, source=Source.BACKFILL), revision=3)
    assert marked(candles) == [10, 15]
    assert {candle.t - BEGAN for candle in candles.newer_than(2)} == {15, 20}


def test_bars_of_another_channel_within_a_loss_are_marked() -> None:
    candles = chart(datum(1, sequence_id=1), datum(11, sequence_id=9))
    candles.lose(lost(12, 2, 8))
    candles.enter(datum(6, sequence_id=1, channel="trade"))
    assert marked(candles) == [0, 5, 10]


def test_a_loss_of_the_epoch_before_is_found_after_a_reset_without_epochs() -> None:
    buffer = MarketDataBuffer()
    candles = CandlestickAggregator(buffer)
    candles.enter(datum(1, sequence_id=40, epoch=None))
    candles.lose(lost(8, 41, None, "epoch_ended", epoch=None))
    buffer.reset(reset(8).channel)
    candles.enter(datum(11, sequence_id=1, epoch=None))
    candles.enter(datum(16, sequence_id=2, epoch=None))
    assert marked(candles) == [0, 10]


def test_without_ids_a_loss_lies_between_what_came_and_what_comes() -> None:
    candles = chart(datum(1), datum(6))
    candles.lose(lost(8, 1, 1, "no_history"))
    assert marked(candles) == [5]
    candles.enter(datum(11))
    candles.enter(datum(16))
    assert marked(candles) == [5, 10]


# -- whatever the order -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    half_seconds: int
    sequence_id: int
    price: int
    source: Source

    @property
    def datum(self) -> MarketData:
        # Received far later, so that no time is absurd.
        return datum(self.half_seconds / 2, self.price, self.sequence_id, source=self.source, received=1_000)


def naive(ticks: Sequence[Tick]) -> list[CandleWire]:
    """Candles as a text book makes them: of all points at once, sorted."""
    ordered = sorted(ticks, key=lambda tick: (tick.half_seconds, tick.sequence_id))
    bars = [(t, list(bar)) for t, bar in groupby(ordered, key=lambda tick: tick.half_seconds // 10 * 5)]
    return [
        CandleWire(
            t=int(BEGAN) + t,
            o=bar[0].price,
            h=max(tick.price for tick in bar),
            l=min(tick.price for tick in bar),
            c=bar[-1].price,
            v=len(bar),
            n=len(bar),
            over_rest=sum(tick.source is not Source.LIVE for tick in bar),
            lost=False,
        )
        for t, bar in bars
    ]


TICKS = st.lists(
    st.builds(
        Tick,
        half_seconds=st.integers(0, 60),
        sequence_id=st.integers(0, 1_000),
        price=st.integers(0, 20),
        source=st.sampled_from(Source),
    ),
    unique_by=lambda tick: tick.sequence_id,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(ticks=TICKS, data=st.data())
def test_points_in_any_order_and_with_repeats_make_the_same_candles(ticks: list[Tick], data: st.DataObject) -> None:
    arrivals = data.draw(st.permutations(ticks))
    repeats = data.draw(st.lists(st.sampled_from(ticks), max_size=10)) if ticks else []
    candles = CandlestickAggregator(MarketDataBuffer())
    for number, tick in enumerate([*arrivals, *repeats], 1):
        candles.enter(tick.datum, revision=number)
    assert candles.candles() == naive(ticks)
    assert sorted(candles.newer_than(0), key=lambda bar: bar.t) == naive(ticks)


@settings(max_examples=200, deadline=None)
@given(
    numbers=st.sets(st.integers(0, 40)),
    start=st.integers(0, 40),
    length=st.integers(1, 10),
    data=st.data(),
)
def test_a_loss_may_come_before_between_or_after_its_neighbours(
    numbers: set[int], start: int, length: int, data: st.DataObject
) -> None:
    """One id every two seconds: marked are the bars of the last id below and of the first one above."""
    delivered = sorted(numbers - set(range(start, start + length)))
    arrivals = data.draw(st.permutations(delivered))
    told_after = data.draw(st.integers(0, len(arrivals)))
    candles = chart()
    for number in arrivals[:told_after]:
        candles.enter(datum(2 * number, sequence_id=number))
    candles.lose(lost(99, start, start + length - 1))
    for number in arrivals[told_after:]:
        candles.enter(datum(2 * number, sequence_id=number))
    below = [number for number in delivered if number < start]
    above = [number for number in delivered if number >= start + length]
    beside = {2 * number // 5 * 5 for number in [*below[-1:], *above[:1]]}
    assert marked(candles) == sorted(beside)
