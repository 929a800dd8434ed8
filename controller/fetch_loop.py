"""Collects over REST while live data does not flow.

Every stream has a clock of its own, so that one whose requests hang holds up none of the others.
"""

from typing import TYPE_CHECKING

import trio

from gapless.controller.rate_limiter import Priority

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.subscription import Subscription
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", _lease: "Lease") -> None:
    """Poll every stream, the most recently active first."""
    by_activity = sorted(runtime.books.subscriptions, key=lambda each: each.last_data_at, reverse=True)
    async with trio.open_nursery() as nursery:
        for subscription in by_activity:
            if subscription.is_account or runtime.exchange.has_history(subscription.stream):
                nursery.start_soon(_collect, runtime, subscription)


async def _collect(runtime: "Runtime", subscription: "Subscription") -> None:
    """Open gaps first, so that they are not evicted meanwhile; a silence under examination comes before them."""
    while True:
        started_at = trio.current_time()
        if runtime.verifying:
            await runtime.collector.poll(subscription, Priority.VERIFY)
            await runtime.collector.fill(subscription)
        else:
            await runtime.collector.fill(subscription)
            await runtime.collector.poll(subscription, Priority.POLL)
        await trio.sleep_until(started_at + runtime.config.rest_fetch_interval)
