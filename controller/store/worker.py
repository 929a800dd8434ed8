"""Where blocking work is done: beside the event loop, one piece at a time."""

from collections.abc import Callable
from math import inf
from typing import Final, Protocol, TypeVar

import trio

from gapless.controller.store.errors import StoreTroubleError

T = TypeVar("T")

HANGS_AFTER_S: Final = 10.0
"""A disk that takes longer for one batch is in trouble: the network's, or one that dies. A busy one takes a second."""


class Worker(Protocol):
    """Runs a blocking function and gives what it returns. A test on virtual time runs it in place."""

    async def __call__(self, work: Callable[[], T], /, *, deadline: float = inf) -> T:
        """Run ``work``, never two at once.

        Cancelled, or when ``deadline`` (of trio's clock) is over, it is waited for no more. What has begun is done all
        the same, and what comes next waits for it.
        """
        ...


class InThread:
    """Runs each in one of trio's threads, beside those of the app's limiter.

    Args:
        patience_s: how long each may take.
    """

    def __init__(self, patience_s: float = HANGS_AFTER_S) -> None:
        self._one = trio.CapacityLimiter(1)
        self._patience_s = patience_s

    async def __call__(self, work: Callable[[], T], /, *, deadline: float = inf) -> T:
        """Run ``work``.

        Raises:
            StoreTroubleError: it does not end in time.
        """
        began_at = trio.current_time()
        with trio.CancelScope(deadline=min(deadline, began_at + self._patience_s)):
            return await trio.to_thread.run_sync(work, limiter=self._one, abandon_on_cancel=True)
        raise StoreTroubleError(f"the disk has not answered for {trio.current_time() - began_at:.3g} s")
