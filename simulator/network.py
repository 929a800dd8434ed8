"""A virtual network: TCP on virtual time, with faults, inside one process.

Theory. trio lets a run replace its socket factory and its resolver. While a :class:`VirtualNetwork` is installed, every
trio socket of the run is virtual, and so trio-websocket, httpx and any server over trio listeners run on it unchanged.
With ``MockClock(autojump_threshold=0)`` an hour passes as soon as nobody has anything to do: there is no real socket,
no thread and no sleep that the clock could not jump over.

Bytes are handed over by one system task that sleeps until the next arrival, or, where the run has a
:class:`~gapless.simulator.virtual_clock.VirtualClock`, by the clock itself. Everything else happens in the task of the
caller, in one step.

What this is not:

* IPv4 and TCP only; a stream of bytes has no bandwidth and no packet size, only latency, jitter and a bounded buffer.
* There are no timers of TCP: no retransmission before a black hole heals, no keep-alive, no giving up after minutes.
* A socket that is dropped without ``close`` stays open and is counted, where a real one is closed by the garbage
  collector sooner or later.
* A network belongs to one run. After it was uninstalled nothing arrives any more, though its sockets can be closed.
* Arrival times follow from the seed alone as long as connections are made in the same order. trio shuffles tasks that
  become runnable at the same instant; a scenario that connects twice in one instant needs deterministic scheduling.

>>> from trio.testing import MockClock
>>> async def story() -> bytes:
...     network = VirtualNetwork(seed=1)
...     with network.installed():
...         (listener,) = await trio.open_tcp_listeners(80, host="exchange.example")
...         async with listener, await trio.open_tcp_stream("exchange.example", 80) as client:
...             async with await listener.accept() as server:
...                 await server.send_all(b"hello")
...                 return await client.receive_some()
>>> trio.run(story, clock=MockClock(autojump_threshold=0))
b'hello'
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from socket import IPPROTO_TCP, AddressFamily, SocketKind

import trio

from gapless.simulator.agenda import Agenda
from gapless.simulator.virtual_clock import VirtualClock
from gapless.simulator.virtual_connection import ConnectionSnapshot
from gapless.simulator.virtual_faults import Direction
from gapless.simulator.virtual_kernel import Kernel, Latency
from gapless.simulator.virtual_names import VirtualResolver
from gapless.simulator.virtual_socket import VirtualSocket

__all__ = ["ConnectionSnapshot", "Direction", "VirtualNetwork"]

DEFAULT_LATENCY_S = 0.005
"""One way; a server in the same region. Long enough that nothing is instantaneous, short beside every timeout."""

DEFAULT_SEND_BUFFER_BYTES = 65_536
"""Per direction. Linux begins with 16 KiB to send and 128 KiB to receive and grows; this is the order of magnitude."""


class VirtualNetwork:
    """A world of virtual hosts. Each fault can be switched at any time, for one server port or for all (None).

    Args:
        seed: where all jitter comes from.
        latency_s: seconds that everything travels one way.
        jitter_s: up to so many seconds more, drawn anew for each segment; nothing overtakes.
        send_buffer_bytes: how many bytes one direction of a connection holds, under way and unread together, before
            ``send`` blocks.
        eager: a call that need not wait does not give way to other tasks either. That halves the cost of a run; buffers
            are bounded, so nobody starves.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        latency_s: float = DEFAULT_LATENCY_S,
        jitter_s: float = 0.0,
        send_buffer_bytes: int = DEFAULT_SEND_BUFFER_BYTES,
        eager: bool = False,
    ) -> None:
        if send_buffer_bytes < 1:
            raise ValueError(f"send_buffer_bytes must be 1 or more, or nothing could be sent, not {send_buffer_bytes}")
        self._kernel = Kernel(
            seed=seed,
            latency=Latency(latency_s=latency_s, jitter_s=jitter_s),
            capacity_bytes=send_buffer_bytes,
            eager=eager,
        )

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Make every socket of the running trio run virtual; the former factory and resolver return on exit."""
        keeper = trio.CancelScope()
        clock = trio.lowlevel.current_clock()
        if isinstance(clock, VirtualClock):
            clock.keep(self._kernel.agenda)
        else:
            trio.lowlevel.spawn_system_task(self._keep_agenda, keeper, name="virtual network")
        former_factory = trio.socket.set_custom_socket_factory(_Factory(self._kernel))
        former_resolver = trio.socket.set_custom_hostname_resolver(VirtualResolver())
        try:
            yield
        finally:
            trio.socket.set_custom_hostname_resolver(former_resolver)
            trio.socket.set_custom_socket_factory(former_factory)
            keeper.cancel()
            if isinstance(clock, VirtualClock):
                clock.keep(Agenda())

    # What there is.

    @property
    def connections(self) -> tuple[ConnectionSnapshot, ...]:
        """The open connections, in the order in which they were dialled.

        Open is one whose client was connected, until both sides have closed it or know that it is over.
        """
        return tuple(each.snapshot() for each in self._kernel.connections() if each.is_open)

    @property
    def open_sockets(self) -> int:
        """How many sockets, listeners included, were made and not closed."""
        return self._kernel.open_sockets

    # Faults that last until they are taken back.

    def refuse(self, port: int | None = None) -> None:
        """New connections get ECONNREFUSED after a round trip. Existing ones, and those not yet accepted, live on."""
        self._kernel.faults.refuse(port, on=True)

    def accept(self, port: int | None = None) -> None:
        """Take :meth:`refuse` back."""
        self._kernel.faults.refuse(port, on=False)

    def black_hole(self, direction: Direction = Direction.BOTH, port: int | None = None) -> None:
        """From now on nothing arrives in this direction, on existing and on new connections.

        What is under way is held back too, and handshakes, FIN and RST like bytes. Neither side learns of it; a sender
        fills its buffer and then blocks. A direction that was cut before stays cut.
        """
        self._kernel.faults.black_hole(direction, port, on=True)
        self._apply_black_holes()

    def heal(self, port: int | None = None) -> None:
        """Take :meth:`black_hole` back, both ways. What was held back arrives one latency later, in order."""
        self._kernel.faults.black_hole(Direction.BOTH, port, on=False)
        self._apply_black_holes()

    def set_latency(self, latency_s: float, jitter_s: float = 0.0) -> None:
        """Everything sent from now on travels so long, and never arrives before what was sent earlier.

        Raises:
            ValueError: a number is negative or not finite.
        """
        self._kernel.latency = Latency(latency_s=latency_s, jitter_s=jitter_s)

    # Faults of a moment; they affect the connections that are open now.

    def reset(self, port: int | None = None) -> int:
        """Both sides get ECONNRESET from now on, at once and even in a black hole; unread bytes are lost.

        Returns the number of connections that were reset.
        """
        victims = [each for each in self._kernel.connections(port) if each.is_open]
        for victim in victims:
            victim.reset()
        return len(victims)

    def half_close(self, port: int | None = None) -> int:
        """The clients get a FIN, after what was sent to them; the other direction works on.

        As when a proxy between them closes one way: the servers are not told, and what they send later is taken and
        lost. Returns the number of connections.
        """
        victims = [each for each in self._kernel.connections(port) if each.is_open]
        for victim in victims:
            victim.half_close(trio.current_time())
        return len(victims)

    def _apply_black_holes(self) -> None:
        for connection in self._kernel.connections():
            port = connection.server.address[1]
            connection.black_hole(self._kernel.faults.black_holes(port), trio.current_time())

    async def _keep_agenda(self, scope: trio.CancelScope) -> None:
        with scope:
            await self._kernel.agenda.keep()


class _Factory(trio.abc.SocketFactory):
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def socket(
        self,
        family: AddressFamily | int = AddressFamily.AF_INET,
        type: SocketKind | int = SocketKind.SOCK_STREAM,  # noqa: A002 (trio names it so)
        proto: int = 0,
    ) -> VirtualSocket:
        """A new socket. Raises OSError: EAFNOSUPPORT, EPROTONOSUPPORT."""
        if family != AddressFamily.AF_INET:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        if type != SocketKind.SOCK_STREAM or proto not in {0, IPPROTO_TCP}:
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        return VirtualSocket(self._kernel)
