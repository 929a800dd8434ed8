"""The default transport: trio-websocket.

Its hazards, all reproduced on 0.12.2, shape this file:

* ``connect_timeout`` does not fire on a peer that accepts TCP and stays silent: the link's own scope bounds the
  attempt.
* A peer that closes in the middle of the handshake leaves ``connect_websocket`` waiting for ever: the stream is watched
  from outside, and its end during the handshake cancels the wait.
* A polite close can lose a ``Cancelled`` or take a minute: the socket is closed forcefully, always.
* The queue holds one message by default, and ping, pong and data share one reader task: the queue is made deep enough
  for a burst, and the link drains it at once into a bounded buffer.
* There is no public way to drain that queue without waiting: each message costs the reader task a checkpoint, and the
  link another. But the stream below is ours and knows when the reader task comes back for more: until then messages
  are held, so that the clocks, the books and the app's task are bothered once a batch.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, NoReturn, cast
from urllib.parse import urlsplit

import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from gapless.controller.errors import LinkError
from gapless.controller.groups import unwrapped
from gapless.controller.transports.base import Connection
from gapless.controller.transports.ends import closed, handshake_failed, refused
from gapless.controller.transports.tls_context import default_context

_QUEUE_SIZE: Final = 256
"""Messages. One 64 KiB read holds about 360 messages of 180 bytes; the reader task then waits for the link once."""
_RECEIVE_BYTES: Final = 65_536
"""Bytes a read. Measured against the default of 4 KiB: 1.1 times faster on small messages, 3 times on 20 kB ones."""

_BATCH_MAX: Final = 16
"""Messages handed over at once. Each takes 16 us to come, so the first of them waits for a quarter of a millisecond; of
what a batch shares, a sixteenth per message is hardly more than a sixty-fourth."""


class TrioWebsocketTransport:
    """Opens WebSockets with trio-websocket.

    Args:
        message_size_max: bytes; a larger message ends the connection.
        ssl_context: for ``wss``; None: the default context, which verifies certificates.
    """

    def __init__(self, *, message_size_max: int, ssl_context: ssl.SSLContext | None = None) -> None:
        self._message_size_max = message_size_max
        self._ssl_context = ssl_context

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial and shake hands."""
        return self._connect(url)

    @asynccontextmanager
    async def _connect(self, url: str) -> AsyncIterator[Connection]:
        stream = await self._dial(url)
        try:
            parts = urlsplit(url)
            resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            async with trio.open_nursery(strict_exception_groups=True) as nursery:
                socket = await self._shake_hands(nursery, stream, parts.netloc.rpartition("@")[2], resource)
                yield _TrioWebsocketConnection(socket, stream)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _translated(unwrapped(group)) from None
        finally:
            await trio.aclose_forcefully(stream)

    async def _dial(self, url: str) -> "_WatchedStream":
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            if parts.scheme == "ws":
                return _WatchedStream(await trio.open_tcp_stream(host, parts.port or 80))
            context = self._ssl_context or default_context()
            tls = await trio.open_ssl_over_tcp_stream(
                host, parts.port or 443, ssl_context=context, https_compatible=True
            )
            return _WatchedStream(tls)
        except OSError as error:
            raise LinkError(f"refused: {error}") from None

    async def _shake_hands(
        self, nursery: trio.Nursery, stream: "_WatchedStream", host: str, resource: str
    ) -> WebSocketConnection:
        async with trio.open_nursery() as watch:
            watch.start_soon(_cancel_when_ended, stream, watch.cancel_scope)
            socket = await wrap_client_stream(
                nursery,
                # Documented to take any stream, annotated for two of them.
                cast("trio.SocketStream", stream),
                host,
                resource,
                message_queue_size=_QUEUE_SIZE,
                max_message_size=self._message_size_max,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            watch.cancel_scope.cancel()
            return socket
        raise handshake_failed(stream.end_reason)


class _TrioWebsocketConnection:
    """An open socket."""

    def __init__(self, socket: WebSocketConnection, stream: "_WatchedStream") -> None:
        self._socket = socket
        self._stream = stream
        self._held: list[str | bytes] = []
        self._failure: Exception | None = None

    async def receive(self) -> Sequence[str | bytes]:
        """One message: trio-websocket has no public way to drain its queue without waiting."""
        try:
            return (await self._socket.get_message(),)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def push(self, enter: Callable[[Sequence[str | bytes]], None]) -> NoReturn:
        """Hand over batches: what one read of the stream brought, or a part of it."""
        get_message, stream = self._socket.get_message, self._stream
        stream.on_pause = partial(self._hand_over, enter)
        try:
            while True:
                message = await get_message()
                self._held.append(message)
                if not stream.is_being_parsed or len(self._held) >= _BATCH_MAX:
                    self._hand_over(enter)
                    if self._failure is not None:
                        raise self._failure
        except ConnectionClosed as error:
            self._hand_over(enter)
            raise self._failure or _closed(error) from None
        finally:
            stream.on_pause = _nothing

    def _hand_over(self, enter: Callable[[Sequence[str | bytes]], None]) -> None:
        """Called by either task: the link's, which takes messages one by one, or the reader's, when it pauses."""
        if not self._held or self._failure is not None:
            return
        batch, self._held = self._held, []
        try:
            enter(batch)
        except Exception as error:  # noqa: BLE001  # it comes out of push: what is raised in the reader's task may get lost
            self._failure = error
            self._stream.is_given_up = True

    async def send(self, frame: str) -> None:
        """Send one text message."""
        try:
            await self._socket.send_message(frame)
        except ConnectionClosed as error:
            raise _closed(error) from None


class _WatchedStream(trio.abc.Stream):
    """A stream whose end can be awaited from outside, and that tells when its reader waits for somebody."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.ended = trio.Event()
        self.end_reason = ""
        self.is_being_parsed = False
        """Whether the reader has taken bytes and neither come back for more nor begun to send an answer."""
        self.on_pause: Callable[[], None] = _nothing
        """Called before anybody waits for the peer."""
        self.is_given_up = False
        """Whether nothing more is to be read: the reader is told that the peer has closed."""

    def _pause(self) -> None:
        self.is_being_parsed = False
        self.on_pause()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._pause()
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            self._end(str(error.__cause__ or error))
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._pause()
        if self.is_given_up:
            return b""
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            self._end(str(error.__cause__ or error))
            raise
        if not data:
            self._end("closed by the peer")
        self.is_being_parsed = True
        return data

    def _end(self, reason: str) -> None:
        self.end_reason = self.end_reason or reason
        self.ended.set()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _nothing() -> None:
    """Nobody wants to be told."""


async def _cancel_when_ended(stream: _WatchedStream, scope: trio.CancelScope) -> None:
    await stream.ended.wait()
    scope.cancel()


def _closed(error: ConnectionClosed) -> LinkError:
    reason = error.reason
    return LinkError("closed") if reason is None else closed(reason.code, reason.reason)


def _translated(error: BaseException) -> BaseException:
    """What ended the session, in the words of this package; anything unexpected stays as it is."""
    if isinstance(error, ConnectionRejected):
        headers = {
            name.decode("ascii", "replace").lower(): value.decode("ascii", "replace")
            for name, value in error.headers or ()
        }
        return refused(error.status_code, headers)
    # wsproto lets some errors of its HTTP parser through, h11's own.
    if isinstance(error, LocalProtocolError | RemoteProtocolError | h11.ProtocolError | HandshakeError):
        return handshake_failed(error)
    return error
