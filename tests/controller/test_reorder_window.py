"""The reorder window: what was skipped, and when it is overdue."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller.reorder_window import ReorderWindow


def window(*jumps: tuple[int, int, float]) -> ReorderWindow:
    made = ReorderWindow()
    for start, end, until in jumps:
        made.add(start, end, until=until)
    return made


def test_each_jump_is_overdue_at_its_own_time() -> None:
    both = window((2, 4, 10.0), (6, 7, 11.0))
    assert (both.due_at, both.first, len(both)) == (10.0, 2, 2)
    assert both.pop_due(9.9) == []
    assert both.pop_due(10.0) == [(2, 4)]
    assert (both.due_at, list(both)) == (11.0, [(6, 7)])
    assert both.pop_due(float("inf")) == [(6, 7)]
    assert (both.due_at, len(both)) == (float("inf"), 0)
    assert both.pop_due(float("inf")) == []


def test_what_came_is_not_overdue() -> None:
    one = window((2, 4, 10.0))
    assert [one.discard(number) for number in (3, 3, 5)] == [True, False, False]
    assert one.pop_due(10.0) == [(2, 2), (4, 4)]


def test_a_jump_that_came_whole_is_forgotten_with_its_time() -> None:
    both = window((2, 3, 10.0), (6, 6, 11.0))
    assert [both.discard(number) for number in (3, 2)] == [True, True]
    assert both.due_at == 11.0
    assert both.discard(6)
    assert both.due_at == float("inf")


def test_what_is_taken_out_takes_its_time_along() -> None:
    three = window((2, 3, 10.0), (6, 9, 11.0), (11, 12, 12.0))
    assert three.take(3, 7) == [(3, 3), (6, 7)]
    assert three.take(2, 2) == [(2, 2)]
    assert three.due_at == 11.0
    assert three.pop_due(11.0) == [(8, 9)]
    three.clear()
    assert (list(three), three.due_at) == ([], float("inf"))


def test_after_the_end_of_a_jump_was_cut_off_another_may_begin_there() -> None:
    cut = window((2, 100, 10.0))
    assert cut.take(5, 100) == [(5, 100)]
    cut.add(8, 9, until=11.0)
    assert cut.pop_due(10.0) == [(2, 4)]
    assert cut.pop_due(11.0) == [(8, 9)]


def test_of_nothing_there_is_no_oldest() -> None:
    with pytest.raises(IndexError):
        window().pop_oldest()


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=20),
    st.integers(0, 9),
)
def test_what_is_left_of_each_jump_is_overdue_when_that_jump_is(
    jumps: list[tuple[int, int]], closed: list[tuple[int, int]], now: int
) -> None:
    made, until, last = ReorderWindow(), dict[int, int](), 0
    for at, (apart, length) in enumerate(jumps):
        start, last = last + apart + 1, last + apart + length
        made.add(start, last, until=at)
        until |= dict.fromkeys(range(start, last + 1), at)
    for start, length in closed:
        came = {start} if length == 0 else set(range(start, start + length))
        if length:
            made.take(start, start + length - 1)
        else:
            assert made.discard(start) is (start in until)
        until = {number: at for number, at in until.items() if number not in came}
        assert made.due_at == min(until.values(), default=float("inf"))
        assert len(made) >= len(set(until.values()))
    due = {number for low, high in made.pop_due(now) for number in range(low, high + 1)}
    assert due == {number for number, at in until.items() if at <= now}
    assert {number for low, high in made for number in range(low, high + 1)} == until.keys() - due
