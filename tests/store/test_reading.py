"""A recording is opened to be read wherever it lies; and what cannot be read says why."""

import os
import shutil
from pathlib import Path

import pytest

from gapless.controller.store import StoreFormatError, StoreTroubleError, load_cursor, report_of
from gapless.controller.store.database import opened
from gapless.controller.store.reading import reading
from tests.store.events import at, datum, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}-{ending}")


def forbid_new_files(path: Path) -> None:
    """As in a folder that must not be written: SQLite cannot make what it shares with other readers."""
    beside(path, "shm").unlink(missing_ok=True)
    beside(path, "shm").symlink_to(beside(path, "shm").name)


def data_in(path: Path) -> int:
    with reading(path) as connection:
        return sum(each.data for each in report_of(connection).series)


def crashed_copy(path: Path, copy: Path) -> None:
    """What a recorder has left in both files, as it is while it runs or after it was killed."""
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        database.write(database.rows([datum(1), datum(2)], at(3)), 1.0)
        copy.parent.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", f"{copy}{ending}")


def test_it_may_lie_where_nothing_can_be_written(path: Path) -> None:
    write(path, ([datum(1), datum(2)], at(3)))
    forbid_new_files(path)
    assert data_in(path) == 2
    cursor = load_cursor(path)
    assert cursor is not None
    assert cursor.streams[0].next_id == 3


def test_an_empty_wal_that_a_reader_has_left_there_is_no_obstacle(path: Path) -> None:
    write(path, ([datum(1)], at(2)))
    beside(path, "wal").touch()
    forbid_new_files(path)
    assert data_in(path) == 1


def test_where_nothing_can_be_written_a_wal_with_data_says_what_to_do(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "feed.db"
    crashed_copy(path, copy)
    assert data_in(copy) == 2
    forbid_new_files(copy)
    with (
        pytest.raises(StoreTroubleError, match=r"newest data are in feed\.db-wal.* copy both files"),
        reading(copy),
    ):
        pass


def test_what_is_written_meanwhile_where_nobody_can_tell_is_noticed(path: Path) -> None:
    write(path, ([datum(1)], at(2)))
    forbid_new_files(path)
    with pytest.raises(StoreTroubleError, match="was written or removed while it was read"), reading(path):
        os.utime(path, (1.0, 1.0))
    with pytest.raises(StoreTroubleError, match="was written or removed while it was read"), reading(path):
        path.unlink()


def test_a_copy_without_its_wal_is_told_from_something_else(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "feed.db"
    crashed_copy(path, copy)
    beside(copy, "wal").unlink()
    with pytest.raises(StoreFormatError, match=r"holds nothing.*feed\.db-wal"), reading(copy):
        pass


def test_a_folder_and_what_is_no_file_are_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for each in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(StoreFormatError, match="is no file"), reading(each):
            pass
    with pytest.raises(StoreTroubleError, match="cannot be read: Not a directory"), reading(Path("/dev/null/feed.db")):
        pass
