"""What is in a recording, and what is not: per stream and epoch. Reads every row twice, by arrival and by id."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gapless.controller.cursor import StreamCursor
from gapless.controller.events import StreamRejected
from gapless.controller.messages import SequenceRule
from gapless.controller.store.continuity import Continuity, Lost, Range
from gapless.controller.store.reading import Series, account_streams_in, series_in, streams_in
from gapless.controller.store.schema import SOURCES, VERSION
from gapless.controller.stream import Stream

OnProgress = Callable[[int, int], None]
"""Called now and then with how much is done, and of how much."""
_ROWS_AT_ONCE: Final = 20_000
_REFUSED: Final = """
SELECT channel, symbol, event, coalesce(reason, ''), at, content, count(*), max(continuity.id)
FROM continuity JOIN streams ON streams.id = stream
WHERE event IN ('StreamRejected', 'SnapshotMissed') GROUP BY stream, event ORDER BY channel, symbol, event
"""
"""Of each stream the last one: SQLite takes the other columns from the row with the maximum."""


class SeriesReport(Struct, frozen=True, kw_only=True):
    """One stream in one epoch; a stream of which nothing ever came is one without an epoch and without data.

    Attributes:
        part: which count of ids in this epoch, from 1.
        ids: what they tell: ``contiguous``, ``chained``, ``monotonic``, ``unsequenced``; None: not known.
        owed_from: the lowest id that is owed; None: there are no ids, or none is known.
        next_id: every id below it is here, lost, still owed, or missing.
        live: data by how it came; ``backfill`` and ``poll`` alike.
        lost: reported lost; without what came after all, where ids are contiguous.
        still_owed: ids below ``next_id`` that the next run fetches, or reports lost.
        missing: ids that nothing explains. There must be none. Of ids that are not contiguous nobody can tell.
        freshness_worst_s: the longest time between two data that came one after the other, between runs as well.
        freshness_worst_at: Unix s, when it ended.
    """

    channel: str
    symbol: str
    epoch: str | None
    part: int
    ids: str | None
    data: int
    owed_from: int | None
    first_id: int | None
    last_id: int | None
    next_id: int | None
    live: int
    backfill: int
    poll: int
    lost: list[Lost]
    still_owed: list[Range]
    missing: list[Range]
    freshness_worst_s: float | None
    freshness_worst_at: float | None


class AccountReport(Struct, frozen=True, kw_only=True):
    """Orders or balances in one epoch: a snapshot stands for all updates up to its id, so that holes tell nothing.

    Attributes:
        updates: that came one by one.
        snapshots: each with all its rows.
        first_at: Unix s, when the first of all was received.
        last_at: alike, the last.
        lost: as it was reported.
    """

    channel: str
    symbol: str
    epoch: str | None
    updates: int
    snapshots: int
    first_at: float | None
    last_at: float | None
    lost: list[Lost]


class Refused(Struct, frozen=True, kw_only=True):
    """What a stream was refused, and the last time in the venue's own words: itself, or a snapshot of its account."""

    channel: str
    symbol: str
    what: Literal["stream", "snapshot"]
    times: int
    reason: str
    message: str
    last_at: float


class Report(Struct, frozen=True, kw_only=True):
    """A recording: every stream that was asked for is in ``series`` or in ``accounts``.

    ``runs`` were begun, ``unfinished`` of them did not end by themselves (or have not yet). ``untellable`` counts the
    streams of market data whose ids do not tell what is missing: they are not contiguous, or there are none.
    """

    schema_version: int
    venue: str | None
    runs: int
    unfinished: int
    began_at: float | None
    last_at: float | None
    untellable: int
    series: list[SeriesReport]
    accounts: list[AccountReport]
    refused: list[Refused]

    @property
    def silent(self) -> int:
        """Streams of market data of which nothing came."""
        streams = {(each.channel, each.symbol) for each in self.series}
        return len(streams - {(each.channel, each.symbol) for each in self.series if each.data})

    @property
    def is_sound(self) -> bool:
        """Whether nothing is missing without a word."""
        return not any(each.missing for each in self.series)


@dataclass(slots=True)
class _Arrivals:
    """What the order of arrival tells of one series."""

    counts: list[int] = field(default_factory=lambda: [0] * len(SOURCES))
    last_at: float | None = None
    worst_s: float | None = None
    worst_at: float | None = None

    def add(self, source: int, at: float) -> None:
        self.counts[source] += 1
        if self.last_at is not None and (self.worst_s is None or at - self.last_at > self.worst_s):
            self.worst_s, self.worst_at = at - self.last_at, at
        self.last_at = at if self.last_at is None else max(at, self.last_at)


