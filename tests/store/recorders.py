"""``gapless record`` in processes of their own, an exchange in another that has faults, disks that are too small."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.real_sockets.processes import GAPLESS, Ready, exchange_process

SYMBOLS: Final = ("BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "DOT/USD")
PATIENCE_S: Final = 30.0
FAULTS: Final = """
[failures.drop]
enabled = true
probability = 0.002
[failures.duplicate]
enabled = true
probability = 0.01
[failures.reorder]
enabled = true
probability = 0.01
distance = 3
[failures.flapping]
enabled = true
up_min_s = 0.5
up_max_s = 3.0
[failures.server_error]
enabled = true
probability = 0.1
"""


def exchange_config(tmp_path: Path, rate_per_s: float, faults: str = FAULTS) -> Path:
    """The file of an exchange with ``rate_per_s`` events, all streams together."""
    config = tmp_path / "exchange.toml"
    head = f"symbols = {json.dumps(SYMBOLS)}\nchannels = ['ticker']\nrate_per_s = {rate_per_s / len(SYMBOLS)}\n"
    config.write_text(f"{head}history_size = 1_000_000\n{faults}")
    return config


@asynccontextmanager
async def exchange(config: Path) -> AsyncIterator[Ready]:
    """That exchange, and where it is."""
    async with exchange_process("--config", str(config)) as (_process, at):
        yield at


class Recorder:
    """A recorder that runs, and what it says."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stderr is not None
        self.process = process
        self._stderr = process.stderr
        self.said = ""

    async def until_said(self, text: str) -> None:
        """Until it says so once more than it has."""
        begin = len(self.said)
        with trio.move_on_after(PATIENCE_S):
            while text not in self.said[begin:]:
                more = await self._stderr.receive_some()
                assert more, f"it ended and had not said {text!r}, but: {self.said}"
                self.said += more.decode()
        assert text in self.said[begin:], f"not said in {PATIENCE_S} s: {text!r}, but: {self.said[-2000:]}"

    async def ended(self) -> int:
        """All that it still says, and what it returns."""
        async for more in self._stderr:
            self.said += more.decode()
        return await self.process.wait()

    async def interrupted(self) -> int:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE_S):
            return await self.ended()

    async def killed(self) -> None:
        """End it as nothing it could prepare for."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def recorder(at: Ready, path: Path, *more: str) -> AsyncIterator[Recorder]:
    """A recorder of all of them, killed in the end."""
    streams = [part for symbol in SYMBOLS for part in ("--stream", f"ticker:{symbol}")]
    quick = ["--set", "price_history_limit=1000", "--set", "rate_limit_requests=200", "--set", "transport=wire"]
    urls = ("--ws-url", at.ws_url, "--rest-url", at.rest_url)
    command = [*GAPLESS, "record", *urls, *streams, *quick, "--db", str(path), *more]
    running = Recorder(await trio.lowlevel.open_process(command, stderr=subprocess.PIPE))
    try:
        yield running
    finally:
        with trio.CancelScope(shield=True):
            await running.killed()


def transactions(path: Path) -> tuple[int, int]:
    """How many runs a file has seen, and how many transactions the last of them made."""
    if not path.exists() or path.stat().st_size == 0:
        return 0, 0
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return 0, 0
        runs, _last, batches = connection.execute("SELECT count(*), max(id), batches FROM runs").fetchone()
    return runs, batches or 0


async def until_it_writes(path: Path, runs_before: int) -> None:
    """Until a run after ``runs_before`` others has written."""
    with trio.fail_after(PATIENCE_S):
        while True:
            runs, batches = transactions(path)
            if runs > runs_before and batches:
                break
            await trio.sleep(0.05)


@contextmanager
def another_program_writes(path: Path) -> Iterator[None]:
    """A lock on the file, for as long as the block lasts."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class SmallDisk:
    """A file system of so many bytes, which can be given more or less. Skips a test that may not mount one."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        path.mkdir()
        if os.geteuid() != 0 or not self._mounted(f"size={size_bytes}"):
            pytest.skip("mounting a small file system needs the right to")

    def _mounted(self, options: str) -> bool:
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        return subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def leave(self, free_bytes: int) -> None:
        """Let it have so much room, whatever lies on it."""
        disk = os.statvfs(self.path)
        used_bytes = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        assert self._mounted(f"remount,size={used_bytes + free_bytes}")

    def unmount(self) -> None:
        """Take it away, and all that is on it."""
        subprocess.run(["umount", str(self.path)], check=True)  # noqa: S607
