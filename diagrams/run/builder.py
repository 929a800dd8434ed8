"""Makes a :class:`Run` of lines, one after the other."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from gapless.diagrams.run.holes import Fate, Holes
from gapless.diagrams.run.lines import (
    AnyLine,
    BalanceUpdate,
    CircuitChanged,
    ContinuityLost,
    Fault,
    GapFilled,
    GapFound,
    MarketData,
    OrderUpdate,
    ReconnectGaveUp,
    RestRequest,
    SnapshotRead,
    Source,
    StateChanged,
    StreamLine,
    StreamRejected,
    StreamReset,
)
from gapless.diagrams.run.model import (
    Answer,
    Dial,
    Generation,
    Loss,
    Points,
    Request,
    Run,
    StreamRun,
    Stretch,
    bands_of,
    stays_open,
)
from gapless.diagrams.run.reader import LineReader
from gapless.states import State, Trigger

_LIMITED: Final = frozenset({418, 429})
_STEP_S: Final = 0.001
"""Data within it arrived by one reply; a clock set back by less is none."""


def read_run(lines: Iterable[bytes]) -> Run:
    """A run from the lines of ``gapless watch --json``, as an opened file gives them.

    Raises:
        LineError: a line is no event.
    """
    reader, builder = LineReader(), RunBuilder()
    for line in reader.read(lines):
        builder.enter(line)
    return builder.run(unknown=reader.unknown, cut_off=reader.cut_off)


class RunBuilder:
    """Collects lines in the order in which they were written; times need not be in order, nor begin at the first."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._end = 0.0
        self._changes: list[StateChanged] = []
        self._generations: list[Generation] = []
        self._gave_up_at: list[float] = []
        self._circuit: list[CircuitChanged] = []
        self._streams: dict[tuple[str, str], _StreamBuilder] = {}
        self._requests: list[Request] = []
        self._rest_data_at: list[float] = []
        self._faults: list[Fault] = []

    def enter(self, line: AnyLine) -> None:
        """Take one line."""
        at = line.received_at if isinstance(line, MarketData) else line.at
        self._start = at if self._start is None else min(self._start, at)
        self._end = max(self._end, at)
        match line:
            case StateChanged():
                self._changed(line)
            case ReconnectGaveUp():
                self._gave_up_at.append(at)
            case CircuitChanged():
                self._circuit.append(line)
            case RestRequest():
                self._requests.append(Request(at=at, answer=_answer(line)))
            case Fault():
                self._faults.append(line)
            case SnapshotRead():
                self._over_rest(at)
            case StreamRejected() | StreamReset() | GapFound() | GapFilled() | ContinuityLost():
                self._of(line).enter(line)
            case MarketData() | OrderUpdate() | BalanceUpdate():
                if line.source is not Source.LIVE:
                    self._over_rest(at)
                self._of(line).data(line)

    def run(self, *, unknown: Mapping[str, int], cut_off: bool) -> Run:
        """Everything so far."""
        start, end = self._start or 0.0, self._end
        moments = [each.at for each in self._changes]
        streams = [each.run(end) for each in self._streams.values()]
        return Run(
            start=start,
            end=end,
            bands=bands_of(self._changes, start, end),
            transitions=len(self._changes),
            generations=tuple(self._generations),
            gave_up_at=tuple(self._gave_up_at),
            circuit_open=stays_open(self._circuit, end),
            streams=tuple(sorted(streams, key=lambda each: (-each.weight, each.name))),
            requests=tuple(self._requests) if self._requests else None,
            rest_data_at=tuple(self._rest_data_at),
            faults=tuple(self._faults),
            clock_set_back=sum(later < earlier - _STEP_S for earlier, later in pairwise(moments)),
            unknown=dict(unknown),
            cut_off=cut_off,
        )

    def _changed(self, line: StateChanged) -> None:
        self._changes.append(line)
        known = self._generations[-1].number if self._generations else 0
        if line.generation > known:
            # The attempt that was in flight when the first line was written began before it.
            is_rotation = line.trigger == Trigger.ROTATED.value
            is_attempt = line.after is State.RECONNECTING or not known
            at = self._start if not known and line.before is State.RECONNECTING else line.at
            if is_rotation or is_attempt:
                dial = Dial.ROTATION if is_rotation else Dial.ATTEMPT
                self._generations.append(Generation(at=at or line.at, number=line.generation, dial=dial))

    def _over_rest(self, at: float) -> None:
        if not self._rest_data_at or abs(at - self._rest_data_at[-1]) > _STEP_S:
            self._rest_data_at.append(at)

    def _of(self, line: StreamLine) -> "_StreamBuilder":
        key = line.channel, line.symbol
        if key not in self._streams:
            self._streams[key] = _StreamBuilder(f"{line.channel}:{line.symbol}")
        return self._streams[key]


def _answer(line: RestRequest) -> Answer:
    if line.status is None:
        return Answer.CANCELLED if line.error == "cancelled" else Answer.FAILED
    if line.status in _LIMITED:
        return Answer.LIMITED
    return Answer.GIVEN if line.status < 400 else Answer.FAILED


class _StretchBuilder:
    def __init__(self, epoch: str | None, began_at: float | None) -> None:
        self.epoch = epoch
        self.began_at = began_at
        self.points = {source: Points() for source in Source}
        self.holes = Holes()
        self.losses: list[Loss] = []


class _StreamBuilder:
    """One stream."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbered = True
        self._stretches = [_StretchBuilder(None, None)]
        self._delivered = 0
        self._gaps = 0
        self._filled = 0
        self._rejected: list[tuple[float, str]] = []

    def data(self, line: MarketData) -> None:
        self._delivered += 1
        points = self._stretches[-1].points[line.source]
        points.at.append(line.received_at)
        if line.sequence_id is None:
            self._numbered = False
        points.ids.append(self._delivered if line.sequence_id is None else line.sequence_id)

    def enter(self, line: StreamRejected | StreamReset | GapFound | GapFilled | ContinuityLost) -> None:
        stretch = self._stretches[-1]
        match line:
            case GapFound():
                self._gaps += 1
                stretch.holes.found(line.start_seq, line.end_seq, line.at)
            case GapFilled():
                fate = Fate.REFUTED if line.reason == "refuted" else Fate.FILLED
                if fate is Fate.FILLED:
                    self._filled += line.end_seq - line.start_seq + 1
                stretch.holes.close(line.start_seq, line.end_seq, line.at, fate)
            case ContinuityLost():
                loss = Loss(first=line.start_seq, last=line.end_seq, at=line.at, reason=line.reason)
                stretch.losses.append(loss)
                if line.end_seq is not None:
                    stretch.holes.close(line.start_seq, line.end_seq, line.at, Fate.LOST)
            case StreamReset():
                self._stretches.append(_StretchBuilder(line.new_epoch, line.at))
            case StreamRejected():
                self._rejected.append((line.at, line.code))

    def run(self, end: float) -> StreamRun:
        return StreamRun(
            name=self._name,
            numbered=self._numbered,
            stretches=tuple(
                Stretch(
                    epoch=each.epoch,
                    began_at=each.began_at,
                    points=each.points,
                    holes=each.holes.all(end),
                    losses=tuple(each.losses),
                )
                for each in self._stretches
            ),
            gaps=self._gaps,
            filled=self._filled,
            rejected=tuple(self._rejected),
        )
