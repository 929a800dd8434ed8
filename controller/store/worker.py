"""Where blocking work is done: beside the event loop, one piece at a time."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import trio

from gapless.controller.store.errors import StoreTroubleError

T = TypeVar("T")

_HANGS_AFTER_S: Final = 10.0
"""A disk that takes longer for one batch is in trouble: the network's, or one that dies. A busy one takes a second."""


class Worker(Protocol):
    """Runs a blocking function and gives what it returns. A test on virtual time runs it in place."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run ``work``, never two at once; cancelled meanwhile, it is done all the same."""
        ...


class InThread:
    """Runs each in one of trio's threads, beside those of the app's limiter."""

    def __init__(self) -> None:
        self._one = trio.CapacityLimiter(1)

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run ``work``.

        Raises:
            StoreTroubleError: it does not end. The thread is left to itself, and what comes next waits for it.
        """
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _HANGS_AFTER_S):
            return await trio.to_thread.run_sync(work, limiter=self._one, abandon_on_cancel=True)
        raise StoreTroubleError(f"the disk has not answered for {_HANGS_AFTER_S:g} s")
