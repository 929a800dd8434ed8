"""One stream among live ones: that it says nothing is found, too."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from gapless.controller import NetworkConfig, State, StateChanged, Stream
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.torture.observer import Asked, Heard, Watch
from gapless.simulator.torture.oracle.budget import asked_about
from gapless.states import TABLE

_UNUSUAL: Final = 5.0
"""Usual intervals without a datum before a stream must be looked into, as the design promises."""
_LOOKS: Final = 6
"""Stretches that are remembered of a stream. What is older weighs less than 2 % in an estimate that forgets half."""
_PHASE: Final = 1.5
"""How much longer an interval may be taken for that is measured between other moments than here."""


@dataclass(slots=True)
class _Rhythm:
    """When a stream spoke, and since when it must be looked into if it does not.

    Attributes:
        since: its last datum, the last request about it, or whatever else began its window anew.
        shown: the highest id that the socket has shown, in the epoch of the socket.
        asked: requests about it since its last datum; each may double the window.
    """

    since: float
    shown: int
    epoch: str
    asked: int = 0
    _from: float | None = None
    _moved: int = 0
    _intervals_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LOOKS))

    def spoke(self, now: float, sequence_id: int, look_s: float) -> None:
        self.since, self.asked = now, 0
        self.shown = max(self.shown, sequence_id)
        self._moved += 1
        if self._from is None:
            self._from, self._moved = now, 0
        elif now - self._from >= look_s:
            self._intervals_s.append((now - self._from) / self._moved)
            self._from, self._moved = now, 0

    @property
    def usual_s(self) -> float | None:
        """The longest that its usual interval may be taken for; None: nobody can know yet."""
        return _PHASE * max(self._intervals_s) if self._intervals_s else None

    def unwatched(self) -> None:
        """A pause in which nobody watched is no interval; what is known stays."""
        self._from = None


class SilentStreamIsFound(Watch):
    """While CONNECTED, a stream with history that lacks what was issued is asked about in its window.

    The window is the idle window or five usual intervals, and the watch looks once an idle window; where the other
    streams pause, too, it waits for the connection's own window.
    """

    promise: ClassVar[str] = "silence is found on every busy stream"

    def __init__(
        self,
        config: NetworkConfig,
        exchange: ExchangeSimulator,
        host_is_well: Callable[[], bool],
        can_tell: Callable[[Stream], bool],
    ) -> None:
        super().__init__()
        self._idle_s = config.ws_idle_timeout
        self._window_max_s = max(config.heartbeat_interval, self._idle_s)
        self._exchange = exchange
        self._host_is_well = host_is_well
        self._can_tell = can_tell
        self._rhythms: dict[Stream, _Rhythm] = {}
        self._state = TABLE.initial

    def acknowledged(self, now: float, stream: Stream, epoch: str, mark: int, sent_at: float) -> None:  # noqa: ARG002
        """From now on it is watched."""
        if not self._can_tell(stream):
            return
        rhythm = self._rhythms.get(stream)
        if rhythm is None or rhythm.epoch != epoch:
            self._rhythms[stream] = rhythm = _Rhythm(since=now, shown=mark, epoch=epoch)
        rhythm.since, rhythm.shown = now, max(mark, rhythm.shown)
        rhythm.unwatched()

    def heard(self, now: float, heard: Heard) -> None:
        """Note what spoke, and look at the others."""
        if heard.doubtful:
            # Nobody can say of which stream.
            self._begin_anew(now)
        for channel, symbol, sequence_id in heard.ids:
            rhythm = self._rhythms.get(Stream(channel, symbol))
            if rhythm is not None:
                rhythm.spoke(now, sequence_id, self._idle_s)
        if self._state is State.CONNECTED and heard.ids:
            for stream, rhythm in self._rhythms.items():
                if now - rhythm.since > self._idle_s:
                    self._judge(now, stream, rhythm)

    def _judge(self, now: float, stream: Stream, rhythm: _Rhythm) -> None:
        usual_s = rhythm.usual_s
        if usual_s is None or not self._host_is_well() or rhythm.epoch != self._exchange.epoch:
            return
        base_s = max(self._idle_s, _UNUSUAL * usual_s)
        window_s = min(base_s * 2.0 ** min(rhythm.asked, 32), max(self._window_max_s, base_s))
        last_id = self._exchange.last_id(stream.channel, stream.symbol)
        if now - rhythm.since > window_s + self._idle_s and last_id > rhythm.shown:
            self.broken(
                now,
                f"{stream} was silent for {now - rhythm.since:.1f} s and nobody asked; it had shown {rhythm.shown}, "
                f"{last_id} had been issued, its window is {window_s:.1f} s at most",
            )
            rhythm.since = now

    def asked(self, now: float, request: Asked) -> None:
        """Somebody looks into a stream."""
        rhythm = self._rhythms.get(stream) if (stream := asked_about(request)) else None
        if rhythm is not None:
            rhythm.since = now
            rhythm.asked += 1

    def transition(self, now: float, event: StateChanged) -> None:
        """Each state begins all windows anew; a socket has rhythms of its own."""
        self._state = event.after
        if event.after is State.RECONNECTING:
            self._rhythms.clear()
        self._begin_anew(now)

    def excused(self, until: float) -> None:
        """A process that does not run asks nobody."""
        self._begin_anew(until)

    def _begin_anew(self, now: float) -> None:
        for rhythm in self._rhythms.values():
            rhythm.since = max(rhythm.since, now)
            rhythm.unwatched()
