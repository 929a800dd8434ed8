"""Planted bugs: switchable mutations of the controller, each the mistake of somebody who knew no better.

The oracle must find every one of them. ``FOUND_BY`` names seeds that do, so that the suite need not search; the full
search over a hundred seeds is ``make prove``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import trio

from gapless.controller import (
    fetch_loop,
    heartbeat,
    idle_watch,
    link,
    rate_limiter,
    retry_timer,
    sequence_tracker,
    session,
    silence_verifier,
    stream_watch,
    supervisor,
    turns,
)
from gapless.controller.backoff import ReconnectBackoff
from gapless.controller.books import Books
from gapless.controller.controller import ConnectionController
from gapless.controller.delivery import DeliveryBuffer
from gapless.controller.events import Balance, Order, Source, StateChanged
from gapless.controller.feed import LiveFeed
from gapless.controller.priority import Priority
from gapless.controller.request_window import RequestWindow
from gapless.controller.runtime import Runtime
from gapless.controller.silence import Judgement, QuietMarket, Silence
from gapless.controller.stats import LossReason
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.subscription import Subscription
from gapless.controller.supervisor import Claim, Lease
from gapless.controller.verdict import Verdict
from gapless.states import ACTIVITIES, Activity, Mode, Row, State, Trigger

Plant = Callable[[], AbstractContextManager[object]]
BUGS: Final[dict[str, Plant]] = {}
"""Name -> plants it while the block lasts."""


def bug(plant: Callable[[], Iterator[None]]) -> None:
    """Register one; its name says what is wrong."""
    BUGS[plant.__name__] = contextmanager(plant)


def _replaced(target: Any, name: str, value: object) -> Any:
    return patch.object(target, name, value)


# -- the dispatcher ---------------------------------------------------------------------------------------------------


@bug
def reasons_forgotten() -> Iterator[None]:
    """A transition does not say why."""
    original = ConnectionController._announce

    def announce(self: ConnectionController, row: Row, claim: Claim, retry_in_s: float | None) -> None:
        original(self, row, replace(claim, reason=""), retry_in_s)

    with _replaced(ConnectionController, "_announce", announce):
        yield


@bug
def retry_never_due() -> Iterator[None]:
    """The backoff is waited out, and then nobody says so."""

    async def run(_runtime: Runtime, _lease: Lease) -> None:
        await trio.sleep_forever()

    with _replaced(retry_timer, "run", run):
        yield


@bug
def data_stamped_with_the_generation_before() -> Iterator[None]:
    """What the new socket says is taken for the old one's."""
    original = Books.start_generation

    def start_generation(self: Books, generation: int) -> None:
        original(self, generation)
        self.generation = generation - 1

    with _replaced(Books, "start_generation", start_generation):
        yield


@bug
def order_updates_not_delivered() -> Iterator[None]:
    """What the socket says of orders is noted and not handed over; snapshots are."""
    original = Books.deliver_account

    def deliver_account(
        self: Books, subscription: Subscription, content: Order | Balance, *rest: Any, **how: Any
    ) -> None:
        if not isinstance(content, Order) or how["snapshot"]:
            original(self, subscription, content, *rest, **how)

    with _replaced(Books, "deliver_account", deliver_account):
        yield


@bug
def no_lease_check() -> Iterator[None]:
    """What a revoked lease sent is taken all the same, and its post is not refused either."""
    original = supervisor.Supervisor._next_claim

    async def next_claim(self: supervisor.Supervisor) -> supervisor.Claim:
        return replace(await original(self), lease=None)

    def emit(self: supervisor.Lease, trigger: Any, reason: str, **more: Any) -> None:
        self._supervisor.post(supervisor.Claim(trigger=trigger, reason=reason, lease=self, **more))

    with _replaced(supervisor.Supervisor, "_next_claim", next_claim), _replaced(supervisor.Lease, "emit", emit):
        yield


