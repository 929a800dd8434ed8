"""``kill -9`` of a recorder at random moments: whatever it was doing, the file is whole and the next one goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import trio

from tests.real_sockets.processes import Ready
from tests.store.audit import assert_sound
from tests.store.recorders import (
    PATIENCE_S,
    SmallDisk,
    another_program_writes,
    exchange,
    exchange_config,
    recorder,
    transactions,
    until_it_writes,
)

RATE_PER_S = 5_000.0
"""All streams together, with faults."""
CAUGHT_UP_S = 5.0
"""A controller that found the exchange alive again has fetched the most part of what it missed in this time."""
SMALL_BYTES = 800_000
"""Full after one or two seconds."""
ROOM_BYTES = 2**26
"""Room for all that came while the disk was full, and for copying it out of the WAL, which comes first."""


def moments(count: int, seed: int) -> Iterator[tuple[bool, float]]:
    """When to kill: so many seconds after it began, or (mostly) after it wrote for the first time."""
    random = Random(seed)
    for number in range(count):
        yield number % 5 != 4, random.uniform(0.0, 2.0)


async def caught_up(at: Ready, path: Path) -> None:
    """A last run that nothing happens to; it ends by itself."""
    async with recorder(at, path, "--seconds", str(CAUGHT_UP_S)) as running:
        with trio.fail_after(CAUGHT_UP_S + PATIENCE_S):
            assert await running.ended() == 0, running.said


def recorded(path: Path) -> int:
    return sum(len(each.ids) for each in assert_sound(path))


# -- at any moment -----------------------------------------------------------------------------------------------------


async def killed_again_and_again(config: Path, path: Path, count: int, seed: int) -> None:
    async with exchange(config) as at:
        for writes, lives_s in moments(count, seed):
            runs_before, _ = transactions(path)
            async with recorder(at, path) as running:
                if writes:
                    await until_it_writes(path, runs_before)
                await trio.sleep(lives_s)
                await running.killed()
            assert_sound(path)
        await caught_up(at, path)


async def test_three_kills(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    await killed_again_and_again(exchange_config(tmp_path, RATE_PER_S), path, 3, seed=1)
    assert recorded(path) > RATE_PER_S


@pytest.mark.long
async def test_fifty_kills(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    await killed_again_and_again(exchange_config(tmp_path, RATE_PER_S), path, 50, seed=2)
    assert recorded(path) > 10 * RATE_PER_S


# -- while the disk is full --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", SMALL_BYTES)
    yield disk
    disk.unmount()


def assert_sound_elsewhere(path: Path, folder: Path) -> None:
    """As it lies there, read where there is room for what SQLite makes to read it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        shutil.copy(each, folder)
    assert_sound(folder / path.name)


async def killed_on_a_full_disk(tmp_path: Path, disk: SmallDisk, count: int, seed: int) -> Path:
    """The odd ones are given room, go on, and are killed then."""
    random, path = Random(seed), disk.path / "feed.db"
    async with exchange(exchange_config(tmp_path, RATE_PER_S)) as at:
        for number in range(count):
            async with recorder(at, path) as running:
                await running.until_said("the disk is full")
                await trio.sleep(random.uniform(0.0, 2.0))
                if number % 2:
                    disk.leave(ROOM_BYTES)
                    await running.until_said("written again")
                    await trio.sleep(random.uniform(0.0, 1.0))
                assert running.process.poll() is None
                await running.killed()
            assert_sound_elsewhere(path, tmp_path / "copy")
            disk.leave(SMALL_BYTES)
        disk.leave(ROOM_BYTES)
        await caught_up(at, path)
    return path


async def test_two_kills_on_a_full_disk(tmp_path: Path, small_disk: SmallDisk) -> None:
    path = await killed_on_a_full_disk(tmp_path, small_disk, 2, seed=3)
    assert recorded(path) > RATE_PER_S


@pytest.mark.long
async def test_twenty_kills_on_a_full_disk(tmp_path: Path, small_disk: SmallDisk) -> None:
    path = await killed_on_a_full_disk(tmp_path, small_disk, 20, seed=4)
    assert recorded(path) > 10 * RATE_PER_S


# -- while another program holds a lock --------------------------------------------------------------------------------


async def killed_while_locked(tmp_path: Path, count: int, seed: int) -> Path:
    """The odd ones are let in again, go on, and are killed then."""
    random, path = Random(seed), tmp_path / "feed.db"
    async with exchange(exchange_config(tmp_path, RATE_PER_S)) as at:
        for number in range(count):
            runs_before, _ = transactions(path)
            async with recorder(at, path) as running:
                await until_it_writes(path, runs_before)
                with another_program_writes(path):
                    await running.until_said("another program holds a lock")
                    await trio.sleep(random.uniform(0.0, 2.0))
                    if number % 2 == 0:
                        await running.killed()
                if number % 2:
                    await running.until_said("written again")
                    await trio.sleep(random.uniform(0.0, 1.0))
                    assert running.process.poll() is None
                    await running.killed()
            assert_sound(path)
        await caught_up(at, path)
    return path


async def test_two_kills_while_locked(tmp_path: Path) -> None:
    path = await killed_while_locked(tmp_path, 2, seed=5)
    assert recorded(path) > RATE_PER_S


@pytest.mark.long
async def test_twenty_kills_while_locked(tmp_path: Path) -> None:
    path = await killed_while_locked(tmp_path, 20, seed=6)
    assert recorded(path) > 10 * RATE_PER_S
