"""From the ledger to the app: one bounded buffer.

Data is bounded: ``capacity`` pieces for the app, and with ``ordering="sequence"`` as many held back behind gaps; what
is freed at once may fill the buffer twice over. State and continuity events are never dropped and do not count against
the bound; they travel in the same queue, because their place among the data means something: a ``StreamReset`` stands
between the last datum of the old epoch and the first of the new. An app that reads none of them for a hundred thousand
events has stopped reading, and is told so in place of the next one.

When the buffer is full:

* ``refetch``: ``overflowing`` is set until it is half empty; meanwhile live frames become a gap, fetched again later;
  where only what is held back is too much, those frames that would have to wait, too.
* ``conflate``: before the next datum, of each stream's market data only the latest stays; the rest is reported. Should
  that free less than half (account data, or more streams than half the buffer), the first way follows.
* ``raise``: what is held is handed over, then the app gets a :class:`DeliveryOverflowError`. From the failure on there
  is no room, however much the app takes: REST is asked for nothing, and what moves the books all the same is kept for
  the cursor (:mod:`refused`), so that the app can go on from what it was given.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Literal, Protocol

import trio

from gapless.controller.conflation import Loss, NumberOf, conflated, ranges, sequence_id_of
from gapless.controller.errors import DeliveryOverflowError
from gapless.controller.events import (
    AnyEvent,
    BalanceUpdate,
    ContinuityLost,
    GapFilled,
    MarketData,
    OrderUpdate,
    StreamReset,
    Trade,
)
from gapless.controller.hold_back import Data, HoldBack
from gapless.controller.refused import Refused
from gapless.controller.signal import Signal, Wakeup
from gapless.controller.stream import Stream

Overflow = Literal["refetch", "conflate", "raise"]

_LOOK_EVERY: Final = 64
"""Events handed over between two looks at the clock, which costs as much as a tenth of them."""
_TURN_S: Final = 0.002
"""Seconds that a loop over a buffer that is never empty may take before others have their turn. The link enters a whole
read in its own, 340 messages of 190 bytes and many more that came compressed: an app that took less in its turn would
fall behind however fast it is."""
_TURN_MAX: Final = 4_096
"""Events in a turn, where the clock stands still, as a virtual one does."""

CONTROL_MAX: Final = 100_000
"""State and continuity events held for an app that does not read. About 30 MB; a feed that loses its link every second
produces as many in seven hours."""

_DATA: Final = frozenset({MarketData, Trade, OrderUpdate, BalanceUpdate})
"""Data by its exact types: isinstance() of a struct costs three times as much."""


class DeliveryBuffer:
    """A queue with one producer side (synchronous) and one consumer (the app).

    Args:
        capacity: data held for the app, and as much again held back behind gaps.
        on_relief: called when an overflow ends.
        overflow: what a full buffer leads to.
        loss: makes the report of conflated ids; needed with ``conflate``.
        number_of: the id that is reported then.
    """

    def __init__(
        self,
        *,
        capacity: int,
        on_relief: Callable[[], None],
        overflow: Overflow = "refetch",
        loss: Loss | None = None,
        number_of: NumberOf = sequence_id_of,
    ) -> None:
        self.capacity = capacity
        self.overflowing = False
        self.conflated = 0
        """Data taken out to make room."""
        self._overflow = overflow
        self._loss = loss
        self._queue_is_due = False
        self._hold_is_due = False
        self._number_of = number_of
        self._on_relief = on_relief
        self._events: deque[AnyEvent] = deque()
        self._data_held = 0
        self._queue_full = False
        self._held_back = HoldBack()
        self._hold_full = False
        self._filled = Wakeup()
        self._drained = Signal()
        self._taken = 0
        """Events handed over since the last look at the clock."""
        self._taken_in_turn = 0
        self._turn_ends_at = float("-inf")
        self._closed = False
        self._failure: DeliveryOverflowError | None = None
        self._refused = Refused()

    def __len__(self) -> int:
        """Events held, of every kind, held-back ones included."""
        return len(self._events) + len(self._held_back)

    def held(self) -> list[AnyEvent]:
        """Every event the app was not given, of each stream oldest first; what came after a failure is last."""
        return [*self._events, *self._held_back, *self._refused]

    def newest_of(self, stream: Stream) -> AnyEvent | None:
        """What was added last of those events of a market stream that the app was not given."""
        for event in reversed(self.held()):
            if isinstance(event, MarketData | ContinuityLost | StreamReset) and (
                (event.channel, event.symbol) == (stream.channel, stream.symbol)
            ):
                return event
        return None

    @property
    def room(self) -> int:
        """How many more pieces of data fit the queue; none once it has failed."""
        return self.capacity - self._data_held if self._failure is None else 0

    @property
    def queue_overflows(self) -> bool:
        """Whether ``overflowing`` is more than a full hold-back: nothing at all is taken then."""
        return self._queue_full or self._failure is not None

    @property
    def hold_room(self) -> int:
        """How many more pieces of data may be held back; none once the buffer has failed."""
        return self.capacity - self.held_back if self._failure is None else 0

    @property
    def held_back(self) -> int:
        """Pieces of data that wait for what lies before them."""
        return len(self._held_back)

    # -- the producer's side -------------------------------------------------------------------------------------------

    def put_data(self, event: Data) -> None:
        """Add one piece of data.

        The caller has checked that there is room; only the rows of one snapshot, and what was held back, may overshoot.
        """
        if self._failure is not None:
            self._refused.note(event)
            return
        self._events.append(event)
        self._data_held += 1
        if self._data_held >= self.capacity:
            self._queue_full = self.overflowing = True
            self._queue_is_due = self._overflow == "conflate"
        self._filled.notify()

    def put_all(self, events: Sequence[Data]) -> None:
        """Add several pieces of data, fewer than there is room for."""
        if self._failure is not None:
            for event in events:
                self._refused.note(event)
            return
        self._events.extend(events)
        self._data_held += len(events)
        self._filled.notify()

    def put(self, event: AnyEvent) -> None:
        """Add an event that must never be dropped."""
        if self._failure is not None:
            self._refused.note(event)
            return
        self._events.append(event)
        if len(self._events) - self._data_held > CONTROL_MAX:
            self.fail(DeliveryOverflowError(f"the app has not read the last {CONTROL_MAX} state and continuity events"))
        self._filled.notify()

    def hold_back(self, stream: Hashable, sequence_id: int, event: Data) -> None:
        """Keep one piece of data until nothing before it is missing."""
        if self._failure is not None:
            self._refused.note(event)
            return
        self._held_back.keep(stream, sequence_id, event)
        if self.hold_room <= 0:
            self._hold_full = self.overflowing = True
            self._hold_is_due = self._overflow == "conflate"

    def hold_word_back(self, stream: Hashable, word: GapFilled) -> None:
        """Keep the word on ids that are held back, until they go."""
        self._held_back.keep_word(stream, word)

    def release(self, stream: Hashable, below: int) -> None:
        """Hand over what was held back of a stream below an id, in order."""
        for event in self._held_back.release(stream, below):
            if isinstance(event, GapFilled):
                self.put(event)
            else:
                self.put_data(event)
        self._relieve_hold()

    def drop(self, stream: Hashable, start: int) -> None:
        """Forget what was held back of a stream from an id on."""
        self._held_back.drop(stream, start)
        self._relieve_hold()

    def _relieve_hold(self) -> None:
        if self._hold_full and len(self._held_back) <= self.capacity // 2:
            self._hold_full = False
            self._relieve()

    def overflowed(self, what: str) -> bool:
        """One more piece of data came while overflowing; whether that is the end (``raise``)."""
        if self._overflow == "raise":
            self.fail(DeliveryOverflowError(f"{what} did not fit: the app has yet to read {self.capacity} data"))
        return self._failure is not None

    def fail(self, error: DeliveryOverflowError) -> None:
        """Nothing more is taken in; the app gets what is held, then the error."""
        self._failure = self._failure or error
        self.overflowing = True
        self._filled.notify()

    def close(self) -> None:
        """No more events will come: wake the consumer."""
        self._closed = True
        self._filled.notify()

    async def wait_room(self, rows: int) -> None:
        """Wait until a page of ``rows`` fits (at most half the capacity) and no overflow of the queue lasts.

        A full hold-back is no reason to wait: only a page can free it. Once the buffer has failed it waits for ever.
        """
        wanted = min(rows, self.capacity // 2)
        self.make_room()
        while self.queue_overflows or self.room < wanted:
            await self._drained.wait()
            self.make_room()

    def make_room(self) -> None:
        """Where only the latest is to stay (``conflate``) and a bound was reached: let the rest go, and report it.

        Not at once but before the next datum: until then the words on what has come are in their places.
        """
        if self._loss is None or not (self._queue_is_due or self._hold_is_due):
            return
        if self._queue_is_due:
            self._queue_is_due = False
            if self._data_held >= self.capacity:
                kept, dropped = conflated(self._events, self._loss, self._number_of)
                self._events = deque(kept)
                self._data_held -= dropped
                self.conflated += dropped
                self._queue_full = self._data_held > self.capacity // 2
            else:
                self._queue_full = False
        if self._hold_is_due:
            self._hold_is_due = False
            self._conflate_hold(self._loss)
            self._hold_full = len(self._held_back) > self.capacity // 2
        self._relieve()

    def _conflate_hold(self, loss: Loss) -> None:
        if len(self._held_back) < self.capacity:
            return
        words, gone = self._held_back.keep_latest()
        for word in words:
            self.put(word)
        for datum, ids in gone:
            self.conflated += len(ids)
            for start, end in ranges(ids):
                self.put(loss(datum, start, end))

    # -- the app's side ------------------------------------------------------------------------------------------------

    async def take(self) -> AnyEvent | None:
        """The next event; None when the buffer is closed and empty."""
        self._taken += 1
        if (not self._events or (self._taken >= _LOOK_EVERY and self._turn_is_over())) and not await self._wait():
            return None
        event = self._events.popleft()
        if type(event) in _DATA:
            self._data_held -= 1
            if self._queue_full or self._drained.is_awaited:
                self._drain()
        return event

    async def take_all(self) -> list[AnyEvent]:
        """Everything that is held, at least one event; empty when the buffer is closed."""
        self._taken += 1
        # A batch leaves nothing to fall behind with: no look at the clock.
        if (not self._events or self._taken >= _LOOK_EVERY) and not await self._wait():
            return []
        batch = list(self._events)
        self._events.clear()
        self._data_held = 0
        self._drain()
        return batch

    def _turn_is_over(self) -> bool:
        self._taken_in_turn += self._taken
        self._taken = 0
        return self._taken_in_turn >= _TURN_MAX or trio.current_time() >= self._turn_ends_at

    async def _wait(self) -> bool:
        # A checkpoint now and then even while events are held: a loop over a full buffer stays cancellable and fair.
        self._taken = self._taken_in_turn = 0
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return False
            if self._filled.is_awaited:
                raise trio.BusyResourceError("another task waits for the events of this controller already")
            await self._filled.wait()
        self._turn_ends_at = trio.current_time() + _TURN_S
        return True

    def _drain(self) -> None:
        if self._queue_full and self._data_held <= self.capacity // 2:
            self._queue_full = False
            self._relieve()
        self._drained.notify()

    def _relieve(self) -> None:
        if self.overflowing and not self._queue_full and not self._hold_full and self._failure is None:
            self.overflowing = False
            self._on_relief()


class Held(Protocol):
    """What an app takes events out of."""

    async def take(self) -> AnyEvent | None:
        """The next event; None when no more will come."""
        ...

    async def take_all(self) -> list[AnyEvent]:
        """Everything that is held, at least one event; empty when no more will come."""
        ...


class Events:
    """An iterator over everything that is held, one by one. No generator: it may be left at any point."""

    def __init__(self, delivery: Held) -> None:
        self._take = delivery.take

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> AnyEvent:
        event = await self._take()
        if event is None:
            raise StopAsyncIteration
        return event


class Batches:
    """An iterator over everything that is held, a list at a time. No generator: it may be left at any point."""

    def __init__(self, delivery: Held) -> None:
        self._delivery = delivery

    def __aiter__(self) -> "Batches":
        return self

    async def __anext__(self) -> list[AnyEvent]:
        batch = await self._delivery.take_all()
        if not batch:
            raise StopAsyncIteration
        return batch
