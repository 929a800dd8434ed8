"""Collects over REST while live data does not flow.

Every stream has a clock of its own, so that one whose requests hang holds up none of the others.
"""

from typing import TYPE_CHECKING

import trio

from gapless.controller.priority import Priority
from gapless.controller.subscription import Subscription

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", _lease: "Lease") -> None:
    """Poll every stream, the most recently active first; streams come and go."""
    begun: set[Subscription] = set()
    async with trio.open_nursery() as nursery:
        while True:
            new = [each for each in runtime.books.subscriptions if each not in begun]
            for subscription in sorted(new, key=lambda each: each.last_data_at, reverse=True):
                if subscription.is_account or runtime.exchange.has_history(subscription.stream):
                    nursery.start_soon(_testify, runtime, subscription)
                    nursery.start_soon(_collect, runtime, subscription)
            begun = set(runtime.books.subscriptions)
            await runtime.books.desires_changed.wait()


async def _collect(runtime: "Runtime", subscription: "Subscription") -> None:
    """Open gaps first, so that they are not evicted meanwhile, then what lies beyond the cursor."""
    while not subscription.ended:
        started_at = trio.current_time()
        await runtime.collector.fill(subscription)
        # A snapshot names no epoch: before the first WELCOME or history reply nobody could say whose ids they are.
        waits_for_epoch = subscription.is_account and runtime.books.epoch is None and runtime.link.generation == 1
        if not waits_for_epoch and (subscription.is_account or not runtime.verifying):
            await runtime.collector.poll(subscription, Priority.POLL)
        await trio.sleep_until(started_at + runtime.config.rest_fetch_interval)


async def _testify(runtime: "Runtime", subscription: "Subscription") -> None:
    """While a silence is examined, poll ahead of everything else.

    A task of its own, since a gap fill that hangs must not hold up the verdict.
    """
    while not subscription.is_account and not subscription.ended:
        if not runtime.verifying:
            await runtime.examined.wait()
        started_at = trio.current_time()
        await runtime.collector.poll(subscription, Priority.VERIFY)
        await trio.sleep_until(started_at + runtime.config.rest_fetch_interval)
