"""Real processes on a full disk, on one that refuses, and with a lock that lasts: said, and the feed goes on."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.store.audit import assert_sound
from tests.store.recorders import (
    PATIENCE_S,
    Recorder,
    SmallDisk,
    another_program_writes,
    exchange,
    exchange_config,
    recorder,
    until_it_writes,
)

RATE_PER_S = 2_000.0
SMALL_BYTES = 600_000
NO_FAULTS = ""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An exchange without faults: whatever was not recorded, the recorder lost."""
    return exchange_config(tmp_path, RATE_PER_S, NO_FAULTS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", SMALL_BYTES)
    yield disk
    disk.unmount()


async def until_written(path: Path) -> None:
    """More than was in the file at first."""
    at_first = sum(len(each.ids) for each in assert_sound(path))
    with trio.fail_after(PATIENCE_S):
        while sum(len(each.ids) for each in assert_sound(path)) < at_first + 1_000:  # noqa: ASYNC110 (another process writes)
            await trio.sleep(0.2)


async def assert_it_goes_on(recording: Recorder, path: Path) -> None:
    await recording.until_said("written again")
    await until_written(path)
    assert await recording.interrupted() == 0
    assert not [each for each in assert_sound(path) if each.lost]


async def test_a_full_disk_is_said_and_survived(config: Path, small_disk: SmallDisk) -> None:
    path = small_disk.path / "feed.db"
    async with exchange(config) as at, recorder(at, path, "--set", "buffer_size=2000") as recording:
        await recording.until_said("the disk is full")
        await trio.sleep(3)
        assert recording.process.poll() is None
        small_disk.leave(2**26)
        await assert_it_goes_on(recording, path)


async def test_a_disk_that_refuses_is_said_and_survived(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    async with exchange(config) as at, recorder(at, path, "--set", "buffer_size=2000") as recording:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (SMALL_BYTES, hard))
        await recording.until_said("the disk refuses")
        resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await assert_it_goes_on(recording, path)


async def test_a_lock_that_lasts_is_said_and_survived(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    async with exchange(config) as at, recorder(at, path, "--set", "buffer_size=2000") as recording:
        await until_it_writes(path, 0)
        with another_program_writes(path):
            await recording.until_said("another program holds a lock")
            await trio.sleep(3)
        await assert_it_goes_on(recording, path)
