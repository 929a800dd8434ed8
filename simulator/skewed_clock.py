"""An exchange's clock: right, unless the failure ``clock_skew`` says otherwise."""

from collections.abc import Callable

import trio

from gapless.simulator.failure_modes import ClockSkewMode
from gapless.simulator.failures import FailureControl
from gapless.simulator.scheduled_restart import EVERYBODY


class SkewedClock:
    """Unix seconds, as they are and as the exchange takes them for."""

    def __init__(self, failures: FailureControl, wall_clock: Callable[[], float]) -> None:
        self._failures = failures
        self._wall_clock = wall_clock

    def true_s(self) -> float:
        """What the time is."""
        return self._wall_clock()

    def shown_s(self) -> float:
        """What the exchange takes for the time."""
        return self._wall_clock() + self._skew_s()

    def _skew_s(self) -> float:
        rule = self._failures.rule("clock_skew")
        if rule is None or not trio.lowlevel.in_trio_run():
            return 0.0
        now = trio.current_time()
        if not rule.holds(now):
            return 0.0
        if not rule.has_acted(EVERYBODY):
            rule.act(EVERYBODY, "from now on")
        mode = rule.mode(ClockSkewMode)
        return mode.offset_s + mode.drift * (now - rule.since(now))
