"""Making room by keeping the latest: of each stream's market data that the app has not taken, one piece stays. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gapless.controller.events import AnyEvent, ContinuityLost, GapFilled, MarketData, StreamReset

Loss = Callable[[MarketData, int, int], ContinuityLost]
"""Makes the report that ids ``start..end`` of the stream and epoch of a datum will not be delivered."""

NumberOf = Callable[[MarketData], int | None]
"""The id by which a datum is missed if it is not delivered; None: it has none, or one that tells nothing."""

_Run = tuple[str, str, int]
"""Channel, symbol, and how many resets of the stream came before: ids are comparable within one run."""


@dataclass(slots=True)
class _Dropped:
    datum: MarketData
    last_at: int = -1
    """The place in the queue of the last datum taken out, or of the last word on a gap filled that comes later."""
    ids: list[int] = field(default_factory=list)


def sequence_id_of(datum: MarketData) -> int | None:
    """The id that the venue gave."""
    return datum.sequence_id


def conflated(
    events: Sequence[AnyEvent], loss: Loss, number_of: NumberOf = sequence_id_of
) -> tuple[list[AnyEvent], int]:
    """The queue with only the latest of each stream's market data in it, and how many data were taken out.

    The latest is the highest id of the newest epoch, or for data without ids the last. What is taken out is reported in
    its place, or after the word that it had filled a gap, in as few ranges as there are; the order of everything else
    stays.
    """
    runs = _runs(events)
    kept = _latest(events, runs, number_of)
    dropped: dict[_Run, _Dropped] = {}
    count = 0
    for at, (event, run) in enumerate(zip(events, runs, strict=True)):
        if isinstance(event, MarketData) and run is not None and kept[event.channel, event.symbol] != at:
            count += 1
            if (number := number_of(event)) is not None:
                of_run = dropped.setdefault(run, _Dropped(event))
                of_run.last_at = at
                of_run.ids.append(number)
        elif isinstance(event, GapFilled) and run in dropped:
            dropped[run].last_at = at
    out: list[AnyEvent] = []
    for at, (event, run) in enumerate(zip(events, runs, strict=True)):
        if not isinstance(event, MarketData) or kept[event.channel, event.symbol] == at:
            out.append(event)
        if run in dropped and dropped[run].last_at == at:
            gone = dropped[run]
            out.extend(loss(gone.datum, start, end) for start, end in ranges(gone.ids))
    return out, count


def _runs(events: Sequence[AnyEvent]) -> list[_Run | None]:
    """The run that each datum, and each word on a gap filled, belongs to."""
    resets: Counter[tuple[str, str]] = Counter()
    runs: list[_Run | None] = []
    for event in events:
        if isinstance(event, StreamReset):
            resets[event.channel, event.symbol] += 1
        if isinstance(event, MarketData | GapFilled):
            runs.append((event.channel, event.symbol, resets[event.channel, event.symbol]))
        else:
            runs.append(None)
    return runs


def _latest(events: Sequence[AnyEvent], runs: Sequence[_Run | None], number_of: NumberOf) -> dict[tuple[str, str], int]:
    """Where the datum stands that stays, per stream."""
    kept: dict[tuple[str, str], int] = {}
    for at, event in enumerate(events):
        if not isinstance(event, MarketData):
            continue
        before = kept.get((event.channel, event.symbol))
        if before is not None:
            latest = events[before]
            if isinstance(latest, MarketData) and runs[before] == runs[at] and _is_below(event, latest, number_of):
                continue
        kept[event.channel, event.symbol] = at
    return kept


def _is_below(datum: MarketData, other: MarketData, number_of: NumberOf) -> bool:
    number, other_number = number_of(datum), number_of(other)
    return number is not None and other_number is not None and number < other_number


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
