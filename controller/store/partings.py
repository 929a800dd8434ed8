"""Where a stream ends that is wanted no more, and what was left out where it is wanted again. Pure.

The controller says of a stream that was unsubscribed what was missing; nothing of it is owed from then on, and so
nobody says where it ends. The file has to: otherwise what came before and what may come again later would lie beside
each other with a hole between them that nothing explains.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from gapless.controller.cursor import StreamCursor
from gapless.controller.events import AnyEvent, ContinuityLost, MarketData, StreamReset
from gapless.controller.intervals import IntervalSet

UNSUBSCRIBED: Final = "unsubscribed"
"""The reason that the controller gives for what was missing, too."""


def parted(was: StreamCursor, events: Iterable[AnyEvent], at: float) -> list[ContinuityLost]:
    """The words that a stream ends behind the last that came of it; none where no id of it is known.

    Args:
        was: where it stood before these events.
        events: the last that came of it, among those of other streams.
        at: Unix seconds.
    """
    was = _restarted(was, events)
    next_id = was.next_id
    for event in events:
        match event:
            case MarketData(channel=was.channel, symbol=was.symbol, epoch=was.epoch, sequence_id=int(end)):
                next_id = max(next_id or 0, end + 1)
            case ContinuityLost(channel=was.channel, symbol=was.symbol, epoch=was.epoch, end_seq=int(end)):
                next_id = max(next_id or 0, end + 1)
            case _:
                pass
    return [] if next_id is None else [_lost(was, next_id, None, at)]


def abandoned(was: StreamCursor, at: float) -> list[ContinuityLost]:
    """The words on a stream that begins anew elsewhere: it ends where it stood, and what was missing stays missing."""
    untold = [(start, end) for start, end, _reason in was.lost]
    return [*(_lost(was, start, end, at) for start, end in [*was.holes, *untold]), *parted(was, (), at)]


def left_out(was: StreamCursor, now: StreamCursor, events: Sequence[AnyEvent], at: float) -> list[ContinuityLost]:
    """The words on what a stream left out that was unsubscribed and subscribed again between these events.

    Where the one wish for it ended and the other began, no event tells; but what neither of them brought, nor misses,
    was not wanted in between.
    """
    was = _restarted(was, events)
    if now.epoch != was.epoch or now.next_id is None:
        return parted(was, events, at)
    out = IntervalSet()
    if was.next_id is not None and was.next_id < now.next_id:
        out.add(was.next_id, now.next_id - 1)
    for start, end in was.holes:
        out.add(start, end)
    for start, end in now.holes:
        out.take(start, end)
    for event in events:
        match event:
            case MarketData(channel=was.channel, symbol=was.symbol, epoch=was.epoch, sequence_id=int(number)):
                out.discard(number)
            case ContinuityLost(channel=was.channel, symbol=was.symbol, epoch=was.epoch, end_seq=int(end)):
                out.take(event.start_seq, end)
            case _:
                pass
    return [_lost(was, start, end, at) for start, end in out]


def _restarted(was: StreamCursor, events: Iterable[AnyEvent]) -> StreamCursor:
    for event in events:
        if isinstance(event, StreamReset) and (event.channel, event.symbol) == (was.channel, was.symbol):
            was = StreamCursor(channel=was.channel, symbol=was.symbol, epoch=event.new_epoch, next_id=1)
    return was


def _lost(was: StreamCursor, start: int, end: int | None, at: float) -> ContinuityLost:
    return ContinuityLost(
        channel=was.channel,
        symbol=was.symbol,
        epoch=was.epoch,
        start_seq=start,
        end_seq=end,
        reason=UNSUBSCRIBED,
        at=at,
    )
