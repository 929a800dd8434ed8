"""Collects over REST while live data does not flow.

Every stream has a task of its own, so that one whose requests hang holds up none of the others. The tasks are let go
one by one, the most recently active stream first, each after the one before it has joined the limiter's line: where the
budget is short, the streams that most likely have news are asked first.
"""

from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING

import trio

from gapless.controller.instants import instant
from gapless.controller.priority import Priority
from gapless.controller.subscription import Subscription

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", _lease: "Lease") -> None:
    """Collect from every stream; streams come and go."""
    begun: set[Subscription] = set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_testify, runtime, nursery)
        while True:
            desired = runtime.books.subscriptions
            begun.intersection_update(desired)
            if runtime.pace is not None:
                # Also of those that were given up while nothing was collected.
                runtime.pace.keep(desired)
            new = [each for each in desired if each not in begun]
            for subscription in _most_recent_first(new):
                begun.add(subscription)
                if subscription.is_account or runtime.exchange.has_history(subscription.stream):
                    nursery.start_soon(_collect, runtime, subscription)
                    await _joins_the_line()
            if not new:
                await runtime.books.desires_changed.wait()


def _most_recent_first(subscriptions: Iterable[Subscription]) -> list[Subscription]:
    return sorted(subscriptions, key=lambda each: each.last_data_at, reverse=True)


async def _joins_the_line() -> None:
    """Let a task that was just started run up to its request's place in the limiter's line, before the next starts.

    Two tasks that become ready at once run in any order; one that becomes ready a round later runs later. Up to that
    place nothing waits (a poll that finds no room in the app's buffer does, and then has no hurry).
    """
    await trio.lowlevel.checkpoint()


async def _collect(runtime: "Runtime", subscription: "Subscription") -> None:
    """Open gaps first, so that they are not evicted meanwhile, then what lies beyond the cursor."""
    _look(runtime, subscription)
    while not subscription.ended:
        started_at = trio.current_time()
        await runtime.collector.fill(subscription)
        # A snapshot names no epoch: before the first WELCOME or history reply nobody could say whose ids they are.
        waits_for_epoch = subscription.is_account and runtime.books.epoch is None and runtime.link.generation == 1
        if not waits_for_epoch and (subscription.is_account or not runtime.verifying):
            await runtime.collector.poll(subscription, Priority.POLL)
        _look(runtime, subscription)
        interval_s = runtime.config.rest_fetch_interval
        if runtime.pace is not None:
            interval_s = runtime.pace.interval_s(subscription)
        await trio.sleep_until(started_at + interval_s)


def _look(runtime: "Runtime", subscription: "Subscription") -> None:
    """Where the pace goes with the rate: see how far the stream has come."""
    if runtime.pace is not None and not subscription.ended:
        count = None if subscription.is_account else subscription.live_count + subscription.rest_count
        weight = runtime.collector.poll_weight(subscription)
        newest_at = instant(subscription.last_timestamp)
        runtime.pace.look(
            subscription,
            count=count,
            weight=weight,
            now=trio.current_time(),
            newest_at=newest_at if isfinite(newest_at) else None,
        )


async def _testify(runtime: "Runtime", nursery: trio.Nursery) -> None:
    """While a silence is examined, poll ahead of everything else, in rounds; who still waits for an answer is left out.

    Besides the tasks that collect, since a gap fill that hangs must not hold up the verdict.
    """
    asked: set[Subscription] = set()

    async def poll(subscription: Subscription) -> None:
        try:
            await runtime.collector.poll(subscription, Priority.VERIFY)
        finally:
            asked.discard(subscription)

    while True:
        next_round_at = float("inf")
        if runtime.verifying:
            next_round_at = trio.current_time() + runtime.config.rest_fetch_interval
            for subscription in _most_recent_first(each for each in runtime.books.subscriptions if each not in asked):
                if not subscription.is_account and runtime.exchange.has_history(subscription.stream):
                    asked.add(subscription)
                    nursery.start_soon(poll, subscription)
                    await _joins_the_line()
        with trio.move_on_at(next_round_at):
            await runtime.examined.wait()
