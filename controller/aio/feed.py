"""One feed: a trio controller in the thread, run for one event loop."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from gapless.controller.aio import thread
from gapless.controller.aio.crossing import Crossing, outlast, tell, without_cancellations
from gapless.controller.aio.handover import HandOver
from gapless.controller.controller import ConnectionController
from gapless.controller.errors import DeliveryOverflowError

_CLOSE_MAX_S: Final = 5.0
"""Seconds that an ended feed may take. Half of one is the promise; this is ten times that, for a machine that swaps."""
_THREAD_ENDED: Final = "the thread of all controllers was ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an open feed consists of."""

    inner: ConnectionController
    events: HandOver
    crossing: Crossing


class Feed:
    """Methods of the loop's side: ``open``, ``abandon``, ``close``; of the trio side: ``run``, ``cancel``.

    Args:
        opening: gives the trio controller to run; called in the trio thread.
        on_failure: called in the loop's thread with what ended the feed, once it is open.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[ConnectionController]],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self._opening = opening
        self._on_failure = on_failure
        self._scope = trio.CancelScope()
        self._thread: thread.TrioThread | None = None
        self._parts: Parts | None = None
        self._opened: asyncio.Future[Parts] = self.loop.create_future()
        self._ended: asyncio.Future[None] = self.loop.create_future()

    # -- the loop's side -----------------------------------------------------------------------------------------------

    async def open(self) -> Parts:
        """Start it, and wait until the controller is there; however this ends, :meth:`close` has to follow.

        Raises:
            ConfigurationError: an argument cannot work.
        """
        self._thread = thread.admit(self)
        return await self._opened

    def abandon(self) -> None:
        """Have it end, without waiting for that."""
        if self._thread is not None:
            self._thread.post(self.cancel)

    async def close(self, *tasks: "asyncio.Task[None]") -> None:
        """Have it end, and wait for that and for ``tasks``, whatever is cancelled meanwhile."""
        self.abandon()
        if self._thread is not None:
            await outlast([self._ended, *tasks], max_s=_CLOSE_MAX_S)

    def _settle(self, parts: Parts) -> None:
        if not self._opened.done():
            self._opened.set_result(parts)

    def _end(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        self._ended.set_result(None)
        if error is None:
            self._opened.cancel()  # No effect where it was open.
        elif self._opened.done():
            self._on_failure(error)
        else:
            self._opened.set_exception(error)
        if self._parts is not None:
            self._parts.events.finish()

    # -- the trio side -------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Have it end."""
        self._scope.cancel()

    def refuse(self, reason: BaseException | None) -> None:
        """The thread has ended, and this with it."""
        error = RuntimeError(_THREAD_ENDED if reason is None else f"{_THREAD_ENDED} by {reason!r}")
        error.__cause__ = reason
        self._tell_end(error)

    async def run(self) -> None:
        """Run the controller until it is cancelled or fails; the loop is told how it ended."""
        try:
            with self._scope:
                await self._run()
        except BaseException as caught:
            # Also one that would end a program: it is this feed's, and is raised where its block is.
            error = without_cancellations(caught)
            if error is None:
                raise
            self._tell_end(error)
            del error
        else:
            self._tell_end(None)

    def _tell_end(self, error: BaseException | None) -> None:
        if self._parts is not None:
            self._parts.crossing.end()
        tell(self.loop, partial(self._end, error))

    async def _run(self) -> None:
        async with self._opening() as inner, trio.open_nursery() as nursery:
            self._parts = Parts(inner=inner, events=HandOver(self.loop), crossing=Crossing(self.loop, nursery))
            tell(self.loop, partial(self._settle, self._parts))
            try:
                await self._hand_over(inner, self._parts.events)
            finally:
                # Nothing is begun from here on: the nursery may be closed long before its controller is.
                self._parts.crossing.over = True

    @staticmethod
    async def _hand_over(inner: ConnectionController, events: HandOver) -> None:
        try:
            async for batch in inner.batches():
                await events.put(batch)
        except DeliveryOverflowError as error:
            events.fail(error)
        await trio.sleep_forever()
