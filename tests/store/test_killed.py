"""``kill -9`` of a recorder at random moments: whatever it was doing, the file is whole and the next one goes on."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import trio

from tests.real_sockets.processes import GAPLESS, exchange_process, started
from tests.store.audit import assert_sound

RATE_PER_S = 5_000.0
"""All streams together."""
SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "DOT/USD")
FAULTS = """
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
PATIENCE_S = 30.0
CAUGHT_UP_S = 15.0
"""A controller that found the exchange alive again has fetched what it missed in this time."""


@pytest.fixture
def exchange_config(tmp_path: Path) -> Path:
    config = tmp_path / "exchange.toml"
    head = f"symbols = {json.dumps(SYMBOLS)}\nchannels = ['ticker']\nrate_per_s = {RATE_PER_S / len(SYMBOLS)}\n"
    config.write_text(f"{head}history_size = 1_000_000\n{FAULTS}")
    return config


def recorder(at_ws: str, at_rest: str, path: Path, *more: str) -> tuple[str, ...]:
    streams = [part for symbol in SYMBOLS for part in ("--stream", f"ticker:{symbol}")]
    quick = ["--set", "price_history_limit=1000", "--set", "rate_limit_requests=200", "--set", "transport=wire"]
    urls = ("--ws-url", at_ws, "--rest-url", at_rest)
    return (*GAPLESS, "record", *urls, *streams, *quick, "--db", str(path), *more)


def moments(count: int, seed: int) -> Iterator[tuple[bool, float]]:
    """When to kill: so many seconds after it began, or (mostly) after it wrote for the first time."""
    random = Random(seed)
    for number in range(count):
        writes = number % 5 != 4
        yield writes, random.uniform(0.0, 2.0)


def batches(path: Path) -> int:
    """How many transactions the last run has made."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return 0
        row: tuple[int] | None = connection.execute("SELECT batches FROM runs ORDER BY id DESC").fetchone()
        return row[0] if row else 0


def runs(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        return int(count)


async def until_it_writes(path: Path, runs_before: int) -> None:
    with trio.fail_after(PATIENCE_S):
        while not batches(path) or runs(path) == runs_before:  # noqa: ASYNC110 (another process writes)
            await trio.sleep(0.05)


async def killed_again_and_again(config: Path, path: Path, count: int, seed: int) -> None:
    async with exchange_process("--config", str(config)) as (_exchange, at):
        for writes, lives_s in moments(count, seed):
            runs_before = runs(path) if batches(path) else 0
            async with started(*recorder(at.ws_url, at.rest_url, path)) as process:
                if writes:
                    await until_it_writes(path, runs_before)
                await trio.sleep(lives_s)
                process.kill()
                await process.wait()
            assert_sound(path)
        async with started(*recorder(at.ws_url, at.rest_url, path, "--seconds", str(CAUGHT_UP_S))) as process:
            with trio.fail_after(CAUGHT_UP_S + PATIENCE_S):
                assert await process.wait() == 0


@pytest.mark.parametrize("seed", [1])
async def test_three_kills(exchange_config: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "feed.db"
    await killed_again_and_again(exchange_config, path, 3, seed)
    assert sum(len(each.ids) for each in assert_sound(path)) > RATE_PER_S


@pytest.mark.long
@pytest.mark.parametrize("seed", [2])
async def test_fifty_kills(exchange_config: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "feed.db"
    await killed_again_and_again(exchange_config, path, 50, seed)
    assert sum(len(each.ids) for each in assert_sound(path)) > 10 * RATE_PER_S
