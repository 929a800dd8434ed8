"""A recorder in virtual time: its worker runs in place, so that the clock stands still while it writes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from random import Random
from typing import TypeVar

import trio

from gapless.controller import ConnectionController, NetworkConfig, Stream, open_controller
from gapless.controller.store import Recording, open_recording
from tests.kit import TICKER, World, virtual_wall_clock

T = TypeVar("T")


async def in_place(work: Callable[[], T], /, *, deadline: float = inf) -> T:
    """A worker without a thread. It needs no deadline: the clock stands still meanwhile."""
    await trio.lowlevel.checkpoint()
    return work()


@asynccontextmanager
async def recorded(
    w: World, path: Path, *streams: Stream, **settings: object
) -> AsyncIterator[tuple[Recording, ConnectionController]]:
    """A controller and its recording, for as long as the block lasts; then all it had received is written."""
    async with (
        open_recording(path, worker=in_place, wall_clock=virtual_wall_clock) as recording,
        trio.open_nursery() as nursery,
        open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=streams or [TICKER],
            config=NetworkConfig.from_mapping(settings),
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=recording.cursor,
        ) as controller,
    ):
        nursery.start_soon(recording.run, controller)
        yield recording, controller
