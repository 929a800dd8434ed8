"""Finds one dead stream among live ones: asks REST, subscribes it again, and at last suspects the connection.

Looks by deadline, in the idle watch's task: when the first stream can be due, when one was subscribed, and once an idle
window, so that a stream that has become busy is known to be. A stream that is due is asked about at once where it is
busy, and within a tenth of the REST budget where it is not: a busy one may borrow from that tenth what a minute of it
will bring, so that many that die together are found together.
"""

from collections.abc import Collection
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import trio
from loguru import logger

from gapless.controller.config import NetworkConfig
from gapless.controller.priority import Priority
from gapless.controller.signal import Signal
from gapless.controller.silence import CATCH_UP_S, Judgement, Silence
from gapless.controller.stream_pulse import StreamPulse
from gapless.controller.subscription import Subscription
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease

_BUDGET_SHARE: Final = 0.1
"""Of the REST budget, that probes may take together."""
_ADVANCE_S: Final = 60.0
"""Seconds of that share that busy streams may take in advance: 60 pages of the default budget."""
_RECONNECT_EVERY_S: Final = 300.0
"""Seconds between two reconnects for a dead stream's sake: the other streams are well, and it costs them."""
_SAME_END_S: Final = 0.05
"""Seconds. Where the connection's own idle window ends so soon after a stream's, the stream is not asked about alone:
if the socket is dead, its verifier asks about all of them. Half of the promised 100 ms."""
_STEP_S: Final = 0.01
"""Seconds between an end of a window and the look whether anybody claimed it."""


class StreamWatch:
    """The pulses of all streams, over reconnects, and what asking about them has cost."""

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._pulses: dict[Subscription, StreamPulse] = {}
        self._subscribed: set[Subscription] = set()
        self._generation = 0
        self._paid_until = float("-inf")
        self._reconnect_at = float("-inf")
        self.changed: Final = Signal()
        """Notified when a stream was subscribed, or a probe has ended."""

    def pulse(self, subscription: Subscription) -> StreamPulse:
        """The pulse of one stream."""
        pulse = self._pulses.get(subscription)
        if pulse is None:
            pulse = self._pulses[subscription] = StreamPulse(
                window_min_s=self._config.ws_idle_timeout, window_max_s=self._config.heartbeat_interval
            )
        return pulse

    def begin(self, generation: int, now: float) -> None:
        """The watch begins, perhaps on a new socket."""
        for subscription in [each for each in self._pulses if each.ended]:
            del self._pulses[subscription]
        for pulse in self._pulses.values():
            pulse.watch(now)
        if generation != self._generation:
            self._generation = generation
            self._subscribed = set()
            for pulse in self._pulses.values():
                pulse.new_socket()

    def look(self, streams: Collection[Subscription], now: float) -> None:
        """See what the streams have shown since the last look; these are subscribed and can be asked about."""
        for each in streams:
            if each in self._subscribed:
                self.pulse(each).sample(each.live_count, each.last_data_at)
            else:
                self.pulse(each).begin(each.live_count, each.last_data_at, now)
        self._subscribed = set(streams)

    def may_probe_at(self, pulse: StreamPulse) -> float:
        """When the share of the budget has room for asking about this stream."""
        return self._paid_until - _ADVANCE_S if pulse.is_urgent else self._paid_until

    def charge(self, now: float, weight: int) -> None:
        """A request of a probe leaves, and costs so much of the budget."""
        per_s = _BUDGET_SHARE * self._config.rate_limit_requests / self._config.rate_limit_window
        self._paid_until = max(self._paid_until, now) + weight / per_s

    def may_reconnect(self, now: float) -> bool:
        """Whether a dead stream may cost the connection; if so, it is taken to do."""
        if now < self._reconnect_at:
            return False
        self._reconnect_at = now + _RECONNECT_EVERY_S
        return True


