"""Real processes on a full disk, on one that refuses, and with a lock that lasts: said, and the feed goes on."""

import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from tests.real_sockets.processes import GAPLESS, Ready, exchange_process
from tests.store.audit import assert_sound

PATIENCE_S = 30.0
SMALL_BYTES = 600_000
RATE = 'symbols = ["BTC/USD"]\nchannels = ["ticker"]\nrate_per_s = 2000.0\nhistory_size = 1_000_000\n'


class Recorder:
    """``gapless record`` in a process of its own, and what it says."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stderr is not None
        self.process = process
        self._stderr = process.stderr
        self.said = ""

    async def until_said(self, text: str) -> None:
        with trio.fail_after(PATIENCE_S):
            while text not in self.said:
                more = await self._stderr.receive_some()
                assert more, f"it ended and had not said {text!r}, but: {self.said}"
                self.said += more.decode()

    async def interrupted(self) -> int:
        self.process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE_S):
            async for more in self._stderr:
                self.said += more.decode()
            return await self.process.wait()


@asynccontextmanager
async def recorder(at: Ready, path: Path) -> AsyncIterator[Recorder]:
    urls = ("--ws-url", at.ws_url, "--rest-url", at.rest_url, "--stream", "ticker:BTC/USD")
    quick = ("--set", "price_history_limit=1000", "--set", "rate_limit_requests=200", "--set", "buffer_size=2000")
    command = [*GAPLESS, "record", *urls, *quick, "--db", str(path)]
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE)
    try:
        yield Recorder(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def exchange(tmp_path: Path) -> AsyncIterator[Ready]:
    config = tmp_path / "exchange.toml"
    config.write_text(RATE)
    async with exchange_process("--config", str(config)) as (_process, at):
        yield at


def mounted(disk: Path, options: str) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    return subprocess.run(mount, check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB; who may not mount one has none."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not mounted(disk, f"size={SMALL_BYTES}"):
        pytest.skip("mounting a small file system needs the right to")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def has_grown(path: Path, since: int) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM data").fetchone()
    return bool(rows > since)


async def until_written(path: Path) -> None:
    """More than was in the file at first."""
    at_first = sum(len(each.ids) for each in assert_sound(path))
    with trio.fail_after(PATIENCE_S):
        while not has_grown(path, at_first + 1_000):  # noqa: ASYNC110 (another process writes)
            await trio.sleep(0.2)


async def test_a_full_disk_is_said_and_survived(tmp_path: Path, small_disk: Path) -> None:
    path = small_disk / "feed.db"
    async with exchange(tmp_path) as at, recorder(at, path) as recording:
        await recording.until_said("the disk is full")
        await trio.sleep(3)
        assert recording.process.poll() is None
        assert mounted(small_disk, "remount,size=64m")
        await recording.until_said("written again")
        await until_written(path)
        assert await recording.interrupted() == 0
        (series,) = assert_sound(path)
        assert not series.lost


async def test_a_recorder_killed_on_a_full_disk_leaves_a_whole_file(tmp_path: Path, small_disk: Path) -> None:
    path = small_disk / "feed.db"
    async with exchange(tmp_path) as at:
        async with recorder(at, path) as recording:
            await recording.until_said("the disk is full")
        assert mounted(small_disk, "remount,size=64m")
        async with recorder(at, path) as recording:
            await until_written(path)
            assert await recording.interrupted() == 0
        (series,) = assert_sound(path)
        assert not series.lost


async def test_a_disk_that_refuses_is_said_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    async with exchange(tmp_path) as at, recorder(at, path) as recording:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (SMALL_BYTES, hard))
        await recording.until_said("the disk refuses")
        resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await recording.until_said("written again")
        await until_written(path)
        assert await recording.interrupted() == 0
    (series,) = assert_sound(path)
    assert not series.lost


async def test_a_lock_that_lasts_is_said_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    async with exchange(tmp_path) as at, recorder(at, path) as recording:
        while not path.exists() or not has_rows(path):  # noqa: ASYNC110 (another process makes it)
            await trio.sleep(0.1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await recording.until_said("another program holds a lock")
            await trio.sleep(3)
            other.execute("ROLLBACK")
        await recording.until_said("written again")
        await until_written(path)
        assert await recording.interrupted() == 0
    (series,) = assert_sound(path)
    assert not series.lost


def has_rows(path: Path) -> bool:
    return any(each.ids for each in assert_sound(path))
