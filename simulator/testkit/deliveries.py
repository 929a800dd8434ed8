"""One stream in one epoch: what was issued, what the app got, and how the two differ. Pure."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from gapless.controller import ContinuityLost, MarketData


class StreamKey(NamedTuple):
    """A stream within an epoch; ids count from 1 in each."""

    epoch: str
    channel: str
    symbol: str


class Point(NamedTuple):
    """What was issued under one id."""

    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Every id a stream issued: ``points[0]`` is id 1. ``owed_from`` None: nobody is owed any of them.

    A point that is None was issued, and nobody wrote down what it said. ``misnamed``: id -> what the venue said under
    it although that has another id; who lacks that id cannot know better.
    """

    points: Sequence[Point | None]
    owed_from: int | None = None
    misnamed: Mapping[int, Container[Point]] = field(default_factory=dict)


class StreamAccount:
    """Enter what the app received; then ask for the difference."""

    def __init__(self, key: StreamKey, issued: Issued) -> None:
        self._key = key
        self._issued = issued
        self._times: dict[int, int] = {}
        self._wrong: list[str] = []
        self._nameless = 0
        self._lost: set[int] = set()
        self._lost_twice: set[int] = set()
        self._lost_unissued: list[str] = []

    def enter(self, event: MarketData | ContinuityLost) -> None:
        """One event of this stream and epoch."""
        if isinstance(event, ContinuityLost):
            self._enter_loss(event)
        elif event.sequence_id is None:
            self._nameless += 1
        else:
            self._enter_datum(event, event.sequence_id)

    def _enter_datum(self, event: MarketData, number: int) -> None:
        self._times[number] = self._times.get(number, 0) + 1
        if 1 <= number <= len(self._issued.points):
            came = Point(event.timestamp, event.price, event.bid or 0.0, event.ask or 0.0, event.volume_24h or 0.0)
            issued = self._issued.points[number - 1]
            if issued is not None and came != issued and came not in self._issued.misnamed.get(number, ()):
                self._wrong.append(f"{number} was delivered as {tuple(came)}, issued as {tuple(issued)}")

    def _enter_loss(self, event: ContinuityLost) -> None:
        last_issued = len(self._issued.points)
        if event.end_seq is not None and not 1 <= event.start_seq <= event.end_seq <= last_issued:
            self._lost_unissued.append(f"{event.start_seq}..{event.end_seq}")
        last = last_issued if event.end_seq is None else min(event.end_seq, last_issued)
        ids = set(range(max(1, event.start_seq), last + 1))
        self._lost_twice |= ids & self._lost
        self._lost |= ids

    @property
    def delivered_ids(self) -> set[int]:
        """Every id that came."""
        return set(self._times)

    @property
    def lost_ids(self) -> set[int]:
        """Every id that had been issued and was reported lost."""
        return set(self._lost)

    @property
    def delivered(self) -> int:
        """Different ids that came and had been issued."""
        return sum(1 for number in self._times if 1 <= number <= len(self._issued.points))

    @property
    def duplicates(self) -> int:
        """Deliveries beyond the first of an id."""
        return sum(times - 1 for times in self._times.values())

    @property
    def lost_reported(self) -> int:
        """Ids reported lost that had been issued and never came."""
        return len(self._lost - self._times.keys())

    @property
    def owed(self) -> range:
        """Every id that must come or be reported."""
        first, last = self._issued.owed_from, len(self._issued.points)
        return range(0) if first is None else range(first, last + 1)

    @property
    def unreported(self) -> set[int]:
        """Owed, and neither delivered nor reported."""
        return set(self.owed) - self._times.keys() - self._lost

    def overdue(self, *, settled: bool) -> set[int]:
        """Unreported, and not under way any more: below the newest id that came, or any where all has ``settled``."""
        if settled:
            return self.unreported
        newest = max(self._times, default=0)
        return {number for number in self.unreported if number < newest}

    def violations(self, *, settled: bool = True, excused: AbstractSet[int] = frozenset()) -> Iterator[str]:
        """Each broken promise, in words.

        Args:
            settled: whether everything that was issued must have come; else what is newer than what came is under way.
            excused: ids that may be missing still: of gaps the app was told of and that are being filled.
        """
        name = named(self._key)
        last_issued = len(self._issued.points)
        if missing := self.overdue(settled=settled) - excused:
            yield f"{name}: {spans(missing)} are owed and were neither delivered nor reported lost"
        if twice := [number for number, times in self._times.items() if times > 1]:
            yield f"{name}: {spans(twice)} were delivered more than once"
        if both := self._lost & self._times.keys():
            yield f"{name}: {spans(both)} were delivered and reported lost"
        if unissued := [number for number in self._times if not 1 <= number <= last_issued]:
            yield f"{name}: {spans(unissued)} were delivered and never issued"
        if self._nameless:
            yield f"{name}: {self._nameless} data came without a sequence id"
        if self._lost_twice:
            yield f"{name}: {spans(self._lost_twice)} were reported lost more than once"
        for text in self._lost_unissued:
            yield f"{name}: {text} were reported lost, issued were 1..{last_issued}"
        for text in self._wrong:
            yield f"{name}: {text}"


def named(key: StreamKey) -> str:
    """A stream and its epoch, for a message."""
    return f"{key.channel}:{key.symbol} in {key.epoch}"


def spans(ids: Iterable[int]) -> str:
    """Ids as ranges: ``ids 3, 7..9``."""
    ranges: list[list[int]] = []
    for number in sorted(ids):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = ", ".join(f"{first}" if first == last else f"{first}..{last}" for first, last in ranges[:10])
    return f"ids {shown}" + (f" and {len(ranges) - 10} ranges more" if len(ranges) > 10 else "")
