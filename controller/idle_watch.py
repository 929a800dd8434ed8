"""Notices silence on the connection: by deadline, not by polling."""

from typing import TYPE_CHECKING

import trio

from gapless.controller import lateness, stream_watch
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Watch the connection and each of its streams. Starts at the last SUBSCRIBED."""
    await runtime.link.subscribed.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream_watch.run, runtime, lease)
        await _watch_connection(runtime, lease)


async def _watch_connection(runtime: "Runtime", lease: "Lease") -> None:
    """Claim IDLE once no market data came for the idle window."""
    started_at = trio.current_time()

    def idle_at() -> float:
        last_data_at = runtime.feed.last_data_at
        return max(started_at, last_data_at) + runtime.quiet.window_s(last_data_at)

    def is_idle() -> bool:
        return runtime.books.market_desired and trio.current_time() >= idle_at()

    while True:
        if not runtime.books.market_desired:
            # A stream that was rejected may be taken yet, by this socket or a successor: that is no change of desires.
            await runtime.books.changed.wait()
            started_at = trio.current_time()
            continue
        # A window that quiet verdicts have doubled shrinks when data comes: look again at least once a plain window.
        due_at = min(idle_at(), trio.current_time() + runtime.config.ws_idle_timeout)
        await lateness.sleep_until(due_at)
        if is_idle():
            silent_s = trio.current_time() - max(started_at, runtime.feed.last_data_at)
            lease.emit(Trigger.IDLE, f"no market data for {silent_s:.3g} s", still_true=is_idle)
            await trio.sleep(lateness.LATE_S)
