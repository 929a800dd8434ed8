"""A recorder in virtual time: its worker runs in place, so that the clock stands still while it writes."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from math import inf
from pathlib import Path
from random import Random
from typing import TypeVar

import trio

from gapless.controller import ConnectionController, Cursor, NetworkConfig, Stream, open_controller
from gapless.controller.store import Recording, Worker, open_recording
from tests.kit import TICKER, World, virtual_wall_clock

T = TypeVar("T")


async def in_place(work: Callable[[], T], /, *, deadline: float = inf) -> T:
    """A worker without a thread. It needs no deadline: the clock stands still meanwhile."""
    await trio.lowlevel.checkpoint()
    return work()


@asynccontextmanager
async def fed(
    w: World, recording: Recording, *streams: Stream, resume: Cursor | None, **settings: object
) -> AsyncIterator[ConnectionController]:
    """A controller that is recorded for as long as the block lasts; then all it had received is written."""
    async with (
        trio.open_nursery() as nursery,
        open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=streams or [TICKER],
            config=NetworkConfig.from_mapping(settings),
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=resume,
        ) as controller,
    ):
        nursery.start_soon(recording.run, controller)
        yield controller


@asynccontextmanager
async def recorded(
    w: World, path: Path, *streams: Stream, worker: Worker = in_place, **settings: object
) -> AsyncIterator[tuple[Recording, ConnectionController]]:
    """A recording, and the controller it goes on with where the file ends."""
    async with (
        open_recording(path, worker=worker, wall_clock=virtual_wall_clock) as recording,
        fed(w, recording, *streams, resume=recording.cursor, **settings) as controller,
    ):
        yield recording, controller


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that writes, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What another program reads meanwhile."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()
