"""What is in a recording, and what is not: per stream and epoch. Reads every row twice, by arrival and by id."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from gapless.controller.cursor import StreamCursor
from gapless.controller.intervals import IntervalSet
from gapless.controller.messages import SequenceRule
from gapless.controller.store.reading import Series, series_in
from gapless.controller.store.schema import SOURCES, VERSION

Range = tuple[int, int]
"""Ids, inclusive at both ends."""
OnProgress = Callable[[int, int], None]
"""Called now and then with how much is done, and of how much."""
_ROWS_AT_ONCE: Final = 20_000


class Lost(Struct, frozen=True, kw_only=True):
    """Ids that the file says will never come. ``end_seq`` None: to the end of the epoch."""

    start_seq: int
    end_seq: int | None
    reason: str


class SeriesReport(Struct, frozen=True, kw_only=True):
    """One stream in one epoch.

    Attributes:
        ids: what they tell: ``contiguous``, ``chained``, ``monotonic``, ``unsequenced``; None: not known.
        owed_from: the lowest id that is owed; None: there are no ids, or none is known.
        next_id: every id below it is here, lost, still owed, or missing.
        live: data by how it came; ``backfill`` and ``poll`` alike.
        lost: reported lost.
        still_owed: ids below ``next_id`` that the next run fetches, or reports lost.
        missing: ids that nothing explains. There must be none. Of ids that are not contiguous nobody can tell.
        freshness_worst_s: the longest time between two data that came one after the other, between runs as well.
        freshness_worst_at: Unix s, when it ended.
    """

    channel: str
    symbol: str
    epoch: str | None
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


class Report(Struct, frozen=True, kw_only=True):
    """A recording. ``runs`` were begun, ``unfinished`` of them did not end by themselves (or have not yet)."""

    schema_version: int
    venue: str | None
    runs: int
    unfinished: int
    began_at: float | None
    last_at: float | None
    series: list[SeriesReport]

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

    reports: list[SeriesReport] = []
    for each in _market_series(connection):
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
        series=reports,
    )


def _parts(cursor: sqlite3.Cursor) -> Iterator[list[tuple[int, int, float]]]:
    while part := cursor.fetchmany(_ROWS_AT_ONCE):
        yield part


def _market_series(connection: sqlite3.Connection) -> list[Series]:
    """Those of orders and balances are told by snapshots, not by ids."""
    of_accounts = {number for (number,) in connection.execute("SELECT DISTINCT series FROM account")}
    return [each for each in series_in(connection) if each.number not in of_accounts]


def _series_report(connection: sqlite3.Connection, series: Series, came: _Arrivals) -> SeriesReport:
    lost = [
        Lost(start_seq=start, end_seq=end, reason=reason)
        for start, end, reason in connection.execute(
            "SELECT start_seq, end_seq, reason FROM continuity WHERE series = ? AND event = 'ContinuityLost' "
            "ORDER BY start_seq",
            (series.number,),
        )
    ]
    found = connection.execute("SELECT position FROM cursors WHERE series = ?", (series.number,)).fetchone()
    position = None if found is None else msgspec.json.decode(found[0], type=StreamCursor)
    account = Account(series.from_first, lost, position)
    ids = connection.execute(
        "SELECT sequence_id FROM data WHERE series = ? AND sequence_id IS NOT NULL ORDER BY sequence_id",
        (series.number,),
    )
    account.run_through(number for (number,) in ids)
    counts = dict(zip(SOURCES, came.counts, strict=True))
    return SeriesReport(
        channel=series.stream.channel,
        symbol=series.stream.symbol,
        epoch=series.epoch,
        ids=series.ids,
        data=sum(came.counts),
        owed_from=account.owed_from,
        first_id=account.first_id,
        last_id=account.last_id,
        next_id=account.next_id,
        live=counts["LIVE"],
        backfill=counts["BACKFILL"],
        poll=counts["POLL"],
        lost=lost,
        still_owed=[] if position is None else position.holes,
        missing=account.missing if series.ids == SequenceRule.CONTIGUOUS.value else [],
        freshness_worst_s=came.worst_s,
        freshness_worst_at=came.worst_at,
    )


class Account:
    """Holds the ids of a series against what is owed. Pure.

    Args:
        from_first: whether it is owed from id 1; else from the lowest id that was ever spoken of.
        lost: reported lost.
        position: where the recording is in this series; None: it has left it.
    """

    def __init__(self, from_first: bool, lost: Sequence[Lost], position: StreamCursor | None) -> None:
        self.first_id: int | None = None
        self.last_id: int | None = None
        self.missing: list[Range] = []
        self._explained = IntervalSet()
        for each in lost:
            if each.end_seq is not None:
                self._explained.add(each.start_seq, each.end_seq)
        for start, end in [] if position is None else position.holes:
            self._explained.add(start, end)
        ends = [each.start_seq for each in lost if each.end_seq is None]
        self.next_id = position.next_id if position is not None else max(ends, default=None)
        self.owed_from: int | None = 1 if from_first else None

    def run_through(self, ids: Iterable[int]) -> None:
        """Every id that is there, ascending."""
        lowest = self._explained.first if self._explained else None
        expected = self.owed_from
        for number in ids:
            if self.first_id is None:
                self.first_id = number
                if expected is None:
                    expected = self.owed_from = number if lowest is None else min(lowest, number)
            if expected is not None and number > expected:
                self._skipped(expected, number - 1)
            self.last_id = number
            expected = number + 1
        if expected is None:
            expected = self.owed_from = lowest
        if self.next_id is None and self.last_id is not None:
            self.next_id = self.last_id + 1
        if expected is not None and self.next_id is not None and expected < self.next_id:
            self._skipped(expected, self.next_id - 1)

    def _skipped(self, start: int, end: int) -> None:
        for low, high in self._explained.overlap(start, end):
            if start < low:
                self.missing.append((start, low - 1))
            start = high + 1
        if start <= end:
            self.missing.append((start, end))
