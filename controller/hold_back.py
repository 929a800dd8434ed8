"""Data that waits for what lies before it, per stream, in the order of its ids. Pure."""

from collections.abc import Hashable
from heapq import heappop, heappush
from itertools import count

from gapless.controller.events import BalanceUpdate, MarketData, OrderUpdate

Data = MarketData | OrderUpdate | BalanceUpdate


class HoldBack:
    """What ``ordering="sequence"`` does not hand over yet."""

    def __init__(self) -> None:
        self._held: dict[Hashable, list[tuple[int, int, Data]]] = {}
        self._arrivals = count()
        self._size = 0

    def __len__(self) -> int:
        """Pieces of data held, of all streams."""
        return self._size

    def keep(self, stream: Hashable, sequence_id: int, event: Data) -> None:
        """Hold one piece of data back."""
        heappush(self._held.setdefault(stream, []), (sequence_id, next(self._arrivals), event))
        self._size += 1

    def release(self, stream: Hashable, below: int) -> list[Data]:
        """Take out what lies below an id, ascending: nothing before it is missing any more."""
        held = self._held.get(stream)
        if not held:
            return []
        freed: list[Data] = []
        while held and held[0][0] < below:
            freed.append(heappop(held)[2])
        self._size -= len(freed)
        if not held:
            del self._held[stream]
        return freed

    def keep_latest(self) -> list[tuple[MarketData, list[int]]]:
        """Of each stream's market data only the highest id stays; what went, with a datum of its stream."""
        gone: list[tuple[MarketData, list[int]]] = []
        for stream, held in self._held.items():
            latest = max(held)
            event = latest[2]
            if isinstance(event, MarketData) and len(held) > 1:
                gone.append((event, [number for number, _, each in held if each is not event]))
                self._size -= len(held) - 1
                self._held[stream] = [latest]
        return gone
