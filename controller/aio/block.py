"""The block in which an asyncio app has its controller."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType

from gapless.controller.aio.controller import AsyncioController
from gapless.controller.aio.crossing import tell
from gapless.controller.aio.feed import Feed
from gapless.controller.aio.handover import HandOver
from gapless.controller.aio.interruption import Interruption
from gapless.controller.callbacks import Callbacks
from gapless.controller.controller import ConnectionController

Interrupt = Callable[[BaseException], None]
"""Told what is to end the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run in a block."""

    opening: Callable[[], AbstractAsyncContextManager[ConnectionController]]
    """Called in the trio thread."""
    callbacks: Callbacks
    consume: Callable[[HandOver], Coroutine[object, object, None]]
    """Hands events to the callbacks, where they consume."""


class Block(AbstractAsyncContextManager[AsyncioController]):
    """Opens a controller, and ends it when it is left, however that comes about.

    Coroutines, and not an async generator: a coroutine that nobody will resume is closed, and up to Python 3.12 nobody
    tells the generator in which it waited.

    Args:
        plan: called when the block is entered.
    """

    def __init__(self, plan: Callable[[Interrupt], Plan]) -> None:
        self._plan = plan
        self._feed: Feed | None = None
        self._interruption: Interruption | None = None
        self._consumers: list[asyncio.Task[None]] = []
        self._is_left = False

    async def __aenter__(self) -> AsyncioController:
        if self._interruption is not None:
            raise RuntimeError("this block was entered before: open another controller")
        self._interruption = interruption = Interruption()
        plan = self._plan(interruption.interrupt)
        self._feed = feed = Feed(plan.opening, interruption.interrupt)
        try:
            parts = await feed.open()
            if plan.callbacks.consume:
                consume = plan.consume(parts.events)
                self._consumers.append(asyncio.create_task(consume, name="gapless.callbacks"))
            return AsyncioController(parts, plan.callbacks)
        except BaseException as error:
            await self._leave(feed, interruption, error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._feed is None or self._interruption is None:
            raise RuntimeError("this block was not entered")
        await self._leave(self._feed, self._interruption, raised)

    async def _leave(self, feed: Feed, interruption: Interruption, raised: BaseException | None) -> None:
        """Ends all, then raises what is to come out instead of ``raised``, if anything is."""
        self._is_left = True
        interruption.leave_body()
        try:
            if isinstance(raised, GeneratorExit):
                # This coroutine is being closed: it cannot wait, and there may be no loop any more.
                feed.abandon()
                for consumer in self._consumers:
                    tell(feed.loop, consumer.cancel)
            else:
                for consumer in self._consumers:
                    consumer.cancel()
                await feed.close(*self._consumers)
        except BaseException as error:
            interruption.end(error)
            raise
        interruption.end(raised)

    def __del__(self) -> None:
        if self._feed is not None and not self._is_left:
            self._feed.abandon()


class Blocks(AbstractAsyncContextManager[list[AsyncioController]]):
    """Several blocks as one.

    Args:
        blocks: called when it is entered.
    """

    def __init__(self, blocks: Callable[[], Iterable[AbstractAsyncContextManager[AsyncioController]]]) -> None:
        self._blocks = blocks
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> list[AsyncioController]:
        async with AsyncExitStack() as stack:
            controllers = [await stack.enter_async_context(block) for block in self._blocks()]
            self._stack = stack.pop_all()
        return controllers

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, raised, traceback)