@bug
def claims_not_rechecked() -> Iterator[None]:
    """What was true when it was claimed is taken, whatever has come since."""
    original = supervisor.Supervisor._next_claim

    async def next_claim(self: supervisor.Supervisor) -> supervisor.Claim:
        return replace(await original(self), still_true=lambda: True)

    with _replaced(supervisor.Supervisor, "_next_claim", next_claim):
        yield


@bug
def resynced_not_rechecked() -> Iterator[None]:
    """A gap that opens between the claim of RESYNCED and its turn is overlooked."""
    with _never_rechecked(Trigger.RESYNCED):
        yield


@bug
def idle_not_rechecked() -> Iterator[None]:
    """Data that comes between the claim of IDLE and its turn is overlooked."""
    with _never_rechecked(Trigger.IDLE):
        yield


@contextmanager
def _never_rechecked(trigger: Trigger) -> Iterator[None]:
    original = supervisor.Supervisor._next_claim

    async def next_claim(self: supervisor.Supervisor) -> supervisor.Claim:
        claim = await original(self)
        return replace(claim, still_true=lambda: True) if claim.trigger is trigger else claim

    with _replaced(supervisor.Supervisor, "_next_claim", next_claim):
        yield


@bug
def old_activity_lives_on() -> Iterator[None]:
    """A transition revokes the leases of what it stops, and forgets to cancel it."""
    original = supervisor.Supervisor._hold

    async def hold(self: supervisor.Supervisor, lease: supervisor.Lease) -> None:
        if lease.activity is Activity.FETCH_LOOP:
            lease.over = True
            await self._run(lease)
        else:
            await original(self, lease)

    with _replaced(supervisor.Supervisor, "_hold", hold):
        yield


@bug
def fetch_loop_while_connected() -> Iterator[None]:
    """REST is polled for ever."""
    cells = dict(ACTIVITIES.cells)
    cells[State.CONNECTED] = {**cells[State.CONNECTED], Activity.FETCH_LOOP: Mode.KEEP}
    table = replace(ACTIVITIES, cells=cells)
    original = supervisor.Supervisor.__init__

    def init(self: supervisor.Supervisor, **arguments: Any) -> None:
        original(self, **{**arguments, "activities": table})

    with _replaced(supervisor.Supervisor, "__init__", init):
        yield


# -- attempts ---------------------------------------------------------------------------------------------------------


@bug
def backoff_reset_on_handshake() -> Iterator[None]:
    """A server that accepts and dies is dialled in a loop."""
    original = session.Session._welcome

    def welcome(self: session.Session, epoch: str | None) -> None:
        self._runtime.backoff.reset()
        original(self, epoch)

    with _replaced(session.Session, "_welcome", welcome):
        yield


@bug
def backoff_never_grows() -> Iterator[None]:
    """Each attempt starts counting anew."""
    original = ReconnectBackoff.attempt_started

    def attempt_started(self: ReconnectBackoff, now: float) -> None:
        original(self, now)
        self.reset()

    with _replaced(ReconnectBackoff, "attempt_started", attempt_started):
        yield


@bug
def attempts_not_spaced() -> Iterator[None]:
    """Two attempts within a second."""
    with _replaced(ReconnectBackoff, "earliest", lambda self, now: max(now, self._floor_at)):
        yield


@bug
def handshake_retry_after_ignored() -> Iterator[None]:
    """Neither a refused handshake's Retry-After nor a GOODBYE's is a floor."""
    with _replaced(ReconnectBackoff, "floor", lambda _self, _until: None):
        yield


@bug
def retry_timer_does_not_wait() -> Iterator[None]:
    """The announced wait is only announced."""

    async def run(runtime: Any, lease: Any) -> None:
        runtime.retry_at = None if runtime.retry_at is None else trio.current_time()
        await original(runtime, lease)

    original = retry_timer.run
    with _replaced(retry_timer, "run", run):
        yield


