"""What a store raises, and what to do about it.

::

    GaplessError
    +-- StoreError              base; a message names the file, what is wrong with it and what to do
        +-- StoreFormatError    no recording, or of another schema: nothing was read or changed
        +-- StoreTroubleError   it cannot be written or read just now: a full disk, a lock; trying again may succeed
        +-- StoreLostError      trying again is no use: the file is damaged, or no longer there
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gapless.controller.errors import GaplessError


class StoreError(GaplessError):
    """Base of everything a store raises."""


class StoreFormatError(StoreError):
    """The file is no recording, or one of another schema. Says what to do; the file was not touched."""


class StoreTroubleError(StoreError):
    """The file cannot be written or read just now; what was to be written is not in it, and may be tried again.

    Attributes:
        passes: whether it may pass by itself, as a lock does. A folder that is not there does not: somebody has to act.
    """

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes


class StoreLostError(StoreError):
    """The file is damaged, or was removed, replaced or changed by another program while it was open."""


_TROUBLE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_BUSY: "another program holds a lock on it; let that program end its transaction",
    sqlite3.SQLITE_LOCKED: "another program holds a lock on it; let that program end its transaction",
    sqlite3.SQLITE_PROTOCOL: "another program holds a lock on it; let that program end its transaction",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write it; look at the system's log",
    sqlite3.SQLITE_READONLY: "it must not be written; change its permissions, or those of its folder",
    sqlite3.SQLITE_PERM: "it must not be written; change its permissions, or those of its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; does its folder exist, and may you write there?",
    sqlite3.SQLITE_NOMEM: "memory is short",
}
"""SQLite's primary result codes that may pass, in words."""


_FULL: Final = "the disk refuses to write it, or the disk is full; free some space, or look at the system's log"
_OUT_OF_SPACE: Final = frozenset({sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE})
"""What a disk without room leads to besides SQLITE_FULL: the index of the WAL beside the file cannot grow."""
_STAYS: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN})


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about a file into an error that says what to do."""
    try:
        yield
    except OverflowError as error:
        raise StoreLostError(
            f"{path} holds ids below 2**63 alone, as a cursor does, and one is above: {error}"
        ) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # of the module itself: a mistake of ours
            raise
        raise _explained(path, error, code) from error


def _explained(path: Path, error: sqlite3.Error, extended: int) -> StoreError:
    code = extended & 0xFF
    if code in _TROUBLE:
        text = _FULL if extended in _OUT_OF_SPACE else _TROUBLE[code]
        return StoreTroubleError(f"{path}: {text} ({error})", passes=code not in _STAYS)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreFormatError(f"{path} is no recording of gapless: expected a SQLite file; name another")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreLostError(
            f"{path} is damaged ({error}): keep a copy, rescue what is left with `sqlite3 {path} .recover`, "
            "and record into a new file"
        )
    return StoreLostError(
        f"{path} is not as gapless left it, another program has changed it ({error}): keep a copy, and record into a "
        "new file"
    )