def report_of(connection: sqlite3.Connection, tell: OnProgress = lambda _done, _of: None) -> Report:
    """Look at all of a recording."""
    (rows,) = connection.execute("SELECT coalesce(max(id), 0) FROM data").fetchone()
    arrivals: dict[int, _Arrivals] = {}
    done = 0
    for part in _parts(connection.execute("SELECT series, source, received_at FROM data ORDER BY id")):
        for series, source, at in part:
            (arrivals.get(series) or arrivals.setdefault(series, _Arrivals())).add(source, at)
        tell(done := done + len(part), 2 * rows)

    all_series, of_accounts = series_in(connection), account_streams_in(connection)
    reports = _without_series(connection, {each.stream for each in all_series} | set(of_accounts))
    for each in all_series:
        if each.stream in of_accounts:
            continue
        came = arrivals.get(each.number, _Arrivals())
        reports.append(_series_report(connection, each, came))
        tell(done := done + sum(came.counts), 2 * rows)
    runs, unfinished, began_at, last_at = connection.execute(
        "SELECT count(*), coalesce(sum(NOT ended), 0), min(started_at), max(last_at) FROM runs"
    ).fetchone()
    (venue,) = connection.execute("SELECT value FROM meta WHERE key = 'venue'").fetchone() or (None,)
    return Report(
        schema_version=VERSION,
        venue=venue,
        runs=runs,
        unfinished=unfinished,
        began_at=began_at,
        last_at=last_at,
        untellable=len({(each.channel, each.symbol) for each in reports if each.data and not _tells(each)}),
        series=sorted(reports, key=lambda each: (each.channel, each.symbol)),
        accounts=[account for stream in of_accounts for account in _account_reports(connection, stream, all_series)],
        refused=_refused(connection),
    )


def _tells(series: SeriesReport) -> bool:
    """Whether its ids say what is missing."""
    return series.ids == SequenceRule.CONTIGUOUS.value and series.first_id is not None


def _parts(cursor: sqlite3.Cursor) -> Iterator[list[tuple[int, int, float]]]:
    while part := cursor.fetchmany(_ROWS_AT_ONCE):
        yield part


def _without_series(connection: sqlite3.Connection, known: Collection[Stream]) -> list[SeriesReport]:
    return [
        _told(Series(number=0, stream=stream, ids=ids, epoch=None, part=1, from_first=False), _Arrivals(), Continuity())
        for stream, ids in streams_in(connection).items()
        if stream not in known
    ]


def _losses(connection: sqlite3.Connection, series: Series) -> list[Lost]:
    """In the order in which they were reported."""
    rows = connection.execute(
        "SELECT start_seq, end_seq, reason FROM continuity WHERE series = ? AND event = 'ContinuityLost' ORDER BY id",
        (series.number,),
    )
    return [Lost(start_seq=start, end_seq=end, reason=reason) for start, end, reason in rows]


def _account_reports(
    connection: sqlite3.Connection, stream: Stream, all_series: Iterable[Series]
) -> Iterator[AccountReport]:
    never_read = Series(number=0, stream=stream, ids=None, epoch=None, part=1, from_first=False)
    for series in [each for each in all_series if each.stream == stream] or [never_read]:
        updates, snapshots, first_at, last_at = connection.execute(
            "SELECT coalesce(sum(NOT snapshot), 0), coalesce(sum(event = 'SnapshotRead'), 0), min(at), max(at) "
            "FROM account WHERE series = ?",
            (series.number,),
        ).fetchone()
        yield AccountReport(
            channel=stream.channel,
            symbol=stream.symbol,
            epoch=series.epoch,
            updates=updates,
            snapshots=snapshots,
            first_at=first_at,
            last_at=last_at,
            lost=_losses(connection, series),
        )


def _refused(connection: sqlite3.Connection) -> list[Refused]:
    found: list[Refused] = []
    for channel, symbol, event, reason, at, content, times, _last in connection.execute(_REFUSED):
        is_stream = event == "StreamRejected"
        found.append(
            Refused(
                channel=channel,
                symbol=symbol,
                what="stream" if is_stream else "snapshot",
                times=times,
                reason=reason,
                message=msgspec.json.decode(content, type=StreamRejected).message if is_stream else "",
                last_at=at,
            )
        )
    return found


def _series_report(connection: sqlite3.Connection, series: Series, came: _Arrivals) -> SeriesReport:
    found = connection.execute("SELECT position FROM cursors WHERE series = ?", (series.number,)).fetchone()
    position = None if found is None else msgspec.json.decode(found[0], type=StreamCursor)
    is_contiguous = series.ids == SequenceRule.CONTIGUOUS.value
    held = Continuity(series.from_first, _losses(connection, series), position, is_contiguous=is_contiguous)
    ids = connection.execute(
        "SELECT sequence_id FROM data WHERE series = ? AND sequence_id IS NOT NULL ORDER BY sequence_id",
        (series.number,),
    )
    held.run_through(number for (number,) in ids)
    return _told(series, came, held, still_owed=[] if position is None else position.holes)


def _told(series: Series, came: _Arrivals, held: Continuity, still_owed: Sequence[Range] = ()) -> SeriesReport:
    counts = dict(zip(SOURCES, came.counts, strict=True))
    return SeriesReport(
        channel=series.stream.channel,
        symbol=series.stream.symbol,
        epoch=series.epoch,
        part=series.part,
        ids=series.ids,
        data=sum(came.counts),
        owed_from=held.owed_from,
        first_id=held.first_id,
        last_id=held.last_id,
        next_id=held.next_id,
        live=counts["LIVE"],
        backfill=counts["BACKFILL"],
        poll=counts["POLL"],
        lost=held.lost,
        still_owed=list(still_owed),
        missing=held.missing if series.ids == SequenceRule.CONTIGUOUS.value else [],
        freshness_worst_s=came.worst_s,
        freshness_worst_at=came.worst_at,
    )
