"""When to try again. Pure: time and randomness are arguments."""

from random import Random
from typing import Final

ATTEMPT_SPACING_S = 1.1
"""Seconds. Never two attempts within one second, whoever asks: venues ban clients that dial in a tight loop (Binance:
300 per 5 minutes). The tenth on top is a guard: the venue counts arrivals, we count departures."""

EARNED_AFTER_S = 5.0
"""Data must have flowed this long on one generation before the next loss is retried at once. A handshake alone earns
nothing: a server that accepts and dies would otherwise be dialled in a loop."""


ASKED_SPREAD: Final = 0.5
"""Of the wait a peer has asked for, over which the retry after it is spread. It asks all its clients alike, and they
must not come back in one instant: asked for 30 s, no second of the 15 after it has more than a fifteenth of them. The
price is a quarter of the wait on top, on average, while REST is polled."""


class ReconnectBackoff:
    """Full jitter: each delay is drawn from 0 to a ceiling that doubles up to a cap, so the jitter survives the cap.

    It survives the floors, too: what holds up a thousand clients alike, the spacing after an attempt that all made at
    once or a wait that one peer asked of all, is where the draw begins, never where it ends. Only a link that earned it
    is retried without a draw, where nothing holds it up: should the peer be down, the draws begin with the next loss.
    """

    def __init__(
        self, *, initial_s: float, max_s: float, multiplier: float, max_attempts: int | None, random: Random
    ) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._multiplier = multiplier
        self._max_attempts = max_attempts
        self._random = random
        self._losses = 0
        self._floor_at = float("-inf")
        self._last_attempt_at = float("-inf")
        self.attempts = 0
        """Fruitless attempts in a row."""

    def attempt_started(self, now: float) -> None:
        """Remember when the last attempt began."""
        self._last_attempt_at = now

    def earliest(self, now: float) -> float:
        """The earliest moment the next attempt may begin."""
        return max(now, self._last_attempt_at + ATTEMPT_SPACING_S, self._floor_at)

    def floor(self, until: float) -> None:
        """The peer asked not to be dialled before ``until``."""
        self._floor_at = max(self._floor_at, until)

    def lost(self, now: float, *, earned: bool, spends_attempt: bool = True) -> float | None:
        """The link is gone: when to try again, or None when the attempts are spent.

        ``earned``: data flowed for :data:`EARNED_AFTER_S`, so counter and backoff start anew and the retry is
        immediate. ``spends_attempt``: False grows the delay without counting (a verdict that could not be verified).
        """
        if earned:
            self.reset()
            return self._drawn(now, 0.0) if self._floor_at > now else self.earliest(now)
        self._losses += 1
        self.attempts += spends_attempt
        if self._max_attempts is not None and self.attempts >= self._max_attempts:
            return None
        # The exponent is capped where any sensible ceiling is long reached, so that the power cannot overflow.
        return self._drawn(now, min(self._max_s, self._initial_s * self._multiplier ** min(self._losses - 1, 64)))

    def _drawn(self, now: float, ceiling_s: float) -> float:
        """From the earliest moment up to the ceiling; where a floor leaves no room below that, a little beyond it."""
        earliest = self.earliest(now)
        spread_s = max(self._initial_s, min(ASKED_SPREAD * (self._floor_at - now), self._max_s))
        latest = now + ceiling_s if earliest <= now else max(now + ceiling_s, earliest + spread_s)
        return self._random.uniform(earliest, latest)

    def reset(self) -> None:
        """Start counting anew. What the peer asked for stays a floor."""
        self._losses = 0
        self.attempts = 0
