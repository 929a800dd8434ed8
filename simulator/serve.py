"""Serving an exchange on two ports, WebSocket and REST, for as long as a block lasts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from loguru import logger

from gapless.simulator.compression import compressing
from gapless.simulator.http_server import HttpServer
from gapless.simulator.rest_gate import RestGate
from gapless.simulator.served import Served
from gapless.simulator.ws_server import WebSocketServer

REBIND_MAX_S = 5.0
"""How long a port is tried again after a downtime; on a real machine someone else may hold it for a moment."""
REBIND_EVERY_S = 0.05
"""How often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where an exchange is served."""

    ws_url: str
    rest_url: str


@asynccontextmanager
async def serve_exchange(
    exchange: Served, host: str = "127.0.0.1", ws_port: int = 0, rest_port: int = 0
) -> AsyncIterator[Endpoints]:
    """Serve ``exchange`` and run its market; port 0 takes a free one. Leaving the block ends every task and socket.

    Raises:
        OSError: a port cannot be had, or ``host`` is not a name.
    """
    web_sockets = WebSocketServer(exchange)
    rest = HttpServer(RestGate(exchange, compressing(exchange.rest_app(), exchange.config.compression)))
    async with trio.open_nursery() as nursery:
        ws = _Port(exchange, web_sockets.handle, lambda: None)
        api = _Port(exchange, rest.handle, rest.drop_all)
        bound_ws: int = await nursery.start(ws.serve, host, ws_port)
        bound_rest: int = await nursery.start(api.serve, host, rest_port)
        nursery.start_soon(exchange.run)
        at = f"[{host}]" if ":" in host else host
        endpoints = Endpoints(ws_url=f"ws://{at}:{bound_ws}{exchange.ws_path}", rest_url=f"http://{at}:{bound_rest}")
        logger.info("the exchange is served at {} and {}", endpoints.ws_url, endpoints.rest_url)
        yield endpoints
        nursery.cancel_scope.cancel()


class _Port:
    """One listening port, closed while the exchange is down."""

    def __init__(
        self,
        exchange: Served,
        handle: Callable[[trio.SocketStream], Awaitable[None]],
        drop_all: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._handle = handle
        self._drop_all = drop_all

    async def serve(self, host: str, port: int, task_status: trio.TaskStatus[int]) -> None:
        listeners = await _listeners(host, port)
        port = listeners[0].socket.getsockname()[1]
        if any(listener.socket.getsockname()[1] != port for listener in listeners):
            # A name with several addresses got a free port for each; all are to have the first one's.
            for listener in listeners:
                await listener.aclose()
            listeners = await _listeners(host, port)
        task_status.started(port)
        async with trio.open_nursery() as connections:
            while True:
                async with trio.open_nursery() as listening:
                    listening.start_soon(_accept, self._handle, listeners, connections)
                    while not self._exchange.is_down:
                        await self._exchange.wait_restart()
                        self._drop_all()
                    listening.cancel_scope.cancel()
                await self._exchange.wait_up()
                listeners = await _rebind(host, port)


async def _listeners(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except ValueError as error:
        # No name at all, such as "a..b": a host that cannot be had, like any other.
        raise OSError(f"{host!r} is not a host name: {error.__cause__ or error}") from None


async def _accept(
    handle: Callable[[trio.SocketStream], Awaitable[None]],
    listeners: list[trio.SocketListener],
    connections: trio.Nursery,
) -> None:
    await trio.serve_listeners(handle, listeners, handler_nursery=connections)


async def _rebind(host: str, port: int) -> list[trio.SocketListener]:
    give_up_at = trio.current_time() + REBIND_MAX_S
    while True:
        try:
            return await _listeners(host, port)
        except OSError:
            if trio.current_time() >= give_up_at:
                raise
        await trio.sleep(REBIND_EVERY_S)
