"""Opening a controller from an asyncio app."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random
from time import time
from typing import Final, TypeVar

from gapless.controller import opening
from gapless.controller.aio.block import Block, Blocks, Interrupt, Plan
from gapless.controller.aio.controller import AsyncioController
from gapless.controller.aio.crossing import tell
from gapless.controller.aio.handover import HandOver
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


def open_controller(
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
) -> AbstractAsyncContextManager[AsyncioController]:
    """Open a controller and run it until the block is left; then every task, socket and request is gone.

    The arguments are those of :func:`gapless.controller.open_controller`, without ``http`` and ``limiter``: all
    asyncio feeds of the process share one client and one limiter per host. ``exchange``, ``transport``, ``random`` and
    the clocks are used in the controllers' thread. Callbacks are called in the thread of this event loop; what one
    raises comes out of the block.

    Raises:
        ConfigurationError: an argument cannot work.
        DeliveryOverflowError: the buffer is full, ``config.overflow`` is ``"raise"``, and callbacks consume; a loop
            over the controller gets it instead.
        ReconnectExhaustedError: attempts are spent and ``config.reconnect_exhausted`` is ``"raise"``.
    """

    def plan(interrupt: Interrupt) -> Plan:
        loop, callbacks = asyncio.get_running_loop(), Callbacks(on_message, on_reconciliation)
        return Plan(
            opening=partial(
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
                on_state_change=_in_loop(loop, on_state_change, interrupt),
                on_health_change=_in_loop(loop, on_health_change, interrupt),
                resume=resume,
            ),
            callbacks=callbacks,
            consume=lambda events: _consume(callbacks, events, interrupt),
        )

    return Block(plan)


def open_controllers(
    *, exchange: Exchange, streams: Sequence[Stream], config: NetworkConfig | None = None
) -> AbstractAsyncContextManager[list[AsyncioController]]:
    """Open as many controllers as the streams need connections; see :func:`gapless.controller.open_controllers`.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    return Blocks(
        lambda: [
            open_controller(exchange=exchange, streams=part, config=config) for part in parts_of(exchange, streams)
        ]
    )


def _in_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[[_T], None] | None, interrupt: Interrupt
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


async def _consume(callbacks: Callbacks, events: HandOver, interrupt: Interrupt) -> None:
    calls = 0
    try:
        while batch := await events.take_all():
            for _ in callbacks.hand_over(batch):
                calls += 1
                if calls % FAIR_SHARE == 0:
                    await asyncio.sleep(0)
    except Exception as error:  # noqa: BLE001  # raised where the block is
        interrupt(error)
