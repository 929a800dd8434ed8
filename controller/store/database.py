"""The file: SQLite in WAL mode, and what is written into it. Blocking; no trio."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.events import AnyEvent
from gapless.controller.store import schema
from gapless.controller.store.errors import StoreFormatError, StoreTroubleError, explained
from gapless.controller.store.lock import only_recorder
from gapless.controller.store.names import Names, StreamKey
from gapless.controller.store.rows import DATA_COLUMNS, TRADE_COLUMNS, RowMaker, Rows, Rule, Value
from gapless.controller.store.same_file import SameFile

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
_META: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = ?2"
_ACCOUNT: Final = "INSERT INTO account VALUES (NULL, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_CONTINUITY: Final = "INSERT INTO continuity VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"


def _insert(columns: Sequence[str], rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return f"INSERT OR IGNORE INTO data ({', '.join(columns)}) VALUES {values}"  # noqa: S608 (names of our own)


_DATA: Final = {rows: _insert(DATA_COLUMNS, rows) for rows in _AT_ONCE}
_TRADES: Final = {rows: _insert(TRADE_COLUMNS, rows) for rows in _AT_ONCE}


class Database:
    """A recording that is open for writing. Made by :func:`opened`.

    Making rows touches neither the file nor what writing needs: one thread may do it while another one writes, or
    waits for a disk that does not answer.

    Attributes:
        host_before: where the run before this one listened; None: nobody said so.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        shown: Path,
        started_at: float,
        host: str | None = None,
    ) -> None:
        self._connection = connection
        self._file = SameFile(path, shown, connection)
        self._path = shown
        self._maker = RowMaker(_names(connection), stored_cursor(connection), _left(connection))
        self._turn = Lock()
        """A thread that nobody waits for any more may still be at work when the file is closed."""
        with transaction(connection):
            # With the run: where it does not begin, the next attempt is still told what was before.
            self.host_before = _kept_host(connection, host)
            run = connection.execute("INSERT INTO runs (started_at, last_at) VALUES (?, ?)", (started_at, started_at))
        self._run = run.lastrowid

    @property
    def cursor(self) -> Cursor | None:
        """Where the file ends when all rows that were made are written: what to resume from; None: it holds nothing."""
        return self._maker.cursor

    def begin(self, position: Cursor, rules: Sequence[Rule] = ()) -> None:
        """What comes now is of another controller, which stands there; ``rules`` of the streams that it wants."""
        self._maker.learn(rules)
        self._maker.begin(position)

    def rows(
        self,
        events: Sequence[AnyEvent],
        position: Cursor,
        rules: Sequence[Rule] = (),
        *,
        at: float = 0.0,
        again: Collection[StreamKey] = (),
    ) -> Rows:
        """A batch, ready to be written, after those before it; ``rules`` of the streams that are new.

        For ``at`` and ``again`` see :meth:`RowMaker.rows`.
        """
        self._maker.learn(rules)
        return self._maker.rows(events, position, at=at, again=again)

    def write(self, rows: Rows, at: float) -> None:
        """Write a batch: all of it, or nothing. One that is in the file already changes nothing.

        Raises:
            StoreTroubleError: it is not written; the same rows may be given again.
            StoreLostError: no later attempt will succeed.
        """
        with self._turn, explained(self._path):
            self._file.look()
            with transaction(self._connection):
                # The disk may have taken the commit and not been able to say so.
                (written,) = self._connection.execute("SELECT batches FROM runs WHERE id = ?", (self._run,)).fetchone()
                if written >= rows.number:
                    return
                if written + 1 != rows.number:
                    raise AssertionError(f"batch {rows.number} comes after {written}: one was left out")
                self._write_names(rows)
                self._connection.executemany("UPDATE streams SET ids = ? WHERE id = ?", rows.rules)
                self._write_data(DATA_COLUMNS, _DATA, rows.data)
                self._write_data(TRADE_COLUMNS, _TRADES, rows.trades)
                self._connection.executemany(_ACCOUNT, rows.account)
                self._connection.executemany(_CONTINUITY, rows.continuity)
                self._write_position(rows)
                done = (rows.number, at, self._run)
                self._connection.execute("UPDATE runs SET batches = ?, last_at = ? WHERE id = ?", done)

    def end(self) -> None:
        """Note that the recording ended as it should.

        Raises:
            StoreTroubleError: it is not noted.
            StoreLostError: the file is not what was written into.
        """
        with self._turn, explained(self._path):
            self._file.look()
            with transaction(self._connection):
                self._connection.execute("UPDATE runs SET ended = 1 WHERE id = ?", (self._run,))

    def close(self) -> None:
        """Let go of the file, when whoever is at work on it has done."""
        with self._turn:
            self._connection.close()

    def _write_names(self, rows: Rows) -> None:
        self._connection.executemany("INSERT INTO streams (id, channel, symbol) VALUES (?, ?, ?)", rows.streams)
        self._connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", rows.series)

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
        self._connection.execute(_META, ("cursor", rows.head))


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
def opened(
    path: Path, *, sync: Sync, venue: str | None, started_at: float, host: str | None = None
) -> Iterator[Database]:
    """Open a recording, or make one where there is no file.

    Raises:
        StoreFormatError: the file is something else, of another schema, or of another venue.
        StoreTroubleError: it cannot be opened or written.
    """
    with ExitStack() as stack:
        with explained(path):
            # One file has one lock, whatever names lead to it, and wherever the process goes later.
            real = _resolved(path)
            stack.enter_context(only_recorder(real, shown=path))
            # Which worker thread comes next, nobody knows; there is never more than one.
            connection = stack.enter_context(
                closing(sqlite3.connect(real, timeout=_BUSY_S, isolation_level=None, check_same_thread=False))
            )
            if not schema.is_new(connection):
                schema.check(connection, path)
            _prepare(connection, path, sync)
            if schema.is_new(connection):
                with transaction(connection):
                    schema.create(connection, started_at)
            _check_venue(connection, path, venue)
            database = Database(connection, real, shown=path, started_at=started_at, host=host)
        stack.callback(database.close)
        yield database


