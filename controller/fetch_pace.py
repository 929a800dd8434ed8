"""How often each stream is polled while live data does not flow. Pure: time is an argument.

Of a stream with ``r`` data a second that is polled every ``T`` seconds, ``r T / 2`` data are waiting to be fetched at
any time. With so many requests a second to share, the sum of that over all streams is least where each stream's share
goes with the square root of its rate (Lagrange: ``r / 2 = c / T^2``). So a stream with one datum a second is polled
every ``rest_fetch_interval``, one with sixteen four times as often, one with a sixteenth a quarter as often, between
two bounds. Where that is more than the budget allows, all intervals stretch alike; the limiter holds in any case.

Each stream begins as one with one datum a second, and what is measured moves that with the weight of the time that it
was measured over: neither a first answer without rows nor one with many, milliseconds after the question, says much.
What comes first may have waited since an earlier run of the app: it counts for the time that its own timestamps span.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from math import exp, inf, sqrt
from typing import Final

from gapless.controller.config import NetworkConfig
from gapless.controller.request_window import WINDOW_GUARD_S

_MEMORY_S: Final = 30.0
"""Seconds that a rate is remembered for, mostly: fifteen polls at the usual interval, so that one empty poll says
little; short beside an outage that is worth adapting to."""
_FIRST_PER_S: Final = 1.0
"""Data a second of a stream that nothing is known of: what has the usual interval."""
_SHARE: Final = 0.8
"""Of the budget that polls may plan for. Gaps, snapshots and questions go first and need the rest."""


@dataclass(slots=True)
class _Seen:
    """What is known of one stream."""

    count: int
    at: float
    weight: int
    per_s: float | None
    """None: it does not matter."""
    newest_at: float | None
    """Until the first data come: the time of the newest before them, where there is one."""


class FetchPace:
    """The intervals of one controller's streams.

    Args:
        interval_s: of a stream with one datum a second, and of one whose rate is not known yet.
        min_s: of the busiest.
        max_s: of the quietest, unless the budget is short.
        budget_per_s: weight of requests that the host allows.
    """

    def __init__(self, *, interval_s: float, min_s: float, max_s: float, budget_per_s: float) -> None:
        self._interval_s = interval_s
        self._min_s = min_s
        self._max_s = max_s
        self._planned_per_s = _SHARE * budget_per_s
        self._seen: dict[Hashable, _Seen] = {}

    def look(
        self, stream: Hashable, *, count: int | None, weight: int, now: float, newest_at: float | None = None
    ) -> None:
        """See how far a stream has come.

        Args:
            stream: which.
            count: data that have come until now, over whatever way; None: its rate does not matter, it keeps the usual
                interval.
            weight: what a poll of it costs.
            now: monotonic seconds.
            newest_at: Unix seconds, the time that the venue has given the newest datum; None: there is none.
        """
        seen = self._seen.get(stream)
        if seen is None or seen.per_s is None or count is None:
            per_s = None if count is None else _FIRST_PER_S
            self._seen[stream] = _Seen(count or 0, now, weight, per_s, newest_at)
            return
        elapsed_s = now - seen.at
        if elapsed_s <= 0:
            return
        came = count - seen.count
        if came and seen.newest_at is not None:
            elapsed_s = max(elapsed_s, (newest_at or 0.0) - seen.newest_at)
            seen.newest_at = None
        seen.per_s += (came / elapsed_s - seen.per_s) * (1.0 - exp(-elapsed_s / _MEMORY_S))
        seen.count, seen.at, seen.weight = count, now, weight

    def keep(self, streams: Iterable[Hashable]) -> None:
        """No others are polled any more."""
        for stream in self._seen.keys() - set(streams):
            del self._seen[stream]

    def interval_s(self, stream: Hashable) -> float:
        """How long until it is polled again."""
        seen = self._seen.get(stream)
        wanted_per_s = sum(each.weight / self._wanted_s(each) for each in self._seen.values())
        return self._wanted_s(seen) * max(1.0, wanted_per_s / self._planned_per_s)

    def _wanted_s(self, seen: _Seen | None) -> float:
        if seen is None or seen.per_s is None:
            return self._interval_s
        if seen.per_s <= 0.0:
            return self._max_s
        return min(max(self._interval_s / sqrt(seen.per_s), self._min_s), self._max_s)


def pace_of(config: NetworkConfig) -> FetchPace | None:
    """As the settings say; None: every stream has the same interval."""
    if not config.rest_fetch_adaptive:
        return None
    allowed_per_s = config.rate_limit_requests / (config.rate_limit_window + WINDOW_GUARD_S)
    return FetchPace(
        interval_s=config.rest_fetch_interval,
        min_s=config.rest_fetch_interval_min,
        max_s=config.rest_fetch_interval_max,
        budget_per_s=allowed_per_s if config.rate_limit_proactive else inf,
    )
