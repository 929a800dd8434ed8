"""What comes out of a recording is what went in, in every form."""

import csv
import gc
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gapless.controller import AnyEvent, Stream
from gapless.controller.instants import instant
from gapless.controller.store.export import Selection, exported
from gapless.controller.store.forms import COLUMNS, FORMS, Form, MissingPackageError, Recorded
from gapless.controller.store.reading import reading
from tests.store.events import at, datum, order, rejected, reset, snapshot_read, trade, write

DATA = [datum(3), datum(1), datum(2, epoch="e-2"), trade(9, price_text="0.30")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "feed.db"
    write(file, ([*DATA[:2], reset("e-1", "e-2"), *DATA[2:]], at(3, epoch="e-2")))
    return file


def taken(path: Path, selection: Selection) -> list[Recorded]:
    with reading(path) as connection:
        return [event for events in exported(connection, selection) for event in events]


def written(form: Form, events: Sequence[Recorded]) -> bytes:
    out = io.BytesIO()
    with FORMS[form](out) as write_events:
        write_events(events)
        write_events([])
    return out.getvalue()


def test_by_stream_epoch_and_id_each_as_it_was_recorded(path: Path) -> None:
    assert taken(path, Selection()) == [DATA[1], DATA[0], DATA[2], DATA[3]]


def test_only_some_streams(path: Path) -> None:
    assert taken(path, Selection(streams=[Stream("trade", "A")])) == [DATA[3]]
    with pytest.raises(LookupError, match="no stream trade:B was recorded; there are: ticker:A, trade:A"):
        taken(path, Selection(streams=[Stream("trade", "B")]))


def test_only_some_time_both_ends_included(path: Path) -> None:
    begin, end = instant("2026-01-01T00:00:01Z"), instant("2026-01-01T00:00:02Z")
    assert taken(path, Selection(begin=begin, end=end)) == [DATA[1], DATA[2]]


def test_data_without_a_time_of_the_venue_go_by_when_they_were_received(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    begin, end = instant("2026-01-01T00:00:01Z"), instant("2026-01-01T00:00:02Z")
    untimed = [msgspec.structs.replace(datum(number), timestamp="", received_at=begin + number) for number in range(4)]
    write(path, (untimed, at(4)))
    assert taken(path, Selection(begin=begin, end=end)) == untimed[:2]


def test_nothing_empty_is_handed_on(path: Path) -> None:
    with reading(path) as connection:
        assert list(exported(connection, Selection(begin=instant("2030-01-01")))) == []


def test_a_stream_that_is_not_there_is_said_before_anything_is_read(path: Path) -> None:
    with reading(path) as connection, pytest.raises(LookupError):
        exported(connection, Selection(streams=[Stream("trade", "B")]))


def test_a_stream_of_which_nothing_came_is_there_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(1), rejected("B")], at(2)))
    assert taken(path, Selection(streams=[Stream("ticker", "B")])) == []


def test_orders_are_the_events_they_were_in_the_order_they_came(tmp_path: Path) -> None:
    path, orders = tmp_path / "feed.db", Stream("orders", "*")
    read: list[AnyEvent] = [snapshot_read(3, rows=1, at=3.0), order(3, snapshot=True, at=3.0)]
    events = [*read, order(5, at=4.0), order(4, at=5.0)]
    write(path, ([*events, datum(1)], at(2)))
    assert taken(path, Selection()) == [datum(1)], "only where they are asked for"
    lines = written("jsonl", taken(path, Selection(streams=[orders])))
    assert lines == b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    assert len(taken(path, Selection(streams=[orders], begin=4.0, end=4.5))) == 1
    with pytest.raises(TypeError, match="no columns"):
        written("csv", taken(path, Selection(streams=[orders])))


def test_lines_are_those_of_watch(path: Path) -> None:
    lines = written("jsonl", taken(path, Selection())).splitlines()
    assert [msgspec.json.decode(line, type=AnyEvent) for line in lines] == taken(path, Selection())


def test_the_guide_has_every_column_in_order() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| column \| what \|\n\|---\|---\|\n((?:\|.*\n)+)", guide, re.MULTILINE)
    cells = [line.split("|")[1] for line in table.splitlines()]
    assert tuple(re.findall(r"`(\w+)`", " ".join(cells))) == COLUMNS


def test_the_view_has_the_columns_of_an_export_and_the_order_of_arrival(path: Path) -> None:
    with reading(path) as connection:
        columns = [name for (name, *_rest) in connection.execute("SELECT * FROM market_data").description]
    assert columns == ["id", *COLUMNS]


def test_csv_keeps_every_digit() -> None:
    head, ticker, traded = csv.reader(io.StringIO(written("csv", [datum(1), trade(9, price_text="0.30")]).decode()))
    assert tuple(head) == COLUMNS
    assert ticker[2:10] == ["1", "e-1", "LIVE", "2026-01-01T00:00:01Z", "0.1", "0.2", "", "1e+300"]
    assert traded[-5:] == ["3.0", "0.30", "3.000", "buy", "t-7"]


@pytest.mark.parametrize("symbol", ["A\rB", "A\nB", "A\r\nB", 'A"B', "A,B", "=1+1", "\rA\r"])
def test_csv_keeps_every_text(symbol: str) -> None:
    text = written("csv", [datum(1, symbol=symbol), datum(2)]).decode()
    _head, first, second = csv.reader(io.StringIO(text, newline=""))
    assert (first[1], second[1]) == (symbol, "A")
    assert text.count("\n") == 3 + symbol.count("\n"), "a line feed alone ends a line"


def test_parquet_gathers_rows_into_groups_worth_reading() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    with FORMS["parquet"](out) as write_events:
        for number in range(5):
            write_events([datum(number)] * 30_000)
            write_events([])
    found = parquet.ParquetFile(out).metadata
    assert (found.num_rows, [found.row_group(each).num_rows for each in range(found.num_row_groups)]) == (
        150_000,
        [120_000, 30_000],
    )


@pytest.mark.parametrize(("error", "rows"), [(KeyboardInterrupt, 100_000), (SystemExit, 1), (OSError, 0)])
def test_parquet_that_was_cut_is_no_parquet(error: type[BaseException], rows: int) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    out = io.BytesIO()

    def cut() -> None:
        with FORMS["parquet"](out) as write_events:
            write_events([datum(1)] * rows)
            raise error

    with pytest.raises(error):
        cut()
    gc.collect()
    assert (len(out.getvalue()) > 1_000) == (rows > 1)
    with pytest.raises(pyarrow.ArrowInvalid, match="Parquet"):
        parquet.read_table(io.BytesIO(out.getvalue()))


def test_parquet_has_the_same_columns() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    events = [datum(1), trade(9, price_text="0.30"), datum(None, epoch=None)]
    table = parquet.read_table(io.BytesIO(written("parquet", events)))
    assert tuple(table.column_names) == COLUMNS
    assert table.column("sequence_id").to_pylist() == [1, 9, None]
    assert table.column("price_text").to_pylist() == [None, "0.30", None]
    assert table.column("price").to_pylist() == [0.1, 0.3, 0.1]


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'gapless\[parquet\]'"):
        written("parquet", [])
