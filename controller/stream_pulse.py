"""How long one stream may say nothing, and what is done about one that is dead. Pure: time is an argument.

A stream has its own usual interval between data. It is estimated from how far the last datum moved between two looks
and how many data moved it: so a frame costs one addition, and looks may lie any time apart. Each datum weighs a fifth,
and those of one look no more than three do: a burst is few steps, and after some looks the past is small. Five
intervals without a datum are unusual enough to ask (of a Poisson stream's pauses, 1 in 150 is longer); each time REST
has nothing newer either, the patience doubles.
"""

from dataclasses import dataclass
from typing import Final

_UNUSUAL: Final = 5.0
"""Usual intervals without a datum before a stream is looked into."""
_WEIGHT: Final = 0.2
"""Of the newest datum in the estimate."""
_STEPS_MAX: Final = 3
"""Data of one look that count in the estimate: half of it is new, then."""
_ENOUGH: Final = 5
"""Data that make a rhythm: fewer say nothing where the first of them has none before it."""
_TRIES: Final = 2
"""Resubscriptions before the connection itself is suspected."""
_RETRY_S: Final = 1.0
"""Seconds until REST is asked again after a first failure; twice as long after each further one."""


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
    _known_by: int = 0
    """Data behind the estimate."""
    _quiet: int = 0
    _failed: int = 0
    _watched_since: float = float("-inf")
    _looked_at: float = float("-inf")
    _again_at: float = float("-inf")
    _counted: int = 0
    _last_data_at: float = float("-inf")
    _measured_from: float = float("-inf")
    """The last datum, or the subscription, where none came since."""
    _from_datum: bool = False

    # -- what is seen --------------------------------------------------------------------------------------------------

    def begin(self, count: int, last_data_at: float, now: float) -> None:
        """The stream was subscribed just now, perhaps again: the pause before says nothing of its rhythm."""
        if count > self._counted:
            self._forget_verdicts()
        self._counted, self._last_data_at = count, last_data_at
        self._measured_from, self._from_datum = now, False
        self.watch(now)

    def watch(self, now: float) -> None:
        """Nobody watched until now: from now on its silence counts."""
        self._watched_since = now

    def new_socket(self) -> None:
        """What was tried on the old one says nothing."""
        self.tries = 0

    def sample(self, count: int, last_data_at: float) -> None:
        """Look at the stream: how many data it has shown in all, and when the last one."""
        moved = count - self._counted
        if moved <= 0:
            return
        if self._from_datum or (moved >= _ENOUGH and self._measured_from > float("-inf")):
            interval_s = (last_data_at - self._measured_from) / moved
            weight = 1.0 - (1.0 - _WEIGHT) ** min(moved, _STEPS_MAX)
            self.usual_s += (interval_s - self.usual_s) * (weight if self.usual_s else 1.0)
            self._known_by += moved
        self._counted, self._last_data_at = count, last_data_at
        self._measured_from, self._from_datum = last_data_at, True
        self._forget_verdicts()

    def _forget_verdicts(self) -> None:
        """Data came."""
        self._quiet = self._failed = self.tries = 0
        self._again_at = float("-inf")

    # -- when to ask ---------------------------------------------------------------------------------------------------

    @property
    def window_s(self) -> float:
        """How long it may say nothing now."""
        base_s = max(self.window_min_s, _UNUSUAL * self.usual_s)
        return min(base_s * 2.0 ** min(self._quiet, 32), max(self.window_max_s, base_s))

    @property
    def since(self) -> float:
        """From when its silence counts: the last datum, the last verdict, or the beginning of the watch."""
        return max(self._last_data_at, self._looked_at, self._watched_since)

    @property
    def due_at(self) -> float:
        """When REST is to be asked, unless data comes."""
        return max(self.since + self.window_s, self._again_at)

    @property
    def is_urgent(self) -> bool:
        """Whether it is a busy stream that was not asked about since its last datum."""
        is_busy = self._known_by >= _ENOUGH and _UNUSUAL * self.usual_s <= self.window_min_s
        return is_busy and not (self._quiet or self._failed or self.tries)

    # -- what REST says ------------------------------------------------------------------------------------------------

    def quiet(self, now: float) -> None:
        """REST has nothing newer: more patience."""
        self._quiet += 1
        self._failed = 0
        self._looked_at = now

    def failed(self, now: float) -> None:
        """REST says nothing: it is asked again soon, and ever more rarely."""
        self._again_at = now + min(_RETRY_S * 2.0 ** min(self._failed, 32), max(self.window_max_s, self.window_s))
        self._failed += 1

    def dead(self, now: float) -> bool:
        """REST has moved on: whether to subscribe again; False: that was tried often enough."""
        self._failed = 0
        self._looked_at = now
        self.tries += 1
        return self.tries <= _TRIES
