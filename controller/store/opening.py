"""Opening a recording, and letting go of it, whatever the disk does meanwhile."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from threading import Lock
from time import time

import trio
from loguru import logger

from gapless.controller.controller import ConnectionController
from gapless.controller.store.database import Database, Sync, opened
from gapless.controller.store.errors import StoreTroubleError
from gapless.controller.store.recording import LAST_WORD_MAX_S, Recording
from gapless.controller.store.worker import InThread, Worker


class _Handle:
    """A file that one thread opens and another one closes, which may be the first that gets there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stack = ExitStack()
        self._is_closed = False

    def open(self, path: Path, *, sync: Sync, venue: str | None, host: str | None, started_at: float) -> Database:
        with ExitStack() as stack:
            database = stack.enter_context(opened(path, sync=sync, venue=venue, host=host, started_at=started_at))
            with self._lock:
                if self._is_closed:
                    raise StoreTroubleError(f"{path}: nobody waits for it any more")
                self._stack = stack.pop_all()
        return database

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            stack, self._stack = self._stack, ExitStack()
        stack.close()


@asynccontextmanager
async def open_recording(
    path: str | Path,
    *,
    sync: Sync = "normal",
    venue: str | None = None,
    host: str | None = None,
    worker: Worker | None = None,
    wall_clock: Callable[[], float] = time,
) -> AsyncIterator[Recording]:
    """Open a recording, or begin one where there is no file, for as long as the block lasts.

    ::

        async with open_recording("feed.db") as recording:
            async with open_controller(..., resume=recording.cursor) as controller:
                await recording.run(controller)

    Trouble while it is opened (a lock, a full disk) is raised, not waited out: there is nothing to resume from yet.
    Where ``passes`` of the error is true, trying again later may succeed, as ``gapless record`` does. Trouble later is
    waited out by :meth:`Recording.run`.

    Args:
        path: of the SQLite file; ``-wal``, ``-shm`` and ``-lock`` beside it are parts of it.
        sync: see :data:`~gapless.controller.store.database.Sync`.
        venue: a name of what is recorded: ids of one venue mean nothing among those of another, so that a file of a
            different one is refused; None: any.
        host: where it listens, kept in the file for the next run to compare with; None: what is there stays.
        worker: runs what blocks; None: a thread.
        wall_clock: Unix seconds.

    Raises:
        StoreFormatError: the file is something else, or of another schema.
        StoreTroubleError: it cannot be opened or written, or another process records into it.
        StoreLostError: where the block ends: the file is no longer there, or is not what was written into.
    """
    file, handle = Path(path), _Handle()
    disk: Worker = InThread() if worker is None else worker
    # Rows are made, and the file is let go of, without waiting behind a disk that does not answer.
    beside: Worker = InThread(inf) if worker is None else worker
    recording: Recording | None = None
    try:
        open_it = partial(handle.open, file, sync=sync, venue=venue, host=host, started_at=wall_clock())
        database = await disk(open_it)
        recording = Recording(database, file, disk=disk, maker=beside, wall_clock=wall_clock)
        try:
            yield recording
        except BaseException as error:
            if _is_an_end(error):
                await _end(recording, database, disk)
            raise
        await _end(recording, database, disk)
    finally:
        by = trio.current_time() + LAST_WORD_MAX_S
        if recording is not None:
            recording.close()
            by = min(by, recording.leaves_by)
        with trio.CancelScope(shield=True):
            try:
                await beside(handle.close, deadline=by)
            except StoreTroubleError:
                # In vain where it has begun; where there was no time left for that, it would never be let go of.
                trio.lowlevel.start_thread_soon(handle.close, lambda _closed: None)
                logger.error("{}: the disk does not answer; the file is let go of when it does", file)


def _is_an_end(error: BaseException) -> bool:
    """Whether somebody wanted it to end, rather than something went wrong."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_an_end, error.exceptions))
    return isinstance(error, trio.Cancelled | KeyboardInterrupt)


async def _end(recording: Recording, database: Database, disk: Worker) -> None:
    if recording.unwritten:
        return
    with trio.CancelScope(shield=True):
        try:
            await disk(database.end, deadline=trio.current_time() + LAST_WORD_MAX_S)
        except StoreTroubleError as error:
            logger.error("{}: that this run ended as it should is not noted ({})", recording.path, error)


async def record(
    controller: ConnectionController, path: str | Path, *, sync: Sync = "normal", venue: str | None = None
) -> None:
    """Record a controller until it is closed. Opened with ``resume=load_cursor(path)`` it goes on where the file ends.

    Raises:
        StoreError: as :func:`open_recording` and :meth:`Recording.run` do.
    """
    async with open_recording(path, sync=sync, venue=venue) as recording:
        await recording.run(controller)
