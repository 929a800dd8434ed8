"""The rows delivered of late, of a stream whose rows are told by their times. Pure.

Theory. What may go is the oldest *delivered*, what a cursor asks for is the newest *by the venue's clock*, and a row
that REST brings late is where the two differ. So the rows lie in blocks, in the order of their delivery, and each block
knows its newest instant: the oldest go a block at a time, and who wants what is newer than an instant passes over whole
blocks. To take out one row for each new one would be no bound either: the beginning of a ``dict`` from which much was
deleted is walked over each time.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

RowKey = tuple[float, float, float | None, float | None, int | None]
"""Unix seconds, price, bid, ask; and the id, where it is no more than a mark to tell two rows apart."""

REMEMBERED: Final = 10_000
"""Rows remembered at least, so that exact repeats can be dropped: ten pages."""
_BLOCK: Final = 100
"""Rows in a block: as many as there are blocks, so that neither is a long walk."""


class _Block:
    """Rows delivered one after the other."""

    __slots__ = ("keys", "newest_at")

    def __init__(self) -> None:
        self.keys: list[RowKey] = []
        self.newest_at = float("-inf")


class Repeats:
    """Which rows were delivered, and whether REST alone has shown them so far.

    >>> repeats = Repeats()
    >>> repeats.add((1.0, 9.5, None, None, None), live=False)
    >>> (1.0, 9.5, None, None, None) in repeats
    True
    """

    __slots__ = ("_blocks", "_of_rest", "_open")

    def __init__(self) -> None:
        self._of_rest: dict[RowKey, bool] = {}
        self._open = _Block()
        self._blocks: deque[_Block] = deque()

    def __len__(self) -> int:
        return len(self._of_rest)

    def __contains__(self, key: RowKey) -> bool:
        return key in self._of_rest

    def __eq__(self, other: object) -> bool:
        return self._of_rest == other._of_rest if isinstance(other, Repeats) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def add(self, key: RowKey, *, live: bool) -> None:
        """Note a delivered row; one that is known keeps its place."""
        is_known = key in self._of_rest
        self._of_rest[key] = not live
        if is_known:
            return
        block = self._open
        block.keys.append(key)
        block.newest_at = max(block.newest_at, key[0])
        if len(block.keys) >= _BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        self._blocks.append(self._open)
        self._open = _Block()
        if len(self._of_rest) >= REMEMBERED + _BLOCK:
            for key in self._blocks.popleft().keys:
                del self._of_rest[key]

    def show(self, key: RowKey) -> bool:
        """The socket shows a row; whether only REST had until now."""
        if not self._of_rest.get(key):
            return False
        self._of_rest[key] = False
        return True

    def back_to(self, low: float) -> Iterator[RowKey]:
        """What is of this instant or newer, the last delivered first."""
        for block in (self._open, *reversed(self._blocks)):
            if block.newest_at >= low:
                for key in reversed(block.keys):
                    if key[0] >= low:
                        yield key
