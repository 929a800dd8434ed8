"""Between an event loop's thread and the trio thread: questions, commands and waits one way, words the other."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar

import trio

from gapless.controller.errors import ControllerEndedError

_T = TypeVar("_T")

_ANSWER_MAX_S: Final = 10.0
"""Seconds for the answer to a question. A turn of the thread takes milliseconds; one that takes this long hangs, and
who asks would with it."""
_OVER: Final = "this controller's block was left, or it has failed: nothing can be asked of it any more"


class NoAnswerError(RuntimeError, TimeoutError):
    """The thread of all controllers hangs: something in it blocks, an adapter's code or a listener's, say."""


def without_cancellations(error: BaseException) -> BaseException | None:
    """What is left of an error without what trio ends tasks with; None: it is nothing but that."""
    if isinstance(error, BaseExceptionGroup):
        _cancelled, rest = error.split(trio.Cancelled)
        return rest
    return None if isinstance(error, (trio.Cancelled, GeneratorExit)) else error


def tell(loop: asyncio.AbstractEventLoop, word: Callable[[], object]) -> None:
    """Have ``word`` called in the loop's thread. A loop that is closed is told nothing: nobody is there to hear it."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(word)


async def outlast(futures: "Collection[asyncio.Future[None]]", *, max_s: float) -> None:
    """Wait for what ends by itself; a cancellation is taken up again only then.

    Raises:
        RuntimeError: it did not end in time.
        asyncio.CancelledError: this task was cancelled meanwhile.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + max_s
    cancelled: asyncio.CancelledError | None = None
    while not all(future.done() for future in futures):
        left_s = give_up_at - loop.time()
        if left_s <= 0:
            raise RuntimeError(f"a controller did not end within {max_s} s: its thread hangs")
        try:
            await asyncio.wait(futures, timeout=left_s)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


class Crossing:
    """The way from one event loop to one feed. Made in the trio thread.

    Args:
        loop: the event loop.
        nursery: where waits run; they end with it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, nursery: trio.Nursery) -> None:
        self._loop = loop
        self._nursery = nursery
        self.token: Final = trio.lowlevel.current_trio_token()
        self.over = False
        """Whether the feed ends or has ended: nothing is begun or changed any more. Set in the trio thread."""
        self._ended = False

    def end(self) -> None:
        """The feed has ended: nothing changes it any more. Called in the trio thread."""
        self.over = self._ended = True

    def ask(self, question: Callable[[], _T]) -> _T:
        """Answer a question in the trio thread, between two turns of its tasks, and wait for the answer.

        Raises:
            ControllerEndedError: the feed has ended.
            NoAnswerError: the thread hangs.
        """

        def unless_over() -> _T:
            if self.over:
                raise ControllerEndedError(_OVER)
            return question()

        try:
            return self._answer(unless_over)
        except trio.RunFinishedError:
            raise ControllerEndedError(_OVER) from None

    def read(self, question: Callable[[], _T]) -> _T:
        """Like :meth:`ask`, for what changes nothing; once the feed has ended it is answered here.

        Raises:
            NoAnswerError: the thread hangs.
        """
        if not self._ended:
            with suppress(trio.RunFinishedError):
                return self._answer(question)
        return question()

    def _answer(self, question: Callable[[], _T]) -> _T:
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self.token:
            # Asked over there, by an exporter or a listener: to wait for this very thread would be to wait for ever.
            return question()
        answer: Future[_T] = Future()

        def reply() -> None:
            if not answer.set_running_or_notify_cancel():
                return  # Who asked waits no more.
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001  # raised where it was asked; here it would end all feeds
                answer.set_exception(error)

        self.token.run_sync_soon(reply)
        try:
            return answer.result(_ANSWER_MAX_S)
        except TimeoutError:
            if not answer.cancel() and answer.done():
                return answer.result()
            raise NoAnswerError(f"the thread of all controllers has not answered for {_ANSWER_MAX_S:g} s") from None

    async def call(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Run a trio task and wait for what it gives or raises; cancelling the asyncio task cancels it.

        Raises:
            ControllerEndedError: the feed has ended, or ended meanwhile.
        """
        errand = _Errand(self._loop, work)
        try:
            self.token.run_sync_soon(self._begin, errand)
        except trio.RunFinishedError:
            raise ControllerEndedError(_OVER) from None
        try:
            return await errand.result
        except BaseException:
            # Cancelled, or closed where it waited: what comes back from now on is for nobody.
            with suppress(trio.RunFinishedError):
                self.token.run_sync_soon(errand.scope.cancel)
            with suppress(RuntimeError):  # of a loop that is closed
                errand.result.cancel()
            raise

    def _begin(self, errand: "_Errand[_T]") -> None:
        if not self.over:
            # Not raised here, in no task of the feed's: that would end the run, and with it all feeds.
            with suppress(RuntimeError):
                self._nursery.start_soon(errand.run)
                return
        errand.fail(ControllerEndedError(_OVER))


class _Errand(Generic[_T]):
    """A trio task that an asyncio task waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[_T]]) -> None:
        self._loop = loop
        self._work = work
        self.result: asyncio.Future[_T] = loop.create_future()
        self.scope: Final = trio.CancelScope()

    async def run(self) -> None:
        error: BaseException | None = ControllerEndedError(_OVER)
        try:
            with self.scope:
                value = await self._work()
                tell(self._loop, partial(_settle, self.result, value))
                error = None
        except BaseException as caught:
            # Raised where it is waited for, also one that would end a program.
            error = without_cancellations(caught)
            if error is None:
                error = ControllerEndedError(_OVER)
                raise
        finally:
            if error is not None:
                self.fail(error)
            del error

    def fail(self, error: BaseException) -> None:
        tell(self._loop, partial(_settle_error, self.result, error))


def _settle(result: "asyncio.Future[_T]", value: _T) -> None:
    if not result.done():
        result.set_result(value)


def _settle_error(result: "asyncio.Future[_T]", error: BaseException) -> None:
    if not result.done():
        result.set_exception(error)
