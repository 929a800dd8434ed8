"""Where a stream ends that was left, and what it left out."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from gapless.controller import AnyEvent, ContinuityLost, StreamCursor
from gapless.controller.store.partings import UNSUBSCRIBED, abandoned, left_out, parted
from tests.store.events import datum, lost, reset

OTHERS: list[AnyEvent] = [datum(900, symbol="B"), lost(950, 960, symbol="B"), reset("e-1", "e-9", symbol="B")]


def stands(next_id: int | None, *, epoch: str = "e-1", holes: Sequence[tuple[int, int]] = ()) -> StreamCursor:
    return StreamCursor(channel="ticker", symbol="A", epoch=epoch, next_id=next_id, holes=list(holes))


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
    assert ranges(parted(stands(5), [*OTHERS, *events, *OTHERS], 7.0)) == [(*end, None)]


def test_what_has_no_id_has_no_end() -> None:
    assert parted(stands(None), OTHERS, 7.0) == []
    assert ranges(parted(stands(None), [datum(4)], 7.0)) == [("e-1", 5, None)]


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
        (stands(3, epoch="e-2"), [datum(5), datum(1, epoch="e-2")], [("e-1", 6, None)]),
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
    assert ranges(left_out(stands(5), now, [*OTHERS, *events], 7.0)) == out


def test_what_was_missing_before_and_came_is_not_left_out() -> None:
    assert ranges(left_out(stands(5, holes=[(2, 3)]), stands(9), [datum(3), datum(8)], 7.0)) == [
        ("e-1", 2, 2),
        ("e-1", 5, 7),
    ]