# -- the socket -------------------------------------------------------------------------------------------------------


@bug
def predecessor_not_closed() -> Iterator[None]:
    """After a rotation the old socket stays open."""

    def retire(self: session.Session) -> None:
        self.retired = True

    with _replaced(session.Session, "retire", retire):
        yield


@bug
def pong_counts_as_data() -> Iterator[None]:
    """A server that only answers PINGs is alive for ever."""
    original = session.Session._control

    def control(self: session.Session, message: Any, now: float) -> None:
        if type(message).__name__ == "Pong":
            self._runtime.feed.last_data_at = now
        original(self, message, now)

    with _replaced(session.Session, "_control", control):
        yield


@bug
def pong_alone_is_proof() -> Iterator[None]:
    """A PONG says that data flows."""
    original = session.Session._control

    def control(self: session.Session, message: Any, now: float) -> None:
        original(self, message, now)
        if type(message).__name__ == "Pong" and self.waiting is None and self._runtime.feed.data_awaited:
            self._runtime.feed._data_flows(now)

    with _replaced(session.Session, "_control", control):
        yield


@bug
def pong_alone_clears_a_silence() -> Iterator[None]:
    """A PONG says that the market is quiet, whatever REST has."""
    original = Silence.judge

    def judge(self: Silence, now: float, streams: Any, epoch: str | None) -> tuple[Judgement, str]:
        return original(self, now, streams, epoch) if self.pong_rtt_s is None else (Judgement.QUIET, "PONG answered")

    with _replaced(Silence, "judge", judge):
        yield


@bug
def a_repeat_is_news() -> Iterator[None]:
    """A socket that sends its last message again and again is alive for ever."""
    with _replaced(Subscription, "has_shown", lambda _self, _sequence_id: False):
        yield


@bug
def heartbeat_postponed_by_traffic() -> Iterator[None]:
    """Each frame that comes puts the next PING off."""

    async def run(runtime: Any, lease: Any) -> None:
        manager = runtime.heartbeat
        await runtime.link.opened.wait()
        while True:
            due_at = max(runtime.link.last_frame_at, trio.current_time() - manager.interval) + manager.interval
            await trio.sleep_until(max(due_at, trio.current_time() + 0.1))
            if runtime.link.last_frame_at + manager.interval <= trio.current_time():
                await heartbeat.send_ping(runtime, lease)

    with _replaced(heartbeat, "run", run):
        yield


# -- silence ----------------------------------------------------------------------------------------------------------


@bug
def silence_never_claimed() -> Iterator[None]:
    """The idle watch sleeps."""

    async def run(_runtime: Any, _lease: Any) -> None:
        await trio.sleep_forever()

    with _replaced(idle_watch, "run", run):
        yield


@bug
def silence_claimed_too_early() -> Iterator[None]:
    """Half a window is enough."""
    original = QuietMarket.window_s
    with _replaced(QuietMarket, "window_s", lambda self, last_data_at: original(self, last_data_at) / 2):
        yield


@bug
def window_never_shrinks() -> Iterator[None]:
    """What quiet verdicts doubled stays doubled when data comes."""
    with _replaced(QuietMarket, "window_s", lambda self, _last_data_at: QUIET_WINDOW(self, float("-inf"))):
        yield


QUIET_WINDOW: Final = QuietMarket.window_s


@bug
def quiet_is_dead() -> Iterator[None]:
    """A quiet market is a dead socket."""
    original = Silence.judge

    def judge(self: Silence, now: float, streams: Any, epoch: str | None) -> tuple[Judgement, str]:
        judgement, reason = original(self, now, streams, epoch)
        return (Judgement.DEAD if judgement is Judgement.QUIET else judgement), reason

    with _replaced(Silence, "judge", judge):
        yield


