"""A trio socket whose network is virtual.

Behaves as a TCP socket does under trio: the same errors with the same numbers, so that :class:`trio.SocketStream` and
:class:`trio.SocketListener` translate them as usual. Each async method is a checkpoint first and acts afterwards in one
step, so that a cancelled call has done nothing.

Not there: flags, ancillary data, datagrams, ``dup``, ``detach``, IPv6. Options have no effect, except that
``SO_LINGER`` with a time of 0 makes ``close`` send a RST.
"""

import errno
import os
import struct
import sys
from collections.abc import Callable
from socket import (
    IPPROTO_TCP,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ACCEPTCONN,
    SO_ERROR,
    SO_LINGER,
    SOL_SOCKET,
    AddressFamily,
    SocketKind,
)
from typing import TYPE_CHECKING, Self, TypeVar, overload

import trio

from gapless.simulator.virtual_kernel import Kernel, Listener
from gapless.simulator.virtual_names import LOOPBACK, WILDCARD, Address, virtual_ip
from gapless.simulator.virtual_side import Side

if TYPE_CHECKING:
    from typing_extensions import Buffer

_T = TypeVar("_T")

_CLOSED = -1
"""What a closed socket answers when asked for its number."""

_LINGER_FORMAT = "ii"
"""``struct linger`` of socket(7): whether it is on, and seconds."""


