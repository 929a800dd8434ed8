"""Where a stream ends that was left, and what it left out."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from gapless.controller import AnyEvent, ContinuityLost, StreamCursor
from gapless.controller.store.partings import UNSUBSCRIBED, abandoned, parted, spoken_of
from tests.store.events import datum, lost, reset

KEY = "ticker", "A"
OTHERS: list[AnyEvent] = [datum(900, symbol="B"), lost(950, 960, symbol="B"), reset("e-1", "e-9", symbol="B")]


def stands(next_id: int | None, *, epoch: str = "e-1", holes: Sequence[tuple[int, int]] = ()) -> StreamCursor:
    return StreamCursor(channel="ticker", symbol="A", epoch=epoch, next_id=next_id, holes=list(holes))


def words_on(
    was: StreamCursor | None, now: StreamCursor | None, events: Sequence[AnyEvent], *, is_contiguous: bool = True
) -> list[tuple[str | None, int, int | None]]:
    spoken = spoken_of([*OTHERS, *events, *OTHERS], {KEY}).get(KEY, [])
    return ranges(parted(KEY, was, now, spoken, 7.0, is_contiguous=is_contiguous))


def ranges(words: Sequence[ContinuityLost]) -> list[tuple[str | None, int, int | None]]:
    assert all(
        (each.channel, each.symbol, each.reason, each.at) == ("ticker", "A", UNSUBSCRIBED, 7.0) for each in words
    )
    return [(each.epoch, each.start_seq, each.end_seq) for each in words]


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([], ("e-1", 5)),
        ([datum(5), datum(6)], ("e-1", 7)),
        ([datum(5), datum(9), lost(6, 8)], ("e-1", 10)),
        ([datum(5), lost(6, 8)], ("e-1", 9)),
        ([datum(3)], ("e-1", 5)),
        ([datum(5), lost(6, None), reset("e-1", "e-2"), datum(1, epoch="e-2")], ("e-2", 2)),
        ([datum(5), lost(6, None), reset("e-1", "e-2")], ("e-2", 1)),
    ],
)
def test_it_ends_behind_the_last_that_came_or_was_told(events: list[AnyEvent], end: tuple[str, int]) -> None:
    assert words_on(stands(5), None, events) == [(*end, None)]


def test_what_has_no_id_has_no_end() -> None:
    assert words_on(stands(None), None, []) == []
    assert words_on(stands(None), None, [datum(None)]) == []
    assert words_on(stands(None), None, [datum(4)]) == [("e-1", 5, None)]


def test_what_begins_elsewhere_leaves_its_holes_open_for_ever() -> None:
    assert ranges(abandoned(stands(9, holes=[(2, 3), (6, 6)]), 7.0)) == [
        ("e-1", 2, 3),
        ("e-1", 6, 6),
        ("e-1", 9, None),
    ]


def test_what_was_lost_before_the_app_was_told_so_is_told_with_it() -> None:
    was = replace(stands(43, holes=[(7, 9)]), lost=[(20, 24, "too_many_gaps")])
    assert ranges(abandoned(was, 7.0)) == [("e-1", 7, 9), ("e-1", 20, 24), ("e-1", 43, None)]


@pytest.mark.parametrize(
    ("now", "events", "out"),
    [
        (stands(13), [datum(5), datum(6), datum(11), datum(12)], [("e-1", 7, 10)]),
        (stands(13, holes=[(11, 11)]), [datum(5), datum(12)], [("e-1", 6, 10)]),
        (stands(13), [datum(5), lost(6, 7), datum(12)], [("e-1", 8, 11)]),
        (stands(7), [datum(5), datum(6)], []),
        (stands(None), [datum(5)], [("e-1", 6, None)]),
        (stands(3, epoch="e-2"), [datum(5), datum(1, epoch="e-2"), datum(2, epoch="e-2")], [("e-1", 6, None)]),
        # Of another epoch it is known from the lowest id on that came.
        (stands(3, epoch="e-2"), [datum(5), datum(1, epoch="e-2")], [("e-1", 6, None), ("e-2", 2, 2)]),
        (
            stands(99, epoch="e-2", holes=[(96, 96)]),
            [datum(90, epoch="e-2"), datum(91, epoch="e-2"), datum(95, epoch="e-2"), datum(98, epoch="e-2")],
            [("e-1", 5, None), ("e-2", 92, 94), ("e-2", 97, 97)],
        ),
        (
            stands(6, epoch="e-2"),
            [lost(5, None), reset("e-1", "e-2"), datum(1, epoch="e-2"), datum(5, epoch="e-2")],
            [("e-2", 2, 4)],
        ),
    ],
)
def test_what_neither_wish_brought_nor_misses_was_left_out(
    now: StreamCursor, events: list[AnyEvent], out: list[tuple[str, int, int | None]]
) -> None:
    assert words_on(stands(5), now, events) == out


def test_what_was_missing_before_and_came_is_not_left_out() -> None:
    assert words_on(stands(5, holes=[(2, 3)]), stands(9), [datum(3), datum(8)]) == [("e-1", 2, 2), ("e-1", 5, 7)]


@pytest.mark.parametrize("was", [None, stands(None), stands(None, epoch="e-0")])
@pytest.mark.parametrize(
    ("now", "events", "out"),
    [
        (stands(21), [datum(10), datum(11), datum(20)], [(12, 19)]),
        (stands(21, holes=[(15, 16)]), [datum(10), datum(11), datum(20)], [(12, 14), (17, 19)]),
        (stands(21), [lost(8, 9), datum(20), datum(10)], [(11, 19)]),
        (stands(21), [datum(10), datum(11)], [(12, 20)]),
        (stands(21), [], []),
        (stands(None), [datum(10), datum(12)], [(11, 11), (13, None)]),
        (None, [datum(10), datum(12)], [(11, 11), (13, None)]),
    ],
)
def test_where_it_did_not_stand_anywhere_it_is_known_from_the_lowest_id_on(
    was: StreamCursor | None,
    now: StreamCursor | None,
    events: list[AnyEvent],
    out: list[tuple[int, int | None]],
) -> None:
    assert words_on(was, now, events) == [("e-1", *each) for each in out]


def test_what_lies_between_two_wishes_is_told_where_the_later_one_is_over_too() -> None:
    assert words_on(stands(5), None, [datum(5), datum(9), lost(8, 8)]) == [("e-1", 6, 7), ("e-1", 10, None)]


def test_every_epoch_ends_but_the_present_one() -> None:
    events: list[AnyEvent] = [datum(5), datum(3, epoch="e-2"), datum(7, epoch="e-3")]
    assert words_on(stands(5), stands(8, epoch="e-3"), events) == [("e-1", 6, None), ("e-2", 4, None)]


def test_where_epochs_have_no_names_each_count_is_one_of_its_own() -> None:
    was = StreamCursor(channel="ticker", symbol="A", next_id=900)
    events: list[AnyEvent] = [
        datum(900, epoch=None),
        lost(901, None, epoch=None),
        reset(None, None),
        datum(2, epoch=None),
    ]
    assert words_on(was, None, events) == [(None, 1, 1), (None, 3, None)]


def test_of_ids_that_leave_some_out_nobody_can_tell_which_were_not_wanted() -> None:
    assert words_on(stands(5), None, [datum(9), datum(700)], is_contiguous=False) == [("e-1", 701, None)]
