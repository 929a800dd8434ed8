"""Timers that come late: what is judged by a clock is judged after the socket was read.

A process that was held up (a long computation of the app's, a swapped machine, a stopped container) finds every timer
due at once, and what came in time still unread in the socket. Whoever is about to call the socket silent, overdue or
timed out lets the link read first, and looks again.
"""

from typing import Final

import trio

LATE_S: Final = 0.02
"""Seconds. A timer that wakes later than this was held up (a healthy event loop is late by a few milliseconds); and so
long the link then has to read. Leaves four fifths of the promised 100 ms."""


async def sleep_until(due_at: float) -> None:
    """Sleep until then, and where the wake comes late until the link has read."""
    await trio.sleep_until(due_at)
    await let_link_read(due_at)


async def let_link_read(due_at: float) -> None:
    """Called after a wait for ``due_at``: returns at once where that was not missed, or not by much."""
    if trio.current_time() - due_at > LATE_S:
        await trio.sleep(LATE_S)
