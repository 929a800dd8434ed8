"""The interval set against a plain set of numbers."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller.intervals import IntervalSet

HIGHEST = 24
"""Small, so that random intervals meet, touch and swallow each other often."""

numbers = st.integers(0, HIGHEST)
ranges = st.tuples(numbers, numbers).map(lambda ends: (min(ends), max(ends)))
operations = st.one_of(
    st.tuples(st.just("add"), ranges),
    st.tuples(st.just("take"), ranges),
    st.tuples(st.just("discard"), st.tuples(numbers, numbers)),
    st.tuples(st.just("pop_first"), ranges),
)


def of(*intervals: tuple[int, int]) -> IntervalSet:
    made = IntervalSet()
    for start, end in intervals:
        made.add(start, end)
    return made


def members(intervals: list[tuple[int, int]]) -> list[int]:
    return [number for start, end in intervals for number in range(start, end + 1)]


def test_it_behaves_like_a_plain_set_of_numbers() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=150, derandomize=True, deadline=None)
    @given(st.lists(operations, min_size=15, max_size=40))
    def explore(steps: list[tuple[str, tuple[int, int]]]) -> None:
        intervals, model = IntervalSet(), set[int]()
        for name, (start, end) in steps:
            before = len(intervals)
            wanted = set(range(start, end + 1))
            if name == "add":
                intervals.add(start, end)
                model |= wanted
                reached["merged"] += len(intervals) < before
                reached["separate"] += len(intervals) > before > 0
            elif name == "take":
                taken = intervals.take(start, end)
                assert members(taken) == sorted(model & wanted)
                model -= wanted
                reached["took from several"] += len(taken) > 1
                reached["took nothing"] += not taken
                reached["took a middle"] += len(intervals) > before
            elif name == "discard":
                assert intervals.discard(start) == (start in model)
                model.discard(start)
                reached["split"] += len(intervals) > before
            elif model:
                first = members([intervals.pop_first()])
                assert first == sorted(model)[: len(first)]
                model -= set(first)
                reached["popped"] += 1
            assert members(list(intervals)) == sorted(model)
            assert intervals.ids == len(model)
            assert all(end + 1 < start for (_, end), (start, _) in pairwise(intervals)), "disjoint and not touching"
            assert len(intervals) == sum(1 for number in model if number - 1 not in model)
            assert {number for number in range(-1, HIGHEST + 2) if number in intervals} == model

    explore()
    missed = {"merged", "separate", "took from several", "took nothing", "took a middle", "split", "popped"}
    missed -= {name for name, times in reached.items() if times}
    assert not missed, f"never tried: {missed}"


def test_touching_intervals_become_one() -> None:
    assert list(of((1, 3), (7, 9), (4, 6))) == [(1, 9)]
    assert list(of((1, 3), (5, 6))) == [(1, 3), (5, 6)], "4 is not in"


def test_numbers_may_be_large() -> None:
    """Ids of 10^12 cost no more than small ones: nothing is expanded."""
    intervals = of((1, 10**12))
    assert intervals.discard(10**11)
    assert intervals.take(5, 10**12) == [(5, 10**11 - 1), (10**11 + 1, 10**12)]
    assert list(intervals) == [(1, 4)]
    assert intervals.ids == 4


def test_one_may_change_it_while_walking_through_it() -> None:
    intervals = of((1, 2), (5, 6), (9, 9))
    assert [intervals.take(*each) for each in intervals] == [[(1, 2)], [(5, 6)], [(9, 9)]]
    assert len(intervals) == 0


def test_an_empty_set_has_no_first_interval() -> None:
    intervals = of((1, 2))
    intervals.clear()
    assert (list(intervals), intervals.ids) == ([], 0)
    assert 1 not in intervals
    with pytest.raises(IndexError):
        intervals.pop_first()
