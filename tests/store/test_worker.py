"""A disk that does not answer holds up nobody for ever."""

from threading import Event

import pytest
import trio
from trio.testing import MockClock

from gapless.controller.store import StoreTroubleError
from gapless.controller.store.worker import InThread


async def test_what_hangs_is_trouble_and_what_comes_next_waits_for_it(autojump_clock: MockClock) -> None:
    worker, answers = InThread(), Event()
    try:
        with pytest.raises(StoreTroubleError, match="has not answered for 10 s"):
            await worker(answers.wait)
        with pytest.raises(StoreTroubleError):
            await worker(lambda: None)
    finally:
        answers.set()


async def test_a_cancelled_write_is_done_all_the_same_before_what_comes_next() -> None:
    worker, begun, done = InThread(), trio.Event(), Event()

    def work() -> None:
        trio.from_thread.run_sync(begun.set)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker, work)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert await worker(done.is_set)


async def test_who_leaves_waits_for_no_disk_that_hangs(autojump_clock: MockClock) -> None:
    worker, answers = InThread(), Event()
    try:
        with trio.move_on_after(1):
            await worker(answers.wait)
        began_at = trio.current_time()
        with pytest.raises(StoreTroubleError, match="has not answered for 2 s"):
            await worker(lambda: None, deadline=began_at + 2)
        assert trio.current_time() - began_at < 2.1
    finally:
        answers.set()
