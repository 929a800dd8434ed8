"""Waits out the delay before the next attempt."""

from typing import TYPE_CHECKING

import trio

from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Claim RETRY_DUE when the backoff is over; with all attempts spent, never."""
    if runtime.retry_at is None:
        await trio.sleep_forever()
    else:
        await trio.sleep_until(runtime.retry_at)
        lease.emit(Trigger.RETRY_DUE, "the backoff is over")
