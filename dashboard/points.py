"""The market data buffer: the last points of one symbol, in the order of the venue's time. Pure.

Points arrive in any order: live ones at the end, what REST brings (``BACKFILL``, ``POLL``) wherever its time puts it.
Two orders are kept. By *time*, for candles; by *rank*, the order in which the venue issued them on one channel, which
tells repeats apart and finds the neighbours of a lost range. A point that is the newest in both costs an append;
a late one costs two binary searches.

What does not fit is dropped, oldest venue time first, an eighth of the buffer at once so that a point costs the same
however large the buffer is. Later points that are older than what was dropped are refused: nobody could tell any more
whether they are repeats.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Final, TypeAlias

from msgspec import Struct

from gapless.controller import MarketData, Source

POINTS_MAX: Final = 20_000
"""Points a symbol, about 3 MB. At 20 a second a quarter of an hour: three times what the time line shows."""
PRICE_MAX: Final = 1e15
"""Above this a price is a mistake: a million times the dearest thing quoted in the cheapest currency."""
_AHEAD_MAX_S: Final = 86_400.0
"""Seconds that a venue's time may be ahead of ours. Clocks and time zones are wrong by hours; a day is a mistake, and
one such point would stay the newest for as long. Old times are not limited: a recording may be replayed."""

Rank: TypeAlias = tuple[int, str, float]
"""Where a point stands among those of its channel: resets before it, epoch, sequence id.
Without ids: the number of its arrival and a half."""


@unique
class Refusal(StrEnum):
    """Why a point was not taken. The values are the names of counters."""

    REPEATED = "points_repeated"
    ABSURD_PRICE = "absurd_prices"
    ABSURD_TIME = "absurd_times"
    TOO_OLD = "points_too_old"


class Point(Struct, frozen=True, gc=False):
    """One price at one time of the venue's clock, in Unix seconds."""

    at: float
    price: float
    channel: str
    sequence_id: int | None
    rank: Rank
    over_rest: bool

    @property
    def order(self) -> tuple[float, Rank, str]:
        """By time; within one instant as issued, so that the order of arrival changes no candle."""
        return self.at, self.rank, self.channel


class MarketDataBuffer:
    """The last points of one symbol, at most ``points_max``, whatever its channels."""

    def __init__(self, *, points_max: int = POINTS_MAX) -> None:
        if points_max < 1:
            raise ValueError(f"points_max must be at least 1, got {points_max}")
        self._points_max = points_max
        self._by_time: list[Point] = []
        self._by_rank: dict[str, list[Point]] = {}
        self._resets: dict[str, int] = {}
        self._arrivals = 0
        self._dropped_up_to: Point | None = None

    def __len__(self) -> int:
        return len(self._by_time)

    @property
    def points(self) -> Sequence[Point]:
        """All of them, by time."""
        return tuple(self._by_time)

    def enter(self, datum: MarketData) -> Point | Refusal:
        """Take a datum; the point it became, or why it did not become one."""
        if not is_sane(datum.price):
            return Refusal.ABSURD_PRICE
        at = venue_time(datum)
        if at is None:
            return Refusal.ABSURD_TIME
        self._arrivals += 1
        point = Point(
            at=at,
            price=datum.price,
            channel=datum.channel,
            sequence_id=datum.sequence_id,
            rank=self.rank(datum.channel, datum.epoch, datum.sequence_id),
            over_rest=datum.source is not Source.LIVE,
        )
        if self._dropped_up_to is not None and point.order <= self._dropped_up_to.order:
            return Refusal.TOO_OLD
        if not self._rank_in(point):
            return Refusal.REPEATED
        if not self._by_time or at > self._by_time[-1].at:
            self._by_time.append(point)
        else:
            insort(self._by_time, point, key=_order)
        if len(self._by_time) > self._points_max:
            self._drop()
        return point

    def reset(self, channel: str) -> None:
        """The venue restarted: ids of this channel count anew, even where it names no epochs."""
        self._resets[channel] = self._resets.get(channel, 0) + 1

    def rank(self, channel: str, epoch: str | None, sequence_id: float | None) -> Rank:
        """Where an id of the current run stands; without one, what came now, half-way so that it is no id's place."""
        place = self._arrivals + 0.5 if sequence_id is None else sequence_id
        return self._resets.get(channel, 0), epoch or "", place

    def is_numbered(self, channel: str) -> bool:
        """Whether the last point of the channel has an id (True before there is one)."""
        ranked = self._by_rank.get(channel)
        return not ranked or ranked[-1].sequence_id is not None

    def neighbours(self, channel: str, low: Rank, high: Rank) -> tuple[Point | None, Point | None]:
        """The last point below ``low`` and the first one above ``high``."""
        ranked = self._by_rank.get(channel, [])
        below, above = bisect_left(ranked, low, key=_rank), bisect_right(ranked, high, key=_rank)
        return ranked[below - 1] if below else None, ranked[above] if above < len(ranked) else None

    def _rank_in(self, point: Point) -> bool:
        ranked = self._by_rank.setdefault(point.channel, [])
        if not ranked or point.rank > ranked[-1].rank:
            ranked.append(point)
            return True
        place = bisect_right(ranked, point.rank, key=_rank)
        before = ranked[place - 1] if place else None
        if point.sequence_id is not None and before is not None and before.rank == point.rank:
            return False
        ranked.insert(place, point)
        return True

    def _drop(self) -> None:
        count = max(self._points_max // 8, 1)
        self._dropped_up_to = self._by_time[count - 1]
        del self._by_time[:count]
        limit = self._dropped_up_to.order
        for channel, ranked in list(self._by_rank.items()):
            kept = [point for point in ranked if point.order > limit]
            if kept:
                self._by_rank[channel] = kept
            else:
                del self._by_rank[channel]


def is_sane(price: float) -> bool:
    """Whether a price can be shown: neither negative, nor infinite, nor beyond all reason, nor not a number."""
    return 0.0 <= price <= PRICE_MAX


def venue_time(datum: MarketData) -> float | None:
    """Unix seconds of the venue's text, of the arrival where a live datum has none; None where it cannot be true."""
    if not datum.timestamp and datum.source is Source.LIVE:
        return datum.received_at
    try:
        moment = datetime.fromisoformat(datum.timestamp)
        at = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return at if 0.0 <= at <= datum.received_at + _AHEAD_MAX_S else None


def _order(point: Point) -> tuple[float, Rank, str]:
    return point.order


def _rank(point: Point) -> Rank:
    return point.rank
