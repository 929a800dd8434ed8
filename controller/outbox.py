"""What one socket is sent, within what the venue allows."""

from collections.abc import Awaitable, Callable

import trio

from gapless.controller.exchange import Budget
from gapless.controller.request_window import RequestWindow


class Outbox:
    """Everything that is said on one socket: one after the other, where the venue counts.

    Args:
        send: sends one frame.
        budget: frames in so many seconds; None: as they come.
    """

    __slots__ = ("_line", "_send", "_window")

    def __init__(self, send: Callable[[str], Awaitable[None]], budget: Budget | None) -> None:
        self._send = send
        self._window: RequestWindow | None = None
        if budget is not None:
            frames, window_s = budget
            self._window = RequestWindow(requests=frames, window_s=window_s)
            self._line = trio.Lock()

    async def send(self, frame: str) -> None:
        """Send one frame in its turn. Blocks while the send buffer is full: the caller brings a deadline.

        Raises:
            LinkError: the socket is gone.
        """
        if self._window is not None:
            async with self._line:
                await trio.sleep(self._window.wait_s(trio.current_time()))
                self._window.sent(trio.current_time())
        await self._send(frame)
