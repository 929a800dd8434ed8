"""Whether a file still is the one that was opened: SQLite goes on writing into one that has no name any more."""

import sqlite3
from pathlib import Path

from gapless.controller.store.errors import StoreLostError, StoreTroubleError


class SameFile:
    """The file behind the name, and whether it still is what was written into.

    Args:
        path: that no working directory changes.
        shown: as the user named it.
    """

    def __init__(self, path: Path, shown: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._shown = shown
        self._connection = connection
        seen = path.stat()
        self._identity, self._bytes = (seen.st_dev, seen.st_ino), seen.st_size

    def look(self) -> None:
        """See whether it is there, and whole as far as its size tells.

        Raises:
            StoreTroubleError: nobody can tell just now.
            StoreLostError: it is not.
        """
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            seen = None
        except OSError as error:
            raise StoreTroubleError(f"{self._shown} cannot be looked at: {error.strerror}") from error
        if seen is None or (seen.st_dev, seen.st_ino) != self._identity:
            raise StoreLostError(f"{self._shown} was removed or replaced while it was recorded into; record anew")
        if seen.st_size < self._bytes and seen.st_size < self._bytes_at_least():
            raise StoreLostError(
                f"{self._shown} was cut short while it was recorded into, from {self._bytes:,} to {seen.st_size:,} "
                "bytes: keep a copy, and record into a new file"
            )
        self._bytes = seen.st_size

    def _bytes_at_least(self) -> int:
        """What SQLite knows of: another program's VACUUM makes a file smaller, and is no damage."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = self._connection.execute("PRAGMA page_size").fetchone()
        return int(page_bytes) * max(int(pages), 1)
