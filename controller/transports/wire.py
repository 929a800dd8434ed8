"""The transport ``wire``: the protocol of ``websockets``, the I/O of trio, and a read as one batch.

A connection ends at once and without a goodbye when its context is left; a close frame of the peer's is answered, and a
fault of the peer's named to it, if there is room for that. PINGs are answered by a task of their own, so that neither
a full send buffer nor a message that waits for room holds up reading; at most one PONG waits, the latest. The same task
finishes a message whose sender was cancelled in the middle of it: half a frame would make nonsense of what follows, and
a PING that found no room in time must not cost a connection that still brings data.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, NoReturn
from urllib.parse import urlsplit

import trio
from websockets.exceptions import InvalidState

from gapless.controller.errors import LinkError
from gapless.controller.groups import reraise, unwrapped
from gapless.controller.transports.base import Connection
from gapless.controller.transports.ends import closed, handshake_failed
from gapless.controller.transports.tls_context import default_context
from gapless.controller.transports.wire_frames import FrameCodec
from gapless.controller.transports.wire_handshake import Handshake
from gapless.controller.transports.wire_streams import RECEIVE_BYTES, ByteStream, TcpStream, TlsStream

_LAST_WORD_S: Final = 0.05
"""Seconds the last frame may wait for room. There is room at once, unless the peer has stopped reading long ago."""
_RECEIVE_BYTES_MAX: Final = 524_288
"""Bytes of a read where messages are large. Of 20 kB each, one costs 18 us of CPU with these, decoded, 23 us with 256
KiB, and 32 us or more with :data:`RECEIVE_BYTES`: waking up costs as much as copying some messages. Twice as much, and
the messages cut out of it, would not fit into the cache of 1 MiB that a processor has to itself."""
_FEW: Final = 32
"""Messages. Only a read that brought fewer may grow: the app gets the first of a batch when the last is decoded."""
_BATCH_MAX: Final = 360
"""Messages handed over at once, about as many as a read of plain ones brings. Of compressed ones it brings thousands:
the app must have its turn before they fill the buffer that is kept for it."""
_GONE: Final = (OSError, trio.ClosedResourceError)


class WireTransport:
    """Opens WebSockets with the parser of ``websockets``. Every message is handed over as ``bytes``.

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
        parts = urlsplit(url)
        is_secure = parts.scheme == "wss"
        stream: ByteStream = await self._dial(parts.hostname or "", parts.port or (443 if is_secure else 80))
        try:
            if is_secure:
                stream = await self._secure(stream, parts.hostname or "")
            connection = await self._shake_hands(stream, url)
            async with trio.open_nursery(strict_exception_groups=True) as nursery:
                nursery.start_soon(connection.keep_sending)
                yield connection
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            reraise(unwrapped(group))
        finally:
            stream.close()

    async def _dial(self, host: str, port: int) -> TcpStream:
        try:
            return TcpStream((await trio.open_tcp_stream(host, port)).socket)
        except OSError as error:
            raise LinkError(f"refused: {error}") from None

    async def _secure(self, stream: ByteStream, host: str) -> TlsStream:
        tls = TlsStream(stream, self._ssl_context or default_context(), host)
        try:
            await tls.shake_hands()
        except OSError as error:
            raise handshake_failed(error) from None
        return tls

    async def _shake_hands(self, stream: ByteStream, url: str) -> "_WireConnection":
        handshake = Handshake(url, message_size_max=self._message_size_max)
        try:
            await stream.send(handshake.request())
            while True:
                data = await stream.receive()
                if not data:
                    raise handshake_failed("closed by the peer")
                frames = handshake.receive_data(data)
                if frames is not None:
                    codec = FrameCodec(handshake.protocol, message_size_max=self._message_size_max)
                    return _WireConnection(stream, codec, frames)
        except OSError as error:
            raise handshake_failed(error) from None


class _WireConnection:
    """An open socket.

    Args:
        frames: what came together with the answer to the handshake.
    """

    def __init__(self, stream: ByteStream, codec: FrameCodec, frames: bytes) -> None:
        self._stream = stream
        self._codec = codec
        self._sending = trio.Lock()
        self._due = trio.Event()
        """Set when :meth:`keep_sending` has something to do."""
        self._receive_bytes = RECEIVE_BYTES
        self._early = self._enter(frames) if frames else []

    async def receive(self) -> Sequence[bytes]:
        """What one read brought, or a part of it."""
        if self._early:
            await trio.lowlevel.checkpoint()
            return self._portion(self._early)
        while self._codec.end is None:
            if self._codec.has_more:
                await trio.lowlevel.checkpoint()
                messages = self._enter_more()
            else:
                messages = await self._read()
            if messages:
                return self._portion(messages)
        await self._say_last_word()
        raise self._why()

    async def _read(self) -> list[bytes]:
        try:
            data = await self._stream.receive(self._receive_bytes)
        except _GONE:
            data = b""
        messages = self._enter(data)
        self._receive_bytes = _next_size(self._receive_bytes, len(data), len(messages))
        return messages

    def _portion(self, messages: list[bytes]) -> list[bytes]:
        """As many as are handed over at once; the others are kept for the next call."""
        self._early = messages[_BATCH_MAX:]
        return messages[:_BATCH_MAX] if self._early else messages

    async def send(self, frame: str) -> None:
        """Send one text message. Cancelled while it waits for its turn or for room, it is not sent; later, it is."""
        async with self._sending:
            if self._codec.end is not None:
                raise self._why()
            try:
                await self._wait_for_room()
                await self._stream.send(self._codec.encode(frame))
            except (*_GONE, InvalidState):
                raise self._why() from None
            except trio.Cancelled:
                self._due.set()
                raise

    async def keep_sending(self) -> NoReturn:
        """Send the PONGs that are due, the latest only, and what is left of a message whose sender was cancelled."""
        while True:
            await self._due.wait()
            self._due = trio.Event()
            async with self._sending:
                # Where the connection is gone, who reads learns of it and says so.
                with suppress(*_GONE):
                    await self._wait_for_room()
                    await self._stream.send(self._codec.take_to_send())

    async def _wait_for_room(self) -> None:
        """Wait until what comes next begins to be sent: a message is not encoded before, a PONG not chosen."""
        await self._stream.send()
        await self._stream.wait_writable()

    def _enter(self, data: bytes) -> list[bytes]:
        if data:
            return self._enter_more(data)
        self._codec.receive_eof()
        return []

    def _enter_more(self, data: bytes = b"") -> list[bytes]:
        messages = self._codec.receive_data(data)
        if self._codec.has_to_send:
            self._due.set()
        return messages

    async def _say_last_word(self) -> None:
        with trio.move_on_after(_LAST_WORD_S), suppress(*_GONE):
            async with self._sending:
                await self._stream.send(self._codec.take_to_send())

    def _why(self) -> LinkError:
        return closed() if self._codec.end is None else closed(*self._codec.end)


def _next_size(size: int, came: int, messages: int) -> int:
    """How much to read next.

    Args:
        size: bytes that were asked for.
        came: bytes; what is left out of a record of TLS that is not whole counts as not there.
        messages: that were whole with them.
    """
    if came <= size // 2:
        return RECEIVE_BYTES
    return min(2 * size, _RECEIVE_BYTES_MAX) if messages < _FEW else max(size // 2, RECEIVE_BYTES)
