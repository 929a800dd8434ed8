"""One end of a TCP connection: what its application may do, and what arrives.

As on Linux, what arrived before a RST may still be read, and after a FIN a read says end of stream whatever follows. A
side closed by its application answers later bytes with RST, and the peer learns that way that nobody listens.
"""

import errno
import os
from collections.abc import Callable
from typing import Final

from trio.lowlevel import ParkingLot

from gapless.simulator.pipe import Kind, Pipe
from gapless.simulator.virtual_names import Address


class Side:
    """One end of a connection. Its socket calls the methods and waits in the parking lots; none of them awaits."""

    def __init__(
        self,
        *,
        address: Address,
        peer_address: Address,
        incoming: Pipe,
        outgoing: Pipe,
        writable: ParkingLot,
        peer_writable: ParkingLot,
        on_done: Callable[[], None],
    ) -> None:
        self.address: Final = address
        self.peer_address: Final = peer_address
        self.readable: Final = ParkingLot()
        self.writable: Final = writable
        self._peer_writable = peer_writable
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_done = on_done
        self._is_closed = False
        self._reads_ended = False
        self._writes_ended = False
        self.is_established = False
        self.error = 0
        """The errno that ended the connection, 0 if none did."""

    @property
    def is_done(self) -> bool:
        """Whether this side has closed the connection or knows that it is over."""
        return self._is_closed or self.error != 0

    @property
    def is_readable(self) -> bool:
        """Whether :meth:`receive` would return or raise at once."""
        return bool(self._incoming.unread_bytes or self._reads_ended or self.error)

    # Called by the socket. A BlockingIOError says: park in the lot of that name and call again.

    def check_established(self) -> None:
        """Raise what ended the attempt, or BlockingIOError while it lasts (park in ``writable``)."""
        self._raise_error()
        if not self.is_established:
            raise BlockingIOError(errno.EINPROGRESS, "the handshake is under way")

    def check_writable(self) -> None:
        """Raise BlockingIOError (park in ``writable``) unless :meth:`send` would return or raise at once."""
        if not (self._outgoing.room_bytes or self._writes_ended or self.error):
            raise BlockingIOError(errno.EAGAIN, "the send buffer is full")

    def send(self, data: memoryview, now: float) -> int:
        """Send a part of ``data`` and return its size. Raises BlockingIOError (park in ``writable``)."""
        self._raise_error()
        if self._writes_ended:
            raise _os_error(errno.EPIPE)
        return self._outgoing.write(data, now)

    def receive(self, max_bytes: int) -> bytes:
        """At most ``max_bytes`` that have arrived, empty at the end. Raises BlockingIOError (park in ``readable``)."""
        data = self._incoming.read(max_bytes)
        if data:
            self._peer_writable.unpark_all()
        elif not self._reads_ended and max_bytes:
            self._raise_error()
            raise BlockingIOError(errno.EAGAIN, "nothing has arrived")
        return data

    def end_writes(self, now: float) -> None:
        """Send a FIN after what has been sent; reading goes on."""
        if self.error:
            raise _os_error(errno.ENOTCONN)
        if not self._writes_ended:
            self._writes_ended = True
            self._outgoing.put(Kind.FIN, now)
            self.writable.unpark_all()

    def end_reads(self) -> None:
        """Read no further than what has arrived."""
        self._reads_ended = True
        self.readable.unpark_all()

    def close(self, now: float, *, abort: bool) -> None:
        """End this side with a FIN; with a RST when told to abort or when something arrived that nobody read."""
        if self._is_closed:
            return
        if not self.is_established:
            self._outgoing.drop()
            self._incoming.drop()
        elif not self.error and (abort or self._incoming.unread_bytes):
            self._outgoing.put(Kind.RST, now)
        elif not self.error and not self._writes_ended:
            self._outgoing.put(Kind.FIN, now)
        self._incoming.read(self._incoming.unread_bytes)
        self._is_closed = True
        self._wake_and_report()

    # Called by the connection.

    def establish(self) -> None:
        """The handshake is complete on this side."""
        self.is_established = True
        self.writable.unpark_all()

    def handle(self, kind: Kind, now: float) -> None:
        """A segment that is not a step of the handshake has arrived."""
        if self._is_closed:
            if kind is Kind.DATA:
                self._incoming.read(self._incoming.unread_bytes)
                self._outgoing.put(Kind.RST, now)
        elif kind is Kind.RST and not self.is_established:
            self.fail(errno.ECONNREFUSED)
        elif kind is Kind.RST:
            self.fail(errno.EPIPE if self._reads_ended else errno.ECONNRESET)
        elif kind is Kind.FIN:
            self.end_reads()
        else:
            self.readable.unpark_all()

    def fail(self, error: int) -> None:
        """The connection is over for this side, and every further call says why."""
        if not self.is_done:
            self.error = error
            self._wake_and_report()

    def _raise_error(self) -> None:
        if self.error:
            raise _os_error(self.error)

    def _wake_and_report(self) -> None:
        self.readable.unpark_all()
        self.writable.unpark_all()
        self._on_done()


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
