"""Where blocking work is done: beside the event loop, one piece at a time."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Worker(Protocol):
    """Runs a blocking function and gives what it returns. A test on virtual time runs it in place."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run ``work``, never two at once."""
        ...


class InThread:
    """Runs each in one of trio's threads, beside those of the app's limiter."""

    def __init__(self) -> None:
        self._one = trio.CapacityLimiter(1)

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run ``work``; cancelled meanwhile, it is done all the same."""
        return await trio.to_thread.run_sync(work, limiter=self._one)
