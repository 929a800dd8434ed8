"""A WebSocket server in a test's own hands: it shakes hands, and then sends and sees frames as they are."""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from websockets.extensions.base import ServerExtensionFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gapless.simulator.network import VirtualNetwork


class Line:
    """One connection, from the server's side."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._protocol = ServerProtocol()
        self._seen: deque[Frame] = deque()

    async def accept(self, then: bytes = b"", *, extensions: Sequence[ServerExtensionFactory] | None = None) -> None:
        """Shake hands, and send what follows together with the answer."""
        self._protocol = ServerProtocol(extensions=extensions, max_size=1_000_000)
        while not (events := self._protocol.events_received()):
            self._protocol.receive_data(await self.stream.receive_some())
        assert isinstance(events[0], Request)
        self._protocol.send_response(self._protocol.accept(events[0]))
        await self.stream.send_all(b"".join(self._protocol.data_to_send()) + then)

    async def send(self, raw: bytes) -> None:
        """Send these bytes."""
        await self.stream.send_all(raw)

    async def end(self) -> None:
        """Send a FIN, and stay."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    async def send_text(self, text: str) -> None:
        """Send a message the way that was agreed on, compressed if so."""
        self._protocol.send_text(text.encode())
        await self.stream.send_all(b"".join(self._protocol.data_to_send()))

    async def frame(self) -> Frame:
        """The next frame of the client."""
        while not self._seen:
            data = await self.stream.receive_some()
            assert data, "the client has ended the connection"
            self._protocol.receive_data(data)
            self._seen.extend(event for event in self._protocol.events_received() if isinstance(event, Frame))
            assert self._protocol.parser_exc is None, "the client's frames are sound"
        return self._seen.popleft()

    async def text(self) -> str:
        """The next message of the client, in one frame."""
        frame = await self.frame()
        assert frame.opcode is Opcode.TEXT
        return bytes(frame.data).decode()


@asynccontextmanager
async def peer(
    handle: Callable[[Line], Awaitable[None]],
    network: VirtualNetwork | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """A server on a virtual network that does ``handle`` with each connection, and then closes it; its URL."""
    with (network or VirtualNetwork()).installed():
        async with real_peer(handle, tls=tls) as url:
            yield url


@asynccontextmanager
async def real_peer(
    handle: Callable[[Line], Awaitable[None]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The same on the network that there is."""

    async def serve(stream: trio.SocketStream) -> None:
        secured = stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError):
            await handle(Line(secured))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, serve, [listener]))
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()
