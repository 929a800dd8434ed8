"""Callbacks instead of a loop: the controller reads its own events and calls the app.

``on_message`` gets every event but what came over REST; ``on_reconciliation(kind, data)`` gets that, by kind:

=================  =====================================================================================
``market_data``    a :class:`MarketData` that fills a known gap (``source=BACKFILL``)
``price_history``  a list of :class:`MarketData` of one stream, polled while live data did not flow
``orders``         a list of :class:`OrderUpdate`: a snapshot, perhaps an empty one
``balance``        a list of :class:`BalanceUpdate`: a snapshot, perhaps an empty one
=================  =====================================================================================

Without ``on_reconciliation`` everything goes to ``on_message``. Callbacks are synchronous and must not block; what one
raises ends the run and comes out of ``open_controller`` as it is.

**Consumed** is what a callback was called with, from the beginning of the call: one that stores the event and
:meth:`cursor() <gapless.controller.ConnectionController.cursor>` in one transaction stores what belongs together. What
a callback raised over is not: asked after the block, ``cursor()`` has it come once more. The rest of what was taken out
of the buffer at once is not, either. (A list of ``price_history`` is one call, so it is consumed as a whole.)
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Literal

import trio

from gapless.controller.delivery import DeliveryBuffer
from gapless.controller.errors import ConfigurationError
from gapless.controller.events import AnyEvent, BalanceUpdate, MarketData, OrderUpdate, SnapshotRead, Source

ReconciliationKind = Literal["market_data", "price_history", "orders", "balance"]
Reconciled = MarketData | Sequence[MarketData] | Sequence[OrderUpdate] | Sequence[BalanceUpdate]
OnMessage = Callable[[AnyEvent], None]
OnReconciliation = Callable[[ReconciliationKind, Reconciled], None]

FAIR_SHARE = 64
"""Calls between two checkpoints, so that a full buffer does not hold up everything else."""


class Callbacks:
    """Where events go when the app does not loop over them.

    Raises:
        ConfigurationError: ``on_reconciliation`` without ``on_message``: nobody would get the other events.
    """

    def __init__(self, on_message: OnMessage | None, on_reconciliation: OnReconciliation | None) -> None:
        if on_message is None and on_reconciliation is not None:
            raise ConfigurationError(
                "expected on_message beside on_reconciliation: with callbacks there is no loop that would get the rest"
            )
        self._on_message = on_message
        self._on_reconciliation = on_reconciliation
        self._batch: Sequence[AnyEvent] = ()
        self._consumed = 0
        """Events of the batch that count as consumed."""

    @property
    def unread(self) -> Sequence[AnyEvent]:
        """What was taken out of the buffer and does not count as consumed, oldest first."""
        return self._batch[self._consumed :]

    @property
    def consume(self) -> bool:
        """Whether they take the place of the app's loop."""
        return self._on_message is not None

    async def run(self, delivery: DeliveryBuffer) -> None:
        """Hand over everything, in order, until the buffer is closed."""
        calls = 0
        while batch := await delivery.take_all():
            for _ in self.hand_over(batch):
                calls += 1
                if calls % FAIR_SHARE == 0:
                    await trio.lowlevel.checkpoint()

    def hand_over(self, batch: Sequence[AnyEvent]) -> Iterator[None]:
        """Call for each event of a batch, in order: one call a step. What no call was begun for stays ``unread``."""
        self._batch, self._consumed = batch, 0
        for origin, group in groupby(batch, key=_origin):
            for call, events in self._calls(origin, list(group)):
                self._consumed += events
                try:
                    call()
                except BaseException:
                    self._consumed -= events
                    raise
                yield

    def _calls(self, origin: "_Origin | None", events: list[AnyEvent]) -> list["_Call"]:
        """What is to be called for events of one origin, and for how many of them each."""
        reconcile, on_message = self._on_reconciliation, self._on_message
        if on_message is None:
            return []
        if origin is None or reconcile is None:
            return [(_bound(on_message, event), 1) for event in events]
        kind, _stream = origin
        if isinstance(events[0], SnapshotRead):
            # It has no rows that would tell.
            return [(_bound(on_message, events[0]), 0), (_told(reconcile, kind, []), 1)]
        if kind == "market_data":
            return [(_told(reconcile, kind, event), 1) for event in events if isinstance(event, MarketData)]
        data: Reconciled
        if kind == "price_history":
            data = [event for event in events if isinstance(event, MarketData)]
        elif kind == "orders":
            data = [event for event in events if isinstance(event, OrderUpdate)]
        else:
            data = [event for event in events if isinstance(event, BalanceUpdate)]
        return [(_told(reconcile, kind, data), len(events))]


_Call = tuple[Callable[[], None], int]
_Origin = tuple[ReconciliationKind, str]


def _origin(event: AnyEvent) -> _Origin | None:
    """What of REST an event is: its kind and stream; None: not of REST. Neighbours of one origin go together."""
    match event:
        case MarketData(source=Source.BACKFILL):
            return ("market_data", f"{event.channel}:{event.symbol}")
        case MarketData(source=Source.POLL):
            return ("price_history", f"{event.channel}:{event.symbol}")
        case SnapshotRead(rows=0):
            return ("balance" if event.channel == "balance" else "orders", f"empty {id(event)}")
        case OrderUpdate(snapshot=True):
            return ("orders", str(event.sequence_id))
        case BalanceUpdate(snapshot=True):
            return ("balance", str(event.sequence_id))
        case _:
            return None


def _bound(on_message: OnMessage, event: AnyEvent) -> Callable[[], None]:
    return lambda: on_message(event)


def _told(reconcile: OnReconciliation, kind: ReconciliationKind, data: Reconciled) -> Callable[[], None]:
    return lambda: reconcile(kind, data)
