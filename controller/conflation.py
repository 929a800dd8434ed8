"""Making room by keeping the latest: of each stream's market data that the app has not taken, one piece stays. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gapless.controller.events import AnyEvent, ContinuityLost, MarketData

Loss = Callable[[MarketData, int, int], ContinuityLost]
"""Makes the report that ids ``start..end`` of the stream and epoch of a datum will not be delivered."""

_Group = tuple[str, str, str | None]
"""Channel, symbol, epoch."""


@dataclass(slots=True)
class _Dropped:
    last_at: int = -1
    """The place in the queue of the last datum taken out."""
    ids: list[int] = field(default_factory=list)


def conflated(events: Sequence[AnyEvent], loss: Loss) -> tuple[list[AnyEvent], int]:
    """The queue with only the latest of each stream's market data in it, and how many data were taken out.

    The latest is the highest id of the newest epoch, or for data without ids the last. What is taken out is reported in
    its place, in as few ranges as there are; the order of everything else stays.
    """
    kept = _latest(events)
    dropped: dict[_Group, _Dropped] = {}
    count = 0
    for at, event in enumerate(events):
        if isinstance(event, MarketData) and kept[event.channel, event.symbol] != at:
            count += 1
            if event.sequence_id is not None:
                group = dropped.setdefault((event.channel, event.symbol, event.epoch), _Dropped())
                group.last_at = at
                group.ids.append(event.sequence_id)
    out: list[AnyEvent] = []
    for at, event in enumerate(events):
        if not isinstance(event, MarketData) or kept[event.channel, event.symbol] == at:
            out.append(event)
            continue
        of_event = dropped.get((event.channel, event.symbol, event.epoch))
        if of_event is not None and of_event.last_at == at:
            out.extend(loss(event, start, end) for start, end in ranges(of_event.ids))
    return out, count


def _latest(events: Sequence[AnyEvent]) -> dict[tuple[str, str], int]:
    """Where the datum stands that stays, per stream."""
    kept: dict[tuple[str, str], int] = {}
    for at, event in enumerate(events):
        if not isinstance(event, MarketData):
            continue
        before = kept.get((event.channel, event.symbol))
        if before is not None:
            latest = events[before]
            is_older = (
                isinstance(latest, MarketData)
                and latest.epoch == event.epoch
                and event.sequence_id is not None
                and latest.sequence_id is not None
                and event.sequence_id < latest.sequence_id
            )
            if is_older:
                continue
        kept[event.channel, event.symbol] = at
    return kept


def ranges(ids: Iterable[int]) -> list[tuple[int, int]]:
    """Ids as inclusive ranges, ascending.

    >>> ranges([5, 3, 4, 9])
    [(3, 5), (9, 9)]
    """
    found: list[tuple[int, int]] = []
    for number in sorted(ids):
        if found and number <= found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
