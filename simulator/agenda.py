"""What will happen when, and the one task that lets it happen."""

import heapq
from collections.abc import Callable
from itertools import count
from math import inf
from typing import NoReturn

import trio


class Agenda:
    """Actions in order of time; of two that are due at the same time, the one added first comes first.

    Only :meth:`keep` knows a clock; a clock that keeps an agenda itself asks :attr:`due_at` and calls :meth:`run_due`.
    An action is called with the time at which it runs, never before it is due.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._nap = trio.CancelScope()

    def add(self, due_at: float, action: Callable[[float], None]) -> None:
        """Call ``action`` once ``due_at`` (seconds, on the clock of the run) has come."""
        heapq.heappush(self._entries, (due_at, next(self._order), action))
        self._nap.deadline = min(self._nap.deadline, due_at)

    @property
    def due_at(self) -> float:
        """When the next action is due; infinity: there is none."""
        return self._entries[0][0] if self._entries else inf

    def run_due(self, now: float) -> None:
        """Call everything that is due, including what an action adds meanwhile."""
        while self._entries and self._entries[0][0] <= now:
            _, _, action = heapq.heappop(self._entries)
            action(now)

    async def keep(self) -> NoReturn:
        """Call each action when it is due; never returns. Adding an earlier action shortens the nap under way."""
        while True:
            self._nap = trio.CancelScope(deadline=self.due_at)
            with self._nap:
                await trio.sleep_forever()
            self.run_due(trio.current_time())
