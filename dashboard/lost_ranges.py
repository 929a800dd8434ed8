"""Where lost ids would have stood in time: between the point before them and the one after. Pure.

A lost range has no times of its own. Its neighbours by id do, and they may come later than the news of the loss (the
first point after it, or what is filled beside it): then the range closes in on itself.
"""

from collections.abc import Iterator
from typing import Final

from gapless.controller import ContinuityLost
from gapless.dashboard.points import MarketDataBuffer, Point, Rank

RANGES_MAX: Final = 100
"""Lost ranges of a channel whose neighbours are still looked for. What a candle was marked with before stays."""
_NO_END: Final = float("inf")


class LostRange:
    """Ids between two ranks, and the nearest points known below and above them."""

    def __init__(self, low: Rank, high: Rank, before: Point | None, after: Point | None) -> None:
        self._low = low
        self._high = high
        self.before = before
        self.after = after
        self.span = self._enclosing()
        """The venue times that enclose it, ascending; both the same with one neighbour, None with none."""

    def consider(self, point: Point) -> bool:
        """Whether a new point is a nearer neighbour; then it is one from now on."""
        if point.rank < self._low and (self.before is None or point.rank > self.before.rank):
            self.before = point
        elif point.rank > self._high and (self.after is None or point.rank < self.after.rank):
            self.after = point
        else:
            return False
        self.span = self._enclosing()
        return True

    def _enclosing(self) -> tuple[float, float] | None:
        ats = [point.at for point in (self.before, self.after) if point is not None]
        return (min(ats), max(ats)) if ats else None


class LostRanges:
    """The lost ranges of one symbol, by channel."""

    def __init__(self, buffer: MarketDataBuffer) -> None:
        self._buffer = buffer
        self._by_channel: dict[str, list[LostRange]] = {}
        self._settled: dict[str, Rank] = {}
        """Per channel: a point above this rank is no nearer neighbour of anything. Missing: it might be."""

    def __iter__(self) -> Iterator[LostRange]:
        for ranges in self._by_channel.values():
            yield from ranges

    def add(self, event: ContinuityLost) -> LostRange:
        """Enter a loss. Where points have no ids, it lies between what came last and what comes next."""
        buffer, channel = self._buffer, event.channel
        if buffer.is_numbered(channel):
            low = buffer.rank(channel, event.epoch, event.start_seq)
            high = buffer.rank(channel, event.epoch, _NO_END if event.end_seq is None else event.end_seq)
        else:
            resets, epoch, arrival = buffer.rank(channel, event.epoch, None)
            low = high = (resets, epoch, arrival + 0.5)
        lost = LostRange(low, high, *buffer.neighbours(channel, low, high))
        ranges = self._by_channel.setdefault(channel, [])
        ranges.append(lost)
        del ranges[:-RANGES_MAX]
        self.settle(channel)
        return lost

    def near(self, point: Point) -> list[LostRange]:
        """The ranges that the point might be a nearer neighbour of: none, at no cost, while data comes in order."""
        ranges = self._by_channel.get(point.channel)
        if not ranges:
            return []
        settled = self._settled.get(point.channel)
        return [] if settled is not None and point.rank > settled else ranges

    def settle(self, channel: str) -> None:
        """Look anew which points cannot be nearer neighbours: a range of the channel has another one."""
        afters = [lost.after for lost in self._by_channel[channel]]
        self._settled.pop(channel, None)
        ranks = [after.rank for after in afters if after is not None]
        if len(ranks) == len(afters):
            self._settled[channel] = max(ranks)
