"""What happened: the state, its transitions, and the items of the time line. Pure, and bounded.

REST requests have a lane of their own, so that a busy poller never pushes a gap off the picture.
"""

from typing import Final, TypeAlias

from msgspec.structs import replace

from gapless.controller import (
    CircuitChanged,
    ContinuityLost,
    GapFilled,
    GapFound,
    ReconnectGaveUp,
    SnapshotMissed,
    SnapshotRead,
    StateChanged,
    StreamRejected,
    StreamReset,
    VenueNotice,
)
from gapless.dashboard.open_gaps import OpenGaps, StreamKey
from gapless.dashboard.revisions import Revisions
from gapless.dashboard.texts import cut
from gapless.dashboard.wire import ItemWire, Kind, StateWire, TransitionWire
from gapless.states import State, Trigger

TRANSITIONS_MAX: Final = 500
"""Transitions kept. Never two attempts within a second: minutes of the wildest flapping."""
ITEMS_MAX: Final = 1_000
"""Time-line items of each lane; requests at the budget's 10 a second would fill one in 100 s."""

Happening: TypeAlias = (
    StateChanged
    | GapFound
    | GapFilled
    | ContinuityLost
    | StreamReset
    | StreamRejected
    | VenueNotice
    | CircuitChanged
    | SnapshotRead
    | SnapshotMissed
    | ReconnectGaveUp
)
"""The events that are news on the time line: all but the data itself."""

_FILLED_BY: Final = {
    "rest": "fetched over REST",
    "live": "came late over the socket",
    "snapshot": "covered by a snapshot",
    "refuted": "never issued",
}


