"""One controller after another in one recording, and streams that come back: nothing lies between without a word."""

from collections.abc import Callable
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Stream
from gapless.controller.store import load_cursor, open_recording
from tests.kit import ETHER, TICKER, virtual_wall_clock, world
from tests.store.audit import Series, assert_sound
from tests.store.kit import fed, in_place, locked, recorded

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def of(path: Path, stream: Stream = TICKER) -> list[Series]:
    """Its parts, in order. Every one is whole, and has an end or a cursor."""
    return [each for each in assert_sound(path) if each.symbol == stream.symbol]


def assert_a_part_each(parts: list[Series], *, count: int = 2) -> None:
    """Each but the last ends where its data does, and was left there."""
    assert len(parts) == count
    assert len({each.epoch for each in parts}) == 1
    for each, later in pairwise(parts):
        assert each.open_end == max(each.ids) + 1 < min(later.ids)
    assert parts[-1].position is not None


async def slow(work: Callable[[], T], /, *, deadline: float = inf) -> T:
    """A worker for whom everything takes longer than a wish lasts."""
    await trio.sleep(4)
    return await in_place(work, deadline=deadline)


# -- controllers -------------------------------------------------------------------------------------------------------


async def test_the_next_controller_goes_on_from_the_cursor_of_then(autojump_clock: MockClock, path: Path) -> None:
    """As after ReconnectExhausted."""
    async with (
        world(rate_per_s=10) as w,
        open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
    ):
        for _ in range(3):
            async with fed(w, recording, resume=recording.cursor):
                await trio.sleep(5)
            assert recording.cursor == load_cursor(path)
            await trio.sleep(3)
    (series,) = of(path)
    assert not series.lost
    assert len(series.ids) > 200


async def test_what_the_next_controller_does_not_want_rests(autojump_clock: MockClock, path: Path) -> None:
    async with (
        world(rate_per_s=10) as w,
        open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
    ):
        for streams in ((TICKER, ETHER), (TICKER,), (TICKER, ETHER)):
            async with fed(w, recording, *streams, resume=recording.cursor):
                await trio.sleep(5)
    for stream in (TICKER, ETHER):
        (series,) = of(path, stream)
        assert len(series.ids) > 140


async def test_what_is_left_of_one_controller_is_written_before_what_the_next_one_brings(
    autojump_clock: MockClock, path: Path
) -> None:
    async with (
        world(rate_per_s=10) as w,
        open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
    ):
        async with fed(w, recording, resume=None):
            await trio.sleep(3)
        with locked(path):
            with trio.move_on_after(5):
                async with fed(w, recording, resume=recording.cursor):
                    await trio.sleep_forever()
            assert recording.unwritten
            assert recording.cursor != load_cursor(path)
        async with fed(w, recording, resume=recording.cursor):
            await trio.sleep(3)
        assert recording.unwritten == 0
    (series,) = of(path)
    assert not series.lost


