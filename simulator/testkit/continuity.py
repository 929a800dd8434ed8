"""The events in their order: legal steps, gaps found before they are filled, CONNECTED only where none is open."""

from collections.abc import Iterator, Sequence

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    State,
    StateChanged,
    StreamReset,
)
from gapless.simulator.testkit.deliveries import StreamKey, named, spans
from gapless.states import TABLE, Effect

_FILLED_WITHOUT_DATA = {"snapshot", "refuted"}
"""An account's gap is healed by its snapshot; what two corrupt ids claimed was never there."""

_GAP_MAX = 1_000_000
"""Ids that one gap may hold here; a corrupt id believed makes one of billions, which no memory could list."""


def illegal_transitions(events: Sequence[AnyEvent]) -> Iterator[str]:
    """Every transition must follow the one before, and be a row of the table that does something."""
    state = TABLE.initial
    for event in events:
        if not isinstance(event, StateChanged):
            continue
        taken = f"{event.before.name} -> {event.after.name} by {event.trigger}"
        if event.before is not state:
            yield f"{taken} came while the state was {state.name}"
        row = TABLE.find(event.before, event.trigger)
        if row is None or row.target is not event.after or row.effect is Effect.TOLERATED:
            yield f"{taken} is not in the transition table"
        state = event.after


class Continuity:
    """Walks the events in order: a gap is found before it is filled, and closed before ``CONNECTED`` is claimed."""

    def __init__(self) -> None:
        self._open: dict[StreamKey, set[int]] = {}
        self._seen: dict[StreamKey, set[int]] = {}
        self._left: set[StreamKey] = set()

    def unclosed(self) -> Iterator[str]:
        """Gaps that were found and are open still."""
        for key, ids in self._open.items():
            if ids:
                yield f"{named(key)}: {spans(ids)} were GapFound and neither GapFilled nor ContinuityLost"

    def open_ids(self, key: StreamKey) -> frozenset[int]:
        """What was found missing in a stream and is neither filled nor reported lost."""
        return frozenset(self._open.get(key, ()))

    def follow(self, event: AnyEvent) -> Iterator[str]:
        """What is wrong with the next event, after those before it."""
        match event:
            case MarketData():
                key = StreamKey(event.epoch or "-", event.channel, event.symbol)
                if key in self._left:
                    yield f"{named(key)}: {event.sequence_id} was delivered after the stream had left this epoch"
                self._seen.setdefault(key, set()).add(event.sequence_id or 0)
            case GapFound():
                key = StreamKey(event.epoch or "-", event.channel, event.symbol)
                if event.end_seq - event.start_seq >= _GAP_MAX:
                    yield f"{named(key)}: a gap {event.start_seq}..{event.end_seq} was found; no exchange is that fast"
                self._open.setdefault(key, set()).update(_ids(event))
            case GapFilled():
                yield from self._filled(event)
            case ContinuityLost():
                missing = self._open.get(StreamKey(event.epoch or "-", event.channel, event.symbol), set())
                last = max(missing, default=0) if event.end_seq is None else event.end_seq
                missing -= {number for number in missing if event.start_seq <= number <= last}
            case StreamReset():
                self._left.add(StreamKey(event.old_epoch or "-", event.channel, event.symbol))
            case StateChanged(after=State.CONNECTED):
                for key, ids in self._open.items():
                    if ids:
                        yield f"{named(key)}: CONNECTED was claimed while {spans(ids)} were known to be missing"
            case _:
                pass

    def _filled(self, event: GapFilled) -> Iterator[str]:
        key = StreamKey(event.epoch or "-", event.channel, event.symbol)
        missing = self._open.setdefault(key, set())
        ids = set(_ids(event))
        if never_found := ids - missing:
            yield f"{named(key)}: {spans(never_found)} were GapFilled without an open GapFound"
        came_as_data = event.reason not in _FILLED_WITHOUT_DATA
        if came_as_data and (never_seen := ids - self._seen.get(key, set())):
            yield f"{named(key)}: {spans(never_seen)} were GapFilled before they were delivered"
        missing -= ids


def _ids(event: GapFound | GapFilled) -> range:
    return range(event.start_seq, min(event.end_seq + 1, event.start_seq + _GAP_MAX))
