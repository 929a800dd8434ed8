"""What is written, what is refused, and that a batch is in the file whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gapless.controller import Cursor, StreamCursor
from gapless.controller.messages import SequenceRule
from gapless.controller.store import StoreFormatError, StoreLostError, StoreTroubleError, load_cursor
from gapless.controller.store.database import opened
from gapless.controller.store.reading import reading
from tests.store.events import at, datum, lost, query, reset, trade, write

COUNT = "SELECT count(*) FROM data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def test_data_is_kept_to_the_last_digit(path: Path) -> None:
    write(path, ([datum(1), trade(5, price_text="12345678901234567.10")], at(2)))
    assert query(path, "SELECT channel, symbol, sequence_id, epoch, source, price, volume_24h FROM market_data") == [
        ("ticker", "A", 1, "e-1", "LIVE", 0.1, 1e300),
        ("trade", "A", 5, "e-1", "BACKFILL", 12345678901234567.10, None),
    ]
    assert query(path, "SELECT price_text, amount_text, side, trade_id FROM market_data WHERE amount > 0") == [
        ("12345678901234567.10", "3.000", "buy", "t-7")
    ]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 64, 65, 200])
def test_every_row_of_a_batch_is_written(path: Path, count: int) -> None:
    write(path, ([datum(number) for number in range(1, count + 1)], at(count + 1)))
    assert query(path, "SELECT sequence_id FROM data ORDER BY id") == [(number,) for number in range(1, count + 1)]


def test_the_same_again_changes_nothing(path: Path) -> None:
    write(path, ([datum(1), datum(2)], at(3)))
    write(path, ([datum(2, at=9.0), datum(3)], at(4)))
    assert query(path, "SELECT sequence_id, received_at FROM data") == [(1, 0.0), (2, 0.0), (3, 0.0)]


def test_a_batch_whose_rows_are_given_again_is_written_once(path: Path) -> None:
    """The disk took the commit and could not say so."""
    with opened(path, sync="full", venue=None, started_at=0.0) as database:
        rows = database.rows([datum(1), lost(2, 2)], at(3))
        database.write(rows, 0.0)
    with opened(path, sync="full", venue=None, started_at=0.0) as database:
        rows = database.rows([datum(3), lost(4, 4)], at(5))
        with closing(sqlite3.connect(path)) as other, other:
            # As the interrupted attempt would have left it.
            other.execute("UPDATE runs SET batches = 1 WHERE id = 2")
        database.write(rows, 0.0)
    assert query(path, COUNT) == [(1,)]


def test_a_lock_leaves_the_batch_to_be_tried_again(path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        rows = database.rows([datum(1), reset("e-1", "e-2"), datum(1, epoch="e-2")], at(2, epoch="e-2"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreTroubleError, match="another program holds a lock"):
                database.write(rows, 0.0)
        assert query(path, COUNT) == [(0,)]
        assert query(path, "SELECT count(*) FROM series") == [(0,)]
        database.write(rows, 0.0)
    assert query(path, "SELECT epoch, sequence_id FROM market_data") == [("e-1", 1), ("e-2", 1)]


def test_the_cursor_is_what_was_stored(path: Path) -> None:
    assert load_cursor(path) is None
    position = at(9, holes=[(3, 4)])
    write(path, ([datum(1)], position))
    assert load_cursor(path) == position
    assert query(path, "SELECT epoch FROM series WHERE id = (SELECT series FROM cursors)") == [("e-1",)]


def test_a_stream_that_is_wanted_no_more_has_no_cursor(path: Path) -> None:
    both = Cursor(
        streams=[*at(2).streams, StreamCursor(channel="ticker", symbol="B", epoch="e-1", next_id=5)], epoch="e-1"
    )
    write(path, ([datum(1)], both), ([datum(2)], at(3)))
    assert load_cursor(path) == at(3)


def test_a_stream_that_rests_keeps_its_cursor(path: Path) -> None:
    write(path, ([datum(1)], at(2)))
    write(path, ([datum(7, symbol="B")], Cursor(streams=[], epoch="e-1")))
    assert load_cursor(path) == at(2)


def test_without_epochs_ids_that_count_anew_are_no_repeats(path: Path) -> None:
    write(path, ([datum(1, epoch=None), reset(None, None), datum(1, epoch=None)], at(2, epoch=None)))
    assert query(path, "SELECT part, from_first, sequence_id FROM data JOIN series ON series.id = series") == [
        (1, 0, 1),
        (2, 1, 1),
    ]
    write(path, ([datum(1, epoch=None), datum(2, epoch=None)], at(3, epoch=None)))
    assert query(path, COUNT) == [(3,)], "the run that goes on knows its series"


def test_ids_that_tell_nothing_may_come_twice(path: Path) -> None:
    write(path, ([datum(7), datum(7)], at(None)), rule="unsequenced")
    assert query(path, "SELECT sequence_id FROM market_data") == [(7,), (7,)]


def test_a_file_of_another_venue_is_refused(path: Path) -> None:
    write(path)
    with pytest.raises(StoreFormatError, match="a recording of reference, not of kraken: each venue needs a file"):
        opened(path, sync="normal", venue="kraken", started_at=0.0).__enter__()


@pytest.mark.parametrize(
    ("version", "advice"),
    [(3, "a newer gapless has written it: update gapless"), (1, "export it with the gapless that wrote it")],
)
def test_a_file_of_another_schema_is_refused_and_left_alone(path: Path, version: int, advice: str) -> None:
    write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
    before = path.read_bytes()
    for use in (lambda: opened(path, sync="normal", venue=None, started_at=0.0), lambda: reading(path)):
        with pytest.raises(StoreFormatError, match=advice), use():
            pass
    with pytest.raises(StoreFormatError, match=advice):
        load_cursor(path)
    assert path.read_bytes() == before


def test_a_file_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (a)")
    before = path.read_bytes()
    for use in (lambda: opened(path, sync="normal", venue=None, started_at=0.0), lambda: reading(path)):
        with pytest.raises(StoreFormatError, match="no recording of gapless"), use():
            pass
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_text("a diary, much longer than the header of a database would be: " * 20)
    with pytest.raises(StoreFormatError, match="expected a SQLite file"), reading(path):
        pass


def test_a_damaged_file_is_lost(path: Path) -> None:
    write(path, ([datum(number) for number in range(1, 2_000)], at(2_000)))
    content = bytearray(path.read_bytes())
    content[8_192:40_960] = b"\xff" * (40_960 - 8_192)
    path.write_bytes(content)
    with pytest.raises(StoreLostError, match="is damaged"), reading(path) as connection:
        connection.execute("SELECT sum(price) FROM data").fetchall()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreTroubleError, match="cannot make"):
        opened(tmp_path / "no" / "feed.db", sync="normal", venue=None, started_at=0.0).__enter__()
    with pytest.raises(StoreTroubleError, match="there is no such file"), reading(tmp_path / "feed.db"):
        pass


# -- what is wrong with the file ---------------------------------------------------------------------------------------


def test_two_names_of_a_file_are_one_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = path.with_name("alias.db")
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    with opened(path, sync="normal", venue=None, started_at=0.0):
        for name in (link, Path("feed.db"), Path("alias.db")):
            with pytest.raises(StoreTroubleError, match=f"{name.name} is being recorded into by another process"):
                opened(name, sync="normal", venue=None, started_at=0.0).__enter__()


def test_a_process_may_go_elsewhere_meanwhile(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with opened(Path(path.name), sync="normal", venue=None, started_at=0.0) as database:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        database.write(database.rows([datum(1)], at(2)), 0.0)
    assert query(path, COUNT) == [(1,)]
    assert [each.name for each in elsewhere.iterdir()] == []


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_folder_is_no_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreTroubleError, match="is a folder; name a file in it") as raised:
        opened(Path(name), sync="normal", venue=None, started_at=0.0).__enter__()
    assert not raised.value.passes
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_was_cut_short_is_lost(path: Path) -> None:
    """Whether or not all of it had been copied out of the WAL."""
    write(path, ([datum(number) for number in range(1, 2_000)], at(2_000)))
    for size in (8_192, 0):
        with opened(path, sync="normal", venue=None, started_at=0.0) as database:
            with path.open("r+b") as file:
                file.truncate(size)
            with pytest.raises(StoreLostError, match="was cut short"):
                database.write(database.rows([datum(2_000)], at(2_001)), 0.0)
            with pytest.raises(StoreLostError, match="was cut short"):
                database.end()
        path.unlink()
        write(path, ([datum(number) for number in range(1, 2_000)], at(2_000)))


def test_a_file_that_another_program_has_made_smaller_is_well(path: Path) -> None:
    write(path, ([datum(number) for number in range(1, 2_000)], at(2_000)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine AS SELECT zeroblob(1000000) AS big")
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        before = path.stat().st_size
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("DROP TABLE mine")
            other.execute("VACUUM")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size < before
        for number in (2_000, 2_001):
            database.write(database.rows([datum(number)], at(number + 1)), 0.0)
        database.end()
    assert query(path, COUNT) == [(2_001,)]


def test_a_file_that_another_one_took_the_place_of_is_lost(path: Path, tmp_path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        other = tmp_path / "other.db"
        write(other)
        other.rename(path)
        with pytest.raises(StoreLostError, match="removed or replaced"):
            database.end()


def test_a_full_disk_is_trouble_and_leaves_the_batch_to_be_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own bound on the size of a file leads to the same error as a disk without room."""
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connections.append(connect(*arguments, **more))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        (mine,) = connections
        monkeypatch.undo()
        ((pages,),) = mine.execute("PRAGMA page_count")
        mine.execute(f"PRAGMA max_page_count = {pages}")
        rows = database.rows([datum(number) for number in range(1, 2_000)], at(2_000))
        for _ in range(2):
            with pytest.raises(StoreTroubleError, match="the disk is full; free some space") as raised:
                database.write(rows, 0.0)
            assert raised.value.passes
        assert query(path, COUNT) == [(0,)]
        mine.execute("PRAGMA max_page_count = 100000")
        database.write(rows, 0.0)
        database.end()
    assert query(path, COUNT) == [(1_999,)]
    assert load_cursor(path) == at(2_000)


