"""Candles of one symbol, made of its market data buffer. Pure.

A point enters the bar of its own time, whenever it comes: open and close belong to the first and the last point *in
time*, high and low to all of them, so that what REST brings late corrects past bars, and candles are the same in
whatever order the points came. The buffer says which points are new; each of them costs the same, a bar is never made
anew. A bar whose oldest points have left the buffer keeps what they gave it.

All channels of a symbol share its bars: where a ticker and a trade speak of the same price, a bar counts both.
A bar is marked ``lost`` if ids that will never come lie between a point of it and a neighbouring one
(:mod:`gapless.dashboard.lost_ranges`).
"""

from bisect import bisect_left, bisect_right, insort
from typing import Final

from gapless.controller import ContinuityLost, MarketData
from gapless.dashboard.lost_ranges import LostRanges
from gapless.dashboard.points import MarketDataBuffer, Point, Refusal
from gapless.dashboard.revisions import Revisions
from gapless.dashboard.wire import CandleWire

BARS_MAX: Final = 600
"""Bars a symbol; at 5 s each fifty minutes, more than a screen is wide. The oldest leave first."""


class Bar:
    """The points of one interval, summed up."""

    __slots__ = ("count", "first", "high", "last", "lost", "low", "over_rest", "t")

    def __init__(self, t: int, point: Point, lost: int) -> None:
        self.t = t
        self.first = self.last = point
        self.high = self.low = point.price
        self.count = 0
        self.over_rest = 0
        self.lost = lost
        """How many lost ranges touch it."""
        self.add(point)

    def add(self, point: Point) -> None:
        """Enter a point of this interval."""
        if point.order > self.last.order:
            self.last = point
        elif point.order < self.first.order:
            self.first = point
        self.high = max(self.high, point.price)
        self.low = min(self.low, point.price)
        self.count += 1
        self.over_rest += point.over_rest

    def candle(self) -> CandleWire:
        """As the page gets it."""
        return CandleWire(
            t=self.t,
            o=self.first.price,
            h=self.high,
            l=self.low,
            c=self.last.price,
            v=float(self.count),
            n=self.count,
            over_rest=self.over_rest,
            lost=self.lost > 0,
        )


class CandlestickAggregator:
    """The last ``bars_max`` candles of one symbol, ``interval_s`` seconds wide.

    Made on a buffer that already holds points, it begins with their candles.
    """

    def __init__(self, buffer: MarketDataBuffer, *, interval_s: float = 5.0, bars_max: int = BARS_MAX) -> None:
        if interval_s < 1 or interval_s != int(interval_s):
            raise ValueError(f"a candle is a whole number of seconds wide, at least 1, got {interval_s}")
        if bars_max < 1:
            raise ValueError(f"bars_max must be at least 1, got {bars_max}")
        self._buffer = buffer
        self._interval_s = int(interval_s)
        self._bars_max = bars_max
        self._bars: dict[int, Bar] = {}
        self._times: list[int] = []
        self._changes = Revisions[int, Bar](size_max=bars_max)
        self._lost = LostRanges(buffer)
        for point in buffer.points:
            self._add(point, 0)

    def __len__(self) -> int:
        return len(self._times)

    def enter(self, datum: MarketData, *, revision: int = 0) -> Refusal | None:
        """Take a datum; why it changed no candle, or None."""
        point = self._buffer.enter(datum)
        if isinstance(point, Refusal):
            return point
        self._add(point, revision)
        for lost in self._lost.near(point):
            before = lost.span
            if lost.consider(point):
                # In this order no bar of both spans changes in between.
                self._mark(lost.span, +1, revision)
                self._mark(before, -1, revision)
                self._lost.settle(point.channel)
        return None

    def lose(self, event: ContinuityLost, *, revision: int = 0) -> None:
        """Mark the bars that a lost range touches, now and when its neighbours come."""
        self._mark(self._lost.add(event).span, +1, revision)

    def candles(self) -> list[CandleWire]:
        """All of them, oldest first; intervals without points have none."""
        return [self._bars[t].candle() for t in self._times]

    def newer_than(self, revision: int) -> list[CandleWire]:
        """Those that changed after ``revision``."""
        return [bar.candle() for bar in self._changes.newer_than(revision)]

    def _add(self, point: Point, revision: int) -> None:
        t = self._bar_time(point.at)
        bar = self._bars.get(t)
        if bar is not None:
            bar.add(point)
        else:
            if len(self._times) == self._bars_max:
                if t < self._times[0]:
                    return
                self._forget_oldest()
            bar = self._bars[t] = Bar(t, point, self._losses_around(t))
            insort(self._times, t)
        self._changes.put(t, bar, revision=revision)

    def _forget_oldest(self) -> None:
        oldest = self._times.pop(0)
        del self._bars[oldest]
        self._changes.remove(oldest)

    def _bar_time(self, at: float) -> int:
        return int(at // self._interval_s) * self._interval_s

    def _losses_around(self, t: int) -> int:
        spans = [lost.span for lost in self._lost if lost.span is not None]
        return sum(first < t + self._interval_s and t <= last for first, last in spans)

    def _mark(self, span: tuple[float, float] | None, change: int, revision: int) -> None:
        if span is None:
            return
        first, last = self._bar_time(span[0]), self._bar_time(span[1])
        for t in self._times[bisect_left(self._times, first) : bisect_right(self._times, last)]:
            bar = self._bars[t]
            was_lost, bar.lost = bar.lost > 0, bar.lost + change
            if was_lost is not (bar.lost > 0):
                self._changes.put(t, bar, revision=revision)
