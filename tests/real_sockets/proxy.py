"""A TCP proxy between a client and an exchange that can do to a connection what only a peer's kernel can."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

_RECEIVE_BUFFER_BYTES: Final = 4096
"""Of the client's side of a line, as small as it goes: what a peer does not read soon fills the client's buffers."""
_CHUNK_BYTES: Final = 65_536


class Line:
    """One proxied connection."""

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self._client = client
        self._server = server
        self._deaf = False
        self._mute = False

    def stop_reading(self) -> None:
        """From now on read nothing that the client sends."""
        self._deaf = True

    def stop_sending(self) -> None:
        """From now on hand on nothing that the server sends."""
        self._mute = True

    async def half_close(self) -> None:
        """End the direction to the client, and go on reading what it sends."""
        self._mute = True
        await self._client.send_eof()

    async def run(self) -> None:
        """Carry until one of the two closes; then both are closed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._up, nursery.cancel_scope)
            nursery.start_soon(self._down, nursery.cancel_scope)

    async def _up(self, scope: trio.CancelScope) -> None:
        chunk = b"so far"
        while chunk:
            # Looked at before anything is taken out of the kernel's buffer.
            await trio.lowlevel.wait_readable(self._client.socket)
            if self._deaf:
                await trio.sleep_forever()
            chunk = bytes(await self._client.receive_some(_CHUNK_BYTES))
            await self._server.send_all(chunk)
        scope.cancel()

    async def _down(self, scope: trio.CancelScope) -> None:
        async for chunk in self._server:
            if not self._mute:
                await self._client.send_all(chunk)
        scope.cancel()


class Proxy:
    """Where it listens, and its connections, oldest first."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self.lines: list[Line] = []

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        listener = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Connections inherit it; set later, it would not bound the window that the kernel has announced.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.port = listener.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._handle, [trio.SocketListener(listener)])

    async def _handle(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_tcp_stream("127.0.0.1", self._server_port) as server:
            line = Line(client, server)
            self.lines.append(line)
            try:
                await line.run()
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # one of the two is gone


@asynccontextmanager
async def proxied(server_port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(server_port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()