def test_an_id_that_no_file_holds_is_said(path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        rows = database.rows([datum(2**63)], at(None))
        with pytest.raises(StoreLostError, match=r"holds ids below 2\*\*63"):
            database.write(rows, 0.0)


def test_what_another_program_has_done_to_the_tables_is_said(path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO streams (channel, symbol) VALUES ('ticker', 'B')")
        with pytest.raises(StoreLostError, match="another program has changed it"):
            database.write(database.rows([datum(1)], at(2)), 0.0)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE runs")
        with pytest.raises(StoreLostError, match="another program has changed it"):
            database.end()


def test_batches_are_written_in_the_order_they_were_made_in(path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        rows = [database.rows([datum(number)], at(number + 1)) for number in (1, 2)]
        with pytest.raises(AssertionError, match="batch 2 comes after 0"):
            database.write(rows[1], 0.0)
        for each in (rows[0], rows[0], rows[1], rows[0]):
            database.write(each, 0.0)
    assert query(path, "SELECT sequence_id FROM data") == [(1,), (2,)]
    assert load_cursor(path) == at(3)


def test_where_the_run_before_listened(path: Path) -> None:
    known: list[str | None] = []
    for host in ("a:1", None, "b:2", "b:2"):
        with opened(path, sync="normal", venue=None, host=host, started_at=0.0) as database:
            known.append(database.host_before)
    assert known == [None, "a:1", "a:1", "b:2"]


def test_where_the_run_before_listened_is_told_to_the_next_attempt_too(path: Path) -> None:
    """A lock comes in between as this trigger does."""
    with opened(path, sync="normal", venue=None, host="a:1", started_at=0.0):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON runs BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(StoreLostError), opened(path, sync="normal", venue=None, host="b:2", started_at=0.0):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER no")
    with opened(path, sync="normal", venue=None, host="b:2", started_at=0.0) as database:
        assert database.host_before == "a:1"


@pytest.mark.parametrize("rule", ["monotonic", "chained"])
def test_ids_that_leave_some_out_are_not_called_lost_where_a_stream_was_wanted_again(path: Path, rule: str) -> None:
    """It ends with the batch in which nobody can tell the one wish from the other, and goes on in another part."""
    rules = [("ticker", "A", SequenceRule(rule))]
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        database.write(database.rows([datum(10), datum(17)], at(18), rules), 0.0)
        both = [datum(number) for number in range(30, 3000, 7)]
        database.write(database.rows(both, at(2999), again=[("ticker", "A")]), 0.0)
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        database.begin(at(2999))
        database.write(database.rows([datum(3004)], at(3005), rules), 0.0)
        database.write(database.rows([datum(3011)], at(3012)), 0.0)
    assert query(path, "SELECT series, start_seq, end_seq, reason FROM continuity") == [(1, 2999, None, "unsubscribed")]
    assert query(path, "SELECT part, count(*) FROM data JOIN series ON series.id = series GROUP BY part") == [
        (1, 427),
        (2, 2),
    ]


def test_data_without_ids_stays_in_one_series(path: Path) -> None:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        for events in ([], [datum(None)], [datum(None)], [datum(None)]):
            database.write(database.rows(events, at(None)), 0.0)
    assert query(path, "SELECT count(*), count(DISTINCT series) FROM data") == [(3, 1)]
