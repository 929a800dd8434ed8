"""Writing to stdout or stderr without ever holding up the trio loop."""

import os
import select
from typing import TextIO

import trio


class Output:
    """Whole pieces of text, one writer at a time, each in a thread.

    A reader that does not read holds up the thread and, through it, only the task that prints: the controller reads on,
    within its bounds. It goes straight to the file descriptor: an abandoned thread inside a buffered file would hold
    the file's lock when Python ends.

    Attributes:
        ended: set when nothing more can be written; from then on everything is dropped.
        failure: why, unless the reader simply has seen enough, as ``| head`` does.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.ended = trio.Event()
        self.failure = ""
        self._turn = trio.Lock()
        self._stream = stream
        if stream is None:
            # The shell's ``>&-``: Python has no such stream, and the number may mean something else by now.
            self.ended.set()

    async def write(self, data: bytes) -> None:
        """Write it all. Cancelled while nobody reads, it leaves the rest unwritten."""
        async with self._turn:
            if self._stream is None or self.ended.is_set():
                return
            try:
                await trio.to_thread.run_sync(_write_all, self._stream.fileno(), data, abandon_on_cancel=True)
            except (BrokenPipeError, ConnectionResetError):
                self.ended.set()
            except OSError as error:
                self.failure = error.strerror or str(error)
                self.ended.set()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Somebody who shares this pipe has made it non-blocking.
            select.select([], [descriptor], [])