async def test_once_closed_the_cursor_is_that_of_the_file(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        async with open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording:
            async with fed(w, recording, resume=None):
                await trio.sleep(3)
            with locked(path), trio.move_on_after(5):
                async with fed(w, recording, resume=recording.cursor):
                    await trio.sleep_forever()
        assert recording.unwritten
        assert recording.cursor == load_cursor(path)


async def test_a_controller_that_was_not_told_where_to_go_on_begins_a_part(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w:
        async with open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording:
            for _ in range(2):
                async with fed(w, recording, resume=None):
                    await trio.sleep(5)
                await trio.sleep(3)
        async with (
            open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
            fed(w, recording, resume=None),
        ):
            await trio.sleep(5)
    assert_a_part_each(of(path), count=3)


# -- streams -----------------------------------------------------------------------------------------------------------


async def test_a_stream_that_comes_back_in_the_same_run_begins_a_part(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w, recorded(w, path, TICKER, ETHER) as (_recording, controller):
        await trio.sleep(3)
        controller.unsubscribe(TICKER)
        await trio.sleep(3)
        controller.subscribe(TICKER)
        await trio.sleep(3)
    assert_a_part_each(of(path))
    assert len(of(path, ETHER)) == 1


async def test_a_stream_that_comes_back_in_the_next_run_begins_a_part(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        for _ in range(2):
            async with recorded(w, path, TICKER, ETHER) as (_recording, controller):
                await trio.sleep(3)
                controller.unsubscribe(TICKER)
                await trio.sleep(3)
        cursor = load_cursor(path)
        assert cursor is not None
        assert [each.symbol for each in cursor.streams] == [ETHER.symbol]
        async with recorded(w, path, TICKER, ETHER):
            await trio.sleep(3)
    assert_a_part_each(of(path), count=3)
    assert len(of(path, ETHER)) == 1


async def test_a_stream_that_comes_back_after_a_restart_is_in_another_epoch(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w, recorded(w, path, TICKER, ETHER) as (_recording, controller):
        await trio.sleep(3)
        controller.unsubscribe(TICKER)
        await trio.sleep(1)
        w.exchange.restart()
        await trio.sleep(3)
        controller.subscribe(TICKER)
        await trio.sleep(3)
    left, back = of(path)
    assert left.open_end == max(left.ids) + 1
    assert back.position is not None
    assert left.epoch != back.epoch


async def test_a_stream_that_is_asked_for_again_at_once(autojump_clock: MockClock, path: Path) -> None:
    """Before the recorder has looked: between two of its batches."""
    async with world(rate_per_s=100) as w, recorded(w, path, TICKER, ETHER) as (_recording, controller):
        for _ in range(5):
            await trio.sleep(2)
            controller.unsubscribe(TICKER)
            controller.subscribe(TICKER)
        await trio.sleep(2)
    assert of(path)[-1].position is not None


async def test_a_stream_that_comes_back_while_nothing_can_be_written(autojump_clock: MockClock, path: Path) -> None:
    """The end of the one wish for it and the beginning of the other are in the same batch."""
    async with world(rate_per_s=10) as w:
        async with recorded(w, path, TICKER, ETHER) as (_recording, controller):
            await trio.sleep(3)
            with locked(path):
                await trio.sleep(2)
                controller.unsubscribe(TICKER)
                await trio.sleep(2)
                controller.subscribe(TICKER)
                await trio.sleep(2)
            await trio.sleep(5)
        async with recorded(w, path, TICKER, ETHER):
            await trio.sleep(3)
    (series,) = of(path)
    assert 15 < len(series.lost) < 30
    assert len(of(path, ETHER)) == 1


async def test_a_stream_that_comes_and_goes_while_nothing_can_be_written(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w, recorded(w, path, ETHER) as (_recording, controller):
        await trio.sleep(3)
        with locked(path):
            controller.subscribe(TICKER)
            await trio.sleep(2)
            controller.unsubscribe(TICKER)
            await trio.sleep(2)
        await trio.sleep(3)
    (series,) = of(path)
    assert series.open_end == max(series.ids) + 1


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
async def test_several_wishes_for_a_stream_while_nothing_can_be_written(
    autojump_clock: MockClock, path: Path, *, is_new: bool, stays: bool
) -> None:
    """What lies between them is told, whether or not the file knew where the stream was."""
    async with world(rate_per_s=10) as w:
        async with recorded(w, path, *([ETHER] if is_new else [TICKER, ETHER])) as (_recording, controller):
            await trio.sleep(3)
            with locked(path):
                for _ in range(3):
                    controller.subscribe(TICKER)
                    await trio.sleep(2)
                    controller.unsubscribe(TICKER)
                    await trio.sleep(2)
                if stays:
                    controller.subscribe(TICKER)
                    await trio.sleep(2)
            await trio.sleep(3)
            controller.subscribe(TICKER)
            await trio.sleep(3)
        async with recorded(w, path, TICKER, ETHER):
            await trio.sleep(3)
    parts = of(path)
    assert len(parts) == (1 if stays else 2)
    assert len(parts[0].lost) > 2 * 15
    assert len(of(path, ETHER)) == 1


async def test_wishes_before_and_after_a_restart_while_nothing_can_be_written(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w, recorded(w, path, TICKER, ETHER) as (_recording, controller):
        await trio.sleep(3)
        with locked(path):
            await trio.sleep(1)
            controller.unsubscribe(TICKER)
            w.exchange.restart()
            await trio.sleep(5)
            for _ in range(2):
                controller.subscribe(TICKER)
                await trio.sleep(2)
                controller.unsubscribe(TICKER)
                await trio.sleep(2)
            controller.subscribe(TICKER)
            await trio.sleep(2)
        await trio.sleep(3)
    left, back = of(path)
    assert left.open_end == max(left.ids) + 1
    assert len(back.lost) > 15


async def test_a_stream_that_is_wanted_anew_before_the_first_batch_of_a_run(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w:
        async with recorded(w, path):
            await trio.sleep(3)
        await trio.sleep(3)
        async with recorded(w, path, worker=slow) as (_recording, controller):
            await trio.sleep(1)
            controller.unsubscribe(TICKER)
            await trio.sleep(2)
            controller.subscribe(TICKER)
            await trio.sleep(20)
    (series,) = of(path)
    assert len(series.lost) > 15


async def test_a_resting_stream_that_is_subscribed_later_begins_a_part(autojump_clock: MockClock, path: Path) -> None:
    """A controller goes on with the streams that it was opened with alone."""
    async with world(rate_per_s=10) as w:
        async with recorded(w, path, TICKER, ETHER):
            await trio.sleep(3)
        async with recorded(w, path, ETHER) as (_recording, controller):
            await trio.sleep(3)
            controller.subscribe(TICKER)
            await trio.sleep(3)
    assert_a_part_each(of(path))
