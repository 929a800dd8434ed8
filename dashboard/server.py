"""HTTP for the page: anycorn's connections on listeners of our own, with bounds on what a browser may take.

Why not ``anycorn.serve``: it sends within a shielded scope that has no deadline. A browser that stops reading would
hold its task for ever, and the shutdown with it, whatever is cancelled. Here anycorn speaks HTTP over a stream that
gives up such a browser (:mod:`~gapless.dashboard.browser_stream`), and leaving the block closes what is still open. As
a by-product, the port is known before the first request, and a server runs on a virtual network as well. The price:
``TCPServer`` and what it takes are no documented interface of anycorn, so its version is bounded.

What it does not do: TLS, and a name's worth of virtual hosts. HTTP/2 in clear text, which no browser speaks, anycorn
has no setting to refuse. Put a reverse proxy before it where that is needed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import trio
from anycorn import Config
from anycorn.tcp_server import TCPServer
from anycorn.typing import ASGIFramework
from anycorn.utils import wrap_app
from anycorn.worker_context import WorkerContext
from loguru import logger
from starlette.types import ASGIApp, Receive, Scope, Send

from gapless.dashboard.browser_stream import BrowserStream


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Bounds on what browsers may take."""

    connections_max: int = 128
    """Open TCP connections; a browser holds up to six for one host. One more takes the place of the oldest that has
    sent no whole request yet, or else of one that waits for its next; where all are being answered, it is closed."""
    send_timeout_s: float = 30.0
    """For a browser to take one piece of a reply: as long as a laptop needs to wake up, and find its network again."""
    idle_timeout_s: float = 5.0
    """For a request to come on an open connection; anycorn's default."""
    grace_s: float = 0.2
    """For replies under way when the server is closed. The controller's own closing takes at most half a second."""


class CannotListenError(OSError):
    """The dashboard's port cannot be had, or its host is none of this machine. One line says which, and why."""


@asynccontextmanager
async def serving(
    app: ASGIApp, listeners: list[trio.SocketListener], *, closing: trio.Event, limits: ServerLimits | None = None
) -> AsyncIterator[None]:
    """Serve ``app`` on these listeners until the block is left; then every task, listener and connection is gone.

    Args:
        app: what answers. It sees no lifespan.
        listeners: open ones, from :func:`listen`; closed in the end.
        closing: set when the block is left: replies without an end watch it and end.
        limits: bounds.
    """
    connections = _Connections(app, closing, limits or ServerLimits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.accept, listeners)
        try:
            yield
        finally:
            closing.set()
            with trio.CancelScope(shield=True):
                await connections.close()
            nursery.cancel_scope.cancel()


async def listen(host: str, port: int) -> list[trio.SocketListener]:
    """Open listeners; port 0 takes a free one, the same for every address of a name.

    Raises:
        CannotListenError: the port is in use or not allowed, or the host is none of this machine.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
        chosen = port_of(listeners)
        if any(each.socket.getsockname()[1] != chosen for each in listeners):
            for each in listeners:
                await each.aclose()
            listeners = await trio.open_tcp_listeners(chosen, host=host)
    except (OSError, ValueError) as error:
        # Of a name with several addresses trio says which failed in the cause; a host that is no name is a ValueError.
        reason = error.__cause__ or error
        said = getattr(reason, "strerror", None) or reason
        raise CannotListenError(f"cannot serve the dashboard at {at(host, port)}: {said}") from error
    return listeners


def port_of(listeners: list[trio.SocketListener]) -> int:
    """The port that was chosen."""
    port: int = listeners[0].socket.getsockname()[1]
    return port


def at(host: str, port: int) -> str:
    """``host:port`` as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Connections:
    """Every open connection of one server."""

    def __init__(self, app: ASGIApp, closing: trio.Event, limits: ServerLimits) -> None:
        self._app = app
        self._closing = closing
        self._limits = limits
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.errorlog = None  # whatever the app raises, it logs itself; anycorn would write to stderr
        self._config.accesslog = None
        self._config.include_server_header = False
        self._config.keep_alive_timeout = limits.idle_timeout_s
        self._open: dict[BrowserStream, None] = {}
        self._idle = trio.Event()

    async def accept(self, listeners: list[trio.SocketListener]) -> None:
        """Accept connections for ever."""
        async with trio.open_nursery() as nursery:
            await trio.serve_listeners(self._serve, listeners, handler_nursery=nursery)

    async def close(self) -> None:
        """Let what is under way end, for a moment, and close the rest. Returns when all of it is over."""
        await self._context.terminated.set()
        with trio.move_on_after(self._limits.grace_s):
            await self._until_idle()
        for wire in tuple(self._open):
            wire.cut()

    async def _until_idle(self) -> None:
        while self._open:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection. A defect in it ends it, and nothing else."""
        if self._closing.is_set() or not self._has_room():
            logger.warning("the dashboard closes a connection at once: {} are open", len(self._open))
            return
        wire = BrowserStream(stream, self._limits.send_timeout_s)
        self._open[wire] = None
        try:
            app = wrap_app(cast("ASGIFramework", _counted(self._app, wire)), 0, "asgi")
            await TCPServer(app, self._config, self._context, {}, wire).run()
        except* Exception as group:  # noqa: BLE001 (whatever one browser makes of a connection, the others keep theirs)
            logger.opt(exception=group).error("a connection of the dashboard failed")
        finally:
            wire.cut()
            self._open.pop(wire, None)
            self._idle.set()

    def _has_room(self) -> bool:
        """Whether one more connection may be; one that asks for nothing is cut for it.

        Half-sent requests cost nothing to send: they must not keep those out that mean it.
        """
        if len(self._open) < self._limits.connections_max:
            return True
        waiting = [wire for wire in self._open if not wire.under_way]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda wire: wire.requests > 0)
        logger.info("the dashboard cuts a connection that asks for nothing: {} are open", len(self._open))
        oldest.cut()
        del self._open[oldest]
        return True


def _counted(app: ASGIApp, wire: BrowserStream) -> ASGIApp:
    """The app for one connection, which learns of its requests. anycorn calls it when a request's head is whole."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        wire.requests += 1
        wire.under_way += 1
        try:
            await app(scope, receive, send)
        finally:
            wire.under_way -= 1

    return counting
