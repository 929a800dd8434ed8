"""How long one stream may say nothing, and what is done about one that is dead. Pure: time is an argument.

A stream has its own usual interval between data. It is estimated from how far the last datum moved between two looks
and how many data moved it, so a frame costs one addition and a burst counts as the one step that it is; each look
weighs a fifth. Five intervals without a datum are unusual enough to ask (of a Poisson stream's pauses, 1 in 150 is
longer); each time REST has nothing newer either, the patience doubles.
"""

from dataclasses import dataclass
from typing import Final

_UNUSUAL: Final = 5.0
"""Usual intervals without a datum before a stream is looked into."""
_WEIGHT: Final = 0.2
"""Of the newest look in the estimate: five looks make the past small."""
_TRIES: Final = 2
"""Resubscriptions before the connection itself is suspected."""


@dataclass(slots=True, kw_only=True)
class StreamPulse:
    """What is known of one stream's rhythm.

    Attributes:
        window_min_s: no stream is looked into before this time.
        window_max_s: what quiet verdicts may double the window to; five usual intervals may be longer.
    """

    window_min_s: float
    window_max_s: float
    usual_s: float = 0.0
    """Between two data; 0.0: not known yet."""
    tries: int = 0
    """Resubscriptions since the last datum."""
    _quiet: int = 0
    _looked_at: float = float("-inf")
    _counted: int = 0
    _last_data_at: float = float("-inf")

    def sample(self, count: int, last_data_at: float) -> None:
        """Look at the stream: how many data it has shown in all, and when the last one."""
        moved = count - self._counted
        if moved <= 0:
            return
        if self._last_data_at > float("-inf"):
            interval_s = (last_data_at - self._last_data_at) / moved
            self.usual_s += (interval_s - self.usual_s) * (_WEIGHT if self.usual_s else 1.0)
        self._counted, self._last_data_at = count, last_data_at
        self._quiet = self.tries = 0

    @property
    def window_s(self) -> float:
        """How long it may say nothing now."""
        base_s = max(self.window_min_s, _UNUSUAL * self.usual_s)
        return min(base_s * 2.0 ** min(self._quiet, 32), max(self.window_max_s, base_s))

    def since(self, watched_since: float) -> float:
        """From when its silence counts: the last datum, the last look, or the beginning."""
        return max(self._last_data_at, self._looked_at, watched_since)

    def quiet(self, now: float) -> None:
        """REST has nothing newer, or says nothing: more patience."""
        self._quiet += 1
        self._looked_at = now

    def dead(self, now: float) -> bool:
        """REST has moved on: whether to subscribe again; False: that was tried often enough."""
        self._looked_at = now
        self.tries += 1
        return self.tries <= _TRIES

    def new_socket(self) -> None:
        """What was tried on the old one says nothing."""
        self.tries = 0
