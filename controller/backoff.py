"""When to try again. Pure: time and randomness are arguments."""

from random import Random

ATTEMPT_SPACING_S = 1.1
"""Seconds. Never two attempts within one second, whoever asks: venues ban clients that dial in a tight loop (Binance:
300 per 5 minutes). The tenth on top is a guard: the venue counts arrivals, we count departures."""

EARNED_AFTER_S = 5.0
"""Data must have flowed this long on one generation before the next loss is retried at once. A handshake alone earns
nothing: a server that accepts and dies would otherwise be dialled in a loop."""


class ReconnectBackoff:
    """Full jitter: each delay is drawn from 0 to a ceiling that doubles up to a cap, so the jitter survives the cap."""

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
            return self.earliest(now)
        self._losses += 1
        self.attempts += spends_attempt
        if self._max_attempts is not None and self.attempts >= self._max_attempts:
            return None
        # The exponent is capped where any sensible ceiling is long reached, so that the power cannot overflow.
        ceiling_s = min(self._max_s, self._initial_s * self._multiplier ** min(self._losses - 1, 64))
        return max(self.earliest(now), now + self._random.uniform(0.0, ceiling_s))

    def reset(self) -> None:
        """Start counting anew. What the peer asked for stays a floor."""
        self._losses = 0
        self.attempts = 0
