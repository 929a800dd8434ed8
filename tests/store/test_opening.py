"""Opening a file and letting go of it, whatever the disk does: nothing is left behind, and nobody waits for ever."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from threading import Event
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from gapless.controller.store import StoreLostError, StoreTroubleError, open_recording
from gapless.controller.store.recording import LAST_WORD_MAX_S
from gapless.controller.store.worker import InThread
from tests.kit import virtual_wall_clock, world
from tests.store.audit import assert_sound
from tests.store.kit import fed, in_place, query, recorded

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def ended(path: Path) -> list[int]:
    return [int(str(each)) for (each,) in query(path, "SELECT ended FROM runs ORDER BY id")]


# -- how a run ends ----------------------------------------------------------------------------------------------------


async def test_a_run_that_was_cancelled_has_ended_as_it_should(autojump_clock: MockClock, path: Path) -> None:
    """The example of docs/recording.md, ended as an app ends it."""
    async with world(rate_per_s=10) as w:
        with trio.move_on_after(5):
            async with (
                open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
                fed(w, recording, resume=recording.cursor),
            ):
                await trio.sleep_forever()
    assert ended(path) == [1]


async def test_a_run_that_an_error_ended_has_not(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        with pytest.RaisesGroup(ValueError, flatten_subgroups=True, allow_unwrapped=True):
            async with recorded(w, path):
                await trio.sleep(2)
                raise ValueError("the app's own")
    assert ended(path) == [0]


async def test_a_file_that_was_taken_away_is_missed_at_the_end_at_the_latest(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=0) as w:
        with pytest.raises(StoreLostError, match="was removed or replaced"):  # noqa: PT012
            async with recorded(w, path):
                await trio.sleep(2)
                path.unlink()  # noqa: ASYNC240 (virtual time does not pass meanwhile)


# -- a disk that hangs -------------------------------------------------------------------------------------------------


class Hanging:
    """A worker whose disk stops answering: then threads wait for it, and virtual time passes."""

    def __init__(self) -> None:
        self.hangs = False
        self._disk, self._beside = InThread(), InThread(inf)

    async def __call__(self, work: Callable[[], T], /, *, deadline: float = inf) -> T:
        if not self.hangs or "rows" in repr(work):
            return await in_place(work, deadline=deadline)
        return await (self._beside if "close" in repr(work) else self._disk)(work, deadline=deadline)


@contextmanager
def hung(worker: Hanging) -> Iterator[None]:
    """Looking at the file takes for ever, as on a network that is gone; until the block ends."""
    answers, stat = Event(), Path.stat

    def waits(path: Path, **more: bool) -> os.stat_result:
        if path.suffix == ".db":
            answers.wait()
        return stat(path, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "stat", waits)
        worker.hangs = True
        try:
            yield
        finally:
            answers.set()


def until(is_so: Callable[[], bool]) -> None:
    """Other threads have done it, in real time."""
    for _ in range(2_000):
        if is_so():
            return
        Event().wait(0.005)
    raise AssertionError("it has not come true")


def lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


async def test_leaving_waits_two_seconds_for_a_disk_that_hangs(autojump_clock: MockClock, path: Path) -> None:
    worker, recording = Hanging(), None
    async with world(rate_per_s=100) as w:
        with ExitStack() as stack:
            with trio.move_on_after(10) as scope:
                async with recorded(w, path, worker=worker) as (recording, _controller):
                    await trio.sleep(3)
                    stack.enter_context(hung(worker))
                    await trio.sleep_forever()
            left_at = trio.current_time()
            assert scope.cancelled_caught
            assert recording is not None
            assert recording.unwritten
            assert left_at - scope.deadline < 2.5
            assert lock_of(path).exists(), "somebody is at work on it still"
        until(lambda: not lock_of(path).exists())
    (series,) = assert_sound(path)
    assert len(series.ids) > 250


async def test_a_disk_that_answers_again_gets_everything(autojump_clock: MockClock, path: Path) -> None:
    worker = Hanging()
    async with world(rate_per_s=10) as w, recorded(w, path, worker=worker) as (recording, _controller):
        await trio.sleep(3)
        with hung(worker):
            await trio.sleep(60)
            assert "has not answered for 10 s" in recording.stats.trouble
        worker.hangs = False
        await trio.sleep(20)
        assert recording.stats.trouble == ""
    (series,) = assert_sound(path)
    assert not series.lost
    assert query(path, "SELECT content FROM continuity GROUP BY content HAVING count(*) > 1") == []


def assert_it_is_let_go_of(path: Path) -> None:
    """The late thread has made the file, and then closed it."""
    until(lambda: path.exists() and query(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'runs'") == [(1,)])
    until(lambda: not lock_of(path).exists())


async def test_a_file_that_does_not_open_in_time_is_let_go_of(autojump_clock: MockClock, path: Path) -> None:
    worker = Hanging()
    with hung(worker), pytest.raises(StoreTroubleError, match="has not answered for 10 s") as raised:
        await open_recording(path, worker=worker).__aenter__()
    assert raised.value.passes
    assert_it_is_let_go_of(path)


async def test_a_file_whose_opening_was_cancelled_is_let_go_of(autojump_clock: MockClock, path: Path) -> None:
    worker = Hanging()
    with hung(worker):
        with trio.move_on_after(3) as scope:
            await open_recording(path, worker=worker).__aenter__()
        assert scope.cancelled_caught
        # The clock jumps over whatever a real thread waits for: at most what leaving may take.
        assert trio.current_time() - scope.deadline <= LAST_WORD_MAX_S
    assert_it_is_let_go_of(path)
