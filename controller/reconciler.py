"""Fills known gaps over REST and reads account snapshots, until the promise of CONNECTED holds."""

from typing import TYPE_CHECKING, Final

import trio

from gapless.controller.events import Source
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.subscription import Subscription
    from gapless.controller.supervisor import Lease

_ROUND_PAUSE_S: Final = 1.0
"""Seconds between two rounds when REST could not help. Each request was retried within its round already."""


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Work in rounds, gapped streams side by side; claim RESYNCED when nothing is left."""
    books = runtime.books
    await runtime.link.subscribed.wait()
    while True:
        if books.whole:
            lease.emit(Trigger.RESYNCED, "no known gap", still_true=lambda: books.whole)
            await books.changed.wait()
            continue
        unfinished: list[Subscription] = []
        async with trio.open_nursery() as nursery:
            for subscription in books.subscriptions:
                if not subscription.is_whole:
                    nursery.start_soon(_mend, runtime, subscription, unfinished)
        if unfinished:
            await trio.sleep(_ROUND_PAUSE_S)


async def _mend(runtime: "Runtime", subscription: "Subscription", unfinished: "list[Subscription]") -> None:
    if subscription.is_account and not subscription.snapshot_done:
        done = await runtime.collector.read_snapshot(subscription, Source.BACKFILL)
    else:
        done = await runtime.collector.fill(subscription)
    if not done:
        unfinished.append(subscription)
