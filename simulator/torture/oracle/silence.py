"""Silence, measured at the socket: found in time, never claimed of a socket that speaks."""

from collections.abc import Callable
from typing import ClassVar, Final

from gapless.controller import NetworkConfig, State, StateChanged, Stream, Trigger
from gapless.simulator.exchange import ExchangeSimulator
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
        """Note when, of the socket that is in use."""
        if not heard.leads:
            return
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


class OnlyDataProves(Watch):
    """DATA_FLOWS is claimed only where data came since it was in doubt; where none is desired, an answer will do."""

    promise: ClassVar[str] = "a PING or PONG never counts as data"

    def __init__(self) -> None:
        super().__init__()
        self._proven = False

    def heard(self, now: float, heard: Heard) -> None:  # noqa: ARG002
        """A doubtful frame is good enough."""
        self._proven = self._proven or heard.perhaps

    def transition(self, now: float, event: StateChanged) -> None:
        """A doubt begins, or is over."""
        if event.after in {State.SILENT, State.RECONNECTING} and event.after is not event.before:
            self._proven = False
        if event.trigger is Trigger.DATA_FLOWS and not self._proven:
            self.broken(now, f"DATA_FLOWS was claimed in {event.before.name}, and nothing had come: {event.reason}")


class NoFalseQuiet(Watch):
    """Where REST can tell, and is well, no socket is found good that lacks what was issued before its silence began."""

    promise: ClassVar[str] = "a dead socket is not taken for a quiet market"

    def __init__(
        self,
        config: NetworkConfig,
        exchange: ExchangeSimulator,
        host_is_well: Callable[[], bool],
        can_tell: Callable[[Stream], bool],
    ) -> None:
        super().__init__()
        self._judges = config.silence_policy == "confirm"
        self._exchange = exchange
        self._host_is_well = host_is_well
        self._can_tell = can_tell
        self._heads: dict[tuple[str, Stream], int] = {}
        """Epoch and stream -> the highest id that this generation's sockets have shown, or the mark of one."""
        self._doubtful = False
        """Whether they have shown something that nobody can say the id of."""
        self._epoch = ""
        self._issued: dict[Stream, int] = {}
        """What had been issued when the silence began."""

    def heard(self, now: float, heard: Heard) -> None:  # noqa: ARG002
        """What was shown."""
        self._doubtful = self._doubtful or heard.doubtful
        for channel, symbol, sequence_id in heard.ids:
            self._show(heard.epoch, Stream(channel, symbol), sequence_id)

    def acknowledged(self, now: float, stream: Stream, epoch: str, mark: int, sent_at: float) -> None:  # noqa: ARG002
        """What is not owed by this socket."""
        self._show(epoch, stream, mark)

    def _show(self, epoch: str, stream: Stream, sequence_id: int) -> None:
        self._heads[epoch, stream] = max(self._heads.get((epoch, stream), 0), sequence_id)

    def transition(self, now: float, event: StateChanged) -> None:
        """A silence begins, or a verdict is passed."""
        if event.after is State.RECONNECTING:
            self._heads.clear()
            self._doubtful = False
        elif event.after is State.SILENT and event.before is not State.SILENT:
            self._epoch = self._exchange.epoch
            self._issued = {
                stream: self._exchange.last_id(stream.channel, stream.symbol)
                for epoch, stream in self._heads
                if epoch == self._epoch and self._can_tell(stream)
            }
        elif event.trigger is Trigger.MARKET_QUIET and not event.unverified:
            self._judge(now, event)

    def _judge(self, now: float, event: StateChanged) -> None:
        if not self._judges or self._doubtful or not self._host_is_well() or self._exchange.epoch != self._epoch:
            return
        for stream, last_id in self._issued.items():
            if self._heads[self._epoch, stream] < last_id:
                shown = self._heads[self._epoch, stream]
                self.broken(now, f"{stream} {last_id} had been issued, the socket showed {shown}: {event.reason}")


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


class SilenceIsJudged(Watch):
    """A verdict on a silence comes within ``heartbeat_timeout``."""

    promise: ClassVar[str] = "a silence is judged in time"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._within_s = config.heartbeat_timeout
        self._since: float | None = None
        self._excused_until = 0.0

    def transition(self, now: float, event: StateChanged) -> None:
        """A silence begins, or its examination ends."""
        if event.after is State.SILENT and event.before is State.SILENT:
            return
        self.ended(now)
        self._since = now if event.after is State.SILENT else None

    def excused(self, until: float) -> None:
        """A process that does not run judges nothing."""
        self._excused_until = until

    def ended(self, now: float) -> None:
        """The last stretch."""
        if self._since is None or self._since < self._excused_until:
            return
        if now - self._since > self._within_s + TOLERANCE_S:
            self.broken(now, f"SILENT went on for {now - self._since:.3f} s; promised are {self._within_s:g} s")


class RestGoesOn(Watch):
    """Where there is no socket and the host is well, REST is asked again and again."""

    promise: ClassVar[str] = "REST is collected from while there is no socket"
    _ROUNDS: Final = 3.0
    """Times ``rest_fetch_interval`` without a request: a round may be long, and the next begins after it."""

    def __init__(self, config: NetworkConfig, host_is_well: Callable[[], bool]) -> None:
        super().__init__()
        self._within_s = self._ROUNDS * config.rest_fetch_interval
        self._host_is_well = host_is_well
        self._since: float | None = None
        self._excused_until = 0.0

    def asked(self, now: float, request: Asked) -> None:  # noqa: ARG002
        """A request left."""
        if self._since is not None:
            self.ended(now)
            self._since = now

    def transition(self, now: float, event: StateChanged) -> None:
        """Collecting begins, or ends."""
        self.ended(now)
        self._since = now if event.after is State.REST_FALLBACK else None

    def excused(self, until: float) -> None:
        """A process that does not run asks nobody."""
        self._excused_until = until

    def ended(self, now: float) -> None:
        """The last stretch."""
        if self._since is None or self._since < self._excused_until or not self._host_is_well():
            return
        if now - self._since > self._within_s:
            self.broken(now, f"no request left for {now - self._since:.3f} s of REST_FALLBACK")
