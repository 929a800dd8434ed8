"""What the link asks of a socket library."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol, runtime_checkable


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


@runtime_checkable
class PushConnection(Connection, Protocol):
    """A connection that knows better than its reader when a batch is whole. Optional."""

    async def push(self, enter: Callable[[Sequence[str | bytes]], None]) -> NoReturn:
        """Call ``enter`` with all that has arrived, in order, again and again; instead of :meth:`receive`.

        ``enter`` is synchronous and may be called out of any task, but not after this one has ended. What is held for a
        fuller batch never waits for the peer. Whatever it raises ends the connection and comes out here.
        """
        ...


class Transport(Protocol):
    """Opens connections."""

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial and shake hands; leaving the context ends the socket at once, without a polite close.

        The caller brings the deadline. Raises LinkError where the peer refuses, resets or closes.
        """
        ...
