"""The tables of a recording, and which files may be read.

A *series* is one count of ids: a stream in one epoch of its venue. Where a venue names no epochs and counts from 1
again, each count is a ``part`` of its own. So (series, sequence id) names a datum for ever, and the unique index over
it makes writing the same datum twice a no-op. What the venue numbers without meaning it (the rule ``unsequenced``) is
kept as a ``mark`` instead: two data may carry the same. A stream that was unsubscribed has left its series for good,
with a loss that has no end for its last word; where it is wanted again in the same epoch, another part begins.

The index is the only constraint on ``data``, so that INSERT OR IGNORE can ignore nothing else. (ON CONFLICT would say
it more plainly, but SQLite then keeps a journal of each statement with several rows, which doubles what they cost.)

Order: the row ids of ``data`` are the order of arrival, but for trades, which come last in their batch. Times:
``*_at`` are Unix seconds of the recording machine, ``timestamp`` is the venue's own text. ``content`` is the event as
``gapless watch --json`` prints it. The view ``market_data`` has names instead of numbers, for people and programs.
"""

import sqlite3
from pathlib import Path
from typing import Final

from gapless.controller.store.errors import StoreFormatError

VERSION: Final = 2
"""Of the tables below, and of what is in them. A file of another version is refused: its meaning is not known here."""
APPLICATION_ID: Final = 0x6761706C
"""``gapl``: in the header of the file, where ``file`` and SQLite's tools show it."""
SOURCES: Final = ("LIVE", "BACKFILL", "POLL")
"""The numbers of ``data.source``."""

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, symbol TEXT NOT NULL, ids TEXT, UNIQUE (channel, symbol)
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams, epoch TEXT NOT NULL, part INTEGER NOT NULL,
    from_first INTEGER NOT NULL DEFAULT 0, UNIQUE (stream, epoch, part)
);
CREATE TABLE data (
    id INTEGER PRIMARY KEY, series INTEGER REFERENCES series, sequence_id INTEGER, mark INTEGER, source INTEGER,
    timestamp TEXT, price REAL, bid REAL, ask REAL, volume_24h REAL, received_at REAL, generation INTEGER,
    amount REAL, price_text TEXT, amount_text TEXT, side TEXT, trade_id TEXT
);
CREATE UNIQUE INDEX data_once ON data (series, sequence_id);
CREATE TABLE account (
    id INTEGER PRIMARY KEY, event TEXT NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
    series INTEGER REFERENCES series, sequence_id INTEGER, snapshot INTEGER NOT NULL, at REAL NOT NULL,
    content TEXT NOT NULL
);
CREATE UNIQUE INDEX account_once ON account (series, sequence_id) WHERE NOT snapshot;
CREATE TABLE continuity (
    id INTEGER PRIMARY KEY, event TEXT NOT NULL, stream INTEGER REFERENCES streams, series INTEGER REFERENCES series,
    start_seq INTEGER, end_seq INTEGER, reason TEXT, at REAL NOT NULL, content TEXT NOT NULL
);
CREATE INDEX continuity_of_series ON continuity (series);
CREATE TABLE cursors (
    stream INTEGER PRIMARY KEY REFERENCES streams, series INTEGER REFERENCES series, position TEXT NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started_at REAL NOT NULL, last_at REAL NOT NULL, batches INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE VIEW market_data AS
SELECT
    data.id, streams.channel, streams.symbol, coalesce(data.sequence_id, data.mark) AS sequence_id,
    nullif(series.epoch, '') AS epoch,
    CASE data.source WHEN 0 THEN 'LIVE' WHEN 1 THEN 'BACKFILL' ELSE 'POLL' END AS source,
    data.timestamp, data.price, data.bid, data.ask, data.volume_24h, data.received_at, data.generation,
    data.amount, data.price_text, data.amount_text, data.side, data.trade_id
FROM data JOIN series ON series.id = data.series JOIN streams ON streams.id = series.stream;
"""


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all yet."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(tables == 0 and connection.execute("PRAGMA application_id").fetchone() == (0,))


def create(connection: sqlite3.Connection, created_at: float) -> None:
    """Make the tables, inside the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    rows = [("schema_version", VERSION), ("created_at", created_at)]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not a recording of this schema.

    Raises:
        StoreFormatError: it is something else; says what, and what to do.
    """
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise StoreFormatError(
            f"{path} is no recording of gapless: expected a file that gapless record has made; name another"
        )
    (version,) = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() or (None,)
    if version == VERSION:
        return
    if isinstance(version, int) and version > VERSION:
        advice = f"a newer gapless has written it: update gapless, or record into a new file (here: {VERSION})"
    else:
        advice = (
            f"an older gapless has written it, and this one reads {VERSION} alone: export it with the gapless that "
            "wrote it, and record into a new file"
        )
    raise StoreFormatError(f"{path} has schema {version}: {advice}")
