"""What ``gapless record`` says on stderr: a line each second on a terminal, whatever goes wrong, and a last one."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import trio

from gapless.cli.lines import Summary
from gapless.cli.output import Output
from gapless.cli.record_known import AllKnown
from gapless.cli.rejections import Rejections
from gapless.cli.tally import Tally
from gapless.controller import AnyEvent, ConnectionController, Stream
from gapless.controller.store import Recording

_EVERY_S: Final = 1.0
_LAST_LINE_MAX_S: Final = 1.0
"""Nobody may read stderr any more."""


class Progress:
    """How a recording goes.

    Args:
        streams: what is recorded.
        shows: whether there is somebody to read a line each second.
    """

    def __init__(self, streams: Sequence[Stream], *, shows: bool) -> None:
        self.rejections = Rejections(streams)
        self._shows = shows
        self._tally = Tally(streams, keep=False)
        self._summary = Summary(self._tally)
        self._out = Output(sys.stderr)
        self._warnings: list[str] = []
        self._trouble = ""
        self._over = trio.Event()
        self._began_at = trio.current_time()

    async def warn(self, line: str) -> None:
        """Say it at once."""
        await self._out.write(f"Warning: {line}\n".encode(errors="backslashreplace"))

    def stored(self, batch: Sequence[AnyEvent]) -> None:
        """Count what is in the file."""
        self._tally.add(batch)
        if line := self.rejections.add(batch):
            self._warnings.append(line)

    async def run(self, recording: Recording, controller: ConnectionController) -> None:
        """Record until the controller is closed, and tell of it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell, recording, controller)
            await recording.run(controller, self.stored)
            self._over.set()

    async def last_line(self, recording: Recording) -> None:
        """Say what it came to, whether or not anybody saw it coming."""
        lost = self._lost()
        line = (
            f"{recording.path}: {self._tally.delivered:,} data stored in {trio.current_time() - self._began_at:.1f} s"
            + (f", {lost:,} lost" if lost else "")
            + (f"; {recording.unwritten:,} events could not be written" if recording.unwritten else "")
        )
        await self.last_words(line)

    async def last_words(self, line: str) -> None:
        """Say it, if anybody reads it."""
        with trio.move_on_after(_LAST_LINE_MAX_S):
            await self._out.write(f"{line}\n".encode(errors="backslashreplace"))

    async def _tell(self, recording: Recording, controller: ConnectionController) -> None:
        began_at = trio.current_time()
        known = AllKnown(recording.cursor, began_at)
        while not self._over.is_set():
            with trio.move_on_after(_EVERY_S):
                await self._over.wait()
            now = trio.current_time()
            self._look(known, recording, controller, now)
            lines = self._news(recording)
            if self._shows:
                lines.append(self._line(recording, controller, max(now - began_at, 0.001)))
            began_at = now
            if lines:
                await self._out.write("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))

    def _look(self, known: AllKnown, recording: Recording, controller: ConnectionController, now: float) -> None:
        stored = {stream: each.delivered for stream, each in self._tally.by_stream.items()}
        duplicates = controller.stats.duplicates
        line = known.look(now, stored=stored, age_s=controller.freshness(), duplicates=duplicates)
        if line and not recording.stats.trouble:
            self._warnings.append(f"{recording.path}: {line}")

    def _news(self, recording: Recording) -> list[str]:
        lines = [f"Warning: {line}" for line in self._warnings]
        self._warnings.clear()
        trouble = recording.stats.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            lines.append(f"Warning: {trouble or f'{recording.path}: written again'}")
        return lines

    def _line(self, recording: Recording, controller: ConnectionController, seconds: float) -> str:
        flow = self._summary.line(state=controller.state, seconds=seconds, at=time.time())
        lost = self._lost()
        missing = sum(high - low + 1 for gaps in controller.open_gaps.values() for low, high in gaps)
        return (
            f"{flow or f'{controller.state.name}  nothing new'}   {self._tally.delivered} stored"
            + (f", {missing} being fetched" if missing else "")
            + (f", {lost} lost" if lost else "")
            + (", CANNOT WRITE" if recording.stats.trouble else "")
        )

    def _lost(self) -> int:
        return sum(each.lost for each in self._tally.by_stream.values())
