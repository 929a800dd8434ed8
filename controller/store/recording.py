"""Recording a controller: everything it hands over, and where it stands, in one transaction after another.

There is no queue here. While a batch is being written, or waits to be written once more, what comes meanwhile waits in
the controller's own buffer, which is bounded: what does not fit becomes a gap, and is fetched again when the file takes
data again. So a disk that is full for an hour costs freshness, not memory and not data.

The controller's cursor is asked for right after a batch was taken, before anything else runs: both go into the same
transaction, so at any moment the file holds exactly what its cursor says.

What was taken becomes rows at once, and only once, cancelled or not; these rows wait until they are in the file, and
nothing overtakes them. Making them moves the books of the file (which streams and series it knows, where each one is):
the same events made into rows again would be a batch that moves nothing.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import trio
from loguru import logger
from msgspec.structs import replace

from gapless.controller.controller import ConnectionController
from gapless.controller.cursor import Cursor
from gapless.controller.events import AnyEvent
from gapless.controller.store.database import Database
from gapless.controller.store.errors import StoreTroubleError
from gapless.controller.store.names import StreamKey
from gapless.controller.store.rows import Rows, Rule
from gapless.controller.store.worker import Worker
from gapless.controller.stream import Stream

INTERVAL_S: Final = 0.075
"""From the beginning of one transaction to that of the next. Each costs a quarter of a millisecond besides its rows, so
shorter ones cost more than they are worth; longer ones keep more in memory and lose more where the power fails."""
_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0
"""Between two attempts on a file in trouble: soon enough after somebody has made room."""
LAST_WORD_MAX_S: Final = 2.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What was taken at one time, until it is in the file."""

    events: Sequence[AnyEvent]
    rows: Rows
    cursor: Cursor | None
    """Where the file ends then."""


class Recording:
    """A file that is recorded into. Made by :func:`~gapless.controller.store.opening.open_recording`.

    Attributes:
        cursor: what ``open_controller(resume=...)`` takes, for the first controller as for each later one: where the
            file ends as soon as what was taken is written, which comes first. Once the recording is closed: where the
            file ends.
        host_before: where the run before this one listened, as it was told; None: it was not.
        stats: what it has come to so far.
    """

    def __init__(
        self, database: Database, path: Path, *, disk: Worker, maker: Worker, wall_clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.cursor: Cursor | None = database.cursor
        self.host_before = database.host_before
        self.stats = RecordingStats()
        self.leaves_by = inf
        """When whoever waits for the disk must go, on trio's clock: what was cancelled has been waited for already."""
        self._database = database
        self._disk = disk
        self._maker = maker
        self._wall_clock = wall_clock
        self._batches: deque[_Batch] = deque()
        """Made, and to be written in this order: each goes on where the one before it ends."""
        self._written = database.cursor
        self._known: dict[Stream, int] = {}

    @property
    def unwritten(self) -> int:
        """Events that were taken from the controller and are not in the file yet."""
        return sum(len(each.events) for each in self._batches)

    async def run(self, controller: ConnectionController, on_stored: OnStored | None = None) -> None:
        """Record until the controller is closed; then all it had received is written.

        Cancelled, it writes within two seconds what was received until then. It consumes the controller: nobody else
        may loop over it. Another controller may come after it, opened with the ``cursor`` of then; what of the one
        before is not written yet comes first.

        Args:
            controller: opened with ``resume=recording.cursor``. A stream that begins elsewhere in spite of it begins a
                part of its own, and the file says what lies between.
            on_stored: called with each batch when it is in the file; must not block.

        Raises:
            StoreLostError: the file is damaged, or no longer there.
        """
        batches = controller.batches()
        self.leaves_by = inf
        self._known.clear()
        try:
            await self._write(on_stored)
            position = _position(controller)
            # Of the wishes of now: one may be over before the first batch.
            rules, _again = self._news(controller)
            with trio.CancelScope(shield=True):
                await self._maker(partial(self._database.begin, position, rules))
            while await self._take(batches, controller):
                due = trio.current_time() + INTERVAL_S
                await self._write(on_stored)
                await trio.sleep_until(due)
        finally:
            with trio.CancelScope(shield=True):
                await self._last_word(batches, controller, on_stored)

    def close(self) -> None:
        """Nothing more will be written."""
        self.cursor = self._written

    async def _take(self, batches: AsyncIterator[list[AnyEvent]], controller: ConnectionController) -> bool:
        """Take what there is; whether there was anything, which there is until the controller is closed."""
        events = await anext(batches, None)
        if events is None:
            return False
        # Nothing else runs between the taking and the question where that leaves the app.
        position = _position(controller)
        rules, again = self._news(controller)
        make = partial(self._database.rows, events, position, rules, at=self._wall_clock(), again=again)
        # Cancelled or not: what was taken and is no row would be lost, and with it where it leads to.
        with trio.CancelScope(shield=True):
            rows = await self._maker(make)
            self.cursor = self._database.cursor
            self._batches.append(_Batch(events=events, rows=rows, cursor=self.cursor))
        return True

    def _news(self, controller: ConnectionController) -> tuple[list[Rule], Collection[StreamKey]]:
        """What the ids of streams tell that are seen for the first time, and those that were given up meanwhile."""
        rules: list[Rule] = []
        again: list[StreamKey] = []
        wishes, before = controller.wishes, max(self._known.values(), default=0)
        later = [wish for wish in wishes.values() if wish > before]
        # Wishes are numbered as they come: one that is left out has come and gone, for a stream that is new, maybe.
        is_one_gone = max(later, default=before) - before > len(later)
        for stream, wish in wishes.items():
            known = self._known.get(stream)
            if known is None:
                rules.append((stream.channel, stream.symbol, controller.sequence_rule(stream)))
            if is_one_gone if known is None else known != wish:
                again.append((stream.channel, stream.symbol))
            self._known[stream] = wish
        return rules, again

    async def _write(self, on_stored: OnStored | None, by: float = inf) -> None:
        """Write what was taken.

        Raises:
            StoreTroubleError: it could not be done by then.
        """
        while self._batches:
            batch = self._batches[0]
            await self._until_done(partial(self._database.write, batch.rows, self._wall_clock()), by)
            self._batches.popleft()
            self._written = batch.cursor
            self.stats.events += len(batch.events)
            self.stats.batches += 1
            if on_stored is not None:
                on_stored(batch.events)

    async def _until_done(self, work: Callable[[], None], by: float) -> None:
        """Do it, as often as it takes."""
        wait_s = _RETRY_MIN_S
        while True:
            try:
                await self._disk(work, deadline=by)
            except StoreTroubleError as error:
                self._is_in_trouble(error)
                if trio.current_time() + wait_s >= by:
                    raise
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
        by = trio.current_time() + LAST_WORD_MAX_S
        # Of a controller before this one something may be left, too: then there is no room for more.
        if controller.events_held and len(self._batches) <= 1:
            with trio.move_on_after(_TAKE_MAX_S):
                await self._take(batches, controller)
        try:
            await self._write(on_stored, by)
        except StoreTroubleError as error:
            self.leaves_by = by
            logger.error(
                "{}: the last {} events are not in it ({}); resume to fetch them again",
                self.path,
                self.unwritten,
                error,
            )


def _position(controller: ConnectionController) -> Cursor:
    """Where the streams are that a controller is asked for. Its cursor names those that rest, too: the file knows."""
    cursor, wishes = controller.cursor(), controller.wishes
    return replace(cursor, streams=[each for each in cursor.streams if Stream(each.channel, each.symbol) in wishes])
