"""Fills known gaps over REST and reads account snapshots, until the promise of CONNECTED holds."""

from typing import TYPE_CHECKING, Final

import trio

from gapless.controller.events import Source
from gapless.controller.subscription import Subscription
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease

_RETRY_PAUSE_S: Final = 1.0
"""Seconds until a stream that REST could not help is tried again. Each request was retried by the limiter already."""


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Mend every stream, side by side; claim RESYNCED when nothing is left."""
    books = runtime.books
    await runtime.link.subscribed.wait()
    begun: set[Subscription] = set()
    async with trio.open_nursery() as nursery:
        while True:
            for subscription in books.subscriptions:
                if subscription not in begun:
                    nursery.start_soon(_keep_whole, runtime, subscription)
            begun = set(books.subscriptions)
            if books.whole:
                lease.emit(Trigger.RESYNCED, "no known gap", still_true=lambda: books.whole)
            await books.changed.wait()


async def _keep_whole(runtime: "Runtime", subscription: Subscription) -> None:
    while not subscription.ended:
        if subscription.is_whole or not subscription.answered:
            await runtime.books.changed.wait()
        elif await _mend(runtime, subscription):
            runtime.books.changed.notify()
        else:
            await trio.sleep(_RETRY_PAUSE_S)


async def _mend(runtime: "Runtime", subscription: Subscription) -> bool:
    if subscription.is_account and not subscription.snapshot_done:
        return await runtime.collector.read_snapshot(subscription, Source.BACKFILL)
    return await runtime.collector.fill(subscription)
