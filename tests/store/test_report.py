"""What a report says is missing, and what it says nothing about."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gapless.controller import AnyEvent, Cursor, SnapshotMissed, Source, StreamCursor
from gapless.controller.store import Lost, Report, report_of
from gapless.controller.store.continuity import Continuity
from gapless.controller.store.reading import reading
from tests.store.events import at, datum, lost, order, rejected, reset, snapshot_read, write


def held(
    ids: Sequence[int],
    *,
    from_first: bool = False,
    losses: Sequence[tuple[int, int | None]] = (),
    next_id: int | None = None,
    holes: Sequence[tuple[int, int]] = (),
    is_contiguous: bool = True,
) -> Continuity:
    known = [Lost(start_seq=start, end_seq=end, reason="evicted") for start, end in losses]
    position = (
        None
        if next_id is None
        else StreamCursor(channel="ticker", symbol="A", epoch="e-1", next_id=next_id, holes=list(holes))
    )
    found = Continuity(from_first, known, position, is_contiguous=is_contiguous)
    found.run_through(ids)
    return found


def test_nothing_is_missing_from_ids_that_follow_each_other() -> None:
    found = held([5, 6, 7], next_id=8)
    assert (found.owed_from, found.first_id, found.last_id, found.next_id, found.missing) == (5, 5, 7, 8, [])


def test_what_nothing_explains_is_missing() -> None:
    assert held([1, 2, 5, 9], next_id=10).missing == [(3, 4), (6, 8)]


def test_what_is_lost_or_still_owed_is_not_missing() -> None:
    assert held([1, 2, 5, 12], losses=[(3, 4), (6, 7)], next_id=13, holes=[(9, 10)]).missing == [(8, 8), (11, 11)]


def test_an_epoch_that_began_meanwhile_is_owed_from_the_first() -> None:
    assert held([3], from_first=True, next_id=4).missing == [(1, 2)]


def test_a_loss_below_everything_that_came_is_where_it_begins() -> None:
    found = held([9], losses=[(5, 7)], next_id=10)
    assert (found.owed_from, found.missing) == (5, [(8, 8)])


def test_the_end_is_where_the_cursor_is() -> None:
    assert held([1, 2], next_id=6).missing == [(3, 5)]
    assert held([1, 2], losses=[(3, None)]).missing == []
    assert held([1, 2], losses=[(5, None)]).missing == [(3, 4)]


def test_an_epoch_of_which_nothing_came() -> None:
    found = held([], from_first=True, losses=[(1, None)])
    assert (found.first_id, found.last_id, found.missing) == (None, None, [])


def still_lost(found: Continuity) -> list[tuple[int, int | None]]:
    return [(each.start_seq, each.end_seq) for each in found.lost]


def test_what_was_called_lost_and_came_after_all_is_not_lost() -> None:
    found = held([1, 2, 3, 6, 9], losses=[(2, 7)], next_id=10)
    assert (still_lost(found), found.missing) == ([(4, 5), (7, 7)], [(8, 8)])


def test_an_epoch_that_was_left_and_came_back_has_not_ended() -> None:
    found = held(range(1, 9), losses=[(6, None), (1, 5)], next_id=9)
    assert (still_lost(found), found.missing) == ([], [])


def test_an_epoch_that_was_left_twice_has_ended_the_second_time() -> None:
    found = held([1, 2, 3, 4, 5, 7, 8], losses=[(6, None), (1, 5), (9, None)])
    assert (still_lost(found), found.next_id, found.missing) == ([(9, None)], 9, [(6, 6)])


def test_what_was_called_lost_twice_is_lost_once() -> None:
    assert still_lost(held([1, 9], losses=[(2, 5), (2, 5), (4, 8)], next_id=10)) == [(2, 5), (6, 8)]


def test_where_ids_leave_some_out_nobody_can_tell_what_came_after_all() -> None:
    found = held([1, 40, 900], losses=[(30, 800), (901, None)], next_id=950, is_contiguous=False)
    assert still_lost(found) == [(30, 800)]


def test_ids_that_the_cursor_has_refuted_leave_no_hole_below_them() -> None:
    """Two corrupt ids in a row had claimed all that lies between."""
    found = held([1, 2, 3, 500_001, 500_002], next_id=4)
    assert (found.last_id, found.next_id, found.missing) == (500_002, 4, [])
    assert held([1, 3, 500_001], next_id=5).missing == [(2, 2), (4, 4)]
    assert held([1, 3, 500_001], losses=[(5, None)]).missing == [(2, 2), (4, 4)]


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


def test_a_stream_of_which_nothing_came_is_there_with_the_last_refusal(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    quiet = StreamCursor(channel="ticker", symbol="B")
    position = Cursor(streams=[*at(2).streams, quiet], epoch="e-1")
    events: list[AnyEvent] = [rejected("B", code="TOO_MANY", at=5.0), datum(1), rejected("B", at=7.0)]
    write(path, (events, position))
    found = reported(path)
    there, silent = found.series
    assert (there.symbol, there.data) == ("A", 1)
    assert (silent.symbol, silent.epoch, silent.data, silent.owed_from, silent.lost) == ("B", None, 0, None, [])
    (refused,) = found.refused
    assert (refused.symbol, refused.what, refused.times) == ("B", "stream", 2)
    assert (refused.reason, refused.message, refused.last_at) == ("UNKNOWN_SYMBOL", "there is none", 7.0)
    assert found.silent == 1
    assert found.is_sound


def test_account_streams_are_counted_and_what_they_have_lost_is_told(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    missed = SnapshotMissed(channel="orders", symbol="*", reason="HTTP 500", at=8.0)
    read: list[AnyEvent] = [
        snapshot_read(3, rows=2, at=3.0),
        order(1, snapshot=True, at=3.0),
        order(2, snapshot=True, at=3.0),
    ]
    updates: list[AnyEvent] = [
        order(4, at=4.0),
        lost(5, 6, channel="orders", symbol="*", reason="snapshot_missed"),
        missed,
    ]
    write(path, ([*read, *updates, order(7, at=9.0), datum(1)], at(2)))
    found = reported(path)
    assert [each.channel for each in found.series] == ["ticker"]
    (orders,) = found.accounts
    assert (orders.channel, orders.symbol, orders.epoch) == ("orders", "*", "e-1")
    assert (orders.updates, orders.snapshots, orders.first_at, orders.last_at) == (2, 1, 3.0, 9.0)
    assert orders.lost == [Lost(start_seq=5, end_seq=6, reason="snapshot_missed")]
    (refused,) = found.refused
    assert (refused.what, refused.reason, refused.times, refused.last_at) == ("snapshot", "HTTP 500", 1, 8.0)


def test_an_account_stream_of_which_no_snapshot_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path, ([SnapshotMissed(channel="orders", symbol="*", reason="HTTP 500", at=8.0)], at(None)))
    (orders,) = reported(path).accounts
    assert (orders.epoch, orders.updates, orders.snapshots, orders.last_at) == (None, 0, 0, None)


def test_an_empty_recording(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path)
    assert reported(path).series == []
