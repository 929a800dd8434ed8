"""Names and addresses of the virtual world: every name has an IPv4 address, and no name server is asked."""

import hashlib
import socket
from ipaddress import AddressValueError, IPv4Address
from socket import AddressFamily, SocketKind
from typing import Literal, TypeAlias

import trio

Address: TypeAlias = tuple[str, int]
"""An IPv4 address in dotted form and a port."""

WILDCARD = "0.0.0.0"  # noqa: S104 (no real interface is bound)
LOOPBACK = "127.0.0.1"
CLIENT = "192.0.2.1"
"""Where a client seems to be that connects to anything but the loopback; from the block that RFC 5737 sets aside."""

_Entry: TypeAlias = (
    tuple[Literal[AddressFamily.AF_INET], SocketKind, int, str, tuple[str, int]]
    | tuple[Literal[AddressFamily.AF_INET6], SocketKind, int, str, tuple[str, int, int, int] | tuple[int, bytes]]
)


def virtual_ip(host: str) -> str:
    """The address of ``host``: itself if it is one, the loopback for ``localhost``, else one in 10.0.0.0/8.

    The latter is taken from a hash of the name: the same in every run and whatever was asked before. Two names may
    share an address, as they do on real servers; among 20 names the chance is 1 in 88,000.

    >>> virtual_ip("localhost"), virtual_ip("203.0.113.7")
    ('127.0.0.1', '203.0.113.7')
    >>> virtual_ip("exchange.example") == virtual_ip("EXCHANGE.example")
    True
    """
    name = host.lower()
    if name == "localhost":
        return LOOPBACK
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        digest = hashlib.sha256(name.encode()).digest()
        return str(IPv4Address(bytes((10, *digest[:3]))))


class VirtualResolver(trio.abc.HostnameResolver):
    """Resolves every name at once, to one IPv4 address for TCP."""

    async def getaddrinfo(  # noqa: PLR0917 (as in the standard library)
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 (trio names it so)
        proto: int = 0,  # noqa: ARG002 (there is only one)
        flags: int = 0,
    ) -> list[_Entry]:
        """Like :func:`socket.getaddrinfo`.

        Raises:
            socket.gaierror: IPv6, another type than a stream, a service given by name, or a name where the caller
                allows addresses only.
        """
        await trio.lowlevel.checkpoint()
        if family not in {0, AddressFamily.AF_INET}:
            raise socket.gaierror(socket.EAI_FAMILY, "the virtual network has IPv4 only")
        if type not in {0, SocketKind.SOCK_STREAM}:
            raise socket.gaierror(socket.EAI_SOCKTYPE, "the virtual network has TCP only")
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is a name, and AI_NUMERICHOST wants an address")
        try:
            number = int(port or 0)
        except ValueError:
            raise socket.gaierror(socket.EAI_SERVICE, f"a port is a number here, not {port!r}") from None
        ip = virtual_ip((host or b"localhost").decode("ascii"))
        return [(AddressFamily.AF_INET, SocketKind.SOCK_STREAM, socket.IPPROTO_TCP, "", (ip, number))]

    async def getnameinfo(
        self,
        sockaddr: tuple[str, int] | tuple[str, int, int, int],
        flags: int,  # noqa: ARG002 (addresses have no names to choose from)
    ) -> tuple[str, str]:
        """Like :func:`socket.getnameinfo` with the numeric flags: an address has no name here."""
        await trio.lowlevel.checkpoint()
        return sockaddr[0], str(sockaddr[1])
