"""A block that ends when something outside of its task fails, as the body of a trio nursery does."""

import asyncio
from types import TracebackType
from typing import Literal, Self

from loguru import logger

from gapless.controller.groups import reraise


class Interruption:
    """Cancels the task in its block, and makes of that cancellation the error that was the reason.

    As with ``asyncio.timeout``, a cancellation from elsewhere at the same time comes first; the error is logged then.
    An exception of the block's own and the error come out as a group.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("expected to be entered in an asyncio task")
        self._task = task
        self._cancelling = task.cancelling()
        self._cancelled = False
        self._body_left = False
        self._error: BaseException | None = None

    def interrupt(self, error: BaseException) -> None:
        """Something failed: the first to say so counts."""
        if self._error is not None:
            return
        self._error = error
        if not self._body_left:
            self._cancelled = self._task.cancel()

    def leave_body(self) -> None:
        """Only clearing up follows, which nothing interrupts; an error still comes out of the block."""
        self._body_left = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._body_left = True
        others_cancel = self._cancelled and self._task.uncancel() > self._cancelling
        error, self._error = self._error, None
        if error is None or raised is error:
            return False
        if raised is None or (isinstance(raised, asyncio.CancelledError) and self._cancelled and not others_cancel):
            reraise(error)
        if isinstance(raised, Exception):
            raise BaseExceptionGroup("a controller failed beside its block", [raised, error])
        logger.opt(exception=error).error("a controller failed while its block was cancelled")
        return False