def _resolved(path: Path) -> Path:
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of symbolic links
        raise StoreTroubleError(f"{path} leads nowhere: {error}", passes=False) from None
    if real.is_dir():
        raise StoreTroubleError(f"{path} is a folder; name a file in it", passes=False)
    return real


def _prepare(connection: sqlite3.Connection, path: Path, sync: Sync) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreTroubleError(
            f"{path}: this file system has no shared memory, which WAL needs; record to a local disk",
            passes=False,
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


def _kept_host(connection: sqlite3.Connection, host: str | None) -> str | None:
    """Note where this run listens, and tell where the one before did; inside the caller's transaction."""
    (before,) = connection.execute("SELECT value FROM meta WHERE key = 'host'").fetchone() or (None,)
    if host is not None and host != before:
        connection.execute(_META, ("host", host))
    return None if before is None else str(before)


def _left(connection: sqlite3.Connection) -> list[StreamKey]:
    """Market streams that the file knows and that no cursor says where to go on with."""
    return connection.execute(
        "SELECT channel, symbol FROM streams WHERE id NOT IN (SELECT stream FROM cursors WHERE series IS NOT NULL) "
        "AND id NOT IN (SELECT stream FROM account)"
    ).fetchall()


def _names(connection: sqlite3.Connection) -> Names:
    streams = connection.execute("SELECT id, channel, symbol FROM streams")
    series = connection.execute("SELECT id, stream, epoch, part, from_first FROM series ORDER BY part")
    return Names.of(streams, series)


def stored_cursor(connection: sqlite3.Connection) -> Cursor | None:
    """Where a recording ends."""
    texts: Iterable[tuple[str]] = connection.execute("SELECT position FROM cursors ORDER BY stream")
    streams = [msgspec.json.decode(text, type=StreamCursor) for (text,) in texts]
    (head,) = connection.execute("SELECT value FROM meta WHERE key = 'cursor'").fetchone() or (None,)
    return replace(Cursor.decode(head), streams=streams) if streams and head is not None else None