class Watcher:
    """One lease of the watch: looks into every stream that is silent for longer than usual while others are not.

    Args:
        nursery: where probes run.
    """

    def __init__(self, runtime: "Runtime", lease: "Lease", nursery: trio.Nursery) -> None:
        self._runtime = runtime
        self._lease = lease
        self._nursery = nursery
        self._watch = runtime.stream_watch
        self._began_at = trio.current_time()
        self._probing: set[Subscription] = set()
        self._watch.begin(runtime.link.generation, self._began_at)

    async def look(self) -> float:
        """Ask about what is due; when to look again, unless something changes before."""
        now, watch = trio.current_time(), self._watch
        streams = [each for each in self._runtime.books.subscriptions if self._can_be_asked_about(each)]
        watch.look(streams, now)
        next_at = now + self._runtime.config.ws_idle_timeout
        due: list[tuple[float, Subscription]] = []
        for each in streams:
            due_at = watch.pulse(each).due_at
            if due_at > now:
                next_at = min(next_at, due_at)
            elif each not in self._probing:
                due.append((due_at, each))
        for _due_at, each in sorted(due, key=itemgetter(0)):
            look_at = self._may_probe_at(watch.pulse(each), now)
            if look_at <= now:
                await self._begin_probe(each)
            else:
                next_at = min(next_at, look_at)
        return next_at

    def _can_be_asked_about(self, subscription: Subscription) -> bool:
        is_subscribed = subscription.answered and not subscription.rejected and not subscription.is_account
        return is_subscribed and self._runtime.exchange.has_history(subscription.stream)

    def _may_probe_at(self, pulse: StreamPulse, now: float) -> float:
        """When a stream that is due may be asked about, as far as can be told now.

        Not while its silence may be the connection's, which is judged as a whole: nothing else came in it either, or,
        where no promise hurries, nothing in its second half; or the connection's own window ends just now.
        """
        last_data_at = self._runtime.feed.last_data_at
        idle_at = max(self._began_at, last_data_at) + self._runtime.quiet.window_s(last_data_at)
        spoken_since = pulse.since if pulse.is_urgent else pulse.since + pulse.window_s / 2
        if last_data_at <= spoken_since or idle_at <= now + _SAME_END_S:
            return max(idle_at, now) + _STEP_S
        return self._watch.may_probe_at(pulse)

    async def _begin_probe(self, subscription: Subscription) -> None:
        """Let one start; returns when its cost is known."""
        charged = trio.Event()
        self._probing.add(subscription)
        self._nursery.start_soon(self._probe, subscription, charged)
        await charged.wait()

    async def _probe(self, subscription: Subscription, charged: trio.Event) -> None:
        heard_at = subscription.last_data_at
        logger.debug("{} is silent for longer than usual; asking REST", subscription.stream)
        judgement, reason = await _judged(self._runtime, subscription, charged)
        if subscription.last_data_at == heard_at and subscription.answered and not subscription.ended:
            self._conclude(subscription, judgement, reason)
        self._probing.discard(subscription)
        self._watch.changed.notify()

    def _conclude(self, subscription: Subscription, judgement: Judgement, reason: str) -> None:
        pulse, now = self._watch.pulse(subscription), trio.current_time()
        if judgement is Judgement.QUIET:
            pulse.quiet(now)
        elif judgement is not Judgement.DEAD:
            pulse.failed(now)
        elif pulse.dead(now):
            logger.warning("{} is dead: {}; it is subscribed again", subscription.stream, reason)
            self._runtime.books.ask_again(subscription, reason)
        elif self._watch.may_reconnect(now):
            self._lease.emit(Trigger.RECONNECT_REQUESTED, f"{subscription.stream} stays dead: {reason}")


async def _judged(runtime: "Runtime", subscription: Subscription, charged: trio.Event) -> tuple[Judgement, str]:
    """Ask REST until the stream's silence can be judged; the rows that answer are delivered.

    Each request is sent once: the next probe is a better second try than one that goes ahead of all else now. And it
    is sent only while the stream is still silent.
    """
    silence = Silence(
        began_at=trio.current_time(),
        # The question ends by itself, after its turn in the limiter's line.
        timeout_s=float("inf"),
        # No PING is needed: the other streams prove the socket. Its usual round trip is the patience.
        pong_rtt_s=runtime.heartbeat.usual_s or CATCH_UP_S,
    )
    asked, heard_at = trio.Event(), subscription.last_data_at

    def charge(weight: int) -> None:
        runtime.stream_watch.charge(trio.current_time(), weight)
        charged.set()

    def is_silent() -> bool:
        # A ban can keep the question in line for minutes, and the stream may have answered it meanwhile.
        return subscription.last_data_at == heard_at

    async def ask() -> None:
        await runtime.collector.once(charge, is_silent).poll(subscription, Priority.VERIFY)
        asked.set()
        charged.set()
        runtime.evidence.notify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        while True:
            judgement, reason = silence.judge(trio.current_time(), [subscription], runtime.books.epoch)
            if judgement is Judgement.PENDING and asked.is_set() and not silence.has_heard(subscription):
                judgement = Judgement.UNKNOWN
            if judgement is not Judgement.PENDING:
                nursery.cancel_scope.cancel()
                return judgement, reason
            with trio.move_on_at(silence.next_look_at()):
                await runtime.evidence.wait()
    raise AssertionError("a nursery that is left has judged")
