"""Who goes next when many want to. Pure.

Start-time fair queueing (Goyal, Vin, Cheng 1996): a ticket's place is where its client's last one ended, or where the
line stands now if the client had none waiting. So clients that share a host get equal shares of it, by weight, however
many requests one of them queues at once; and who was idle has nothing saved up. Priorities go first across all
clients. A lower one may wait for as long as there is work above it: a gap must be filled before it is evicted, while
what a poll would have brought comes with the next one.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

from gapless.controller.priority import Priority


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A place in the line."""

    priority: Priority
    place: float
    number: int
    weight: int = field(compare=False)


class FairLine:
    """Requests that wait, by priority, and within one priority by turns of their clients."""

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []
        self._numbers = count()
        self._stands_at: dict[Priority, float] = {}
        self._client_ends_at: dict[Priority, dict[Hashable, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> Ticket | None:
        """Whose turn it is."""
        return self._waiting[0] if self._waiting else None

    def join(self, client: Hashable, priority: Priority, weight: int) -> Ticket:
        """Queue up."""
        ends_at = self._client_ends_at.setdefault(priority, {})
        place = max(self._stands_at.get(priority, 0.0), ends_at.get(client, 0.0))
        ends_at[client] = place + weight
        ticket = Ticket(priority, place, next(self._numbers), weight)
        heappush(self._waiting, ticket)
        return ticket

    def served(self, ticket: Ticket) -> None:
        """It is this ticket's turn: from now on nobody new is placed before it."""
        self._stands_at[ticket.priority] = ticket.place
        self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give up the place; nothing happens if it was served."""
        if self._waiting and self._waiting[0] is ticket:
            heappop(self._waiting)
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
            heapify(self._waiting)
        if all(each.priority is not ticket.priority for each in self._waiting):
            # Nobody of this priority waits: all start even, and no client is remembered for ever.
            self._client_ends_at.pop(ticket.priority, None)
            self._stands_at.pop(ticket.priority, None)
