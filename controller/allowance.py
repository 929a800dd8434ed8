"""So many at once, and so many a second after that. Pure: time is an argument."""


class Allowance:
    """What may pass of something that a peer can send in any number.

    >>> allowance = Allowance(burst=2, per_s=1.0)
    >>> [allowance.take(now) for now in (0.0, 0.0, 0.0, 1.5)]
    [True, True, False, True]
    """

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Whether one more may pass. A clock that was set back allows nothing for the time."""
        elapsed_s = max(now - self._at, 0.0)
        self._left = min(self._left + elapsed_s * self._per_s, float(self._burst))
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
