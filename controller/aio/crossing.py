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
        """Whether the feed has ended: nothing changes it any more. Set in the trio thread."""

    def ask(self, question: Callable[[], _T]) -> _T:
        """Answer a question in the trio thread, between two turns of its tasks, and wait for the answer.

        Raises:
            ControllerEndedError: the feed has ended.
            TimeoutError: the thread hangs.
        """
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self.token:
            # Asked over there, by an exporter or a listener: to wait for this very thread would be to wait for ever.
            if self.over:
                raise ControllerEndedError(_OVER)
            return question()
        answer: Future[_T] = Future()

        def reply() -> None:
            if self.over:
                answer.set_exception(ControllerEndedError(_OVER))
                return
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001  # raised where it was asked
                answer.set_exception(error)

        try:
            self.token.run_sync_soon(reply)
        except trio.RunFinishedError:
            raise ControllerEndedError(_OVER) from None
        return answer.result(_ANSWER_MAX_S)

    def read(self, question: Callable[[], _T]) -> _T:
        """Like :meth:`ask`; once the feed has ended it is answered here, for then nothing changes it."""
        if not self.over:
            try:
                return self.ask(question)
            except RuntimeError:
                if not self.over:
                    raise
        return question()

    async def call(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Run a trio task and wait for what it gives or raises; cancelling the asyncio task cancels it.

        Raises:
            ControllerEndedError: the feed has ended, or ended meanwhile.
        """
        errand = _Errand(self._loop, work)
        try:
            self.token.run_sync_soon(partial(self._begin, errand))
        except trio.RunFinishedError:
            raise ControllerEndedError(_OVER) from None
        try:
            return await errand.result
        except asyncio.CancelledError:
            with suppress(trio.RunFinishedError):
                self.token.run_sync_soon(errand.scope.cancel)
            raise

    def _begin(self, errand: "_Errand[_T]") -> None:
        if self.over:
            errand.fail(ControllerEndedError(_OVER))
        else:
            self._nursery.start_soon(errand.run)


class _Errand(Generic[_T]):
    """A trio task that an asyncio task waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[_T]]) -> None:
        self._loop = loop
        self._work = work
        self.result: asyncio.Future[_T] = loop.create_future()
        self.scope: Final = trio.CancelScope()

    async def run(self) -> None:
        settled = False
        try:
            with self.scope:
                value = await self._work()
                tell(self._loop, partial(_settle, self.result, value))
                settled = True
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            self.fail(error)
            settled = True
        finally:
            if not settled:
                self.fail(ControllerEndedError(_OVER))

    def fail(self, error: Exception) -> None:
        tell(self._loop, partial(_settle_error, self.result, error))


def _settle(result: "asyncio.Future[_T]", value: _T) -> None:
    if not result.done():
        result.set_result(value)


def _settle_error(result: "asyncio.Future[_T]", error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
