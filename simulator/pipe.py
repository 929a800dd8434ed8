"""One direction of a TCP connection: what is under way, what has arrived and is unread. Pure; time is an argument.

Theory. A segment is a handshake step, some bytes, a FIN or a RST. It is due after a delay, and arrives then or, if one
before it is late, together with that one: TCP delivers in order. Handshake and end travel like bytes do, and so a cut
direction holds them back too.

Bytes occupy the pipe from the moment they are sent until the application at the other end reads them. One bound
therefore stands for the send buffer, the window and the receive buffer together. What this does not say: a real sender
learns of the freed space only when an acknowledgement comes back. Here it knows at once, and a cut in the other
direction, which would hold up the acknowledgements, does not stop it.
"""

import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, unique


@unique
class Kind(Enum):
    """What a segment says."""

    SYN = "SYN"
    """I want to connect."""
    SYN_ACK = "SYN_ACK"
    """You may."""
    ACK = "ACK"
    """Then we are connected."""
    DATA = "DATA"
    FIN = "FIN"
    """I shall send nothing more."""
    RST = "RST"
    """There is no connection: it was refused or it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    kind: Kind
    payload: bytes
    due_at: float


class Pipe:
    """Segments from one end to the other, in order.

    Methods are sorted by who calls them: the sender, the network, the receiver.

    Args:
        capacity_bytes: how many bytes may be under way and unread together before :meth:`write` would block.
        delay: draws the seconds that the next segment travels.
        schedule: told when a segment is due; :meth:`arrive` should be called then until it returns None. A call in vain
            does no harm.
    """

    def __init__(self, *, capacity_bytes: int, delay: Callable[[], float], schedule: Callable[[float], None]) -> None:
        self._capacity_bytes = capacity_bytes
        self._delay = delay
        self._schedule = schedule
        self._under_way: deque[_Segment] = deque()
        self._under_way_bytes = 0
        self._unread = bytearray()
        self._finished = False
        self._is_cut = False
        self.arrived_bytes = 0

    @property
    def room_bytes(self) -> int:
        """How many bytes the next :meth:`write` takes at most."""
        return self._capacity_bytes - self._under_way_bytes - len(self._unread)

    def write(self, data: memoryview, now: float) -> int:
        """Send as much of ``data`` as there is room for; returns the number of bytes taken, at least one.

        After a FIN, which only a fault can have slipped in behind the sender's back, bytes are taken and lost.

        Raises:
            BlockingIOError: there is no room.
        """
        if self._finished:
            return len(data)
        payload = bytes(data[: self.room_bytes])
        if data and not payload:
            raise BlockingIOError(errno.EAGAIN, "the send buffer is full")
        if payload:
            self._send(Kind.DATA, payload, now)
        return len(payload)

    def put(self, kind: Kind, now: float) -> None:
        """Send a segment without bytes, room or not."""
        self._finished = self._finished or kind is Kind.FIN
        self._send(kind, b"", now)

    def arrive(self, now: float) -> Kind | None:
        """Let the next segment arrive if it is due, and say what it was. Its bytes are then unread."""
        if self._is_cut or not self._under_way or self._under_way[0].due_at > now:
            return None
        segment = self._under_way.popleft()
        self._under_way_bytes -= len(segment.payload)
        self._unread += segment.payload
        self.arrived_bytes += len(segment.payload)
        return segment.kind

    def cut(self) -> None:
        """From now on nothing arrives, not even what is under way."""
        self._is_cut = True

    def heal(self, now: float) -> None:
        """What was held back is sent again and arrives one delay from now, in order."""
        if not self._is_cut:
            return
        self._is_cut = False
        again_at = now + self._delay()
        self._under_way = deque(replace(each, due_at=max(each.due_at, again_at)) for each in self._under_way)
        for due_at in dict.fromkeys(each.due_at for each in self._under_way):
            self._schedule(due_at)

    def drop(self) -> None:
        """Lose everything that is under way or unread."""
        self._under_way.clear()
        self._under_way_bytes = 0
        self._unread.clear()

    @property
    def unread_bytes(self) -> int:
        """How many bytes have arrived and wait to be read."""
        return len(self._unread)

    def read(self, max_bytes: int) -> bytes:
        """Take at most ``max_bytes`` of what has arrived; empty when nothing has."""
        data = bytes(self._unread[:max_bytes])
        del self._unread[: len(data)]
        return data

    def _send(self, kind: Kind, payload: bytes, now: float) -> None:
        segment = _Segment(kind=kind, payload=payload, due_at=now + self._delay())
        self._under_way.append(segment)
        self._under_way_bytes += len(payload)
        if not self._is_cut:
            self._schedule(segment.due_at)
