"""The market data buffer: order, repeats, nonsense, bounds."""

import math
from itertools import pairwise
from random import Random

import pytest

from gapless.controller import Source
from gapless.dashboard.points import MarketDataBuffer, Point, Refusal
from tests.dashboard.happenings import BEGAN, datum


def seconds(buffer: MarketDataBuffer) -> list[float]:
    return [point.at - BEGAN for point in buffer.points]


def test_points_stand_in_the_order_of_the_venue_whenever_they_come() -> None:
    buffer = MarketDataBuffer()
    for second in (3, 1, 2, 5, 4):
        assert isinstance(buffer.enter(datum(second, sequence_id=second)), Point)
    assert seconds(buffer) == [1, 2, 3, 4, 5]


def test_points_of_one_instant_stand_as_they_were_issued() -> None:
    buffer = MarketDataBuffer()
    for sequence_id in (3, 1, 2):
        buffer.enter(datum(0, sequence_id=sequence_id))
    assert [point.sequence_id for point in buffer.points] == [1, 2, 3]


def test_an_id_enters_once() -> None:
    buffer = MarketDataBuffer()
    for sequence_id in (1, 2, 3):
        buffer.enter(datum(sequence_id, sequence_id=sequence_id))
    assert buffer.enter(datum(2, sequence_id=2, source=Source.POLL)) is Refusal.REPEATED
    assert buffer.enter(datum(3, sequence_id=3)) is Refusal.REPEATED
    assert len(buffer) == 3


def test_another_epoch_another_channel_or_a_reset_makes_it_another_id() -> None:
    buffer = MarketDataBuffer()
    buffer.enter(datum(1, sequence_id=1))
    assert isinstance(buffer.enter(datum(2, sequence_id=1, epoch="e-2")), Point)
    assert isinstance(buffer.enter(datum(3, sequence_id=1, channel="trade")), Point)
    buffer.reset("ticker")
    assert isinstance(buffer.enter(datum(4, sequence_id=1)), Point)


def test_a_venue_that_restarts_without_epochs_is_charted_on() -> None:
    buffer = MarketDataBuffer()
    buffer.enter(datum(1, sequence_id=1, epoch=None))
    assert buffer.enter(datum(2, sequence_id=1, epoch=None)) is Refusal.REPEATED
    buffer.reset("ticker")
    assert isinstance(buffer.enter(datum(2, sequence_id=1, epoch=None)), Point)


def test_without_ids_nothing_is_a_repeat() -> None:
    buffer = MarketDataBuffer()
    for _ in range(3):
        assert isinstance(buffer.enter(datum(1)), Point)
    assert len(buffer) == 3


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, -0.01, 1.1e15])
def test_an_absurd_price_does_not_enter(price: float) -> None:
    buffer = MarketDataBuffer()
    assert buffer.enter(datum(1, price)) is Refusal.ABSURD_PRICE
    assert len(buffer) == 0


@pytest.mark.parametrize("price", [0.0, 1e-12, 1e15])
def test_an_unusual_price_does(price: float) -> None:
    assert isinstance(MarketDataBuffer().enter(datum(1, price)), Point)


@pytest.mark.parametrize(
    "timestamp",
    ["yesterday", "2026-01-01T00:00:99Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "2026-01-02T00:00:02Z"],
)
def test_an_absurd_time_does_not_enter(timestamp: str) -> None:
    assert MarketDataBuffer().enter(datum(1, timestamp=timestamp)) is Refusal.ABSURD_TIME


@pytest.mark.parametrize(
    ("timestamp", "second"),
    [
        ("2026-01-01T00:00:01Z", 1.0),
        ("2026-01-01T00:00:01.250Z", 1.25),
        ("2026-01-01T02:00:01+02:00", 1.0),
        ("2026-01-01T00:00:01", 1.0),
        ("2026-01-02T00:00:00Z", 86_400.0),
        ("2020-01-01T00:00:00Z", -189_388_800.0),
    ],
)
def test_times_are_read_in_every_form_of_rfc_3339(timestamp: str, second: float) -> None:
    buffer = MarketDataBuffer()
    buffer.enter(datum(1, timestamp=timestamp))
    assert seconds(buffer) == [second]


def test_a_live_point_without_a_time_stands_at_its_arrival_and_a_fetched_one_nowhere() -> None:
    buffer = MarketDataBuffer()
    buffer.enter(datum(1, timestamp="", received=1.5))
    assert buffer.enter(datum(2, timestamp="", source=Source.BACKFILL)) is Refusal.ABSURD_TIME
    assert seconds(buffer) == [1.5]


def test_what_does_not_fit_leaves_oldest_time_first_and_does_not_come_back() -> None:
    buffer = MarketDataBuffer(points_max=16)
    for second in (*range(10, 25), 5):
        buffer.enter(datum(second, sequence_id=second))
    assert len(buffer) == 16
    buffer.enter(datum(25, sequence_id=25))
    assert seconds(buffer) == list(range(11, 26))
    assert buffer.enter(datum(10, sequence_id=10)) is Refusal.TOO_OLD
    assert buffer.enter(datum(7, sequence_id=7)) is Refusal.TOO_OLD
    assert buffer.enter(datum(11, sequence_id=11)) is Refusal.REPEATED


def test_a_hundred_thousand_points_are_a_bounded_buffer_in_order() -> None:
    rng = Random(5)
    ids = list(range(100_000))
    for start in range(0, len(ids), 500):  # half of them late, by up to 500 places
        if rng.random() < 0.5:
            ids[start : start + 500] = rng.sample(ids[start : start + 500], 500)
    buffer = MarketDataBuffer(points_max=2_000)
    for number in ids:
        buffer.enter(datum(number / 100, sequence_id=number, channel=f"channel-{number % 3}"))
        assert len(buffer) <= 2_000
    assert len(buffer) >= 1_750
    assert all(before.at < after.at for before, after in pairwise(buffer.points))
    assert buffer.points[-1].sequence_id == 99_999
    # What is kept to tell repeats is no more than the points are.
    kept = {(point.channel, point.sequence_id) for point in buffer.points}
    low = (0, "", 0.0)
    counted = 0
    for channel in ("channel-0", "channel-1", "channel-2"):
        before, after = None, buffer.neighbours(channel, low, low)[1]
        while after is not None:
            counted += 1
            assert (after.channel, after.sequence_id) in kept
            before, (_, after) = after, buffer.neighbours(channel, after.rank, after.rank)
            assert before is not after
    assert counted == len(buffer)


def test_a_buffer_holds_something() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MarketDataBuffer(points_max=0)
