"""What ``gapless record`` says on stderr: a line each second on a terminal, and whatever goes wrong."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import trio

from gapless.cli.lines import Summary
from gapless.cli.output import Output
from gapless.cli.rejections import Rejections
from gapless.cli.tally import Tally
from gapless.controller import AnyEvent, ConnectionController, Stream
from gapless.controller.store import Recording

_EVERY_S: Final = 1.0


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

    async def _tell(self, recording: Recording, controller: ConnectionController) -> None:
        began_at = trio.current_time()
        while not self._over.is_set():
            with trio.move_on_after(_EVERY_S):
                await self._over.wait()
            now = trio.current_time()
            lines = self._news(recording)
            if self._shows:
                lines.append(self._line(recording, controller, max(now - began_at, 0.001)))
            began_at = now
            if lines:
                await self._out.write("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))

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
        lost = sum(each.lost for each in self._tally.by_stream.values())
        missing = sum(high - low + 1 for gaps in controller.open_gaps.values() for low, high in gaps)
        return (
            f"{flow or f'{controller.state.name}  nothing new'}   {self._tally.delivered} stored"
            + (f", {missing} being fetched" if missing else "")
            + (f", {lost} lost" if lost else "")
            + (", CANNOT WRITE" if recording.stats.trouble else "")
        )
