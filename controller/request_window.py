"""A host's REST budget: what was sent lately, and the pause the host asked for. Pure: time is an argument."""

from collections import deque
from math import inf
from typing import Final

from gapless.controller.errors import ConfigurationError

WINDOW_GUARD_S: Final = 0.1
"""Seconds added to the window. The host counts arrivals, we count departures; without a guard, latency that shrinks
by a few milliseconds would put an eleventh request into the host's second. Costs 9 % of the rate."""

_RESOLUTION_S: Final = 1e-6
"""Seconds. Sums of floats differ in the last bits; a microsecond is far above that and far below a round trip."""


class RequestWindow:
    """A sliding window of requests by weight, and the pause a host asked for. Pure."""

    def __init__(
        self,
        *,
        requests: int = 10,
        window_s: float = 1.0,
        proactive: bool = True,
        initial_backoff: float = 1.0,
        max_backoff: float = 60.0,
        backoff_multiplier: float = 2.0,
    ) -> None:
        if requests < 1 or not 0 < window_s < inf:
            raise ConfigurationError(
                f"expected at least 1 request in a finite time above 0 s, got {requests} in {window_s} s"
            )
        if not 0 < initial_backoff <= max_backoff or not 1 <= backoff_multiplier < inf:
            raise ConfigurationError(
                "expected 0 < initial_backoff <= max_backoff and backoff_multiplier >= 1, "
                f"got {initial_backoff}, {max_backoff}, {backoff_multiplier}"
            )
        self.requests: Final = requests
        self.window_s: Final = window_s
        self._proactive = proactive
        self._initial_backoff_s = initial_backoff
        self._max_backoff_s = max_backoff
        self._multiplier = backoff_multiplier
        self._sent: deque[tuple[float, int]] = deque()
        self._counted_at = float("-inf")
        """When the host said last what it has counted."""
        self._counted = 0
        """That, and what was sent since."""
        self._paused_until = float("-inf")
        self._limited_at = float("-inf")
        self.current_backoff_s = 0.0
        """The pause the last 429 caused, seconds; 0.0 after a success."""

    def used(self, now: float) -> int:
        """Weight of the requests sent within the last window, or what the host has counted, where that is more."""
        sent = sum(weight for sent_at, weight in self._sent if sent_at > now - self.window_s)
        return max(sent, self._counted) if now < self._counted_at + self.window_s else sent

    def is_clear(self, now: float) -> bool:
        """Whether nothing that was sent, and no pause that was asked for, counts any more."""
        last_at = max(self._counted_at, self._sent[-1][0] if self._sent else float("-inf"))
        return now >= self._paused_until and now >= last_at + self.window_s + WINDOW_GUARD_S

    def wait_s(self, now: float, weight: int = 1) -> float:
        """How long until a request of this weight may be sent; 0.0: now.

        One that is heavier than the whole window waits until the window is empty.
        """
        wait_s = self._paused_until - now
        if self._proactive:
            wait_s = max(wait_s, self._room_at(min(weight, self.requests)) - now)
        # A wait below the clock's resolution would end before it began, again and again.
        return wait_s if wait_s > _RESOLUTION_S else 0.0

    def _room_at(self, weight: int) -> float:
        """When enough of what was sent, and of what the host has counted, has left the window."""
        is_full = self._counted + weight > self.requests
        room_at = self._counted_at + self.window_s + WINDOW_GUARD_S if is_full else float("-inf")
        held = 0
        for sent_at, each in reversed(self._sent):
            held += each
            if held + weight > self.requests:
                return max(room_at, sent_at + self.window_s + WINDOW_GUARD_S)
        return room_at

    def sent(self, now: float, weight: int = 1) -> None:
        """A request leaves now."""
        self._sent.append((now, weight))
        self._counted += weight
        while self._sent[0][0] <= now - self.window_s - WINDOW_GUARD_S:
            self._sent.popleft()

    def observed(self, now: float, used: int) -> None:
        """The host says what it has counted in its window.

        What of it we did not send, somebody else of our address did. Whether its window slides, or when it began, it
        does not say: so all of it may stay counted for a whole window from now, if the next reply says no other.
        """
        self._counted_at = now
        self._counted = min(used, self.requests)

    def limited(self, now: float, *, sent_at: float, asked_s: float) -> float:
        """A 429 came for a request sent at ``sent_at``: the pause, at least ``asked_s``, that everyone now keeps.

        A burst of requests in flight together may be answered by as many 429s; they double the backoff once.
        """
        if sent_at >= self._limited_at:
            grown_s = self.current_backoff_s * self._multiplier or self._initial_backoff_s
            self.current_backoff_s = min(grown_s, self._max_backoff_s)
            self._limited_at = now
        pause_s = max(self.current_backoff_s, asked_s)
        self.pause(now + pause_s)
        return pause_s

    def pause(self, until: float) -> None:
        """The host asked everyone not to send before ``until``."""
        self._paused_until = max(self._paused_until, until)

    def succeeded(self, *, sent_at: float) -> None:
        """A reply that is not a 429 came: the next 429 starts from the initial backoff again."""
        if sent_at >= self._limited_at:
            self.current_backoff_s = 0.0

    def retry_delay_s(self, attempt: int) -> float:
        """How long one request waits before its retry number ``attempt`` (from 1) after a 5xx or a network error."""
        try:
            return min(self._initial_backoff_s * self._multiplier ** (attempt - 1), self._max_backoff_s)
        except OverflowError:
            return self._max_backoff_s
