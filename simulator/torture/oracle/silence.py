"""Silence, measured at the socket: found in time, never claimed of a socket that speaks."""

from collections.abc import Callable
from typing import ClassVar, Final

from gapless.controller import NetworkConfig, State, StateChanged, Trigger
from gapless.simulator.torture.observer import Asked, Heard, Watch
from gapless.states import TABLE

TOLERANCE_S: Final = 0.1
"""What the contract allows beyond the idle window."""
_GOOD: Final = frozenset({State.CONNECTED, State.RESYNCING})


class SilenceIsFound(Watch):
    """While the state calls the link good, it said something within the window that holds."""

    promise: ClassVar[str] = "silence is found within the idle window"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._idle_s = config.ws_idle_timeout
        self._window_max_s = max(config.heartbeat_interval, config.ws_idle_timeout)
        self._quiet_in_a_row = 0
        self._state = TABLE.initial
        self._since = 0.0
        """The last moment at which a window began anew: data, or a state that is not watched."""
        self._excused_until = 0.0

    @property
    def _window_s(self) -> float:
        return min(self._idle_s * 2.0 ** min(self._quiet_in_a_row, 32), self._window_max_s)

    def heard(self, now: float, heard: Heard) -> None:
        """What may have restarted the window does restart it here: no controller is blamed for a doubtful frame."""
        if heard.perhaps:
            self._judge(now)
            self._since = now
        if heard.streams:
            self._quiet_in_a_row = 0

    def transition(self, now: float, event: StateChanged) -> None:
        """The time up to here was spent in the state before."""
        self._judge(now)
        self._state = event.after
        if event.trigger is Trigger.MARKET_QUIET:
            self._quiet_in_a_row += 1
        if event.before not in _GOOD or event.trigger is Trigger.ROTATED:
            self._since = now

    def excused(self, until: float) -> None:
        """A process that does not run finds nothing."""
        self._excused_until = until

    def ended(self, now: float) -> None:
        """The last stretch."""
        self._judge(now)

    def _judge(self, now: float) -> None:
        if self._state not in _GOOD or self._since < self._excused_until:
            return
        late_s = now - self._since - self._window_s
        if late_s > TOLERANCE_S:
            self.broken(
                now,
                f"{self._state.name} went on for {now - self._since:.3f} s without data; "
                f"the window is {self._window_s:g} s",
            )


class NoFalseSilence(Watch):
    """IDLE is claimed only where no data came for the window, PONG_OVERDUE only where nothing at all did."""

    promise: ClassVar[str] = "a socket that speaks is not called silent"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._idle_s = config.ws_idle_timeout
        self._patience_s = config.heartbeat_timeout
        self._data_at = float("-inf")
        self._frame_at = float("-inf")

    def heard(self, now: float, heard: Heard) -> None:
        """Note when."""
        self._frame_at = now
        if heard.streams:
            self._data_at = now

    def transition(self, now: float, event: StateChanged) -> None:
        """Compare a claim with what came out of the socket."""
        if event.after is not State.SILENT:
            return
        if event.trigger is Trigger.IDLE and now - self._data_at < self._idle_s - 1e-6:
            self.broken(now, f"IDLE was claimed {now - self._data_at:.3f} s after data")
        if event.trigger is Trigger.PONG_OVERDUE and now - self._frame_at < self._patience_s - 1e-6:
            self.broken(now, f"PONG_OVERDUE was claimed {now - self._frame_at:.3f} s after a frame")


class RestTakesOver(Watch):
    """Where a silence begins and the host is well, a REST request leaves at once, before any verdict."""

    promise: ClassVar[str] = "REST data is on its way at once"

    def __init__(self, host_is_well: Callable[[], bool]) -> None:
        super().__init__()
        self._host_is_well = host_is_well
        self._silent_since: float | None = None

    def asked(self, now: float, request: Asked) -> None:  # noqa: ARG002
        """A request left."""
        self._silent_since = None

    def transition(self, now: float, event: StateChanged) -> None:
        """A silence begins."""
        self._silent_since = now if event.after is State.SILENT else None

    def settled(self, now: float) -> None:
        """A fraction of a second later, a request has left."""
        if self._silent_since is not None and self._host_is_well():
            self.broken(now, f"SILENT since {self._silent_since:.3f} s, and no request has left")
