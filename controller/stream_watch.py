"""Finds one dead stream among live ones: asks REST, subscribes it again, and at last suspects the connection."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import trio
from loguru import logger

from gapless.controller.config import NetworkConfig
from gapless.controller.priority import Priority
from gapless.controller.silence import CATCH_UP_S, Judgement, Silence
from gapless.controller.stream_pulse import StreamPulse
from gapless.controller.subscription import Subscription
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease

_BUDGET_SHARE: Final = 0.1
"""Of the REST budget, that probes may take together."""
_RECONNECT_EVERY_S: Final = 300.0
"""Seconds between two reconnects for a dead stream's sake: the other streams are well, and it costs them."""
_TICK_S: Final = 1.0
"""The longest time between two looks at the rhythms of all streams."""


class StreamWatch:
    """The pulses of all streams, over reconnects."""

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._pulses: dict[Subscription, StreamPulse] = {}
        self._generation = 0
        self._next_probe_at = float("-inf")
        self._reconnect_at = float("-inf")

    def pulse(self, subscription: Subscription) -> StreamPulse:
        """The pulse of one stream."""
        pulse = self._pulses.get(subscription)
        if pulse is None:
            pulse = self._pulses[subscription] = StreamPulse(
                window_min_s=self._config.ws_idle_timeout, window_max_s=self._config.heartbeat_interval
            )
        return pulse

    def begin(self, generation: int) -> None:
        """The watch begins, perhaps on a new socket."""
        for subscription in [each for each in self._pulses if each.ended]:
            del self._pulses[subscription]
        if generation != self._generation:
            self._generation = generation
            for pulse in self._pulses.values():
                pulse.new_socket()

    @property
    def next_probe_at(self) -> float:
        """When the budget has room for another probe."""
        return self._next_probe_at

    def probed(self, now: float) -> None:
        """A probe leaves."""
        per_s = _BUDGET_SHARE * self._config.rate_limit_requests / self._config.rate_limit_window
        self._next_probe_at = now + 1.0 / per_s

    def may_reconnect(self, now: float) -> bool:
        """Whether a dead stream may cost the connection; if so, it is taken to do."""
        if now < self._reconnect_at:
            return False
        self._reconnect_at = now + _RECONNECT_EVERY_S
        return True


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Look into every stream that is silent for longer than is usual for it while the connection is not."""
    watch = runtime.stream_watch
    watch.begin(runtime.link.generation)
    began_at = trio.current_time()
    probing: set[Subscription] = set()

    async def probe(subscription: Subscription) -> None:
        try:
            await _probe(runtime, lease, subscription)
        finally:
            probing.discard(subscription)

    async with trio.open_nursery() as nursery:
        while True:
            now = trio.current_time()
            next_at = now + _TICK_S
            due: list[tuple[float, Subscription]] = []
            for subscription in _watched(runtime):
                pulse = watch.pulse(subscription)
                pulse.sample(subscription.live_count, subscription.last_data_at)
                due_at = pulse.since(began_at) + pulse.window_s
                if due_at > now:
                    next_at = min(next_at, due_at)
                elif subscription not in probing and _others_live(runtime, pulse, began_at):
                    due.append((due_at, subscription))
            if due and now >= watch.next_probe_at:
                _, subscription = min(due, key=lambda each: each[0])
                watch.probed(now)
                probing.add(subscription)
                nursery.start_soon(probe, subscription)
            if due:
                next_at = min(next_at, max(watch.next_probe_at, now + 0.01))
            await trio.sleep_until(next_at)


def _watched(runtime: "Runtime") -> Iterator[Subscription]:
    for each in runtime.books.subscriptions:
        if not each.is_account and each.answered and not each.rejected and runtime.exchange.has_history(each.stream):
            yield each


def _others_live(runtime: "Runtime", pulse: StreamPulse, began_at: float) -> bool:
    """Whether the connection said something in the second half of this stream's silence; else it is judged itself."""
    return runtime.feed.last_data_at > pulse.since(began_at) + pulse.window_s / 2


async def _probe(runtime: "Runtime", lease: "Lease", subscription: Subscription) -> None:
    pulse = runtime.stream_watch.pulse(subscription)
    began_at = trio.current_time()
    heard_at = subscription.last_data_at
    logger.debug("{} is silent for longer than usual; asking REST", subscription.stream)
    judgement, reason = await _judged(runtime, subscription, began_at)
    now = trio.current_time()
    if subscription.last_data_at != heard_at or subscription.ended or not subscription.answered:
        return
    if judgement is not Judgement.DEAD:
        pulse.quiet(now)
        return
    if pulse.dead(now):
        logger.warning("{} is dead: {}; it is subscribed again", subscription.stream, reason)
        runtime.books.ask_again(subscription, reason)
    elif runtime.stream_watch.may_reconnect(now):
        lease.emit(Trigger.RECONNECT_REQUESTED, f"{subscription.stream} stays dead: {reason}")


async def _judged(runtime: "Runtime", subscription: Subscription, began_at: float) -> tuple[Judgement, str]:
    """Ask REST until the stream's silence can be judged; the rows that answer are delivered."""
    silence = Silence(
        began_at=began_at,
        timeout_s=runtime.config.rest_timeout + CATCH_UP_S,
        # No PING is needed: the other streams prove the socket. Its usual round trip is the patience.
        pong_rtt_s=runtime.heartbeat.usual_s or CATCH_UP_S,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runtime.collector.poll, subscription, Priority.VERIFY)
        while True:
            now = trio.current_time()
            judgement, reason = silence.judge(now, [subscription], runtime.books.epoch)
            if judgement is not Judgement.PENDING:
                nursery.cancel_scope.cancel()
                return judgement, reason
            with trio.move_on_at(silence.next_look_at()):
                await runtime.evidence.wait()
    raise AssertionError("a nursery that is left has judged")
