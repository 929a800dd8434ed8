"""Streams of bytes for the transport ``wire``: TCP, and TLS over it.

Both read as much as there is, at most as much as they are asked for, and give way to other tasks once a read. A buffer
is not reused: slices of ``bytes`` become messages without a second copy, and an allocation of 64 KiB costs less than a
copy of what it holds.
"""

import os
import ssl
from contextlib import suppress
from stat import S_ISSOCK
from typing import Final, Protocol

import trio

RECEIVE_BYTES: Final = 65_536
"""Bytes a read: some 360 messages of 180 bytes, or four records of TLS."""
_RECORD_BYTES: Final = 16_384
"""What a record of TLS holds at most (RFC 8446, 5.1)."""


class ByteStream(Protocol):
    """A connection of bytes. All but ``close`` raise OSError or :class:`trio.ClosedResourceError`."""

    async def receive(self, size_max: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes and return what is there, at most so many; none at the end of the stream."""
        ...

    async def wait_writable(self) -> None:
        """Wait until :meth:`send` would not block at once."""
        ...

    async def send(self, data: bytes = b"") -> None:
        """Send all of it, behind what a cancelled call before this one has left.

        If it is cancelled, what is left of it is sent by the next call: the other side never sees half of it.
        """
        ...

    def close(self) -> None:
        """End the connection at once; whoever waits on it gets an error."""
        ...


class TcpStream:
    """A TCP connection.

    A socket of trio first tries to read and then waits: one system call too many where messages come one by one, and a
    fifth of what a lone message costs. So a real socket is waited for and then read, which gives way to others, too. A
    virtual one has no descriptor, and is read through trio.
    """

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket
        self._has_descriptor = _is_socket(socket.fileno())
        self._unsent = memoryview(b"")

    async def receive(self, size_max: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes."""
        if not self._has_descriptor:
            return await self._socket.recv(size_max)
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return os.read(self._socket.fileno(), size_max)
            except BlockingIOError:
                # The kernel may call a socket readable and find nothing: a checksum was wrong.
                continue

    async def wait_writable(self) -> None:
        """Wait for room in the send buffer."""
        await self._socket.wait_writable()

    async def send(self, data: bytes = b"") -> None:
        """Send all of it."""
        if data:
            self._unsent = memoryview(bytes(self._unsent) + data if self._unsent else data)
        while self._unsent:
            self._unsent = self._unsent[await self._socket.send(self._unsent) :]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class TlsStream:
    """TLS over a stream of bytes. Ends without a goodbye of its own: the frames within say what is whole.

    trio's own hands over one record a read and asks for each until there is no more: a lone message costs 1.4 times as
    much processor time with it, a message of a flood 1.5 times.
    """

    def __init__(self, stream: ByteStream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._is_over = False

    async def shake_hands(self) -> None:
        """Agree on keys, and verify the peer."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._stream.send(self._outgoing.read())
                if not await self._take_in():
                    raise ConnectionError("closed by the peer") from None
            else:
                break
        # A WebSocket's server speaks after its client: no data of its can have come yet.
        await self._stream.send(self._outgoing.read())

    async def receive(self, size_max: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes."""
        while not self._is_over and await self._take_in(size_max):
            if data := self._decrypt():
                return data
        return b""

    async def wait_writable(self) -> None:
        """Wait for room in the send buffer."""
        await self._stream.wait_writable()

    async def send(self, data: bytes = b"") -> None:
        """Send all of it."""
        if data:
            self._tls.write(data)
        await self._stream.send(self._outgoing.read())

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    async def _take_in(self, size_max: int = RECEIVE_BYTES) -> bool:
        """Wait for bytes of the peer; False: no more will come."""
        data = await self._stream.receive(size_max)
        self._incoming.write(data)
        return bool(data)

    def _decrypt(self) -> bytes:
        """What the records that are whole hold."""
        chunks: list[bytes] = []
        # Asking until it wants more would raise an error each time, which costs as much as a small message. A record is
        # no larger than what is asked for: none is left behind half read.
        with suppress(ssl.SSLWantReadError):
            while self._incoming.pending:
                chunk = self._tls.read(_RECORD_BYTES)
                if not chunk:
                    # The peer said goodbye to TLS: what follows is not looked at, and must not pile up.
                    self._is_over = True
                    break
                chunks.append(chunk)
        return b"".join(chunks)


def _is_socket(descriptor: int) -> bool:
    try:
        return S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False
