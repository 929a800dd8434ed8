"""Events as rows of a recording's tables. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import astuple

from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.events import (
    AnyEvent,
    BalanceUpdate,
    CircuitChanged,
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
from gapless.controller.messages import SequenceRule
from gapless.controller.store.names import Names, StreamKey
from gapless.controller.store.schema import SOURCES

Value: TypeAlias = int | float | str | None
Row: TypeAlias = tuple[Value, ...]
Rule: TypeAlias = tuple[str, str, SequenceRule]
"""Channel, symbol, and what the ids tell."""

DATA_COLUMNS: Final = (
    "series",
    "sequence_id",
    "mark",
    "source",
    *("timestamp", "price", "bid", "ask", "volume_24h", "received_at", "generation"),
)
TRADE_COLUMNS: Final = (*DATA_COLUMNS, "amount", "price_text", "amount_text", "side", "trade_id")
_SOURCE: Final[Mapping[object, int]] = {name: number for number, name in enumerate(SOURCES)}


@dataclass(slots=True, kw_only=True)
class Rows:
    """One batch, ready to be written; as often as it takes."""

    data: list[Value] = field(default_factory=list)
    """Market data: the values of one row after those of the other, as one statement for many rows takes them."""
    trades: list[Value] = field(default_factory=list)
    account: list[Row] = field(default_factory=list)
    continuity: list[Row] = field(default_factory=list)
    cursors: list[Row] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    """Streams that are wanted no more: their cursors go."""
    venue_epoch: str | None = None
    rules: list[Row] = field(default_factory=list)
    """What the ids of streams tell, where that is news: rule, number of the stream."""
    is_written: bool = False
    """Set by who has written them, for somebody else may believe that they are not."""


class RowMaker:
    """Turns batches into rows.

    Args:
        names: the numbers of the file.
        resumed: streams that go on where a cursor of the file says; of a venue without epochs every other one begins a
            part of its own.
    """

    def __init__(self, names: Names, resumed: AbstractSet[StreamKey]) -> None:
        self._names = names
        self._unsequenced: set[StreamKey] = set()
        self._new_rules: list[Row] = []
        self._resumed = set(resumed)
        self._known: dict[tuple[str, str, str | None], int] = {}
        """Series as they are now; asked for with every datum."""
        self._positions: dict[StreamKey, StreamCursor] = {}
        self._encoder = msgspec.json.Encoder()

    def learn(self, rules: Iterable[Rule]) -> None:
        """Say what the ids of streams tell, before their first datum."""
        for channel, symbol, rule in rules:
            self._new_rules.append((rule.value, self._names.stream(channel, symbol)))
            if rule is SequenceRule.UNSEQUENCED:
                self._unsequenced.add((channel, symbol))
                self._resumed.add((channel, symbol))

    def rows(self, events: Sequence[AnyEvent], position: Cursor) -> Rows:
        """The rows of a batch."""
        rows = Rows(venue_epoch=position.epoch, rules=self._new_rules)
        self._new_rules = []
        known, sources, data, trades = self._known, _SOURCE, rows.data, rows.trades
        for event in events:
            if isinstance(event, MarketData):
                # The interpreter is the event loop's, too: what is done for each datum is as little as can be.
                channel, symbol, number, epoch, source, *figures = astuple(event)
                series = known.get((channel, symbol, epoch))
                if series is None:
                    series = self._series((channel, symbol), epoch)
                ids = (number, None) if (channel, symbol) not in self._unsequenced else (None, number)
                into = trades if isinstance(event, Trade) else data
                into += (series, *ids, sources[source], *figures)
            else:
                self._other(event, rows)
        self._move(position, rows)
        return rows

    def _series(self, key: StreamKey, epoch: str | None) -> int:
        if epoch is None and key not in self._resumed:
            # Nobody says whether its ids go on or count anew.
            self._resumed.add(key)
            self._names.begins(*key, None, from_first=False)
        number = self._known[*key, epoch] = self._names.series(*key, epoch)
        return number

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
                series = self._series(key, event.new_epoch)
                rows.continuity.append((name, self._names.stream(*key), series, None, None, None, event.at, content))
            case StreamRejected() | SnapshotMissed():
                reason = event.code if isinstance(event, StreamRejected) else event.reason
                stream = self._names.stream(event.channel, event.symbol)
                rows.continuity.append((name, stream, None, None, None, reason, event.at, content))
            case StateChanged() | ReconnectGaveUp() | VenueNotice() | CircuitChanged():
                reason = _reason(event)
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
            self._known.pop((*key, None), None)
        self._positions = seen


def _reason(event: StateChanged | ReconnectGaveUp | VenueNotice | CircuitChanged) -> str:
    match event:
        case VenueNotice():
            return event.code
        case CircuitChanged():
            return event.circuit
        case _:
            return event.reason
