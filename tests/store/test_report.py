"""What a report says is missing, and what it says nothing about."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gapless.controller import AnyEvent, Source, StreamCursor
from gapless.controller.store import Lost, Report, report_of
from gapless.controller.store.reading import reading
from gapless.controller.store.report import Account
from tests.store.events import at, datum, lost, reset, write


def account(
    ids: Sequence[int],
    *,
    from_first: bool = False,
    losses: Sequence[tuple[int, int | None]] = (),
    next_id: int | None = None,
    holes: Sequence[tuple[int, int]] = (),
) -> Account:
    known = [Lost(start_seq=start, end_seq=end, reason="evicted") for start, end in losses]
    position = (
        None
        if next_id is None
        else StreamCursor(channel="ticker", symbol="A", epoch="e-1", next_id=next_id, holes=list(holes))
    )
    found = Account(from_first, known, position)
    found.run_through(ids)
    return found


def test_nothing_is_missing_from_ids_that_follow_each_other() -> None:
    found = account([5, 6, 7], next_id=8)
    assert (found.owed_from, found.first_id, found.last_id, found.next_id, found.missing) == (5, 5, 7, 8, [])


def test_what_nothing_explains_is_missing() -> None:
    assert account([1, 2, 5, 9], next_id=10).missing == [(3, 4), (6, 8)]


def test_what_is_lost_or_still_owed_is_not_missing() -> None:
    assert account([1, 2, 5, 12], losses=[(3, 4), (6, 7)], next_id=13, holes=[(9, 10)]).missing == [(8, 8), (11, 11)]


def test_an_epoch_that_began_meanwhile_is_owed_from_the_first() -> None:
    assert account([3], from_first=True, next_id=4).missing == [(1, 2)]


def test_a_loss_below_everything_that_came_is_where_it_begins() -> None:
    found = account([9], losses=[(5, 7)], next_id=10)
    assert (found.owed_from, found.missing) == (5, [(8, 8)])


def test_the_end_is_where_the_cursor_is() -> None:
    assert account([1, 2], next_id=6).missing == [(3, 5)]
    assert account([1, 2], losses=[(3, None)]).missing == []
    assert account([1, 2], losses=[(5, None)]).missing == [(3, 4)]


def test_an_epoch_of_which_nothing_came() -> None:
    found = account([], from_first=True, losses=[(1, None)])
    assert (found.first_id, found.last_id, found.missing) == (None, None, [])


def reported(path: Path) -> Report:
    with reading(path) as connection:
        return report_of(connection)


def test_a_recording_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    first: list[AnyEvent] = [
        datum(1, at=10.0),
        datum(2, at=10.5, source=Source.POLL),
        lost(4, None),
        reset("e-1", "e-2"),
    ]
    second = [datum(1, epoch="e-2", at=20.0), datum(3, epoch="e-2", at=23.5, source=Source.BACKFILL)]
    write(path, (first, at(1, epoch="e-2")), (second, at(4, epoch="e-2")))
    found = reported(path)
    assert (found.venue, found.runs, found.unfinished, found.began_at, found.last_at) == ("reference", 1, 0, 1.0, 2.0)
    left, entered = found.series
    assert (left.epoch, left.data, left.live, left.poll, left.missing) == ("e-1", 2, 1, 1, [(3, 3)])
    assert (entered.epoch, entered.live, entered.backfill, entered.missing) == ("e-2", 1, 1, [(2, 2)])
    assert (entered.freshness_worst_s, entered.freshness_worst_at) == (3.5, 23.5)
    assert not found.is_sound


@pytest.mark.parametrize("rule", ["monotonic", "chained", "unsequenced"])
def test_of_ids_that_leave_some_out_nothing_is_missing(tmp_path: Path, rule: str) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(1), datum(9)], at(None if rule == "unsequenced" else 10)), rule=rule)
    assert reported(path).is_sound


def test_an_empty_recording(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path)
    assert reported(path).series == []