@bug
def rest_waits_for_the_verdict() -> Iterator[None]:
    """Nothing is fetched before a silence is confirmed."""
    original = fetch_loop.run

    async def run(runtime: Any, lease: Any) -> None:
        while runtime.verifying:  # noqa: ASYNC110
            await trio.sleep(0.5)
        await original(runtime, lease)

    with _replaced(fetch_loop, "run", run):
        yield


@bug
def verdict_100s_late() -> Iterator[None]:
    """A silence is examined when there is time for it."""
    original = silence_verifier.run

    async def run(runtime: Any, lease: Any) -> None:
        await trio.sleep(100.0)
        await original(runtime, lease)

    with _replaced(silence_verifier, "run", run):
        yield


@bug
def stream_watch_off() -> Iterator[None]:
    """One dead stream among live ones is nobody's business."""

    async def look(_self: Any) -> float:
        await trio.lowlevel.checkpoint()
        return float("inf")

    with _replaced(stream_watch.Watcher, "look", look):
        yield


# -- the books --------------------------------------------------------------------------------------------------------


@bug
def gap_dropped_on_reconnect() -> Iterator[None]:
    """A new socket, new books: what was missing is forgotten."""
    original = LiveFeed.start_generation

    def start_generation(self: LiveFeed, generation: int) -> None:
        for subscription in self._books.subscriptions:
            subscription.ledger.lose_all()
        original(self, generation)

    with _replaced(LiveFeed, "start_generation", start_generation):
        yield


@bug
def mark_ignored() -> Iterator[None]:
    """What was issued between two sockets is nobody's business."""
    with _replaced(LiveFeed, "_owe_after", lambda _self, subscription, mark: subscription.ledger.reset(mark + 1)):
        yield


@bug
def epoch_ignored() -> Iterator[None]:
    """A restarted server's ids are duplicates for ever."""

    def welcome(self: LiveFeed, epoch: str | None) -> None:
        self._books.socket_open = True
        if self._books.epoch is None and epoch is not None:
            self._books.enter_epoch(epoch, confirmed=True)

    with _replaced(LiveFeed, "welcome", welcome):
        yield


@bug
def duplicates_delivered() -> Iterator[None]:
    """What is lower than expected is late, and delivered."""
    original = StreamLedger.accept

    def accept(self: StreamLedger, sequence_id: int, prev: int | None = None, *, live: bool = True) -> Verdict:
        verdict = original(self, sequence_id, prev, live=live)
        return Verdict.LATE if verdict is Verdict.DUPLICATE else verdict

    with _replaced(StreamLedger, "accept", accept):
        yield


@bug
def any_jump_believed() -> Iterator[None]:
    """One corrupt id makes a gap of a billion."""
    with _replaced(StreamLedger, "_continues_suspect", lambda _self, _number: True):
        yield


@bug
def resynced_with_a_gap() -> Iterator[None]:
    """CONNECTED as soon as the socket is good."""
    with _replaced(Books, "whole", property(lambda _self: True)):
        yield


@bug
def overflow_forgotten() -> Iterator[None]:
    """What does not fit is dropped, and the cursor moves on."""

    def skip(self: LiveFeed, subscription: Any, sequence_id: int) -> None:
        self._books.stats.skipped += 1
        if subscription.ledger.next_id is None or sequence_id >= subscription.ledger.next_id:
            subscription.ledger.next_id = sequence_id + 1

    with _replaced(LiveFeed, "_skip", skip):
        yield


@bug
def buffer_unbounded() -> Iterator[None]:
    """An app that is slow costs memory."""

    def put_data(self: DeliveryBuffer, event: Any) -> None:
        self._events.append(event)
        self._data_held += 1
        self._filled.notify()

    async def wait_room(_self: DeliveryBuffer, _rows: int) -> None:
        return

    with (
        _replaced(DeliveryBuffer, "put_data", put_data),
        _replaced(DeliveryBuffer, "wait_room", wait_room),
        # Whoever enters rows looks for room, too.
        _replaced(DeliveryBuffer, "room", property(lambda _self: 1_000_000)),
    ):
        yield


