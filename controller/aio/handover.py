"""Batches of events from the trio thread to one event loop, without a lock.

Each counter has one writer, a deque may be used at both ends at once, and whoever goes to sleep says so *before* it
looks a last time: what the other side did was seen, or it sees the word, takes it back and wakes the sleeper, who looks
again. So the loop is woken once per wait of the app, however much comes meanwhile, and the trio side once per lack of
room.

What lies here was not consumed: at most ``IN_FLIGHT_MAX`` events and the one batch that went beyond, itself no more
than the controller's buffer. Behind that the controller's own buffer fills, and what it does then is its ``overflow``.
"""

import asyncio
from collections import deque
from typing import Final

import trio

from gapless.controller.aio.crossing import tell
from gapless.controller.events import AnyEvent
from gapless.controller.signal import Wakeup

IN_FLIGHT_MAX: Final = 1_024
"""Events handed over and unread before the trio side waits. At 35,000 events/s a thirtieth of a second, many times what
a wake takes from thread to thread; and about 300 KiB."""
_LOOK_EVERY: Final = 64
"""Events taken one by one between two looks at the clock."""
_TURN_S: Final = 0.002
"""Seconds that an app's loop over what lies here may take before the rest of its event loop has a turn."""


class HandOver:
    """A bounded queue with the trio thread at one end and one asyncio task at the other. Made in the trio thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._token = trio.lowlevel.current_trio_token()
        self._batches: deque[list[AnyEvent]] = deque()
        self._handed = 0
        """Events ever handed over; the trio side counts."""
        self._used = 0
        """Events the app is through with; the loop's side counts."""
        self._over = False
        self._failure: Exception | None = None
        self._hungry = False
        """Whether the loop's side is to be woken."""
        self._starved = False
        """Whether the trio side is to be woken."""
        self._room = Wakeup()
        self._arrived: asyncio.Future[None] | None = None
        self._current: list[AnyEvent] = []
        """The batch that is taken one by one, the next event last."""
        self._current_size = 0
        self._looked = 0
        self._turn_ends_at = float("-inf")

    def __len__(self) -> int:
        """Events that were handed over and not taken; exact in the loop's thread."""
        return self._handed - self._used - (self._current_size - len(self._current))

    def unread(self) -> list[AnyEvent]:
        """Them, oldest first. Called in one thread while the other is held up or has ended."""
        return [*reversed(self._current), *(event for batch in self._batches for event in batch)]

    def demand_standstill(self) -> None:
        """Make sure that nothing is taken out meanwhile: this is the loop's thread, or the loop does not run.

        Raises:
            RuntimeError: it is another thread.
        """
        if self._loop.is_running() and asyncio._get_running_loop() is not self._loop:  # noqa: SLF001  # has no other name
            raise RuntimeError(
                "expected to be asked for the cursor in the thread of the event loop: there alone it is known which "
                "events the app has; from another one let loop.call_soon_threadsafe ask"
            )

    # -- the trio side -------------------------------------------------------------------------------------------------

    async def put(self, batch: list[AnyEvent]) -> None:
        """Hand over a batch, which is this queue's from now on; then wait until there is room for another."""
        self._handed += len(batch)
        self._batches.append(batch)
        self._wake()
        while True:
            self._starved = True
            if self._handed - self._used < IN_FLIGHT_MAX:
                self._starved = False
                return
            await self._room.wait()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; the app gets what lies here, then the error."""
        self._failure = error
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._hungry:
            self._hungry = False
            tell(self._loop, self._rouse)

    # -- the loop's side -----------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Nothing more will come."""
        self._over = True
        self._rouse()

    async def take(self) -> AnyEvent | None:
        """The next event; None when no more will come."""
        self._looked += 1
        if (not self._current or self._looked >= _LOOK_EVERY) and not await self._next_batch():
            return None
        return self._current.pop()

    async def take_all(self) -> list[AnyEvent]:
        """Everything that lies here, at least one event; empty when no more will come."""
        if not self._current and not await self._filled():
            return []
        batch = self._current[::-1]
        self._use(self._current_size)
        self._current, self._current_size = [], 0
        gathered = 0
        while self._batches:
            more = self._batches.popleft()
            gathered += len(more)
            batch += more
        self._use(gathered)
        return batch

    async def _next_batch(self) -> bool:
        self._looked = 0
        if self._current:
            if self._loop.time() >= self._turn_ends_at:
                await asyncio.sleep(0)
                self._turn_ends_at = self._loop.time() + _TURN_S
            if self._current:
                return True
        self._use(self._current_size)
        self._current_size = 0
        if not await self._filled():
            return False
        self._current = self._batches.popleft()
        self._current.reverse()
        self._current_size = len(self._current)
        return True

    def _use(self, events: int) -> None:
        self._used += events
        if self._starved and self._handed - self._used < IN_FLIGHT_MAX:
            self._starved = False
            try:
                self._token.run_sync_soon(self._room.notify)
            except trio.RunFinishedError:
                return

    async def _filled(self) -> bool:
        """Wait for a batch, having let others have their turn in any case; False: no more will come."""
        if self._batches:
            await asyncio.sleep(0)
        while not self._batches:
            # In this order: what was put before the end is seen.
            if self._over and not self._batches:
                if self._failure is not None:
                    raise self._failure
                return False
            if self._arrived is not None:
                raise RuntimeError("another task waits for the events of this controller already")
            await self._wait()
        self._turn_ends_at = self._loop.time() + _TURN_S
        return True

    async def _wait(self) -> None:
        self._arrived = self._loop.create_future()
        try:
            self._hungry = True
            if not self._batches and not self._over:
                await self._arrived
        finally:
            self._hungry = False
            self._arrived = None

    def _rouse(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
