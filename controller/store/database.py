"""The file: SQLite in WAL mode, and what is written into it. Blocking, and one thread at a time; no trio."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.events import AnyEvent
from gapless.controller.store import schema
from gapless.controller.store.errors import StoreFormatError, StoreLostError, StoreTroubleError, explained
from gapless.controller.store.lock import only_recorder
from gapless.controller.store.names import Names
from gapless.controller.store.rows import DATA_COLUMNS, TRADE_COLUMNS, RowMaker, Rows, Rule, Value

Sync: TypeAlias = Literal["normal", "full"]
"""``normal``: a crash of the process loses nothing, a loss of power the last moments; ``full``: neither does, and each
commit waits for the disk."""

_BUSY_S: Final = 0.25
"""How long a write waits for another program's lock before it is tried again later: leaving takes no longer."""
_AT_ONCE: Final = (64, 8, 1)
"""Rows written by one statement. SQLite lets go of the interpreter once for each: with one row at a time a busy event
loop gets in between every two."""
_JOURNAL_MAX_BYTES: Final = 64 * 2**20
"""What the WAL keeps on disk when all of it has been copied into the file."""
_CURSOR: Final = "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET series = ?2, position = ?3"
_ACCOUNT: Final = "INSERT INTO account VALUES (NULL, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_CONTINUITY: Final = "INSERT INTO continuity VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"


