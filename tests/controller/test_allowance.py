"""So many at once, and so many a second after that."""

from random import Random

import pytest

from gapless.controller.allowance import Allowance


@pytest.mark.parametrize("begins_at", [0.0, 1_767_225_600.0, -5.0])
def test_a_burst_passes_at_once_and_then_as_many_as_a_second_allows(begins_at: float) -> None:
    allowance = Allowance(burst=3, per_s=2.0)
    passed = [allowance.take(begins_at + at) for at in (0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.5, 1.0, 1.25, 1.5)]
    assert passed == [True, True, True, False, False, True, False, True, False, True]


def test_what_is_not_taken_for_long_adds_up_to_one_burst() -> None:
    allowance = Allowance(burst=3, per_s=2.0)
    assert [allowance.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(86_400.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_is_set_back_allows_nothing_for_the_time_and_blocks_nothing_after_it() -> None:
    allowance = Allowance(burst=1, per_s=1.0)
    assert [allowance.take(now) for now in (100.0, 40.0, 40.5, 41.0, 41.0)] == [True, False, False, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_no_span_lets_more_pass_than_a_burst_and_its_seconds(seed: int) -> None:
    random, allowance = Random(seed), Allowance(burst=5, per_s=3.0)
    now, passed = 0.0, list[float]()
    for _ in range(500):
        now += random.choice((0.0, 0.0, 0.125, 1.0))
        if allowance.take(now):
            passed.append(now)
    assert len(passed) > 5
    for first, begins_at in enumerate(passed):
        for last, ends_at in enumerate(passed[first:], first):
            assert last - first + 1 <= 5 + 3.0 * (ends_at - begins_at)