class VirtualSocket(trio.socket.SocketType):
    """One TCP socket. Made by ``trio.socket.socket()`` while a virtual network is installed, and by :meth:`accept`.

    Methods are sorted: what it is, how it becomes a listener or connected, bytes, the end.
    """

    def __init__(self, kernel: Kernel, *, accepted: Side | None = None) -> None:
        super().__init__()
        self._kernel = kernel
        self._fileno = kernel.open_socket()
        self._side = accepted
        self._bound_to: Address | None = None
        self._listener: Listener | None = None
        self._aborts = False
        self._did_shut_writes = False

    def __repr__(self) -> str:
        if self._fileno == _CLOSED:
            return "<VirtualSocket closed>"
        peer = f" to {self._side.peer_address}" if self._side is not None else ""
        return f"<VirtualSocket {self._fileno} at {self.getsockname()}{peer}>"

    @property
    def family(self) -> AddressFamily:
        """IPv4."""
        return AddressFamily.AF_INET

    @property
    def type(self) -> SocketKind:
        """A stream."""
        return SocketKind.SOCK_STREAM

    @property
    def proto(self) -> int:
        """TCP."""
        return IPPROTO_TCP

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802 (trio names it so)
        """Whether :meth:`shutdown` ended the writing."""
        return self._did_shut_writes

    def fileno(self) -> int:
        """A number that no real file has; -1 once closed."""
        return self._fileno

    def getsockname(self) -> Address:
        """The own address; ``("0.0.0.0", 0)`` while there is none."""
        self._require_open()
        if self._side is not None:
            return self._side.address
        return self._bound_to or (WILDCARD, 0)

    def getpeername(self) -> Address:
        """The address of the other end. Raises OSError (ENOTCONN) if there is none."""
        return self._require_connected().peer_address

    def is_readable(self) -> bool:
        """Whether ``recv`` or ``accept`` would return or raise at once."""
        self._require_open()
        if self._listener is not None:
            return self._listener.is_acceptable
        return self._side is None or self._side.is_readable

    @overload
    def getsockopt(self, level: int, optname: int) -> int: ...

    @overload
    def getsockopt(self, level: int, optname: int, buflen: int) -> bytes: ...

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> int | bytes:
        """SO_ACCEPTCONN and SO_ERROR say what is the case; every other option is 0."""
        self._require_open()
        value = 0
        if (level, optname) == (SOL_SOCKET, SO_ACCEPTCONN):
            value = int(self._listener is not None)
        elif (level, optname) == (SOL_SOCKET, SO_ERROR) and self._side is not None:
            value = self._side.error
        return value if buflen is None else value.to_bytes(buflen, sys.byteorder)

    @overload
    def setsockopt(self, level: int, optname: int, value: "int | Buffer") -> None: ...

    @overload
    def setsockopt(self, level: int, optname: int, value: None, optlen: int) -> None: ...

    def setsockopt(self, level: int, optname: int, value: "int | Buffer | None", optlen: int | None = None) -> None:
        """Without effect, but for SO_LINGER."""
        del optlen
        self._require_open()
        if (level, optname) == (SOL_SOCKET, SO_LINGER) and value is not None and not isinstance(value, int):
            is_on, seconds = struct.unpack(_LINGER_FORMAT, value)
            self._aborts = bool(is_on) and seconds == 0

    async def bind(self, address: Address) -> None:
        """Take an address; port 0 picks a free one. Raises OSError (EADDRINUSE; EINVAL if there is one already)."""
        await self._kernel.checkpoint()
        self._require_open()
        if self._bound_to is not None or self._side is not None:
            raise _os_error(errno.EINVAL)
        host, port = address
        self._bound_to = self._kernel.bind((virtual_ip(host) if host else WILDCARD, port))

    def listen(self, backlog: int = 128) -> None:
        """Let clients connect; those that find ``backlog`` others waiting are reset. Raises OSError (EINVAL)."""
        self._require_open()
        if self._side is not None:
            raise _os_error(errno.EINVAL)
        if self._bound_to is None:
            self._bound_to = self._kernel.bind((WILDCARD, 0))
        if self._listener is None:
            self._listener = self._kernel.listen(self._bound_to, backlog)

    async def accept(self) -> tuple["VirtualSocket", Address]:
        """The next client and its address. Raises OSError (EINVAL) if not listening."""
        await self._kernel.checkpoint()
        self._require_open()
        if self._listener is None:
            raise _os_error(errno.EINVAL)
        connection = await self._retry(self._listener.take, self._listener.acceptable)
        return VirtualSocket(self._kernel, accepted=connection.server), connection.server.peer_address

    async def connect(self, address: Address) -> None:
        """Connect, which takes a round trip. Raises OSError (ECONNREFUSED, EISCONN). Closes the socket if cancelled."""
        await self._kernel.checkpoint()
        self._require_open()
        if self._side is not None or self._listener is not None:
            raise _os_error(errno.EISCONN)
        host, port = address
        server_address = (LOOPBACK if host in {"", WILDCARD} else virtual_ip(host), port)
        source_ip = self._kernel.source_ip(server_address)
        if self._bound_to is None:
            self._bound_to = self._kernel.bind((source_ip, 0))
        bound_ip, bound_port = self._bound_to
        client_address = (source_ip if bound_ip == WILDCARD else bound_ip, bound_port)
        self._side = side = self._kernel.dial(client_address, server_address, trio.current_time()).client
        try:
            await self._retry(side.check_established, side.writable)
        except trio.Cancelled:
            self.close()
            raise
        except OSError as error:
            self._side = None
            raise OSError(error.errno, f"{error.strerror}: {server_address}") from None

    async def send(self, data: "Buffer", flags: int = 0, /) -> int:
        """Send a part of ``data``, at least one byte, and return how many. Raises OSError (EPIPE, ECONNRESET)."""
        await self._kernel.checkpoint()
        _refuse_flags(flags)
        side = self._require_connected(errno.EPIPE)
        with memoryview(data) as view, view.cast("B") as octets:
            return await self._retry(lambda: side.send(octets, trio.current_time()), side.writable)

    async def wait_writable(self) -> None:
        """Wait until :meth:`send` would return or raise at once."""
        await self._kernel.checkpoint()
        side = self._require_connected()
        await self._retry(side.check_writable, side.writable)

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        """At most ``buflen`` bytes, none at the end of the stream. Raises OSError (ECONNRESET)."""
        await self._kernel.checkpoint()
        _refuse_flags(flags)
        side = self._require_connected()
        return await self._retry(lambda: side.receive(buflen), side.readable)

    async def recv_into(self, buffer: "Buffer", nbytes: int = 0, flags: int = 0) -> int:
        """Like :meth:`recv`, into ``buffer``; returns the number of bytes. 0 ``nbytes`` means what fits."""
        with memoryview(buffer) as view, view.cast("B") as octets:
            data = await self.recv(nbytes or len(octets), flags)
            octets[: len(data)] = data
        return len(data)

    def shutdown(self, flag: int) -> None:
        """End the writing, the reading or both. Raises OSError (ENOTCONN)."""
        side = self._require_connected()
        if flag in {SHUT_WR, SHUT_RDWR}:
            side.end_writes(trio.current_time())
            self._did_shut_writes = True
        if flag in {SHUT_RD, SHUT_RDWR}:
            side.end_reads()

    def close(self) -> None:
        """Give back what the socket holds. Tasks that wait on it get :class:`trio.ClosedResourceError`."""
        if self._fileno == _CLOSED:
            return
        self._kernel.close_socket(self._fileno)
        self._fileno = _CLOSED
        if self._listener is not None and self._bound_to is not None:
            self._kernel.stop_listening(self._bound_to, trio.current_time())
        if self._bound_to is not None:
            self._kernel.unbind(self._bound_to)
        if self._side is not None:
            self._side.close(trio.current_time(), abort=self._aborts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _retry(self, attempt: Callable[[], _T], lot: trio.lowlevel.ParkingLot) -> _T:
        """Call ``attempt`` until it does not raise BlockingIOError, parked in between."""
        while True:
            try:
                return attempt()
            except BlockingIOError:
                pass
            if lot:
                raise trio.BusyResourceError("another task waits for the same thing on this socket")
            await lot.park()
            if self._fileno == _CLOSED:
                raise trio.ClosedResourceError("another task closed this socket")

    def _require_open(self) -> None:
        if self._fileno == _CLOSED:
            raise _os_error(errno.EBADF)

    def _require_connected(self, otherwise: int = errno.ENOTCONN) -> Side:
        self._require_open()
        if self._side is None or not self._side.is_established:
            raise _os_error(otherwise)
        return self._side


def _refuse_flags(flags: int) -> None:
    if flags:
        raise NotImplementedError(f"virtual sockets know no flags, and got {flags:#x}")


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