@bug
def intervals_unbounded() -> Iterator[None]:
    """Each hole is kept, however many there are."""
    original = sequence_tracker.SequenceTracker.__init__

    def init(self: sequence_tracker.SequenceTracker, **arguments: Any) -> None:
        original(self, **{**arguments, "intervals_max": 1_000_000})

    with _replaced(sequence_tracker.SequenceTracker, "__init__", init):
        yield


@bug
def losses_unreported() -> Iterator[None]:
    """What history has evicted is closed without a word."""
    original = Books.lose

    def lose(self: Books, subscription: Any, ranges: Any, reason: LossReason) -> None:
        original(self, subscription, () if reason == "evicted" else ranges, reason)

    with _replaced(Books, "lose", lose):
        yield


@bug
def loss_of_the_old_epoch_unreported() -> Iterator[None]:
    """A restart is announced, what it cost is not."""
    original = Books.lose

    def lose(self: Books, subscription: Any, ranges: Any, reason: LossReason) -> None:
        original(self, subscription, () if reason == "epoch_ended" else ranges, reason)

    with _replaced(Books, "lose", lose):
        yield


@bug
def control_events_dropped_when_full() -> Iterator[None]:
    """State and continuity events share the data's bound."""
    original = DeliveryBuffer.put

    def put(self: DeliveryBuffer, event: Any) -> None:
        if not (self.overflowing and not isinstance(event, StateChanged)):
            original(self, event)

    with _replaced(DeliveryBuffer, "put", put):
        yield


@bug
def sequence_order_ignored() -> Iterator[None]:
    """ordering="sequence" hands over what lies behind a gap."""
    with _replaced(turns.Turns, "_must_wait", lambda _self, _subscription, _number: False):
        yield


# -- REST -------------------------------------------------------------------------------------------------------------


@bug
def backfill_not_delivered() -> Iterator[None]:
    """The ledger closes the gap, the rows go nowhere."""
    original = Books.deliver

    def deliver(self: Books, subscription: Any, datum: Any, source: Source, received_at: float) -> None:
        if source is not Source.BACKFILL:
            original(self, subscription, datum, source, received_at)

    with _replaced(Books, "deliver", deliver):
        yield


@bug
def polls_before_gap_fills() -> Iterator[None]:
    """The fetch loop wants the newest first; what is missing may be evicted meanwhile."""
    original = fetch_loop._collect

    async def collect(runtime: Any, subscription: Any) -> None:
        if not runtime.verifying:
            await runtime.collector.poll(subscription, Priority.POLL)
        await original(runtime, subscription)

    with _replaced(fetch_loop, "_collect", collect):
        yield


@bug
def no_collecting_in_fallback() -> Iterator[None]:
    """REST is a witness of silences and nothing else: without a socket nothing is collected."""
    original = fetch_loop.run

    async def run(runtime: Any, lease: Any) -> None:
        if runtime.verifying:
            await original(runtime, lease)
        else:
            await trio.sleep_forever()

    with _replaced(fetch_loop, "run", run):
        yield


@bug
def window_off() -> Iterator[None]:
    """Requests leave as they come."""
    with _replaced(RequestWindow, "_room_at", lambda _self, _weight: float("-inf")):
        yield


@bug
def retry_after_ignored() -> Iterator[None]:
    """Our own backoff is enough for a 429."""
    with _replaced(rate_limiter, "asked_wait_s", lambda _headers: 0.0):
        yield


@bug
def limited_request_retried_at_once() -> Iterator[None]:
    """429 is a failure like any other."""
    with _replaced(RequestWindow, "limited", lambda _self, _now, **_more: 0.0):
        yield


@bug
def leaving_waits_for_the_socket() -> Iterator[None]:
    """The link ends politely: it waits for the peer to notice."""
    original = link.run

    async def run(runtime: Any, lease: Any) -> None:
        try:
            await original(runtime, lease)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1.0)

    with _replaced(link, "run", run):
        yield


