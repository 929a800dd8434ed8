"""Putting a controller together and running it for as long as a block lasts."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random, SystemRandom
from time import time
from typing import Final
from uuid import uuid4

import httpx
import trio

from gapless.controller import host_clients
from gapless.controller.callbacks import Callbacks, OnMessage, OnReconciliation
from gapless.controller.config import NetworkConfig
from gapless.controller.controller import ConnectionController
from gapless.controller.cursor import Cursor
from gapless.controller.errors import ConfigurationError
from gapless.controller.events import StateChanged
from gapless.controller.exchange import Exchange, venue_name
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.groups import outermost, reraise
from gapless.controller.host_limiters import limiter_of
from gapless.controller.rate_limiter import RestRateLimiter
from gapless.controller.stream import Stream
from gapless.controller.suspend_watch import boot_clock
from gapless.controller.transports import Transport, transport_of

_JITTER: Final = SystemRandom()
"""One for all: each would hold 2.5 KiB. Drawn from the system: forked processes with one seed would dial in step."""


@asynccontextmanager
async def open_controller(
    *,
    ws_url: str | None = None,
    rest_url: str | None = None,
    streams: Sequence[Stream],
    config: NetworkConfig | None = None,
    exchange: Exchange | None = None,
    session_id: str | None = None,
    limiter: RestRateLimiter | None = None,
    transport: Transport | None = None,
    http: httpx.AsyncClient | None = None,
    random: Random | None = None,
    wall_clock: Callable[[], float] = time,
    boot_clock: Callable[[], float] = boot_clock,
    on_message: OnMessage | None = None,
    on_reconciliation: OnReconciliation | None = None,
    on_state_change: Callable[[StateChanged], None] | None = None,
    on_health_change: Callable[[bool], None] | None = None,
    resume: Cursor | None = None,
) -> AsyncIterator[ConnectionController]:
    """Open a controller and run it until the block is left; then every task, socket and request is gone.

    Args:
        ws_url: the reference exchange's WebSocket, ``ws://HOST:PORT/ws``; with ``rest_url`` instead of ``exchange``.
        rest_url: the reference exchange's REST server, ``http://HOST:PORT``.
        streams: what to keep whole; at least one.
        config: every switch; None: the defaults.
        exchange: an adapter for another venue.
        session_id: kept over reconnects; None: a random one.
        limiter: of the REST host; None: the one that all controllers of this trio run share for that host, made from
            the ``config`` of the first of them.
        transport: how sockets are opened; None: as ``config.transport`` says.
        http: an httpx client to use, which stays open when the block is left; None: the one that all controllers of
            this trio run share for that host, closed by the last of them.
        random: where the jitter comes from.
        wall_clock: Unix seconds, for the events.
        boot_clock: seconds that pass while the machine sleeps, too; how a wake is noticed.
        on_message: called with every event, instead of the loop over the controller; see :mod:`callbacks`.
        on_reconciliation: called with a kind and what came over REST, instead of ``on_message``.
        on_state_change: called with each transition, at once; must not block.
        on_health_change: called when the heartbeat's view of the connection changes.
        resume: where an earlier controller's app was (:meth:`ConnectionController.cursor`): what it has missed since is
            filled from REST or reported lost. Streams that it does not name begin anew.

    Raises:
        ConfigurationError: an argument cannot work.
        DeliveryOverflowError: the buffer is full, ``config.overflow`` is ``"raise"``, and callbacks consume; a loop
            over the controller gets it instead.
        ReconnectExhaustedError: attempts are spent and ``config.reconnect_exhausted`` is ``"raise"``.
    """
    venue = exchange or _reference(ws_url, rest_url, random_session_id() if session_id is None else session_id)
    config = (config or NetworkConfig()).within(venue.budget, rotate_after_s=venue.rotate_after_s)
    if not streams or len(set(streams)) != len(streams):
        raise ConfigurationError(f"expected at least one stream, all different, got {[str(each) for each in streams]}")
    for stream in streams:
        venue.check(stream)
    if venue.streams_max is not None and len(streams) > venue.streams_max:
        raise ConfigurationError(
            f"expected at most {venue.streams_max} streams, which is what one connection to this venue carries, got "
            f"{len(streams)}: let split_streams make parts of them, and open a controller for each"
        )
    if resume is not None:
        _check_cursor(resume, venue_name(venue))
    host = venue.rest_host
    if limiter is None:
        limiter = limiter_of(host, config)
    client = host_clients.join(host) if http is None else http
    try:
        controller = ConnectionController(
            exchange=venue,
            streams=streams,
            config=config,
            http=client,
            limiter=limiter,
            transport=transport or transport_of(config),
            random=random or _JITTER,
            wall_clock=wall_clock,
            boot_clock=boot_clock,
            callbacks=Callbacks(on_message, on_reconciliation),
            on_state_change=on_state_change,
            on_health_change=on_health_change,
            resume=resume,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.run, name="gapless.supervisor")
            yield controller
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        reraise(outermost(group))
    finally:
        if http is None:
            await host_clients.leave(host)


def _check_cursor(resume: object, name: str | None) -> None:
    if not isinstance(resume, Cursor):
        raise ConfigurationError(
            f"resume: expected a Cursor, got {type(resume).__name__}: Cursor.decode makes one of what encode() wrote"
        )
    if resume.venue is not None and name is not None and resume.venue != name:
        raise ConfigurationError(
            f"resume: the cursor is of {resume.venue}, whose ids mean nothing at {name}: open the venue that it is of, "
            "or begin anew without it"
        )


def random_session_id() -> str:
    """A name that no other client has."""
    return f"gapless-{uuid4().hex[:12]}"


def _reference(ws_url: str | None, rest_url: str | None, session_id: str) -> Exchange:
    if ws_url is None or rest_url is None:
        raise ConfigurationError("expected ws_url and rest_url, or an exchange")
    return ReferenceExchange(ws_url=ws_url, rest_url=rest_url, session_id=session_id)
