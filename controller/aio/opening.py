"""Opening a controller from an asyncio app."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from time import time
from typing import Final, TypeVar

from gapless.controller import opening
from gapless.controller.aio.controller import AsyncioController
from gapless.controller.aio.crossing import tell
from gapless.controller.aio.feed import Feed
from gapless.controller.aio.handover import HandOver
from gapless.controller.aio.interruption import Interruption
from gapless.controller.callbacks import FAIR_SHARE, Callbacks, OnMessage, OnReconciliation
from gapless.controller.config import NetworkConfig
from gapless.controller.cursor import Cursor
from gapless.controller.events import StateChanged
from gapless.controller.exchange import Exchange
from gapless.controller.splitting import parts_of
from gapless.controller.stream import Stream
from gapless.controller.suspend_watch import boot_clock
from gapless.controller.transports import Transport

_T = TypeVar("_T")
_Interrupt = Callable[[BaseException], None]


@asynccontextmanager
async def open_controller(
    *,
    ws_url: str | None = None,
    rest_url: str | None = None,
    streams: Sequence[Stream],
    config: NetworkConfig | None = None,
    exchange: Exchange | None = None,
    session_id: str | None = None,
    transport: Transport | None = None,
    random: Random | None = None,
    wall_clock: Callable[[], float] = time,
    boot_clock: Callable[[], float] = boot_clock,
    on_message: OnMessage | None = None,
    on_reconciliation: OnReconciliation | None = None,
    on_state_change: Callable[[StateChanged], None] | None = None,
    on_health_change: Callable[[bool], None] | None = None,
    resume: Cursor | None = None,
) -> AsyncIterator[AsyncioController]:
    """Open a controller and run it until the block is left; then every task, socket and request is gone.

    The arguments are those of :func:`gapless.controller.open_controller`, without ``http`` and ``limiter``: all feeds
    of the process share one client and one limiter per host. ``exchange``, ``transport``, ``random`` and the clocks are
    used in the controllers' thread. Callbacks are called in the thread of this event loop; what one raises comes out of
    the block.

    Raises:
        ConfigurationError: an argument cannot work.
        DeliveryOverflowError: the buffer is full, ``config.overflow`` is ``"raise"``, and callbacks consume; a loop
            over the controller gets it instead.
        ReconnectExhaustedError: attempts are spent and ``config.reconnect_exhausted`` is ``"raise"``.
    """
    callbacks = Callbacks(on_message, on_reconciliation)
    loop = asyncio.get_running_loop()
    with Interruption() as interruption:
        feed = Feed(
            partial(
                opening.open_controller,
                ws_url=ws_url,
                rest_url=rest_url,
                streams=streams,
                config=config,
                exchange=exchange,
                session_id=session_id,
                transport=transport,
                random=random,
                wall_clock=wall_clock,
                boot_clock=boot_clock,
                on_state_change=_in_loop(loop, on_state_change, interruption.interrupt),
                on_health_change=_in_loop(loop, on_health_change, interruption.interrupt),
                resume=resume,
            ),
            interruption.interrupt,
        )
        consumers: list[asyncio.Task[None]] = []
        can_wait = True
        try:
            parts = await feed.open()
            if callbacks.consume:
                consume = _consume(callbacks, parts.events, interruption.interrupt)
                consumers.append(asyncio.create_task(consume, name="gapless.callbacks"))
            yield AsyncioController(parts, callbacks)
        except GeneratorExit:
            # The event loop is being taken down with this block in it.
            can_wait = False
            raise
        finally:
            interruption.leave_body()
            for consumer in consumers:
                consumer.cancel()
            if can_wait:
                await feed.close(*consumers)
            else:
                feed.abandon()


@asynccontextmanager
async def open_controllers(
    *, exchange: Exchange, streams: Sequence[Stream], config: NetworkConfig | None = None
) -> AsyncIterator[list[AsyncioController]]:
    """Open as many controllers as the streams need connections; see :func:`gapless.controller.open_controllers`.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_controller(exchange=exchange, streams=part, config=config))
            for part in parts_of(exchange, streams)
        ]


def _in_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[[_T], None] | None, interrupt: _Interrupt
) -> Callable[[_T], None] | None:
    """The callback, to be called in the trio thread, which has it called in the loop's."""
    if callback is None:
        return None
    called: Final = callback

    def call(what: _T) -> None:
        try:
            called(what)
        except Exception as error:  # noqa: BLE001  # raised where the block is
            interrupt(error)

    return lambda what: tell(loop, partial(call, what))


async def _consume(callbacks: Callbacks, events: HandOver, interrupt: _Interrupt) -> None:
    calls = 0
    try:
        while batch := await events.take_all():
            for _ in callbacks.hand_over(batch):
                calls += 1
                if calls % FAIR_SHARE == 0:
                    await asyncio.sleep(0)
    except Exception as error:  # noqa: BLE001  # raised where the block is
        interrupt(error)