FOUND_BY: Final[dict[str, tuple[int, str]]] = {
    "reasons_forgotten": (0, "every transition is a row of the table and says why"),
    "retry_never_due": (1, "in the end it is CONNECTED"),
    "data_stamped_with_the_generation_before": (0, "nothing of a dead generation acts"),
    "order_updates_not_delivered": (10, "orders and balances are the exchange's"),
    "no_lease_check": (18, "nothing but what is expected is raised: it ended with UndeclaredTriggerError"),
    "claims_not_rechecked": (22, "a socket that speaks is not called silent"),
    "resynced_not_rechecked": (94, "CONNECTED is a promise, and gaps are closed"),
    "idle_not_rechecked": (22, "a socket that speaks is not called silent"),
    "old_activity_lives_on": (15, "what runs agrees with the state"),
    "fetch_loop_while_connected": (0, "no REST polling while connected"),
    "backoff_reset_on_handshake": (19, "attempts are bounded"),
    "backoff_never_grows": (19, "attempts are bounded"),
    "attempts_not_spaced": (1, "attempts are bounded"),
    "handshake_retry_after_ignored": (1, "attempts are bounded"),
    "retry_timer_does_not_wait": (0, "attempts are bounded"),
    "predecessor_not_closed": (1, "one connection owner"),
    "pong_counts_as_data": (4, "silence is found within the idle window"),
    "pong_alone_is_proof": (1, "a PING or PONG never counts as data"),
    "pong_alone_clears_a_silence": (20, "a dead socket is not taken for a quiet market"),
    "a_repeat_is_news": (5, "silence is found within the idle window"),
    "heartbeat_postponed_by_traffic": (0, "the heartbeat goes by the clock"),
    "silence_never_claimed": (2, "silence is found within the idle window"),
    "silence_claimed_too_early": (0, "a socket that speaks is not called silent"),
    "window_never_shrinks": (2, "silence is found within the idle window"),
    "quiet_is_dead": (30, "a quiet market is not mistaken for a dead socket"),
    "rest_waits_for_the_verdict": (4, "REST data is on its way at once"),
    "verdict_100s_late": (0, "a silence is judged in time"),
    "stream_watch_off": (7, "silence is found on every busy stream"),
    "gap_dropped_on_reconnect": (0, "CONNECTED is a promise, and gaps are closed"),
    "mark_ignored": (1, "exactly once or reported"),
    "epoch_ignored": (1, "exactly once or reported"),
    "duplicates_delivered": (0, "exactly once or reported"),
    "any_jump_believed": (54, "CONNECTED is a promise, and gaps are closed"),
    "resynced_with_a_gap": (0, "CONNECTED is a promise, and gaps are closed"),
    "overflow_forgotten": (59, "exactly once or reported"),
    "buffer_unbounded": (59, "everything is bounded"),
    "intervals_unbounded": (6, "everything is bounded"),
    "losses_unreported": (14, "exactly once or reported"),
    "loss_of_the_old_epoch_unreported": (2, "exactly once or reported"),
    "control_events_dropped_when_full": (59, "CONNECTED is a promise, and gaps are closed"),
    "sequence_order_ignored": (2, "in sequence"),
    "backfill_not_delivered": (1, "exactly once or reported"),
    "polls_before_gap_fills": (8, "gap fills go before polling"),
    "no_collecting_in_fallback": (4, "REST is collected from while there is no socket"),
    "window_off": (5, "REST stays inside its budget"),
    "retry_after_ignored": (2, "Retry-After is a floor"),
    "limited_request_retried_at_once": (2, "Retry-After is a floor"),
    "leaving_waits_for_the_socket": (0, "leaving ends it all"),
}
"""Bug -> a seed, of the terms in ``find_bugs.py``, that finds it, and the promise that it breaks there."""
