"""One TCP connection: two sides, a pipe each way, and what each arriving segment does.

Theory. The handshake takes three segments: SYN, SYN_ACK, ACK. The client is connected when SYN_ACK arrives, after one
round trip; the server may accept when ACK does. RST before that is a refusal, RST later a reset.

There are no timers: a SYN or bytes that a black hole holds back are neither sent again before it heals nor given up. A
real kernel gives up after minutes; an application that waits for that has no timeout of its own.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from trio.lowlevel import ParkingLot

from gapless.simulator.agenda import Agenda
from gapless.simulator.pipe import Kind, Pipe
from gapless.simulator.virtual_faults import Direction
from gapless.simulator.virtual_names import Address
from gapless.simulator.virtual_side import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSnapshot:
    """An open connection as it was when asked for."""

    client_address: Address
    server_address: Address
    bytes_to_server: int
    """Bytes that have arrived there, read or not."""
    bytes_to_client: int
    """Bytes that have arrived there, read or not."""
    opened_at: float
    """When the client was connected, in seconds on the clock of the run."""


class Gate(Protocol):
    """What a connection asks of the world it leads through."""

    def admits(self, address: Address) -> bool:
        """Whether somebody listens there and new connections are not refused."""
        ...

    def offer(self, connection: "Connection") -> bool:
        """Put an established connection where it can be accepted; False if there is no room."""
        ...

    def forget(self, connection: "Connection") -> None:
        """The connection is over on both sides."""
        ...


class Connection:
    """Two sides and the pipes between them.

    Args:
        client_address: where it comes from.
        server_address: where it leads to; what the client dialled.
        capacity_bytes: see :class:`~gapless.simulator.pipe.Pipe`, for each direction.
        delays: how long segments travel, for each direction.
        agenda: where arrivals are written down.
        gate: asked when the handshake reaches the server, told when all is over.
    """

    def __init__(
        self,
        *,
        client_address: Address,
        server_address: Address,
        capacity_bytes: int,
        delays: dict[Direction, Callable[[], float]],
        agenda: Agenda,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._to_server = Pipe(
            capacity_bytes=capacity_bytes,
            delay=delays[Direction.TO_SERVER],
            schedule=partial(agenda.add, action=self._arrive_at_server),
        )
        self._to_client = Pipe(
            capacity_bytes=capacity_bytes,
            delay=delays[Direction.TO_CLIENT],
            schedule=partial(agenda.add, action=self._arrive_at_client),
        )
        to_server_writable, to_client_writable = ParkingLot(), ParkingLot()
        self.client: Final = Side(
            address=client_address,
            peer_address=server_address,
            incoming=self._to_client,
            outgoing=self._to_server,
            writable=to_server_writable,
            peer_writable=to_client_writable,
            on_done=self._forget_if_over,
        )
        self.server: Final = Side(
            address=server_address,
            peer_address=client_address,
            incoming=self._to_server,
            outgoing=self._to_client,
            writable=to_client_writable,
            peer_writable=to_server_writable,
            on_done=self._forget_if_over,
        )
        self._opened_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the client was connected and a side still believes in the connection."""
        return self.client.is_established and not (self.client.is_done and self.server.is_done)

    def snapshot(self) -> ConnectionSnapshot:
        """The connection as it is now."""
        return ConnectionSnapshot(
            client_address=self.client.address,
            server_address=self.server.address,
            bytes_to_server=self._to_server.arrived_bytes,
            bytes_to_client=self._to_client.arrived_bytes,
            opened_at=self._opened_at,
        )

    def dial(self, now: float) -> None:
        """Begin the handshake."""
        self._to_server.put(Kind.SYN, now)

    def black_hole(self, directions: Direction, now: float) -> None:
        """Cut these directions and heal the others."""
        for direction, pipe in ((Direction.TO_SERVER, self._to_server), (Direction.TO_CLIENT, self._to_client)):
            if direction in directions:
                pipe.cut()
            else:
                pipe.heal(now)

    def reset(self) -> None:
        """Both sides are told at once that the connection was reset; what was under way or unread is lost."""
        self._to_server.drop()
        self._to_client.drop()
        self.client.fail(errno.ECONNRESET)
        self.server.fail(errno.ECONNRESET)

    def half_close(self, now: float) -> None:
        """The client gets a FIN after what was sent to it; the server is not told, and what it sends later is lost."""
        self._to_client.put(Kind.FIN, now)

    def _arrive_at_server(self, now: float) -> None:
        while (kind := self._to_server.arrive(now)) is not None:
            if kind is Kind.SYN:
                admitted = self._gate.admits(self.server.address)
                self._to_client.put(Kind.SYN_ACK if admitted else Kind.RST, now)
            elif kind is Kind.ACK:
                self.server.establish()
                if not self._gate.offer(self):
                    self.server.close(now, abort=True)
            else:
                self.server.handle(kind, now)

    def _arrive_at_client(self, now: float) -> None:
        while (kind := self._to_client.arrive(now)) is not None:
            if kind is Kind.SYN_ACK:
                self._opened_at = now
                self.client.establish()
                self._to_server.put(Kind.ACK, now)
            else:
                self.client.handle(kind, now)

    def _forget_if_over(self) -> None:
        if self.client.is_done and (self.server.is_done or not self.client.is_established):
            self._gate.forget(self)
