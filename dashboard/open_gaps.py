"""Which time-line items are gaps that are still open, and what of each is still missing. Pure.

A gap may be filled in parts, and one fill may close several neighbouring gaps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

StreamKey: TypeAlias = tuple[str, str]
"""Channel and symbol."""

OPEN_MAX: Final = 1_000
"""Open gaps remembered of a stream: the controller's own limit is as high."""


@dataclass(slots=True)
class _OpenGap:
    item: int
    missing: list[tuple[int, int]]


class OpenGaps:
    """The open gaps of all streams, by the number of the item that shows them."""

    def __init__(self) -> None:
        self._open: dict[StreamKey, list[_OpenGap]] = {}

    def found(self, stream: StreamKey, item: int, start: int, end: int) -> None:
        """A gap was found, and is shown by ``item``."""
        gaps = self._open.setdefault(stream, [])
        gaps.append(_OpenGap(item, [(start, end)]))
        del gaps[:-OPEN_MAX]

    def closed(self, stream: StreamKey, start: int, end: int | None) -> list[int]:
        """Ids were filled or lost (``end`` None: to the end of the epoch); the items that miss nothing any more."""
        whole: list[int] = []
        still_open: list[_OpenGap] = []
        for gap in self._open.pop(stream, []):
            if gap.missing[-1][1] >= start and (end is None or gap.missing[0][0] <= end):
                gap.missing = [part for each in gap.missing for part in _without(each, start, end)]
            if gap.missing:
                still_open.append(gap)
            else:
                whole.append(gap.item)
        if still_open:
            self._open[stream] = still_open
        return whole

    def all_closed(self, stream: StreamKey) -> list[int]:
        """The ids of the stream begin anew: nothing is missing any more."""
        return [gap.item for gap in self._open.pop(stream, [])]


def _without(part: tuple[int, int], start: int, end: int | None) -> Iterator[tuple[int, int]]:
    low, high = part
    if high < start or (end is not None and low > end):
        yield part
        return
    if low < start:
        yield low, start - 1
    if end is not None and end < high:
        yield end + 1, high
