"""The controller an app embeds: one feed, kept whole."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import httpx
import trio
from loguru import logger
from msgspec.structs import replace

from gapless.controller import (
    fetch_loop,
    heartbeat,
    idle_watch,
    link,
    notices,
    reconciler,
    resuming,
    retry_timer,
    silence_verifier,
    suspend_watch,
)
from gapless.controller.backoff import EARNED_AFTER_S, ReconnectBackoff
from gapless.controller.books import Books
from gapless.controller.callbacks import Callbacks
from gapless.controller.circuit_breaker import Circuit
from gapless.controller.collector import Collector
from gapless.controller.config import NetworkConfig
from gapless.controller.connect_gates import gate_of
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.delivery import Batches, Events
from gapless.controller.errors import ConfigurationError, ReconnectExhaustedError
from gapless.controller.events import AnyEvent, CircuitWord, NoticeKind, ReconnectGaveUp, StateChanged
from gapless.controller.exchange import Exchange, HistoryPage, HistoryQuery, HistoryRow, ReplyReading, SequenceRule
from gapless.controller.fast_path import FastPath
from gapless.controller.feed import LiveFeed
from gapless.controller.fetch_pace import pace_of
from gapless.controller.groups import reraise, unwrapped
from gapless.controller.heartbeat import HeartbeatManager
from gapless.controller.metrics.histogram import Histograms
from gapless.controller.metrics.snapshot import Metrics
from gapless.controller.metrics.taking import StateClock, take
from gapless.controller.price_history import Moment, price_history
from gapless.controller.priority import Priority
from gapless.controller.rate_limiter import RestRateLimiter
from gapless.controller.rest import RestClient, RestStats
from gapless.controller.rotation import Rotation
from gapless.controller.runtime import LinkStatus, Runtime
from gapless.controller.signal import Signal
from gapless.controller.silence import QuietMarket
from gapless.controller.stats import FeedStats
from gapless.controller.stream import Stream
from gapless.controller.stream_watch import StreamWatch
from gapless.controller.supervisor import Claim, Lease, Supervisor
from gapless.controller.transports import Transport
from gapless.states import Activity, Row, State, Trigger

REQUESTED: Final = "the app asked for it"
"""The reason of what an app asks for without giving one."""
_HISTORY_LENGTH: Final = 1_000
"""Transitions remembered. Never two attempts within a second: a quarter of an hour of the wildest flapping."""


_sharing: "WeakKeyDictionary[Exchange, int]" = WeakKeyDictionary()
"""How many controllers each adapter has served."""


def _prefix(exchange: Exchange) -> str:
    """Of the request ids of one more controller that this adapter serves; none for the first."""
    try:
        number = _sharing[exchange] = _sharing.get(exchange, 0) + 1
    except TypeError:  # one that cannot be referred to weakly, or has no hash
        return ""
    return "" if number == 1 else str(number)


class _Activity(Protocol):
    """What the module of an activity offers."""

    def run(self, runtime: Runtime, lease: Lease, /) -> Awaitable[None]: ...


_ACTIVITIES: Final[Mapping[Activity, _Activity]] = {
    Activity.LINK: link,
    Activity.HEARTBEAT: heartbeat,
    Activity.IDLE_WATCH: idle_watch,
    Activity.SILENCE_VERIFIER: silence_verifier,
    Activity.FETCH_LOOP: fetch_loop,
    Activity.RECONCILER: reconciler,
    Activity.BACKOFF: retry_timer,
}


class ConnectionController:
    """Keeps one feed whole. Built and run by :func:`~gapless.controller.opening.open_controller`.

    Iterate over it for events; one consumer at a time. Methods by kind. Data: ``async for``, :meth:`batches`,
    :meth:`price_history`. State:
    :attr:`state`, :attr:`closed`, :attr:`history`, :attr:`rows_taken`,
    :meth:`wait_for`. Control: :attr:`streams`, :meth:`subscribe`, :meth:`unsubscribe`,
    :meth:`reconnect`, :meth:`rotate`. Figures: :meth:`metrics`, :attr:`histograms`, :attr:`stats`, :attr:`rest_stats`,
    :attr:`rest_budget`, :attr:`round_trip_s`, :attr:`running`, :meth:`freshness`, :attr:`open_gaps`.
    """

    def __init__(
        self,
        *,
        exchange: Exchange,
        streams: Sequence[Stream],
        config: NetworkConfig,
        http: httpx.AsyncClient,
        limiter: RestRateLimiter,
        transport: Transport,
        random: Random,
        wall_clock: Callable[[], float],
        boot_clock: Callable[[], float],
        callbacks: Callbacks,
        on_state_change: Callable[[StateChanged], None] | None,
        on_health_change: Callable[[bool], None] | None,
        resume: Cursor | None = None,
    ) -> None:
        self._config = config
        self._callbacks = callbacks
        self._boot_clock = boot_clock
        self._wall_clock = wall_clock
        self._on_state_change = on_state_change
        self._limiter = limiter
        books = Books(config=config, exchange=exchange, streams=streams, on_gap=self._gap_found, wall_clock=wall_clock)
        self._histograms = Histograms()
        self._rest = RestClient(
            http=http,
            limiter=limiter,
            timeout_s=config.rest_timeout,
            reply_size_max=config.reply_size_max,
            compressed=config.rest_compression,
            max_retries=config.max_retries,
            read=exchange.read_reply,
            on_notice=self._limits_told,
            histograms=self._histograms,
        )
        self._events = Events(books.delivery)
        evidence = Signal()
        feed = LiveFeed(books)
        self._runtime = Runtime(
            config=config,
            exchange=exchange,
            transport=transport,
            books=books,
            feed=feed,
            fast_path=FastPath(books, feed, exchange),
            collector=Collector(
                books=books,
                exchange=exchange,
                rest=self._rest,
                page_rows=config.price_history_limit,
                evidence=evidence,
                wall_clock=wall_clock,
            ),
            backoff=ReconnectBackoff(
                initial_s=config.reconnect_initial_backoff,
                max_s=config.reconnect_max_backoff,
                multiplier=2.0,
                max_attempts=config.reconnect_max_attempts,
                random=random,
            ),
            heartbeat=HeartbeatManager(
                config.heartbeat_interval,
                config.heartbeat_timeout,
                on_health_change,
                self._histograms.round_trip.record,
            ),
            pace=pace_of(config),
            quiet=QuietMarket(window_s=config.ws_idle_timeout, window_max_s=config.heartbeat_interval),
            rotation=Rotation(config.rotate_after),
            stream_watch=StreamWatch(config),
            wall_clock=wall_clock,
            evidence=evidence,
            examined=Signal(),
            connect_gate=gate_of(exchange.websocket_url, exchange.connect_budget),
            prefix=_prefix(exchange),
        )
        self._supervisor = Supervisor(run=self._activity, on_transition=self._transition)
        # No deque: an empty one takes more memory than the few transitions of a feed that is well.
        self._history: list[StateChanged] = []
        self._visits: Counter[State] = Counter()
        self._trio_token = trio.lowlevel.current_trio_token()
        self._state_clock = StateClock(self.state, trio.current_time())
        self._moved = Signal()
        self._closed = False
        self._left_out: list[StreamCursor] = []
        """Of the cursor that this goes on from: streams that were never desired here. They stay where they were."""
        if resume is not None:
            resuming.resume(books, resume)
            self._left_out = [each for each in resume.streams if books.find(each.channel, each.symbol) is None]
        self._new_generation()

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
        return Batches(self._runtime.books.delivery)

    def _refuse_beside_callbacks(self) -> None:
        if self._callbacks.consume:
            raise ConfigurationError("the events go to on_message; a controller with callbacks cannot be looped over")

    def sequence_rule(self, stream: Stream) -> SequenceRule:
        """What the ids of a stream tell, as its venue has it; those of orders and balances are contiguous."""
        exchange = self._runtime.exchange
        return SequenceRule.CONTIGUOUS if exchange.is_account(stream) else exchange.sequence_rule(stream)

    def cursor(self, *, unread: Sequence[AnyEvent] = ()) -> Cursor:
        """Where the app is in its market streams, for ``open_controller(resume=...)`` of another day.

        What was handed over counts as consumed, the rest does not: ask between two events, or two batches, when all of
        what came before is stored. Orders and balances need none: the next snapshot tells them. With callbacks, what
        one is called with counts as consumed while it runs, so that it can store that and this in one transaction; what
        came with it and was not called for yet does not count, nor does what a callback raised over. Streams that the
        cursor of the beginning names and this controller was never asked for stay in it as they were.

        Args:
            unread: what was handed over last and does not count as consumed all the same: the rest of a batch, oldest
                first.
        """
        cursor = resuming.cursor_of(self._runtime.books, [*unread, *self._callbacks.unread])
        return replace(cursor, streams=[*cursor.streams, *self._left_out]) if self._left_out else cursor

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the controller is; once it is :attr:`closed`, where it was at the end."""
        return self._supervisor.state

    @property
    def closed(self) -> bool:
        """Whether it has ended: its block was left, or it has failed."""
        return self._closed

    @property
    def history(self) -> Sequence[StateChanged]:
        """The last transitions, oldest first."""
        return tuple(self._history)

    @property
    def generation(self) -> int:
        """The number of the current connection attempt, from 1."""
        return self._runtime.link.generation

    @property
    def running(self) -> frozenset[Activity]:
        """What the controller keeps running now."""
        return self._supervisor.running

    @property
    def rows_taken(self) -> Mapping[tuple[State, Trigger], int]:
        """How often each row of the transition table was taken, the tolerated ones included."""
        return self._supervisor.rows_taken

    async def wait_for(self, state: State) -> None:
        """Wait until the controller is in ``state``, or has passed through it; returns at once where it is already."""
        visits = self._visits[state]
        while self.state is not state and self._visits[state] == visits:
            await self._moved.wait()

    # -- control ------------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> Sequence[Stream]:
        """What is desired now."""
        return tuple(each.stream for each in self._runtime.books.subscriptions)

    @property
    def wishes(self) -> Mapping[Stream, int]:
        """The desired streams, each with a number: unsubscribed and subscribed again, a stream has another one."""
        return {each.stream: each.wish for each in self._runtime.books.subscriptions}

    def subscribe(self, *streams: Stream) -> None:
        """Keep these streams whole, too; those that are desired already change nothing.

        Takes effect at once where a socket is open, and with each later one. CONNECTED waits for the venue's answer; a
        refusal is a ``StreamRejected`` event. What comes later than the beginning begins anew, also where a cursor was
        given that names it.

        Raises:
            ConfigurationError: a stream that can never work; then none of them is subscribed.
        """
        for stream in streams:
            self._runtime.exchange.check(stream)
        for stream in streams:
            self._runtime.books.desire(stream, now=trio.current_time())
        self._left_out = [each for each in self._left_out if Stream(each.channel, each.symbol) not in streams]

    def unsubscribe(self, *streams: Stream) -> None:
        """Want these streams no more. Nothing of them is owed from now on; what was missing is ``ContinuityLost``.

        What the app has not taken out of the buffer yet still comes. Subscribed again, a stream starts anew.

        Raises:
            ConfigurationError: a stream that is not desired; then all of them stay.
        """
        unknown = [str(each) for each in streams if each not in self.streams]
        if unknown:
            desired = ", ".join(map(str, self.streams)) or "none"
            raise ConfigurationError(f"not subscribed: {', '.join(unknown)}; subscribed are: {desired}")
        for stream in dict.fromkeys(streams):
            self._runtime.books.renounce(stream)

    def reconnect(self, reason: str = REQUESTED) -> None:
        """Drop the connection and dial anew; spent attempts start over. No effect while an attempt is under way."""
        self._runtime.backoff.reset()
        self._supervisor.post(Claim(trigger=Trigger.RECONNECT_REQUESTED, reason=reason))

    def rotate(self, reason: str = REQUESTED) -> None:
        """Replace the socket by a successor without losing, repeating or delaying anything; needs a link that is good.

        With no such link it happens once there is one.
        """
        self._runtime.rotation.ask(reason)

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

        Args:
            symbol: as in a stream.
            start: a datetime with a time zone, or RFC 3339; None: from the oldest row that is kept.
            end: alike; None: up to now. Both ends are inclusive.
            limit: rows from the start of the range; None: all, up to a million.
            channel: as in a stream.

        Raises:
            ConfigurationError: an argument cannot be meant.
            RequestFailedError: the venue refused or did not answer, after the retries of the configuration.
            InvalidReplyError: what it answered is no history, or cannot be paged.
        """
        stream = Stream(channel, symbol)
        exchange = self._runtime.exchange
        exchange.check(stream)
        if not exchange.history_by_time:
            raise ConfigurationError(f"{stream}: this venue's history goes by id, it has no ranges of time to ask for")

        async def fetch(query: HistoryQuery) -> HistoryPage:
            request = exchange.history_request(query)
            reply = await self._rest.fetch(request, priority=Priority.SNAPSHOT, weight=exchange.weight(request))
            return exchange.decode_history(query, reply)

        page_rows = min(self._config.price_history_limit, exchange.page_rows_max)
        by_time = exchange.sequence_rule(stream) is SequenceRule.UNSEQUENCED
        return await price_history(
            fetch, stream, start=start, end=end, limit=limit, page_rows=page_rows, by_time=by_time
        )

    # -- figures ------------------------------------------------------------------------------------------------------

    def metrics(self, *, streams_max: int | None = None) -> Metrics:
        """All figures of now in one frozen snapshot; docs/metrics.md explains each.

        Args:
            streams_max: with more streams than this there is no row for each of them; None: always.
        """
        return take(
            self._runtime,
            clock=self._state_clock,
            rows_taken=self._supervisor.rows_taken,
            rest_stats=self._rest.stats,
            limiter=self._limiter,
            histograms=self._histograms,
            streams_max=streams_max,
            now=trio.current_time(),
        )

    @property
    def trio_token(self) -> trio.lowlevel.TrioToken:
        """Of the run that this controller lives in, where other threads may ask it."""
        return self._trio_token

    @property
    def histograms(self) -> Histograms:
        """Where durations are recorded; a listener there is told each of them."""
        return self._histograms

    @property
    def stats(self) -> FeedStats:
        """Counters of the data plane. Alive: they go on counting; a snapshot is :meth:`metrics`."""
        return self._runtime.books.stats

    @property
    def rest_stats(self) -> RestStats:
        """REST requests by outcome, and the circuit breaker of the host. Alive; a snapshot is :meth:`metrics`."""
        return self._rest.stats

    @property
    def rest_budget(self) -> tuple[int, int]:
        """REST requests sent in the last window, and how many it allows; shared by all who use the limiter."""
        return self._limiter.budget

    @property
    def round_trip_s(self) -> float | None:
        """Seconds from the last answered PING to its PONG."""
        return self._runtime.heartbeat.round_trip_s

    @property
    def events_held(self) -> int:
        """Events waiting for the app."""
        return len(self._runtime.books.delivery)

    @property
    def open_gaps(self) -> Mapping[Stream, Sequence[tuple[int, int]]]:
        """What is owed and missing now, per stream that misses anything."""
        return {each.stream: list(each.ledger.gaps) for each in self._runtime.books.subscriptions if each.has_gap}

    def freshness(self) -> Mapping[Stream, float]:
        """Seconds since each stream's last live datum; infinity where none came yet."""
        now = trio.current_time()
        return {each.stream: now - each.last_data_at for each in self._runtime.books.subscriptions}

    # -- the machine's side -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled; ``open_controller`` does it."""
        self._limiter.circuit_listeners.append(self._circuit_turned)
        self._limiter.tell_circuit(self._circuit_is)
        try:
            async with trio.open_nursery() as nursery:
                if self._callbacks.consume:
                    nursery.start_soon(self._callbacks.run, self._runtime.books.delivery)
                with suspend_watch.watched(nursery, self._runtime, self._supervisor, self._boot_clock):
                    await self._supervisor.run(nursery)
        except BaseExceptionGroup as group:
            reraise(unwrapped(group))
        finally:
            self._closed = True
            self._limiter.circuit_listeners.remove(self._circuit_turned)
            self._runtime.books.delivery.close()

    def _activity(self, lease: Lease) -> Awaitable[None]:
        return _ACTIVITIES[lease.activity].run(self._runtime, lease)

    def _gap_found(self, reason: str) -> None:
        books = self._runtime.books
        self._supervisor.post(Claim(trigger=Trigger.GAP_FOUND, reason=reason, still_true=lambda: not books.whole))

    def _limits_told(self, kind: NoticeKind, reading: ReplyReading, retry_after_s: float | None) -> None:
        self._runtime.books.notice(kind, reading.code, reading.message, retry_after_s)

    def _circuit_turned(self, circuit: Circuit, failures: int, probe_in_s: float | None) -> None:
        self._rest.stats.circuit_opened += circuit is Circuit.OPEN
        self._circuit_is(circuit, failures, probe_in_s)

    def _circuit_is(self, circuit: Circuit, failures: int, probe_in_s: float | None) -> None:
        word: CircuitWord = "open" if circuit is Circuit.OPEN else "closed"
        host, at = self._runtime.exchange.rest_host, self._wall_clock()
        event = notices.circuit_changed(word, host, failures=failures, probe_in_s=probe_in_s, at=at)
        self._runtime.books.delivery.put(event)

    def _transition(self, row: Row, claim: Claim) -> None:
        """What a transition changes besides the state. Synchronous: the next claim sees all of it."""
        runtime, now = self._runtime, trio.current_time()
        runtime.verifying = row.target is State.SILENT
        runtime.link_is_good = row.target in {State.RESYNCING, State.CONNECTED}
        if runtime.link_is_good:
            runtime.became_good.notify()
        retry_in_s: float | None = None
        gave_up = False
        match row.target:
            case State.REST_FALLBACK:
                retry_in_s, gave_up = self._plan_retry(claim, now)
            case State.RECONNECTING:
                if row.source is not State.REST_FALLBACK and self._is_earned(now):
                    runtime.backoff.reset()
                self._new_generation()
                retry_in_s = runtime.backoff.earliest(now) - now or None
            case State.SILENT:
                runtime.feed.data_awaited = True
                runtime.examined.notify()
            case _:
                if claim.trigger is Trigger.MARKET_QUIET:
                    runtime.quiet.found(now, runtime.feed.last_data_at, unverified=claim.unverified)
        self._announce(row, claim, retry_in_s)
        if gave_up:
            self._give_up(claim)

    def _is_earned(self, now: float) -> bool:
        """Whether this generation has shown data for long enough to forget the failures before it."""
        runtime = self._runtime
        if runtime.books.market_desired:
            first, last = runtime.feed.first_data_at, runtime.feed.last_data_at
        else:
            # Account streams may be quiet for hours: there, a subscription that lasted stands for data that flowed.
            first, last = runtime.link.subscribed_at, now
        return first is not None and last - first >= EARNED_AFTER_S

    def _plan_retry(self, claim: Claim, now: float) -> tuple[float | None, bool]:
        runtime = self._runtime
        earned = self._is_earned(now)
        runtime.retry_at = runtime.backoff.lost(now, earned=earned, spends_attempt=not claim.unverified)
        return (None, True) if runtime.retry_at is None else (runtime.retry_at - now, False)

    def _new_generation(self) -> None:
        runtime = self._runtime
        runtime.link = LinkStatus(runtime.link.generation + 1)
        runtime.heartbeat.forget()
        runtime.feed.start_generation(runtime.link.generation)
        runtime.feed.data_awaited = True

    def _announce(self, row: Row, claim: Claim, retry_in_s: float | None) -> None:
        event = StateChanged(
            before=row.source,
            trigger=row.trigger,
            after=row.target,
            reason=claim.reason,
            generation=self.generation,
            retry_in_s=retry_in_s,
            unverified=claim.unverified,
            at=self._wall_clock(),
        )
        logger.info("{} -> {} by {}: {}", row.source.name, row.target.name, row.trigger, claim.reason)
        self._history.append(event)
        del self._history[:-_HISTORY_LENGTH]
        self._visits[row.target] += 1
        self._state_clock.moved(row.target, trio.current_time())
        self._runtime.books.delivery.put(event)
        self._moved.notify()
        if self._on_state_change is not None:
            self._on_state_change(event)

    def _give_up(self, claim: Claim) -> None:
        attempts = self._runtime.backoff.attempts
        logger.error("{} attempts in a row failed; no further one before reconnect()", attempts)
        self._runtime.books.delivery.put(ReconnectGaveUp(attempts=attempts, reason=claim.reason, at=self._wall_clock()))
        if self._config.reconnect_exhausted == "raise":
            raise ReconnectExhaustedError(f"{attempts} attempts in a row failed, the last one: {claim.reason}")
