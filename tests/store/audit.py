"""What a recording must be at any moment, read with nothing but SQL: no hole, nothing twice, the cursor at its end."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from gapless.controller import StreamCursor

_MARKET = "SELECT id FROM series WHERE id NOT IN (SELECT series FROM account)"
"""What orders and balances are, snapshots tell."""


class Series:
    """One count of ids of one stream, as the file has it."""

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        rows = connection.execute("SELECT sequence_id FROM data WHERE series = ?", (number,))
        self.ids = [each for (each,) in rows]
        losses = connection.execute(
            "SELECT start_seq, end_seq, reason FROM continuity WHERE series = ? AND event = 'ContinuityLost'", (number,)
        )
        self.lost: set[int] = set()
        self.open_end: int | None = None
        """From here on everything is lost: the epoch ended, or nobody wanted it any more."""
        self.is_left = False
        """Whether nobody did: what was wanted again later is another part."""
        for start, end, reason in losses:
            if end is None:
                self.open_end = start
                self.is_left |= reason == "unsubscribed"
            else:
                self.lost |= set(range(start, end + 1))
        (self.channel, self.symbol, self.epoch, self.from_first) = connection.execute(
            "SELECT channel, symbol, epoch, from_first FROM series JOIN streams ON streams.id = stream "
            "WHERE series.id = ?",
            (number,),
        ).fetchone()
        found = connection.execute("SELECT position FROM cursors WHERE series = ?", (number,)).fetchone()
        self.position = msgspec.json.decode(found[0], type=StreamCursor) if found else None

    def complaints(self) -> Iterator[str]:
        """What is wrong."""
        ids = set(self.ids)
        if len(ids) != len(self.ids):
            yield f"{self}: an id is there twice"
        if both := ids & self.lost:
            yield f"{self}: recorded and reported lost: {sorted(both)[:5]}"
        if self.is_left and self.position is not None:
            yield f"{self}: left for good, and the cursor is in it"
        holes: set[int] = set()
        if self.position is not None:
            end = self.position.next_id or 0
            holes = {each for start, stop in self.position.holes for each in range(start, stop + 1)}
        elif self.open_end is not None:
            end = self.open_end
        else:
            yield f"{self}: neither a cursor nor an end"
            return
        if ids and max(ids) >= end:
            yield f"{self}: {max(ids)} is recorded, but the cursor says {end}"
        if both := ids & holes:
            yield f"{self}: recorded, but the cursor calls them holes: {sorted(both)[:5]}"
        first = 1 if self.from_first else min(ids | self.lost, default=end)
        if missing := set(range(first, end)) - ids - self.lost - holes:
            yield f"{self}: missing without a word: {sorted(missing)[:5]}, {len(missing)} ids"

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol} in {self.epoch}"


def series_of(path: Path) -> list[Series]:
    """Every series of market data of a file; none where nobody came to make one yet."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")  # all of it at one moment: the recorder may be at work
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [Series(connection, number) for (number,) in connection.execute(_MARKET).fetchall()]


def assert_sound(path: Path) -> list[Series]:
    """Nothing is missing without a word, nothing is there twice, and the cursor is where the data ends."""
    found = series_of(path)
    complaints = [complaint for each in found for complaint in each.complaints()]
    assert not complaints, complaints
    return found
