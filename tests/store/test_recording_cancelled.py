"""Cancelled in the middle of trouble: what was taken is in the file with its cursor, or not at all, and never twice."""

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Stream
from gapless.controller.store import StoreTroubleError, load_cursor
from tests.kit import TICKER, world
from tests.store.audit import assert_sound
from tests.store.kit import in_place, query, recorded

T = TypeVar("T")
ORDERS = Stream("orders", "*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


class Disk:
    """A worker whose disk can be in trouble: before it does anything, or after it has done it all."""

    def __init__(self) -> None:
        self.refuses = self.is_mute = False

    async def __call__(self, work: Callable[[], T], /, *, deadline: float = inf) -> T:
        is_writing = "write" in repr(work)
        if is_writing and self.refuses:
            raise StoreTroubleError("the disk refuses")
        done = await in_place(work, deadline=deadline)
        if is_writing and self.is_mute:
            raise StoreTroubleError("the disk could not say that it had done it")
        return done


async def ends(scope: trio.CancelScope, disk: Disk, after_s: float) -> None:
    """Cancel, and let the trouble end within the last word."""
    scope.cancel()
    with trio.CancelScope(shield=True):
        await trio.sleep(after_s)
    disk.refuses = disk.is_mute = False


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("is_first", [False, True])
async def test_trouble_that_ends_after_the_cancellation(
    autojump_clock: MockClock, path: Path, *, restarts: bool, is_first: bool
) -> None:
    """A quiet market: what comes later does not move the cursor again."""
    disk, recording = Disk(), None
    async with world(rate_per_s=0) as w:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with recorded(w, path, worker=disk) as (recording, _controller):
                    if not is_first:
                        await trio.sleep(1)
                        w.publish(3)
                        await trio.sleep(1)
                    disk.refuses = True
                    await trio.sleep(0.5)
                    w.publish(5)
                    await trio.sleep(0.5)
                    if restarts:
                        w.exchange.restart()
                        await trio.sleep(3)
                        w.publish(2)
                        await trio.sleep(3)
                    assert recording.unwritten
                    nursery.start_soon(ends, scope, disk, 0.5)
                    await trio.sleep_forever()
        assert recording is not None
        assert recording.unwritten == 0
        assert query(path, "SELECT DISTINCT ids FROM streams") == [("contiguous",)]
        cursor = load_cursor(path)
        assert cursor is not None
        assert cursor == recording.cursor
        assert cursor.streams[0].next_id == max(assert_sound(path)[-1].ids) + 1
        w.publish(7)  # while nobody records
        async with recorded(w, path):
            await trio.sleep(2)
            w.publish(2)
            await trio.sleep(5)
    last = assert_sound(path)[-1]
    assert sorted(last.ids) == list(range(1, len(last.ids) + 1))
    assert not last.lost


async def test_a_commit_that_could_not_be_told_is_not_taken_for_what_came_after_it(
    autojump_clock: MockClock, path: Path
) -> None:
    disk, recording = Disk(), None
    async with world(rate_per_s=0) as w:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with recorded(w, path, worker=disk) as (recording, controller):
                    await trio.sleep(1)
                    w.publish(3)
                    await trio.sleep(1)
                    disk.is_mute = True
                    w.publish(1)
                    await trio.sleep(1)
                    w.publish(4)
                    await trio.sleep(1)
                    assert recording.unwritten == 1
                    assert controller.events_held >= 4
                    nursery.start_soon(ends, scope, disk, 0.5)
                    await trio.sleep_forever()
        assert recording is not None
        assert recording.unwritten == 0
    (series,) = assert_sound(path)
    assert sorted(series.ids) == list(range(1, 9))


async def test_what_is_written_late_after_all_is_written_once(autojump_clock: MockClock, path: Path) -> None:
    """Neither gaps nor what has no id that counts are kept apart by an index."""
    disk = Disk()
    async with world(rate_per_s=10) as w, recorded(w, path, TICKER, ORDERS, worker=disk):
        await trio.sleep(2)
        disk.is_mute = True
        w.exchange.restart()
        await trio.sleep(3)
        disk.is_mute = False
        await trio.sleep(3)
    assert_sound(path)
    twice = query(path, "SELECT content, count(*) FROM continuity GROUP BY content HAVING count(*) > 1")
    assert twice == []
