"""Events as rows of a recording's tables. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import astuple, replace

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
from gapless.controller.store.names import Names, SeriesRow, StreamKey, StreamRow
from gapless.controller.store.partings import abandoned, parted, spoken_of
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

    number: int
    """Of this batch in its run, from 1: by it the file tells whether it is written already."""
    streams: list[StreamRow] = field(default_factory=list)
    """Those that are new; ``series`` alike."""
    series: list[SeriesRow] = field(default_factory=list)
    data: list[Value] = field(default_factory=list)
    """Market data: the values of one row after those of the other, as one statement for many rows takes them."""
    trades: list[Value] = field(default_factory=list)
    account: list[Row] = field(default_factory=list)
    continuity: list[Row] = field(default_factory=list)
    cursors: list[Row] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    """Streams that are wanted no more: their cursors go."""
    head: str = ""
    """What the cursor says besides of the streams: it, without them, as JSON."""
    rules: list[Row] = field(default_factory=list)
    """What the ids of streams tell, where that is news: rule, number of the stream."""


class RowMaker:
    """Turns batches into rows. What it makes is to be written in the same order, whatever that takes.

    Args:
        names: the numbers of the file.
        cursor: where the file ends. Streams go on from there until :meth:`begin` says otherwise.
        left: streams that the file knows, and that no cursor says where to go on with.
    """

    def __init__(self, names: Names, cursor: Cursor | None, left: Iterable[StreamKey] = ()) -> None:
        self._names = names
        known = [] if cursor is None else cursor.streams
        self._positions = {(each.channel, each.symbol): each for each in known}
        """Of streams that rest, too."""
        self._head = Cursor(streams=[]) if cursor is None else replace(cursor, streams=[])
        """What the cursor says besides of the streams."""
        self._resumed = {key for key, each in self._positions.items() if each.next_id is not None}
        """Streams that go on; of a venue without epochs every other one begins a part of its own."""
        self._left = set(left)
        """Streams that begin a part of their own in an epoch that they have been recorded in, too."""
        self._abandoned: list[StreamCursor] = []
        """Where streams stood that begin anew, until the file is told."""
        self._wanted: set[StreamKey] | None = None
        """What the present controller was seen to want; None: nobody has said which one it is."""
        self._met: set[StreamKey] = set()
        """Streams of which the first data came in this batch, or the first of an epoch or part."""
        self._unsequenced: set[StreamKey] = set()
        self._contiguous: dict[StreamKey, bool] = {}
        self._new_rules: list[Row] = []
        self._known: dict[tuple[str, str, str | None], int] = {}
        """Series that data came of, as they are now; asked for with every datum."""
        self._made = 0
        self._encoder = msgspec.json.Encoder()

    @property
    def cursor(self) -> Cursor | None:
        """Where the file ends when all that was made is written: what to resume from."""
        streams = list(self._positions.values())
        return replace(self._head, streams=streams) if streams else None

    def begin(self, position: Cursor) -> None:
        """What comes now is of another controller, which stands there; what it does not want rests."""
        self._wanted = {(each.channel, each.symbol) for each in position.streams}
        self._abandon(each for each in position.streams if not self._goes_on(each))

    def _goes_on(self, now: StreamCursor) -> bool:
        """Whether a controller that stands there will bring all that comes after what was written."""
        was = self._positions.get((now.channel, now.symbol))
        if was is None or was.next_id is None:
            return True
        return now.epoch == was.epoch and now.next_id is not None and now.next_id <= was.next_id

    def _abandon(self, streams: Iterable[StreamCursor]) -> None:
        """These begin anew, wherever they stood."""
        for each in streams:
            key = each.channel, each.symbol
            was = self._positions.pop(key, None)
            if was is not None and was.next_id is not None:
                self._abandoned.append(was)
                self._leave(key)

    def learn(self, rules: Iterable[Rule]) -> None:
        """Say what the ids of streams tell, before their first datum."""
        for channel, symbol, rule in rules:
            self._new_rules.append((rule.value, self._names.stream(channel, symbol)))
            self._contiguous[channel, symbol] = rule is SequenceRule.CONTIGUOUS
            if rule is SequenceRule.UNSEQUENCED:
                self._unsequenced.add((channel, symbol))

    def rows(
        self, events: Sequence[AnyEvent], position: Cursor, *, at: float = 0.0, again: Collection[StreamKey] = ()
    ) -> Rows:
        """The rows of a batch.

        Args:
            events: what was handed over.
            position: where the controller is then.
            at: Unix seconds, of what is noted besides.
            again: streams that were unsubscribed and subscribed again since the batch before, or may have been.
        """
        self._made += 1
        rows = Rows(number=self._made, rules=self._new_rules)
        self._new_rules = []
        if (wanted := self._wanted) is not None:
            # A controller goes on with the streams that it was opened with alone.
            self._abandon(each for each in position.streams if (each.channel, each.symbol) not in wanted)
        for was in self._abandoned:
            self._tell(abandoned(was, at), rows)
        self._abandoned = []
        known, sources, data, trades = self._known, _SOURCE, rows.data, rows.trades
        for event in events:
            if isinstance(event, MarketData):
                # The interpreter is the event loop's, too: what is done for each datum is as little as can be.
                channel, symbol, number, epoch, source, *figures = astuple(event)
                series = known.get((channel, symbol, epoch))
                if series is None:
                    series = known[channel, symbol, epoch] = self._series((channel, symbol), epoch)
                    self._met.add((channel, symbol))
                ids = (number, None) if (channel, symbol) not in self._unsequenced else (None, number)
                into = trades if isinstance(event, Trade) else data
                into += (series, *ids, sources[source], *figures)
            else:
                self._other(event, rows)
        self._move(events, position, rows, at, again)
        rows.streams, rows.series = self._names.take_new()
        return rows

    def _series(self, key: StreamKey, epoch: str | None) -> int:
        """The number of a stream's series, where it is not known by heart."""
        is_anew = key in self._left or (epoch is None and key not in self._resumed)
        if is_anew and key not in self._unsequenced:
            # Nobody says whether its ids go on or count anew; or there is a hole before them that nobody owes.
            self._left.discard(key)
            self._resumed.add(key)
            return self._names.begins(*key, epoch, from_first=False)
        return self._names.series(*key, epoch)

    def _leave(self, key: StreamKey) -> None:
        """What comes of a stream from now on does not follow what came before."""
        self._left.add(key)
        self._resumed.discard(key)
        for each in [each for each in self._known if each[:2] == key]:
            del self._known[each]

    def _tell(self, losses: Iterable[ContinuityLost], rows: Rows) -> None:
        """Note in the series as they were what nobody else says."""
        for each in losses:
            series = self._names.series(each.channel, each.symbol, each.epoch)
            self._note(each, series, rows)

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
                self._note(event, self._series((event.channel, event.symbol), event.epoch), rows)
            case StreamReset():
                key = event.channel, event.symbol
                self._resumed.add(key)
                self._left.discard(key)
                # Where the epoch has a name that says it all.
                if event.new_epoch is None or not self._names.has_series(*key, event.new_epoch):
                    self._names.begins(*key, event.new_epoch, from_first=True)
                    self._known.pop((*key, event.new_epoch), None)
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

    def _note(self, event: GapFound | GapFilled | ContinuityLost, series: int, rows: Rows) -> None:
        stream, content = self._names.stream(event.channel, event.symbol), self._encoder.encode(event).decode()
        ids = event.start_seq, event.end_seq
        rows.continuity.append((type(event).__name__, stream, series, *ids, event.reason, event.at, content))

    def _move(
        self, events: Sequence[AnyEvent], position: Cursor, rows: Rows, at: float, again: Collection[StreamKey]
    ) -> None:
        """Only what has moved is written: a feed may have a thousand streams, most of them quiet."""
        streams = {(each.channel, each.symbol): each for each in position.streams}
        # Some may have come and gone since the batch before.
        gone = ((self._wanted or set()) | self._met) - streams.keys()
        unsure = {key for key in again if key in self._positions or self._contiguous.get(key, True)} & streams.keys()
        spoken = spoken_of(events, gone | unsure)
        for key, each in streams.items():
            was = self._positions.get(key)
            is_left = key in unsure and self._settle(key, each, spoken.get(key, ()), rows, at)
            if was == each and not is_left:
                continue
            self._positions[key] = each
            # Without a single datum there is no series yet; it would be an empty one.
            series = self._series(key, each.epoch) if each.next_id is not None and not is_left else None
            rows.cursors.append((self._names.stream(*key), series, self._encoder.encode(each).decode()))
        for key in gone:
            # The controller wants it no more.
            rows.over.append(self._names.stream(*key))
            self._settle(key, None, spoken.get(key, ()), rows, at)
            self._positions.pop(key, None)
        self._met.clear()
        self._wanted = set(streams)
        self._head = replace(position, streams=[])
        rows.head = self._encoder.encode(self._head).decode()

    def _settle(
        self, key: StreamKey, now: StreamCursor | None, events: Sequence[AnyEvent], rows: Rows, at: float
    ) -> bool:
        """Tell what nobody else says of a stream that parted; whether it begins a part when it comes next."""
        if key in self._unsequenced:
            return False
        was, is_contiguous = self._positions.get(key), self._contiguous.get(key, True)
        stays = now if is_contiguous else None
        self._tell(parted(key, was, stays, events, at, is_contiguous=is_contiguous), rows)
        is_known = bool(events) or (was is not None and was.next_id is not None)
        is_left = stays is None or (stays.next_id is None and is_known)
        if is_left:
            self._leave(key)
        return is_left


def _reason(event: StateChanged | ReconnectGaveUp | VenueNotice | CircuitChanged) -> str:
    match event:
        case VenueNotice():
            return event.code
        case CircuitChanged():
            return event.circuit
        case _:
            return event.reason
