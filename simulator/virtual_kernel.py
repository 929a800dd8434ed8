"""What the virtual sockets share: ports, listeners, connections, and how long segments travel."""

import errno
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import isfinite
from random import Random

import trio
from trio.lowlevel import ParkingLot

from gapless.simulator.agenda import Agenda
from gapless.simulator.virtual_connection import Connection
from gapless.simulator.virtual_faults import Direction, Faults
from gapless.simulator.virtual_names import CLIENT, LOOPBACK, WILDCARD, Address

FIRST_FILENO = 1_000_000
"""Far above what a process is allowed to open, so that a system call on such a number fails and hits no real file."""

EPHEMERAL_PORTS = range(49_152, 65_536)
"""The dynamic ports of RFC 6335."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long a segment travels one way: ``latency_s`` plus an even draw between 0 and ``jitter_s``.

    Raises:
        ValueError: a number is negative or not finite.
    """

    latency_s: float
    jitter_s: float

    def __post_init__(self) -> None:
        for name, value in (("latency_s", self.latency_s), ("jitter_s", self.jitter_s)):
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")


class Listener:
    """The accept queue of one listening socket."""

    def __init__(self, *, backlog: int) -> None:
        self._queue: deque[Connection] = deque()
        self._backlog = max(1, backlog)
        self.acceptable = ParkingLot()

    @property
    def is_acceptable(self) -> bool:
        """Whether :meth:`take` would return."""
        return bool(self._queue)

    def offer(self, connection: Connection) -> bool:
        """Queue a connection; False if the queue is full."""
        if len(self._queue) >= self._backlog:
            return False
        self._queue.append(connection)
        self.acceptable.unpark_all()
        return True

    def take(self) -> Connection:
        """The connection that waits longest. Raises BlockingIOError (park in ``acceptable``) if there is none."""
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "nobody has connected")
        return self._queue.popleft()

    def close(self, now: float) -> None:
        """Reset what was not accepted."""
        self.acceptable.unpark_all()
        while self._queue:
            self._queue.popleft().server.close(now, abort=True)


class Kernel:
    """The tables of the virtual world. Sockets call it; it knows no socket object, only numbers and addresses.

    Each direction of each connection draws its jitter from a generator of its own, made from ``seed`` and the number of
    the connection: what happens on one connection never shifts the arrival times of another.
    """

    def __init__(self, *, seed: int, latency: Latency, capacity_bytes: int, eager: bool = False) -> None:
        self.agenda = Agenda()
        self.checkpoint: Callable[[], Awaitable[None]] = (
            trio.lowlevel.checkpoint_if_cancelled if eager else trio.lowlevel.checkpoint
        )
        """What each call of a socket begins with."""
        self.faults = Faults()
        self.latency = latency
        self._seed = seed
        self._capacity_bytes = capacity_bytes
        self._filenos = count(FIRST_FILENO)
        self._open_sockets: set[int] = set()
        self._next_port = 0
        self._bound: dict[int, set[str]] = {}
        self._listeners: dict[Address, Listener] = {}
        self._connection_numbers = count(1)
        self._connections: dict[Connection, None] = {}

    # Sockets and their addresses.

    @property
    def open_sockets(self) -> int:
        """How many sockets were opened and not closed."""
        return len(self._open_sockets)

    def open_socket(self) -> int:
        """Count a new socket; returns its number."""
        fileno = next(self._filenos)
        self._open_sockets.add(fileno)
        return fileno

    def close_socket(self, fileno: int) -> None:
        """The socket with this number is closed."""
        self._open_sockets.remove(fileno)

    def bind(self, address: Address) -> Address:
        """Reserve ``address``, with a free port if its port is 0; returns what was reserved.

        Raises:
            OSError: EADDRINUSE, or EADDRNOTAVAIL if there is no free port left.
        """
        ip, port = address
        port = port or self._free_port()
        taken = self._bound.get(port, set())
        if ip in taken or WILDCARD in taken or (ip == WILDCARD and taken):
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {ip}:{port}")
        self._bound.setdefault(port, set()).add(ip)
        return ip, port

    def unbind(self, address: Address) -> None:
        """Free an address that :meth:`bind` returned."""
        ip, port = address
        self._bound[port].remove(ip)
        if not self._bound[port]:
            del self._bound[port]

    def _free_port(self) -> int:
        for _ in EPHEMERAL_PORTS:
            port = EPHEMERAL_PORTS[self._next_port]
            self._next_port = (self._next_port + 1) % len(EPHEMERAL_PORTS)
            if port not in self._bound:
                return port
        raise OSError(errno.EADDRNOTAVAIL, f"all {len(EPHEMERAL_PORTS)} ephemeral ports are in use")

    # Listeners and connections.

    def listen(self, address: Address, backlog: int) -> Listener:
        """Let connections to ``address`` come in."""
        listener = self._listeners[address] = Listener(backlog=backlog)
        return listener

    def stop_listening(self, address: Address, now: float) -> None:
        """End what :meth:`listen` began."""
        self._listeners.pop(address).close(now)

    def source_ip(self, server_address: Address) -> str:
        """Where a client that was not bound seems to come from."""
        return LOOPBACK if server_address[0].startswith("127.") else CLIENT

    def dial(self, client_address: Address, server_address: Address, now: float) -> Connection:
        """Begin to connect."""
        number = next(self._connection_numbers)
        connection = Connection(
            client_address=client_address,
            server_address=server_address,
            capacity_bytes=self._capacity_bytes,
            delays={direction: self._delay_source(number, direction) for direction in Direction.BOTH},
            agenda=self.agenda,
            gate=self,
        )
        self._connections[connection] = None
        connection.black_hole(self.faults.black_holes(server_address[1]), now)
        connection.dial(now)
        return connection

    def connections(self, port: int | None = None) -> tuple[Connection, ...]:
        """What is not over yet, attempts included, oldest first; to one server port or to all."""
        return tuple(each for each in self._connections if port in {None, each.server.address[1]})

    def _delay_source(self, number: int, direction: Direction) -> Callable[[], float]:
        draws = Random(f"{self._seed}/{number}/{direction.name}")  # noqa: S311 (a simulation must be repeatable)
        return partial(self._draw_delay, draws)

    def _draw_delay(self, draws: Random) -> float:
        return self.latency.latency_s + draws.uniform(0.0, self.latency.jitter_s)

    # Called by connections; see Gate.

    def admits(self, address: Address) -> bool:
        """Whether somebody listens there and new connections are not refused."""
        return self._listener_at(address) is not None and not self.faults.refuses(address[1])

    def offer(self, connection: Connection) -> bool:
        """Queue an established connection; False if nobody listens any more or the queue is full."""
        listener = self._listener_at(connection.server.address)
        return listener is not None and listener.offer(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is over on both sides."""
        self._connections.pop(connection, None)

    def _listener_at(self, address: Address) -> Listener | None:
        return self._listeners.get(address) or self._listeners.get((WILDCARD, address[1]))
