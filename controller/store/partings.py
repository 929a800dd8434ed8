"""Where a stream ends that is wanted no more, and what was left out where it is wanted again. Pure.

The controller says of a stream that was unsubscribed what was missing; nothing of it is owed from then on, and so
nobody says where it ends. The file has to: otherwise what came before and what may come again later would lie beside
each other with a hole between them that nothing explains.

A batch lasts as long as the disk is in trouble, so any number of wishes for a stream may begin and end within one. No
event tells where; but of ids that are contiguous, those that none of the wishes brought, nor misses, were not wanted
in between. Of ids of another kind nobody can tell: such a stream ends with the batch, and begins a part of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gapless.controller.cursor import StreamCursor
from gapless.controller.events import AnyEvent, ContinuityLost, MarketData, StreamReset
from gapless.controller.intervals import IntervalSet
from gapless.controller.store.names import StreamKey

UNSUBSCRIBED: Final = "unsubscribed"
"""The reason that the controller gives for what was missing, too."""
Place: TypeAlias = tuple[StreamKey, str | None]
"""A stream, and one of its epochs."""


@dataclass(slots=True)
class _Count:
    """One epoch of a stream, in one batch."""

    owed_from: int | None = None
    """None: from the lowest id on that is spoken of."""
    next_id: int = 0
    """Behind the last one."""
    is_over: bool = False
    """Whether it was said already that nothing follows."""
    said: IntervalSet = field(default_factory=IntervalSet)
    """What is there, and what was reported lost."""
    holes: Sequence[tuple[int, int]] = ()
    """What was missing before."""

    def add(self, start: int, end: int) -> None:
        self.said.add(start, end)
        self.next_id = max(self.next_id, end + 1)
        self.is_over = False

    def ends(self, start: int) -> None:
        self.next_id = max(self.next_id, start)
        self.is_over = True

    def untold(self, end: int, holes: Sequence[tuple[int, int]]) -> Iterable[tuple[int, int]]:
        """What nobody spoke of below ``end``, and is no hole."""
        out = IntervalSet()
        start = self.said.first if self.owed_from is None and self.said else self.owed_from
        if start is not None and start < end:
            out.add(start, end - 1)
        for low, high in self.holes:
            out.add(low, high)
        for low, high in [*self.said, *holes]:
            out.take(low, high)
        return out


def spoken_of(events: Iterable[AnyEvent], streams: set[StreamKey]) -> dict[StreamKey, list[AnyEvent]]:
    """What tells of the ids of these streams, in order."""
    found: dict[StreamKey, list[AnyEvent]] = {}
    for event in events if streams else ():
        if isinstance(event, MarketData | ContinuityLost | StreamReset):
            key = event.channel, event.symbol
            if key in streams and not (isinstance(event, MarketData) and event.sequence_id is None):
                found.setdefault(key, []).append(event)
    return found


def parted(
    key: StreamKey,
    was: StreamCursor | None,
    now: StreamCursor | None,
    events: Iterable[AnyEvent],
    at: float,
    *,
    is_contiguous: bool = True,
) -> list[ContinuityLost]:
    """The words on a stream, one wish for which or several ended in a batch.

    Each epoch ends behind the last that came of it, but for the one that the stream is in now. Where ids are contiguous
    what lies between is told, too.

    Args:
        key: the stream.
        was: where it stood before the batch; None: nowhere.
        now: where it is; None: it is wanted no more.
        events: of it in the batch.
        at: Unix seconds.
        is_contiguous: whether every number is an id.
    """
    return list(_words(key, was, now, events, at, is_contiguous=is_contiguous))


def _words(
    key: StreamKey,
    was: StreamCursor | None,
    now: StreamCursor | None,
    events: Iterable[AnyEvent],
    at: float,
    *,
    is_contiguous: bool,
) -> Iterator[ContinuityLost]:
    for epoch, count in _counts(was, events).items():
        place = key, epoch
        end, holes, is_present = count.next_id, [], False
        if now is not None and now.next_id is not None and now.epoch == epoch:
            end, holes, is_present = now.next_id, now.holes, True
        if is_contiguous:
            yield from (_lost(place, low, high, at) for low, high in count.untold(end, holes))
        if not is_present and not count.is_over:
            yield _lost(place, end, None, at)


def abandoned(was: StreamCursor, at: float) -> list[ContinuityLost]:
    """The words on a stream that begins anew elsewhere: it ends where it stood, and what was missing stays missing."""
    if was.next_id is None:
        return []
    place: Place = (was.channel, was.symbol), was.epoch
    untold = [(start, end) for start, end, _reason in was.lost]
    return [
        *(_lost(place, start, end, at) for start, end in [*was.holes, *untold]),
        _lost(place, was.next_id, None, at),
    ]


def _counts(was: StreamCursor | None, events: Iterable[AnyEvent]) -> dict[str | None, _Count]:
    """By epoch, in the order in which they were spoken of."""
    counts: dict[str | None, _Count] = {}
    if was is not None and was.next_id is not None:
        counts[was.epoch] = _Count(owed_from=was.next_id, next_id=was.next_id, holes=was.holes)
    for event in events:
        match event:
            case MarketData(sequence_id=int(number)):
                counts.setdefault(event.epoch, _Count()).add(number, number)
            case ContinuityLost(end_seq=None):
                counts.setdefault(event.epoch, _Count()).ends(event.start_seq)
            case ContinuityLost(end_seq=int(end)):
                counts.setdefault(event.epoch, _Count()).add(event.start_seq, end)
            case StreamReset(new_epoch=epoch) if epoch is None or epoch not in counts:
                # Where epochs have no names, the one before was closed with its last word, in a part of its own.
                counts[epoch] = _Count(owed_from=1, next_id=1)
            case _:
                pass
    return counts


def _lost(place: Place, start: int, end: int | None, at: float) -> ContinuityLost:
    (channel, symbol), epoch = place
    return ContinuityLost(
        channel=channel, symbol=symbol, epoch=epoch, start_seq=start, end_seq=end, reason=UNSUBSCRIBED, at=at
    )
