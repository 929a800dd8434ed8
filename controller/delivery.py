"""From the ledger to the app: one bounded buffer, in arrival order.

Market data is bounded; what does not fit is not entered into the ledger as delivered but becomes a gap, fetched again
over REST once there is room (``overflow="refetch"``). State and continuity events are never dropped and do not count
against the bound; they travel in the same queue, because their place among the data means something: a ``StreamReset``
stands between the last datum of the old epoch and the first of the new.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from gapless.controller.events import AnyEvent, BalanceUpdate, MarketData, OrderUpdate
from gapless.controller.signal import Signal

_FAIR_SHARE: Final = 64
"""Events handed over between two checkpoints. A checkpoint costs 2.7 us, an event about as much: 64 of them keep other
tasks waiting for less than a millisecond."""


Data = MarketData | OrderUpdate | BalanceUpdate
"""What counts against the bound."""


class DeliveryBuffer:
    """A queue with one producer side (synchronous) and one consumer (the app).

    Args:
        capacity: market data held for the app; beyond it ``overflowing`` is set until the buffer is half empty.
        on_relief: called when an overflow ends.
    """

    def __init__(self, *, capacity: int, on_relief: Callable[[], None]) -> None:
        self.capacity = capacity
        self.overflowing = False
        self._on_relief = on_relief
        self._events: deque[AnyEvent] = deque()
        self._data_held = 0
        self._filled = Signal()
        self._drained = Signal()
        self._taken = 0
        self._closed = False

    def __len__(self) -> int:
        """Events held, of every kind."""
        return len(self._events)

    @property
    def room(self) -> int:
        """How many more pieces of market data fit."""
        return self.capacity - self._data_held

    def put_data(self, event: Data) -> None:
        """Add one piece of data.

        The caller has checked that there is room; only the rows of one snapshot may overshoot.
        """
        self._events.append(event)
        self._data_held += 1
        if self._data_held >= self.capacity:
            self.overflowing = True
        self._filled.notify()

    def put(self, event: AnyEvent) -> None:
        """Add an event that must never be dropped."""
        self._events.append(event)
        self._filled.notify()

    def close(self) -> None:
        """No more events will come: wake the consumer."""
        self._closed = True
        self._filled.notify()

    async def wait_room(self, rows: int) -> None:
        """Wait until a page of ``rows`` fits (at most half the capacity) and no overflow lasts."""
        wanted = min(rows, self.capacity // 2)
        while self.overflowing or self.room < wanted:
            await self._drained.wait()

    async def take(self) -> AnyEvent | None:
        """The next event; None when the buffer is closed and empty."""
        if not await self._wait():
            return None
        event = self._events.popleft()
        if isinstance(event, Data):
            self._data_held -= 1
            self._relieve()
        return event

    async def take_all(self) -> list[AnyEvent]:
        """Everything that is held, at least one event; empty when the buffer is closed."""
        if not await self._wait():
            return []
        batch = list(self._events)
        self._events.clear()
        self._data_held = 0
        self._relieve()
        return batch

    async def _wait(self) -> bool:
        # A checkpoint now and then even while events are held: a loop over a full buffer stays cancellable and fair.
        self._taken += 1
        if self._taken % _FAIR_SHARE == 0:
            await trio.lowlevel.checkpoint()
        while not self._events:
            if self._closed:
                return False
            await self._filled.wait()
        return True

    def _relieve(self) -> None:
        if self.overflowing and self._data_held <= self.capacity // 2:
            self.overflowing = False
            self._on_relief()
        self._drained.notify()
