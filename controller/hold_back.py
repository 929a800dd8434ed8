"""Data that waits for what lies before it, per stream, in the order of its ids. Pure."""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from msgspec.structs import replace

from gapless.controller.events import BalanceUpdate, GapFilled, MarketData, OrderUpdate

Data = MarketData | OrderUpdate | BalanceUpdate


class HoldBack:
    """What ``ordering="sequence"`` does not hand over yet: data, and after it the word that it filled a gap."""

    def __init__(self) -> None:
        self._held: dict[Hashable, list[tuple[int, int, Data | GapFilled]]] = {}
        self._arrivals = count()
        self._size = 0

    def __len__(self) -> int:
        """Pieces of data held, of all streams."""
        return self._size

    def __iter__(self) -> Iterator[Data | GapFilled]:
        return (event for held in self._held.values() for _id, _arrival, event in held)

    def keep(self, stream: Hashable, sequence_id: int, event: Data) -> None:
        """Hold one piece of data back."""
        heappush(self._held.setdefault(stream, []), (sequence_id, next(self._arrivals), event))
        self._size += 1

    def keep_word(self, stream: Hashable, word: GapFilled) -> None:
        """Hold back the word on ids that are all held back."""
        heappush(self._held.setdefault(stream, []), (word.end_seq, next(self._arrivals), word))

    def release(self, stream: Hashable, below: int) -> list[Data | GapFilled]:
        """Take out what lies below an id, ascending: nothing before it is missing any more."""
        held = self._held.get(stream)
        if not held:
            return []
        freed: list[Data | GapFilled] = []
        while held and held[0][0] < below:
            freed.append(heappop(held)[2])
        self._size -= sum(1 for each in freed if not isinstance(each, GapFilled))
        if not held:
            del self._held[stream]
        return freed

    def drop(self, stream: Hashable, start: int) -> None:
        """Forget what is held of a stream from an id on."""
        held = self._held.pop(stream, [])
        kept = [each for each in held if each[0] < start]
        self._size -= sum(1 for each in held if each[0] >= start and not isinstance(each[2], GapFilled))
        if kept:
            heapify(kept)
            self._held[stream] = kept

    def keep_latest(self) -> tuple[list[GapFilled], list[tuple[MarketData, list[int]]]]:
        """Of each stream's market data only the highest id stays.

        Returns:
            The words on what went, and what went, with a datum of its stream.
        """
        words: list[GapFilled] = []
        gone: list[tuple[MarketData, list[int]]] = []
        for stream, held in self._held.items():
            latest = max((each for each in held if not isinstance(each[2], GapFilled)), default=None)
            if latest is None or not isinstance(latest[2], MarketData):
                continue
            kept: list[tuple[int, int, Data | GapFilled]] = []
            ids: list[int] = []
            for number, arrival, event in held:
                if not isinstance(event, GapFilled):
                    if number < latest[0]:
                        ids.append(number)
                    else:
                        kept.append((number, arrival, event))
                    continue
                if event.start_seq < latest[0]:
                    words.append(replace(event, end_seq=min(event.end_seq, latest[0] - 1)))
                if number >= latest[0]:
                    kept.append((number, arrival, replace(event, start_seq=max(event.start_seq, latest[0]))))
            if ids:
                gone.append((latest[2], ids))
            self._size -= len(ids)
            heapify(kept)
            self._held[stream] = kept
        return words, gone
