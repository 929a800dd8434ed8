"""The heartbeat's clock, and verdicts passed in peace."""

from collections.abc import Callable
from typing import ClassVar, Final

from gapless.controller import NetworkConfig, StateChanged, Trigger
from gapless.simulator.torture.observer import Watch


class PingsByTheClock(Watch):
    """While a socket is open, a PING leaves at least once an interval, whatever else is sent."""

    promise: ClassVar[str] = "the heartbeat goes by the clock"
    _TOLERANCE_S: Final = 0.1

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        # A PING that the send buffer has no room for holds up the next one until its own time-out.
        self._interval_s = config.heartbeat_interval + config.heartbeat_timeout
        self._last_at: float | None = None
        self._excused_until = 0.0

    def opened(self, now: float) -> None:
        """The clock starts."""
        self._last_at = now

    def closed(self, now: float) -> None:
        """It stops; the stretch up to here counts."""
        self._judge(now)
        self._last_at = None

    def pinged(self, now: float) -> None:
        """One more."""
        self._judge(now)
        self._last_at = now

    def excused(self, until: float) -> None:
        """A process that does not run sends nothing."""
        self._excused_until = until

    def _judge(self, now: float) -> None:
        if self._last_at is None or self._last_at < self._excused_until:
            return
        if now - self._last_at > self._interval_s + self._TOLERANCE_S:
            self.broken(now, f"no PING for {now - self._last_at:.1f} s")


class NoVerdictInPeace(Watch):
    """Where nothing is wrong and has not been for a while, no socket is declared dead: quiet is not silent."""

    promise: ClassVar[str] = "a quiet market is not mistaken for a dead socket"

    def __init__(self, config: NetworkConfig, is_peace: Callable[[], bool]) -> None:
        super().__init__()
        self._judges = config.silence_policy == "confirm"
        self._is_peace = is_peace

    def transition(self, now: float, event: StateChanged) -> None:
        """A verdict."""
        if self._judges and event.trigger is Trigger.SILENCE_CONFIRMED and self._is_peace():
            self.broken(now, f"nothing was wrong, and the socket was declared dead: {event.reason}")
