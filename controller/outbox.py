"""What one socket is sent, within what the venue allows."""

from collections.abc import Awaitable, Callable

from gapless.controller.exchange import Budget
from gapless.controller.gate import Gate


class Outbox:
    """Everything that is said on one socket: one after the other, where the venue counts.

    Args:
        send: sends one frame.
        budget: frames in so many seconds; None: as they come.
    """

    __slots__ = ("_gate", "_send")

    def __init__(self, send: Callable[[str], Awaitable[None]], budget: Budget | None) -> None:
        self._send = send
        self._gate = None if budget is None else Gate(budget, "messages")

    async def send(self, frame: str) -> None:
        """Send one frame in its turn. Blocks while the send buffer is full: the caller brings a deadline.

        Raises:
            LinkError: the socket is gone.
        """
        if self._gate is not None:
            await self._gate.turn()
        await self._send(frame)
