"""The demo's witnesses. What they say of a whole run is in ``test_story.py``."""

import time

import trio
from trio.testing import MockClock

from gapless.cli.witness import StolenTime


async def test_time_in_which_the_process_did_not_run_is_stolen() -> None:
    """A real clock and a real pause: to a process, being stopped looks like a sleep of all its threads."""
    stolen = StolenTime()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stolen.measure)
        await trio.sleep(0.05)
        before = trio.current_time()

        time.sleep(0.2)  # noqa: ASYNC251 (it is the point)

        await trio.sleep(0.05)
        nursery.cancel_scope.cancel()

    assert stolen.since(before) >= 0.15
    assert stolen.since(trio.current_time()) == 0.0


async def test_time_in_which_the_process_was_busy_itself_is_not_stolen() -> None:
    """The controller may not excuse itself with its own work."""
    stolen = StolenTime()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stolen.measure)
        await trio.sleep(0.05)
        before, used_before = trio.current_time(), time.process_time()

        while time.process_time() - used_before < 0.3:
            pass

        busy_s = trio.current_time() - before
        await trio.sleep(0.05)
        nursery.cancel_scope.cancel()

    # On an idle machine this is next to nothing; on a busy one the rest was really taken away.
    assert stolen.since(before) <= busy_s - 0.3 + 0.15


async def test_nothing_is_stolen_in_virtual_time(autojump_clock: MockClock) -> None:
    stolen = StolenTime()
    with trio.move_on_after(60.0):
        await stolen.measure()

    assert stolen.since(0.0) == 0.0
