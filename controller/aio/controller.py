"""The controller as an asyncio app sees it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import trio
from msgspec.structs import replace

from gapless.controller.aio.feed import Parts
from gapless.controller.callbacks import Callbacks
from gapless.controller.controller import REQUESTED, ConnectionController
from gapless.controller.cursor import Cursor
from gapless.controller.delivery import Batches, Events
from gapless.controller.errors import ConfigurationError
from gapless.controller.events import AnyEvent, StateChanged
from gapless.controller.exchange import HistoryRow, SequenceRule
from gapless.controller.metrics.histogram import Histograms
from gapless.controller.metrics.snapshot import Metrics
from gapless.controller.price_history import Moment
from gapless.controller.rest import RestStats
from gapless.controller.stats import FeedStats
from gapless.controller.stream import Stream
from gapless.states import Activity, State, Trigger


class AsyncioController:
    """Keeps one feed whole; a :class:`~gapless.controller.ConnectionController` for asyncio.

    Iterate over it for events; one consumer at a time, in the event loop that opened it. What each method means is said
    there. :attr:`state`, :attr:`stats` and other plain values are read as they are; whatever has to look at several
    things at once, and every command, waits for one turn of the controllers' thread.
    """

    def __init__(self, parts: Parts, callbacks: Callbacks) -> None:
        self._inner: ConnectionController = parts.inner
        self._held = parts.events
        self._crossing = parts.crossing
        self._callbacks = callbacks
        self._events = Events(parts.events)

    # -- data ---------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AnyEvent]:
        self._refuse_beside_callbacks()
        return self._events

    async def __anext__(self) -> AnyEvent:
        self._refuse_beside_callbacks()
        return await anext(self._events)

    def batches(self) -> AsyncIterator[list[AnyEvent]]:
        """Everything that has arrived, a list at a time: cheaper than one by one."""
        self._refuse_beside_callbacks()
        return Batches(self._held)

    def _refuse_beside_callbacks(self) -> None:
        if self._callbacks.consume:
            raise ConfigurationError("the events go to on_message; a controller with callbacks cannot be looped over")

    def sequence_rule(self, stream: Stream) -> SequenceRule:
        """What the ids of a stream tell, as its venue has it; those of orders and balances are contiguous."""
        return self._crossing.read(partial(self._inner.sequence_rule, stream))

    def cursor(self, *, unread: Sequence[AnyEvent] = ()) -> Cursor:
        """Where this app is; what is on its way to it between the threads does not count as consumed.

        Works after the block was left, too.

        Raises:
            RuntimeError: asked in another thread than the event loop's, which takes events meanwhile.
        """
        self._held.demand_standstill()
        before = [*unread, *self._callbacks.unread]
        return self._crossing.read(lambda: self._inner.cursor(unread=[*before, *self._held.unread()]))

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the controller is; once it is :attr:`closed`, where it was at the end."""
        return self._inner.state

    @property
    def closed(self) -> bool:
        """Whether it ends or has ended: its block was left, or it has failed."""
        return self._crossing.over

    @property
    def history(self) -> Sequence[StateChanged]:
        """The last transitions, oldest first."""
        return self._inner.history

    @property
    def generation(self) -> int:
        """The number of the current connection attempt, from 1."""
        return self._inner.generation

    @property
    def running(self) -> frozenset[Activity]:
        """What the controller keeps running now."""
        return self._crossing.read(lambda: self._inner.running)

    @property
    def rows_taken(self) -> Mapping[tuple[State, Trigger], int]:
        """How often each row of the transition table was taken, the tolerated ones included."""
        return self._crossing.read(lambda: dict(self._inner.rows_taken))

    async def wait_for(self, state: State) -> None:
        """Wait until the controller is in ``state``, or has passed through it; returns at once where it is already.

        Raises:
            RuntimeError: the controller has ended.
        """
        await self._crossing.call(partial(self._inner.wait_for, state))

    # -- control ------------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> Sequence[Stream]:
        """What is desired now."""
        return self._crossing.read(lambda: self._inner.streams)

    @property
    def wishes(self) -> Mapping[Stream, int]:
        """The desired streams, each with a number: unsubscribed and subscribed again, a stream has another one."""
        return self._crossing.read(lambda: self._inner.wishes)

    def subscribe(self, *streams: Stream) -> None:
        """Keep these streams whole, too; those that are desired already change nothing.

        Raises:
            ConfigurationError: a stream that can never work; then none of them is subscribed.
            RuntimeError: the controller has ended.
        """
        self._crossing.ask(partial(self._inner.subscribe, *streams))

    def unsubscribe(self, *streams: Stream) -> None:
        """Want these streams no more.

        Raises:
            ConfigurationError: a stream that is not desired; then all of them stay.
            RuntimeError: the controller has ended.
        """
        self._crossing.ask(partial(self._inner.unsubscribe, *streams))

    def reconnect(self, reason: str = REQUESTED) -> None:
        """Drop the connection and dial anew; spent attempts start over. No effect while an attempt is under way.

        Raises:
            RuntimeError: the controller has ended.
        """
        self._crossing.ask(partial(self._inner.reconnect, reason))

    def rotate(self, reason: str = REQUESTED) -> None:
        """Replace the socket by a successor without losing, repeating or delaying anything.

        Raises:
            RuntimeError: the controller has ended.
        """
        self._crossing.ask(partial(self._inner.rotate, reason))

    async def price_history(
        self,
        symbol: str,
        start: Moment = None,
        end: Moment = None,
        limit: int | None = None,
        *,
        channel: str = "ticker",
    ) -> list[HistoryRow]:
        """The venue's history of a symbol, oldest first, whether subscribed or not; touches nothing that is owed.

        Arguments and errors are those of :meth:`ConnectionController.price_history`.
        """
        return await self._crossing.call(partial(self._inner.price_history, symbol, start, end, limit, channel=channel))

    # -- figures ------------------------------------------------------------------------------------------------------

    def metrics(self, *, streams_max: int | None = None) -> Metrics:
        """All figures of now in one frozen snapshot; from any thread. What is on its way to the app counts as held.

        Args:
            streams_max: with more streams than this there is no row for each of them; None: always.

        Raises:
            ControllerEndedError: the controller has ended.
            TimeoutError: the controllers' thread hangs.
        """
        metrics = self._crossing.ask(partial(self._inner.metrics, streams_max=streams_max))
        return replace(metrics, data=replace(metrics.data, held=metrics.data.held + len(self._held)))

    @property
    def trio_token(self) -> trio.lowlevel.TrioToken:
        """Of the controllers' thread; for exporters."""
        return self._crossing.token

    @property
    def histograms(self) -> Histograms:
        """Where durations are recorded; a listener there is told each of them, in the controllers' thread."""
        return self._inner.histograms

    @property
    def stats(self) -> FeedStats:
        """Counters of the data plane; only to be read. Alive: they go on counting; a snapshot is :meth:`metrics`."""
        return self._inner.stats

    @property
    def rest_stats(self) -> RestStats:
        """REST requests by outcome, and the circuit breaker of the host; only to be read."""
        return self._inner.rest_stats

    @property
    def rest_budget(self) -> tuple[int, int]:
        """REST requests sent in the last window, and how many it allows; shared by all asyncio feeds of the process."""
        return self._crossing.ask(lambda: self._inner.rest_budget)

    @property
    def round_trip_s(self) -> float | None:
        """Seconds from the last answered PING to its PONG."""
        return self._inner.round_trip_s

    @property
    def events_held(self) -> int:
        """Events waiting for the app, those on their way between the threads included."""
        return self._inner.events_held + len(self._held)

    @property
    def open_gaps(self) -> Mapping[Stream, Sequence[tuple[int, int]]]:
        """What is owed and missing now, per stream that misses anything."""
        return self._crossing.read(lambda: self._inner.open_gaps)

    def freshness(self) -> Mapping[Stream, float]:
        """Seconds since each stream's last live datum; infinity where none came yet.

        Raises:
            RuntimeError: the controller has ended.
        """
        return self._crossing.ask(self._inner.freshness)
