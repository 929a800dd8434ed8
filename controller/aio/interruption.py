"""A block that ends when something outside of its task fails, as the body of a trio nursery does."""

import asyncio

from gapless.controller.groups import reraise


class Interruption:
    """Cancels the task that made it, and makes of that cancellation the error that was the reason.

    As with ``asyncio.timeout``, a cancellation from elsewhere at the same time comes first. An exception of the block's
    own and the error come out as a group. An error that comes out nowhere goes to the event loop's exception handler,
    which logs it unless the app has set another.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("expected to be entered in an asyncio task")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._cancelling = task.cancelling()
        self._cancelled = False
        self._body_left = False
        self._over = False
        self._error: BaseException | None = None

    def interrupt(self, error: BaseException) -> None:
        """Something failed: the first to say so ends the block."""
        if self._over or self._error is not None:
            if error is not self._error:
                self._report(error)
            return
        self._error = error
        if not self._body_left:
            self._cancelled = self._task.cancel()

    def leave_body(self) -> None:
        """Only clearing up follows, which nothing interrupts; an error still comes out of the block."""
        self._body_left = True

    def end(self, raised: BaseException | None) -> None:
        """The block ends with ``raised``, or None: raise what is to come out instead, if anything is."""
        self._body_left = self._over = True
        others_cancel = self._cancelled and self._task.uncancel() > self._cancelling
        error, self._error = self._error, None
        if error is None or raised is error:
            return
        if raised is None or (isinstance(raised, asyncio.CancelledError) and self._cancelled and not others_cancel):
            reraise(error)
        if isinstance(raised, Exception):
            raise BaseExceptionGroup("a controller failed beside its block", [raised, error])
        self._report(error)

    def _report(self, error: BaseException) -> None:
        # Without the task: Python 3.12 would call the handler in its context, which may be entered already.
        self._loop.call_exception_handler(
            {"message": "a controller failed, and its block did not raise it", "exception": error}
        )
