"""Events as rows of a recording's tables. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import astuple

from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.events import (
    AnyEvent,
    BalanceUpdate,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    OrderUpdate,
    ReconnectGaveUp,
    SnapshotMissed,
    SnapshotRead,
    StateChanged,
    StreamRejected,
    StreamReset,
    Trade,
    VenueNotice,
)
from gapless.controller.store.names import Names, StreamKey
from gapless.controller.store.schema import SOURCES

Value: TypeAlias = int | float | str | None
Row: TypeAlias = tuple[Value, ...]

DATA_COLUMNS: Final = (
    "series",
    "sequence_id",
    "mark",
    "source",
    *("timestamp", "price", "bid", "ask", "volume_24h", "received_at", "generation"),
)
TRADE_COLUMNS: Final = (*DATA_COLUMNS, "amount", "price_text", "amount_text", "side", "trade_id")
_BEFORE: Final = 5
"""Fields of a datum before those that are columns as they stand: channel, symbol, sequence_id, epoch, source."""
_SOURCE: Final[Mapping[object, int]] = {name: number for number, name in enumerate(SOURCES)}
_PART: Final = 256
"""Events turned into rows at a stretch. Half a millisecond: the event loop waits for the interpreter no longer."""


@dataclass(slots=True, kw_only=True)
class Rows:
    """One batch, ready to be written; as often as it takes."""

    data: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    account: list[Row] = field(default_factory=list)
    continuity: list[Row] = field(default_factory=list)
    cursors: list[Row] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    """Streams that are wanted no more: their cursors go."""
    venue_epoch: str | None = None


class RowMaker:
    """Turns batches into rows.

    Args:
        names: the numbers of the file.
        unsequenced: streams whose ids tell nothing.
        resumed: streams that go on where a cursor of the file says; of a venue without epochs every other one begins a
            part of its own.
    """

    def __init__(self, names: Names, unsequenced: AbstractSet[StreamKey], resumed: AbstractSet[StreamKey]) -> None:
        self._names = names
        self._unsequenced = unsequenced
        self._resumed = set(resumed)
        self._positions: dict[StreamKey, StreamCursor] = {}
        self._encoder = msgspec.json.Encoder()

    def rows(self, events: Sequence[AnyEvent], position: Cursor) -> Iterator[Rows]:
        """The rows of a batch, the same object after each stretch: complete with the last one."""
        rows = Rows(venue_epoch=position.epoch)
        for begin in range(0, len(events), _PART):
            for event in events[begin : begin + _PART]:
                if isinstance(event, MarketData):
                    self._datum(event, rows)
                else:
                    self._other(event, rows)
            yield rows
        self._move(position, rows)
        yield rows

    def _datum(self, event: MarketData, rows: Rows) -> None:
        key = event.channel, event.symbol
        series = self._series(key, event.epoch)
        values = astuple(event)
        number, mark = event.sequence_id, None
        if key in self._unsequenced:
            number, mark = None, number
        if isinstance(event, Trade):
            rows.trades.append((series, number, mark, _SOURCE[event.source], *values[_BEFORE : _BEFORE + 12]))
        else:
            rows.data.append((series, number, mark, _SOURCE[event.source], *values[_BEFORE : _BEFORE + 7]))

    def _series(self, key: StreamKey, epoch: str | None) -> int:
        if epoch is None and key not in self._resumed:
            # Nobody says whether its ids go on or count anew.
            self._resumed.add(key)
            self._names.begins(*key, None, from_first=False)
        return self._names.series(*key, epoch)

    def _other(self, event: AnyEvent, rows: Rows) -> None:
        name, content = type(event).__name__, self._encoder.encode(event).decode()
        match event:
            case OrderUpdate() | BalanceUpdate() | SnapshotRead():
                key = event.channel, event.symbol
                stream, series = self._names.stream(*key), self._series(key, event.epoch)
                is_snapshot = isinstance(event, SnapshotRead) or event.snapshot
                at = event.at if isinstance(event, SnapshotRead) else event.received_at
                rows.account.append((name, stream, series, event.sequence_id, is_snapshot, at, content))
            case GapFound() | GapFilled() | ContinuityLost():
                stream = self._names.stream(event.channel, event.symbol)
                series = self._series((event.channel, event.symbol), event.epoch)
                ids = event.start_seq, event.end_seq
                rows.continuity.append((name, stream, series, *ids, event.reason, event.at, content))
            case StreamReset():
                key = event.channel, event.symbol
                self._resumed.add(key)
                self._names.begins(*key, event.new_epoch, from_first=True)
                series = self._names.series(*key, event.new_epoch)
                rows.continuity.append((name, self._names.stream(*key), series, None, None, None, event.at, content))
            case StreamRejected() | SnapshotMissed():
                reason = event.code if isinstance(event, StreamRejected) else event.reason
                stream = self._names.stream(event.channel, event.symbol)
                rows.continuity.append((name, stream, None, None, None, reason, event.at, content))
            case StateChanged() | ReconnectGaveUp() | VenueNotice():
                reason = event.code if isinstance(event, VenueNotice) else event.reason
                rows.continuity.append((name, None, None, None, None, reason, event.at, content))
            case MarketData():
                raise AssertionError("market data has tables of its own")

    def _move(self, position: Cursor, rows: Rows) -> None:
        """Only what has moved is written: a feed may have a thousand streams, most of them quiet."""
        seen: dict[StreamKey, StreamCursor] = {}
        for each in position.streams:
            key = each.channel, each.symbol
            seen[key] = each
            if self._positions.get(key) == each:
                continue
            # Without a single datum there is no series yet; it would be an empty one.
            series = self._series(key, each.epoch) if each.next_id is not None else None
            rows.cursors.append((self._names.stream(*key), series, self._encoder.encode(each).decode()))
        for key in self._positions.keys() - seen.keys():
            rows.over.append(self._names.stream(*key))
            self._resumed.discard(key)
        self._positions = seen