def _insert(columns: Sequence[str], rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return f"INSERT OR IGNORE INTO data ({', '.join(columns)}) VALUES {values}"  # noqa: S608 (names of our own)


_DATA: Final = {rows: _insert(DATA_COLUMNS, rows) for rows in _AT_ONCE}
_TRADES: Final = {rows: _insert(TRADE_COLUMNS, rows) for rows in _AT_ONCE}


class Database:
    """A recording that is open for writing. Made by :func:`opened`.

    Attributes:
        cursor: where the file ends: what to resume from; None: nothing was recorded yet.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, started_at: float) -> None:
        self._connection = connection
        self._path = path
        self._inode = path.stat().st_ino
        self._names = _names(connection)
        self.cursor = stored_cursor(connection)
        known = self.cursor.streams if self.cursor is not None else []
        self._maker = RowMaker(self._names, {(each.channel, each.symbol) for each in known if each.next_id is not None})
        self._batches = 0
        with transaction(connection):
            run = connection.execute("INSERT INTO runs (started_at, last_at) VALUES (?, ?)", (started_at, started_at))
        self._run = run.lastrowid

    def rows(self, events: Sequence[AnyEvent], position: Cursor, rules: Sequence[Rule] = ()) -> Rows:
        """A batch, ready to be written; ``rules`` of the streams that are new."""
        self._maker.learn(rules)
        return self._maker.rows(events, position)

    def write(self, rows: Rows, at: float) -> None:
        """Write a batch: all of it, or nothing.

        Raises:
            StoreTroubleError: it is not written; the same rows may be given again.
            StoreLostError: no later attempt will succeed.
        """
        with explained(self._path):
            self._look()
            with transaction(self._connection):
                if rows.is_written or self._is_written():
                    return
                self._write_names()
                self._connection.executemany("UPDATE streams SET ids = ? WHERE id = ?", rows.rules)
                self._write_data(DATA_COLUMNS, _DATA, rows.data)
                self._write_data(TRADE_COLUMNS, _TRADES, rows.trades)
                self._connection.executemany(_ACCOUNT, rows.account)
                self._connection.executemany(_CONTINUITY, rows.continuity)
                self._write_position(rows)
                done = (self._batches + 1, at, self._run)
                self._connection.execute("UPDATE runs SET batches = ?, last_at = ? WHERE id = ?", done)
        rows.is_written = True
        self._batches += 1
        self._names.written()

    def end(self) -> None:
        """Note that the recording ended as it should."""
        with explained(self._path), transaction(self._connection):
            self._connection.execute("UPDATE runs SET ended = 1 WHERE id = ?", (self._run,))

    def _look(self) -> None:
        try:
            is_there = self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            is_there = False
        except OSError as error:
            raise StoreTroubleError(f"{self._path} cannot be looked at: {error.strerror}") from error
        if not is_there:
            raise StoreLostError(f"{self._path} was removed or replaced while it was recorded into; record anew")

    def _is_written(self) -> bool:
        """Whether an attempt that seemed to fail did not: the disk took the commit and could not say so."""
        (batches,) = self._connection.execute("SELECT batches FROM runs WHERE id = ?", (self._run,)).fetchone()
        return bool(batches > self._batches)

    def _write_names(self) -> None:
        self._connection.executemany(
            "INSERT INTO streams (id, channel, symbol) VALUES (?, ?, ?)", self._names.new_streams
        )
        self._connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", self._names.new_series)

    def _write_data(self, columns: Sequence[str], statements: Mapping[int, str], values: list[Value]) -> None:
        begin, width = 0, len(columns)
        for rows, statement in statements.items():
            size = rows * width
            while len(values) - begin >= size:
                self._connection.execute(statement, values[begin : begin + size])
                begin += size

    def _write_position(self, rows: Rows) -> None:
        self._connection.executemany(_CURSOR, rows.cursors)
        self._connection.executemany("DELETE FROM cursors WHERE stream = ?", [(each,) for each in rows.over])
        statement = "INSERT INTO meta VALUES ('venue_epoch', ?) ON CONFLICT DO UPDATE SET value = ?1"
        self._connection.execute(statement, (rows.venue_epoch,))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has taken it back by itself where it could not go on; and where even that fails, nothing is committed.
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


@contextmanager
def opened(path: Path, *, sync: Sync, venue: str | None, started_at: float) -> Iterator[Database]:
    """Open a recording, or make one where there is no file.

    Raises:
        StoreFormatError: the file is something else, of another schema, or of another venue.
        StoreTroubleError: it cannot be opened or written.
    """
    with ExitStack() as stack:
        with explained(path):
            stack.enter_context(only_recorder(path))
            # Which worker thread comes next, nobody knows; there is never more than one.
            connection = stack.enter_context(
                closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False))
            )
            if not schema.is_new(connection):
                schema.check(connection, path)
            _prepare(connection, path, sync)
            if schema.is_new(connection):
                with transaction(connection):
                    schema.create(connection, started_at)
            _check_venue(connection, path, venue)
            database = Database(connection, path, started_at)
        yield database


def _prepare(connection: sqlite3.Connection, path: Path, sync: Sync) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreTroubleError(
            f"{path}: this file system has no shared memory, which WAL needs; record to a local disk"
        )
    connection.execute(f"PRAGMA synchronous = {sync}")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_MAX_BYTES}")


def _check_venue(connection: sqlite3.Connection, path: Path, venue: str | None) -> None:
    if venue is None:
        return
    with transaction(connection):
        connection.execute("INSERT INTO meta VALUES ('venue', ?) ON CONFLICT DO NOTHING", (venue,))
    (known,) = connection.execute("SELECT value FROM meta WHERE key = 'venue'").fetchone()
    if known != venue:
        raise StoreFormatError(f"{path} is a recording of {known}, not of {venue}: each venue needs a file of its own")


def _names(connection: sqlite3.Connection) -> Names:
    streams = connection.execute("SELECT id, channel, symbol FROM streams")
    series = connection.execute("SELECT id, stream, epoch, part, from_first FROM series ORDER BY part")
    return Names.of(streams, series)


def stored_cursor(connection: sqlite3.Connection) -> Cursor | None:
    """Where a recording ends."""
    texts: Iterable[tuple[str]] = connection.execute("SELECT position FROM cursors ORDER BY stream")
    streams = [msgspec.json.decode(text, type=StreamCursor) for (text,) in texts]
    (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'venue_epoch'").fetchone() or (None,)
    return Cursor(streams=streams, epoch=epoch) if streams else None
