"""One WebSocket connection: what waits to be sent, and the pump that sends it.

Nothing that happens in the market waits for a client: :meth:`Session.send` appends to a bounded queue and returns. A
client too slow for that bound, or one that takes nothing for ``send_timeout_s``, is cut off.
"""

import math
from collections import deque
from collections.abc import Iterator

import trio
from loguru import logger
from trio_websocket import WebSocketConnection

from gapless.simulator.fault_line import FaultLine
from gapless.simulator.messages import StreamKey
from gapless.simulator.seams import Cut, Outgoing

BATCH_MAX = 64
"""Messages sent under one deadline; a cancel scope costs a third of a frame, so it is shared."""


class Session:
    """One connection of a session id, from its WELCOME on."""

    def __init__(
        self,
        *,
        session_id: str,
        connection: int,
        scope: trio.CancelScope,
        line: FaultLine,
        queue_max: int,
        send_timeout_s: float,
    ) -> None:
        self.session_id = session_id
        self.connection = connection
        self.marks: dict[StreamKey, int] = {}
        """What is subscribed, each with the last id issued before."""
        self.accent = ""
        """Which form of its exchange's language it is spoken to in, where there are several."""
        self._scope = scope
        self._line = line
        self._queue_max = queue_max
        self._send_timeout_s = send_timeout_s
        self._queue: deque[Outgoing] = deque()
        self._wake = trio.Event()

    @property
    def is_cut(self) -> bool:
        """Whether the connection is being dropped; its tasks may run once more before they notice."""
        return self._scope.cancel_called

    def send(self, item: Outgoing) -> None:
        """Queue a message, or the end of the connection behind what is queued."""
        if len(self._queue) >= self._queue_max:
            self.cut(f"too slow: {len(self._queue)} messages wait for it")
            return
        self._queue.append(item)
        self._wake.set()

    def cut(self, reason: str) -> None:
        """Drop the connection at once: no close frame, what is queued is lost."""
        if not self.is_cut:
            logger.info("{} is cut: {}", self, reason)
            self._scope.cancel()

    def cut_by(self, deadline: float) -> None:
        """Drop the connection at ``deadline`` (trio time) if it has not ended until then."""
        self._scope.deadline = min(self._scope.deadline, deadline)

    async def pump(self, socket: WebSocketConnection) -> str:
        """Send what is queued, for ever; returns why the connection is to be dropped."""
        while True:
            await self._wait()
            with trio.move_on_after(self._send_timeout_s) as scope:
                for item in self._next_batch(trio.current_time()):
                    if isinstance(item, Cut):
                        return item.reason
                    await socket.send_message(item.text)
            if scope.cancelled_caught:
                return f"too slow: it took nothing for {self._send_timeout_s} s"

    def _next_batch(self, now: float) -> Iterator[Outgoing]:
        """What goes out next. Lazy, so that no failure happens to a message behind the end of the connection."""
        yield from self._line.refresh(now)
        yield from self._line.release(now)
        for _ in range(min(len(self._queue), BATCH_MAX)):
            item = self._queue.popleft()
            if self._line.is_clear or isinstance(item, Cut):
                yield item
            else:
                yield from self._line.outbound(item, now)

    async def _wait(self) -> None:
        if self._queue:
            return
        self._wake = trio.Event()
        if self._line.due == math.inf:
            await self._wake.wait()
        else:
            with trio.move_on_at(self._line.due):
                await self._wake.wait()

    def __str__(self) -> str:
        return f"session {self.session_id!r} connection {self.connection}"
