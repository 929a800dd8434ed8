"""The limits a venue sets its clients, counted per address, and the books a test compares a client's with."""

import math
from collections import OrderedDict, deque
from typing import Final

import msgspec

ADDRESSES_MAX: Final = 10_000
"""Addresses counted; the one longest unheard of starts anew."""
LOG_MAX: Final = 100_000
"""Records kept; older ones are forgotten."""


class WeightRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one REST request cost. ``time_s`` is unix seconds; ``used`` is what the window holds after it."""

    time_s: float
    address: str
    path: str
    weight: int
    used: int
    limit: int
    status: int
    """200 where the request was let through, whatever became of it; else what the limit answered."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A client went beyond a limit. ``kind`` says which: ``messages``, ``connects``, ``streams``, ``requests``."""

    time_s: float
    address: str
    kind: str
    what: str


class SlidingWindow:
    """So many events within so many seconds, per key."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Count an event at ``now``, if it fits; how long until it would, 0 where it did."""
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        if len(self._times) > ADDRESSES_MAX:
            self._times.popitem(last=False)
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if len(times) >= self.limit:
            return times[0] + self.seconds - now
        times.append(now)
        return 0.0


class TokenBucket:
    """``per_s`` tokens a second in the long run, ``burst`` at once, per key."""

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s = per_s
        self.burst = burst
        self._states: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def used(self, key: str) -> int:
        """How many of the burst are gone, as of the last :meth:`take`."""
        tokens, _ = self._states.get(key, (float(self.burst), 0.0))
        return self.burst - math.floor(tokens + 1e-9)

    def take(self, key: str, now: float, count: int = 1) -> float:
        """Take so many tokens at ``now``, if there are; how long until there are, 0 where there were."""
        tokens, at = self._states.pop(key, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - at) * self.per_s)
        # A hair of tolerance: 0.1 s of 10 a second are one token, whatever floating point makes of it.
        wait_s = 0.0 if tokens > count - 1e-9 else (count - tokens) / self.per_s
        self._states[key] = (tokens if wait_s else tokens - count, now)
        if len(self._states) > ADDRESSES_MAX:
            self._states.popitem(last=False)
        return wait_s
