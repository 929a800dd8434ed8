"""A recording, opened to be read: at one moment, however long the reading takes and whoever writes meanwhile."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gapless.controller.cursor import Cursor
from gapless.controller.store import schema
from gapless.controller.store.database import stored_cursor
from gapless.controller.store.errors import StoreTroubleError, explained
from gapless.controller.store.schema import is_new
from gapless.controller.stream import Stream

_BUSY_S: Final = 5.0
"""Readers wait for nobody, but for a recovery after a crash, which is somebody's first reading or writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One count of ids: a stream in one epoch of its venue."""

    number: int
    stream: Stream
    ids: str | None
    """What its ids tell: the value of a :class:`~gapless.controller.messages.SequenceRule`."""
    epoch: str | None
    from_first: bool
    """Whether it is owed from id 1: the epoch began while it was recorded."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the file as it is now, and cannot change it.

    Raises:
        StoreFormatError: the file is something else, or of another schema.
        StoreTroubleError: it cannot be read.
        StoreLostError: it is damaged.
    """
    if not path.exists():
        raise StoreTroubleError(f"{path}: there is no such file")
    with explained(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("BEGIN")
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
    with explained(file), closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        if is_new(connection):
            return None
        schema.check(connection, file)
        return stored_cursor(connection)


def series_in(connection: sqlite3.Connection) -> list[Series]:
    """Every series, by stream, and of each stream in the order of their beginnings."""
    rows = connection.execute(
        "SELECT series.id, channel, symbol, ids, nullif(epoch, ''), from_first "
        "FROM series JOIN streams ON streams.id = stream ORDER BY channel, symbol, series.id"
    )
    return [
        Series(number=number, stream=Stream(channel, symbol), ids=ids, epoch=epoch, from_first=bool(first))
        for number, channel, symbol, ids, epoch, first in rows
    ]
