"""Recording a controller: everything it hands over, and where it stands, in one transaction after another.

There is no queue here. While a batch is being written, or waits to be written once more, what comes meanwhile waits in
the controller's own buffer, which is bounded: what does not fit becomes a gap, and is fetched again when the file takes
data again. So a disk that is full for an hour costs freshness, not memory and not data.

The controller's cursor is asked for right after a batch was taken, before anything else runs: both go into the same
transaction, so at any moment the file holds exactly what its cursor says.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time
from typing import Final

import trio
from loguru import logger

from gapless.controller.controller import ConnectionController
from gapless.controller.cursor import Cursor
from gapless.controller.events import AnyEvent
from gapless.controller.store.database import Database, Sync, opened
from gapless.controller.store.errors import StoreTroubleError
from gapless.controller.store.rows import Rule
from gapless.controller.store.worker import InThread, Worker
from gapless.controller.stream import Stream

INTERVAL_S: Final = 0.075
"""From the beginning of one transaction to that of the next. Each costs a quarter of a millisecond besides its rows, so
shorter ones cost more than they are worth; longer ones keep more in memory and lose more where the power fails."""
_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0
"""Between two attempts on a file in trouble: soon enough after somebody has made room."""
_LAST_WORD_MAX_S: Final = 2.0
"""For what was received and not written yet, when recording is cancelled."""
_TAKE_MAX_S: Final = 0.05
"""For taking it: nothing that is held needs waiting for."""

OnStored = Callable[[Sequence[AnyEvent]], None]


@dataclass(slots=True)
class RecordingStats:
    """What a recording has come to so far.

    Attributes:
        events: written, of every kind; one that the file had already counts, too.
        batches: transactions.
        failures: attempts to write that failed.
        trouble: why nothing is written at present; empty: all is well.
    """

    events: int = 0
    batches: int = 0
    failures: int = 0
    trouble: str = ""


class Recording:
    """A file that is recorded into. Made by :func:`open_recording`."""

    def __init__(self, database: Database, path: Path, worker: Worker, wall_clock: Callable[[], float]) -> None:
        self.path = path
        self.cursor: Cursor | None = database.cursor
        """Where the file ended when it was opened: what ``open_controller(resume=...)`` takes."""
        self.stats = RecordingStats()
        self._database = database
        self._worker = worker
        self._wall_clock = wall_clock
        self._taken: list[AnyEvent] = []
        self._position = Cursor(streams=[])
        self._known: set[Stream] = set()
        self._rules: list[Rule] = []
        """Of streams that the file does not know yet."""

    @property
    def unwritten(self) -> int:
        """Events that were taken from the controller and are not in the file yet."""
        return len(self._taken)

    async def run(self, controller: ConnectionController, on_stored: OnStored | None = None) -> None:
        """Record until the controller is closed; then all it had received is written.

        Cancelled, it writes within two seconds what was received until then. It consumes the controller: nobody else
        may loop over it.

        Args:
            controller: opened with ``resume=recording.cursor``.
            on_stored: called with each batch when it is in the file; must not block.

        Raises:
            StoreLostError: the file is damaged, or no longer there.
        """
        batches = controller.batches()
        try:
            while await self._take(batches, controller):
                due = trio.current_time() + INTERVAL_S
                await self._store(on_stored)
                await trio.sleep_until(due)
        finally:
            await self._last_word(batches, controller, on_stored)

    async def _take(self, batches: AsyncIterator[list[AnyEvent]], controller: ConnectionController) -> bool:
        """Take what there is; whether there was anything, which there is until the controller is closed."""
        batch = await anext(batches, None)
        if batch is None:
            return False
        self._taken += batch
        self._position = controller.cursor()
        for each in controller.streams:
            if each not in self._known:
                self._known.add(each)
                self._rules.append((each.channel, each.symbol, controller.sequence_rule(each)))
        return True

    async def _store(self, on_stored: OnStored | None) -> None:
        """Write what was taken."""
        taken, position = self._taken, self._position
        rules, self._rules = self._rules, []
        rows = await self._worker(partial(self._database.rows, taken, position, rules))
        await self._until_done(lambda: self._database.write(rows, self._wall_clock()))
        self._taken = []
        self.stats.events += len(taken)
        self.stats.batches += 1
        if on_stored is not None:
            on_stored(taken)

    async def _until_done(self, work: Callable[[], None]) -> None:
        """Do it, as often as it takes."""
        wait_s = _RETRY_MIN_S
        while True:
            try:
                await self._worker(work)
            except StoreTroubleError as error:
                self._is_in_trouble(error)
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MAX_S)
            else:
                break
        if self.stats.trouble:
            logger.warning("{}: written again", self.path)
            self.stats.trouble = ""

    def _is_in_trouble(self, error: StoreTroubleError) -> None:
        self.stats.failures += 1
        if self.stats.trouble != str(error):
            self.stats.trouble = str(error)
            logger.error("{}; what comes meanwhile waits, and what does not fit is fetched again", error)

    async def _last_word(
        self, batches: AsyncIterator[list[AnyEvent]], controller: ConnectionController, on_stored: OnStored | None
    ) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORD_MAX_S):
            if controller.events_held:
                with trio.move_on_after(_TAKE_MAX_S):
                    await self._take(batches, controller)
            if self._taken:
                await self._store(on_stored)
        if self._taken:
            logger.error(
                "{}: the last {} events are not in it; resume to fetch them again", self.path, len(self._taken)
            )


@asynccontextmanager
async def open_recording(
    path: str | Path,
    *,
    sync: Sync = "normal",
    venue: str | None = None,
    worker: Worker | None = None,
    wall_clock: Callable[[], float] = time,
) -> AsyncIterator[Recording]:
    """Open a recording, or begin one where there is no file, for as long as the block lasts.

    ::

        async with open_recording("feed.db") as recording:
            async with open_controller(..., resume=recording.cursor) as controller:
                await recording.run(controller)

    Args:
        path: of the SQLite file; ``-wal``, ``-shm`` and ``-lock`` beside it are parts of it.
        sync: see :data:`~gapless.controller.store.database.Sync`.
        venue: a name of what is recorded: ids of one venue mean nothing among those of another, so that a file of a
            different one is refused; None: any.
        worker: runs what blocks; None: a thread.
        wall_clock: Unix seconds.

    Raises:
        StoreFormatError: the file is something else, or of another schema.
        StoreTroubleError: it cannot be opened or written, or another process records into it.
    """
    file, call = Path(path), InThread() if worker is None else worker
    with ExitStack() as stack:
        database = await call(
            lambda: stack.enter_context(opened(file, sync=sync, venue=venue, started_at=wall_clock()))
        )
        recording = Recording(database, file, call, wall_clock)
        try:
            yield recording
            if not recording.unwritten:
                with suppress(StoreTroubleError):
                    await call(database.end)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORD_MAX_S):
                await call(stack.close)


async def record(
    controller: ConnectionController, path: str | Path, *, sync: Sync = "normal", venue: str | None = None
) -> None:
    """Record a controller until it is closed. Opened with ``resume=load_cursor(path)`` it goes on where the file ends.

    Raises:
        StoreError: as :func:`open_recording` and :meth:`Recording.run` do.
    """
    async with open_recording(path, sync=sync, venue=venue) as recording:
        await recording.run(controller)