class Chronicle:
    """The state and the time line since ``began_at`` (Unix seconds), when the first attempt began."""

    def __init__(self, *, began_at: float) -> None:
        self.state = StateWire(
            name=State.RECONNECTING,
            since=began_at,
            before=None,
            trigger=None,
            reason="the first attempt",
            generation=1,
            retry_at=None,
        )
        self._transitions = Revisions[int, TransitionWire](size_max=TRANSITIONS_MAX)
        self._items = Revisions[int, ItemWire](size_max=ITEMS_MAX)
        self._requests = Revisions[int, ItemWire](size_max=ITEMS_MAX)
        self._open = OpenGaps()
        self._number = 0
        self._attempt = self._add(self._items, began_at, "attempt", "attempt 1", 0)

    @property
    def forgotten(self) -> int:
        """A page whose revision is older than this may have missed something that is kept no more."""
        return max(self._transitions.forgotten, self._items.forgotten, self._requests.forgotten)

    def transitions_newer_than(self, revision: int) -> list[TransitionWire]:
        """In the order in which they were taken."""
        return self._transitions.newer_than(revision)

    def items_newer_than(self, revision: int) -> list[ItemWire]:
        """New ones and changed ones, by their number."""
        found = [*self._items.newer_than(revision), *self._requests.newer_than(revision)]
        return sorted(found, key=lambda item: item.id)

    def enter(self, event: Happening, revision: int) -> None:
        """Enter an event."""
        match event:
            case StateChanged():
                self._moved(event, revision)
            case GapFound():
                text = f"gap: {_ids(event.start_seq, event.end_seq)} ({event.reason})"
                item = self._on_stream(event, "gap", text, revision, start=event.start_seq, end=event.end_seq)
                self._open.found(_key(event), item, event.start_seq, event.end_seq)
            case GapFilled():
                text = f"{_ids(event.start_seq, event.end_seq)}: {_FILLED_BY.get(event.reason, event.reason)}"
                self._on_stream(event, "filled", text, revision, start=event.start_seq, end=event.end_seq)
                self._close(event, event.start_seq, event.end_seq, revision)
            case ContinuityLost():
                text = f"lost: {_ids(event.start_seq, event.end_seq)} ({event.reason})"
                self._on_stream(event, "lost", text, revision, start=event.start_seq, end=event.end_seq)
                self._close(event, event.start_seq, event.end_seq, revision)
            case StreamReset():
                self._on_stream(event, "reset", f"restarted: {event.old_epoch} -> {event.new_epoch}", revision)
                for item in self._open.all_closed(_key(event)):
                    self._end(item, event.at, revision)
            case StreamRejected():
                self._on_stream(event, "rejected", f"rejected: {event.code} {event.message}", revision)
            case SnapshotRead():
                self._on_stream(event, "snapshot", f"snapshot: {event.rows} rows", revision)
            case SnapshotMissed():
                self._on_stream(event, "snapshot", f"snapshot missed: {event.reason}", revision)
            case VenueNotice() | CircuitChanged() | ReconnectGaveUp():
                kind, text = _of_no_stream(event)
                self._add(self._items, event.at, kind, text, revision, ended_at=event.at)

    def rest_request(self, at: float, path: str, status: int | None, revision: int) -> None:
        """A REST request was answered with ``status``; None: it was not answered."""
        if status is None:
            kind: Kind = "rest_failed"
        elif status in {418, 429}:
            kind = "rate_limited"
        else:
            kind = "rest" if 200 <= status < 300 else "rest_failed"
        text = f"{path}: {'no answer' if status is None else status}"
        self._add(self._requests, at, kind, text, revision, ended_at=at)

    def fault(self, at: float, text: str, revision: int) -> None:
        """Somebody broke something on purpose."""
        self._add(self._items, at, "fault", text, revision, ended_at=at)

    def _moved(self, event: StateChanged, revision: int) -> None:
        stays = event.before is event.after
        self.state = StateWire(
            name=event.after,
            since=self.state.since if stays else event.at,
            before=event.before,
            trigger=event.trigger,
            reason=cut(event.reason),
            generation=event.generation,
            retry_at=None if event.retry_in_s is None else event.at + event.retry_in_s,
        )
        self._number += 1
        transition = TransitionWire(
            at=event.at,
            before=event.before,
            trigger=event.trigger,
            after=event.after,
            reason=cut(event.reason),
            generation=event.generation,
            retry_in_s=event.retry_in_s,
            unverified=event.unverified,
        )
        self._transitions.put(self._number, transition, revision=revision)
        self._end(self._attempt, event.at, revision)
        if event.after is State.RECONNECTING:
            text = f"attempt {event.generation}"
            self._attempt = self._add(self._items, event.at, "attempt", text, revision)
        elif event.trigger is Trigger.ROTATED:
            text = f"attempt {event.generation}: a successor took over"
            self._attempt = self._add(self._items, event.at, "attempt", text, revision, ended_at=event.at)

    def _on_stream(
        self,
        event: GapFound | GapFilled | ContinuityLost | StreamReset | StreamRejected | SnapshotRead | SnapshotMissed,
        kind: Kind,
        text: str,
        revision: int,
        *,
        start: int | None = None,
        end: int | None = None,
    ) -> int:
        stream = f"{event.channel}:{event.symbol}"
        ended_at = None if kind == "gap" else event.at
        return self._add(
            self._items, event.at, kind, text, revision, stream=stream, start=start, end=end, ended_at=ended_at
        )

    def _add(
        self,
        lane: Revisions[int, ItemWire],
        at: float,
        kind: Kind,
        text: str,
        revision: int,
        *,
        stream: str | None = None,
        start: int | None = None,
        end: int | None = None,
        ended_at: float | None = None,
    ) -> int:
        self._number += 1
        item = ItemWire(
            id=self._number,
            at=at,
            kind=kind,
            stream=stream,
            text=cut(text),
            start=start,
            end=end,
            ended_at=ended_at,
        )
        lane.put(item.id, item, revision=revision)
        return item.id

    def _close(self, event: GapFilled | ContinuityLost, start: int, end: int | None, revision: int) -> None:
        for item in self._open.closed(_key(event), start, end):
            self._end(item, event.at, revision)

    def _end(self, number: int, at: float, revision: int) -> None:
        item = self._items.get(number)
        if item is not None and item.ended_at is None:
            self._items.put(number, replace(item, ended_at=at), revision=revision)


def _key(event: GapFound | GapFilled | ContinuityLost | StreamReset) -> StreamKey:
    return event.channel, event.symbol


def _ids(start: int, end: int | None) -> str:
    """How a range reads.

    >>> _ids(3, 3), _ids(3, 5), _ids(3, None)
    ('3', '3 to 5', '3 to the end of the epoch')
    """
    if start == end:
        return str(start)
    return f"{start} to {'the end of the epoch' if end is None else end}"


def _of_no_stream(event: VenueNotice | CircuitChanged | ReconnectGaveUp) -> tuple[Kind, str]:
    """What concerns no single stream: its kind and text."""
    match event:
        case VenueNotice():
            limited = event.kind in {"limited", "banned"}
            return "rate_limited" if limited else "rejected", f"{event.kind}: {event.code} {event.message}"
        case CircuitChanged():
            opened = event.circuit == "open"
            words = f"left alone after {event.failures} failures" if opened else "asked again"
            return "rest_failed" if opened else "rest", f"circuit {event.circuit}: {event.host} is {words}"
        case ReconnectGaveUp():
            return "gave_up", f"gave up after {event.attempts} attempts: {event.reason}"
