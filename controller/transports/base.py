"""What the link asks of a socket library."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Connection(Protocol):
    """An open WebSocket. One task receives; any task may send.

    Raises :class:`~gapless.controller.errors.LinkError` once the socket is gone, with the reason.
    """

    async def receive(self) -> Sequence[str | bytes]:
        """Wait for at least one whole message and return all that have arrived, in order."""
        ...

    async def send(self, frame: str) -> None:
        """Send one text message. Blocks while the send buffer is full: the caller brings a deadline."""
        ...


class Transport(Protocol):
    """Opens connections."""

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial and shake hands; leaving the context ends the socket at once, without a polite close.

        The caller brings the deadline. Raises LinkError where the peer refuses, resets or closes.
        """
        ...
