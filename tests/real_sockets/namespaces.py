"""Two network namespaces with a link between them that can be made a black hole, and processes in each.

Made without privileges where the kernel lets anybody have a user namespace. The namespaces have no name and no way
out: they are gone with the last process in them, however the test ends, and nothing can leave them.

The hole is made of a neighbour's false hardware address: packets leave, are carried and are taken by nobody, and
neither end is told. A link that is set down would be told, a packet filter may not be there.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from tests.real_sockets.processes import Lines, started
from tests.real_sockets.seen import PATIENCE_S

SERVER_IP: Final = "192.0.2.1"
"""An address for documentation (RFC 5737): it is nobody's."""
_CLIENT_IP: Final = "192.0.2.2"
_SERVER_MAC: Final = "02:00:00:00:00:01"
_CLIENT_MAC: Final = "02:00:00:00:00:02"
_NOBODY_MAC: Final = "02:00:00:00:00:99"
"""Locally administered, like the others."""
_HOLD: Final = ("sh", "-c", "echo ready; exec cat")
"""Keeps a namespace until the test closes its stdin, be it by dying."""


class UnavailableError(Exception):
    """This machine does not let us: the message says what."""


async def run(*command: str, within: Sequence[str] = ()) -> bytes:
    """What a command prints.

    Raises:
        UnavailableError: it is not there, or it failed.
    """
    try:
        done = await trio.run_process([*within, *command], capture_stdout=True, capture_stderr=True, check=False)
    except OSError as error:
        raise UnavailableError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Link:
    """What to put before a command to run it at one of the ends."""

    server: Sequence[str]
    client: Sequence[str]

    async def cut(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        await self._address(_NOBODY_MAC, _NOBODY_MAC)

    async def heal(self) -> None:
        """Let everything arrive again."""
        await self._address(_SERVER_MAC, _CLIENT_MAC)

    async def _address(self, server_mac: str, client_mac: str) -> None:
        await _neighbour(self.client, "client", SERVER_IP, server_mac)
        await _neighbour(self.server, "server", _CLIENT_IP, client_mac)


async def _neighbour(within: Sequence[str], device: str, ip: str, mac: str) -> None:
    await run("ip", "neigh", "replace", ip, "lladdr", mac, "dev", device, "nud", "permanent", within=within)


@asynccontextmanager
async def linked_namespaces() -> AsyncIterator[Link]:
    """Make them; gone when the block is left.

    Raises:
        UnavailableError: this machine does not let us.
    """
    await run("ip", "-Version")
    await run("unshare", "--map-root-user", "--net", "true")
    async with _held("unshare", "--map-root-user", "--net") as server_pid:
        server = _inside(server_pid)
        async with _held(*server, "unshare", "--net") as client_pid:
            client = _inside(client_pid)
            peers = ("address", _SERVER_MAC, "type", "veth", "peer", "name", "client", "address", _CLIENT_MAC)
            await run("ip", "link", "add", "server", *peers, "netns", str(client_pid), within=server)
            for within, device, ip in ((server, "server", SERVER_IP), (client, "client", _CLIENT_IP)):
                await run("ip", "address", "add", f"{ip}/30", "dev", device, within=within)
                await run("ip", "link", "set", device, "up", within=within)
            link = Link(server, client)
            await link.heal()
            yield link


def _inside(pid: int) -> Sequence[str]:
    return ("nsenter", "--target", str(pid), "--user", "--net", "--preserve-credentials")


@asynccontextmanager
async def _held(*command: str) -> AsyncIterator[int]:
    """A process that is in the new namespace when this returns, and stays until the block is left."""
    async with started(*command, *_HOLD) as process:
        with trio.fail_after(PATIENCE_S):
            if await Lines(process).next() != b"ready":
                raise UnavailableError(f"{' '.join(command)} failed")
        yield process.pid
