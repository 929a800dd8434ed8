"""A recording, opened to be read: at one moment, however long the reading takes and whoever writes meanwhile."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

from gapless.controller.cursor import Cursor
from gapless.controller.store import schema
from gapless.controller.store.database import stored_cursor
from gapless.controller.store.errors import StoreFormatError, StoreTroubleError, explained
from gapless.controller.stream import Stream

_BUSY_S: Final = 5.0
"""Readers wait for nobody, but for a recovery after a crash, which is somebody's first reading or writing."""
_NOTHING_CAN_BE_MADE: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}
"""Primary result codes of a reader that cannot make ``FILE-shm``: a read-only folder, a full disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One count of ids: a stream in one epoch of its venue."""

    number: int
    stream: Stream
    ids: str | None
    """What its ids tell: the value of a :class:`~gapless.controller.messages.SequenceRule`."""
    epoch: str | None
    part: int
    """Which count in this epoch, from 1."""
    from_first: bool
    """Whether it is owed from id 1: the epoch began while it was recorded."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the file as it is now, and cannot change it.

    Where nothing can be written beside the file, nobody can be told that it is read: should a recorder write it
    meanwhile, that is found when the block is left.

    Raises:
        StoreFormatError: the file is something else, or of another schema.
        StoreTroubleError: it cannot be read.
        StoreLostError: it is damaged.
    """
    _look(path)
    with _opened(path) as connection:
        if schema.is_new(connection):
            raise StoreFormatError(
                f"{path} holds nothing. Was it copied without {path.name}-wal? Until a recorder ends by itself a "
                "recording is both files: copy them together"
            )
        schema.check(connection, path)
        yield connection


def load_cursor(path: str | Path) -> Cursor | None:
    """Where a recording ends: what ``open_controller(resume=...)`` takes. None: it holds nothing, or there is no file.

    Raises:
        StoreError: as :func:`reading` does.
    """
    file = Path(path)
    if not file.exists():
        return None
    _look(file)
    with _opened(file) as connection:
        if schema.is_new(connection):
            return None
        schema.check(connection, file)
        return stored_cursor(connection)


def series_in(connection: sqlite3.Connection) -> list[Series]:
    """Every series, by stream, and of each stream in the order of their beginnings."""
    rows = connection.execute(
        "SELECT series.id, channel, symbol, ids, nullif(epoch, ''), part, from_first "
        "FROM series JOIN streams ON streams.id = stream ORDER BY channel, symbol, series.id"
    )
    return [
        Series(
            number=number, stream=Stream(channel, symbol), ids=ids, epoch=epoch, part=part, from_first=bool(from_first)
        )
        for number, channel, symbol, ids, epoch, part, from_first in rows
    ]


def streams_in(connection: sqlite3.Connection) -> dict[Stream, str | None]:
    """Every stream that was asked for, whatever came of it, and what its ids tell."""
    rows = connection.execute("SELECT channel, symbol, ids FROM streams ORDER BY channel, symbol")
    return {Stream(channel, symbol): ids for channel, symbol, ids in rows}


def account_streams_in(connection: sqlite3.Connection) -> list[Stream]:
    """Those of orders and balances: they are told by snapshots, not by ids."""
    rows = connection.execute(
        "SELECT channel, symbol FROM streams WHERE id IN (SELECT stream FROM account) "
        "OR id IN (SELECT stream FROM continuity WHERE event = 'SnapshotMissed') ORDER BY channel, symbol"
    )
    return [Stream(channel, symbol) for channel, symbol in rows]


def _look(path: Path) -> None:
    try:
        is_file, is_readable = S_ISREG(path.stat().st_mode), os.access(path, os.R_OK)
    except FileNotFoundError:
        raise StoreTroubleError(f"{path}: there is no such file") from None
    except OSError as error:
        raise StoreTroubleError(f"{path} cannot be read: {error.strerror}") from None
    if not is_file:
        raise StoreFormatError(f"{path} is no file: expected one that gapless record has made")
    if not is_readable:
        raise StoreTroubleError(f"{path} cannot be read: change its permissions")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with explained(path):
        try:
            connection = _begun(path, "mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NOTHING_CAN_BE_MADE:
                raise
            why = error
        else:
            with closing(connection):
                yield connection
            return
        wal = path.resolve().with_name(f"{path.resolve().name}-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise StoreTroubleError(
                f"{path} cannot be read where nothing can be written: its newest data are in {wal.name}, which SQLite "
                f"reads by a third file that it cannot make here ({why}); copy both files to a folder where it can"
            )
        # All there is lies in the one file, which SQLite reads by itself where it is told that nobody writes it.
        before = _face(path)
        with closing(_begun(path, "mode=ro&immutable=1")) as connection:
            yield connection
        if _face(path) != before:
            raise StoreTroubleError(f"{path} was written or removed while it was read; read it once more")


def _begun(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _face(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
