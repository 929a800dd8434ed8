"""What comes out of a recording is what went in, in every form."""

import csv
import io
import sys
from pathlib import Path

import msgspec
import pytest

from gapless.controller import AnyEvent, MarketData, Stream
from gapless.controller.instants import instant
from gapless.controller.store.export import Selection, exported
from gapless.controller.store.forms import COLUMNS, FORMS, Form, MissingPackageError
from gapless.controller.store.reading import reading
from tests.store.events import at, datum, reset, trade, write

DATA = [datum(3), datum(1), datum(2, epoch="e-2"), trade(9, price_text="0.30")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "feed.db"
    write(file, ([*DATA[:2], reset("e-1", "e-2"), *DATA[2:]], at(3, epoch="e-2")))
    return file


def taken(path: Path, selection: Selection) -> list[MarketData]:
    with reading(path) as connection:
        return [event for events in exported(connection, selection) for event in events]


def written(form: Form, events: list[MarketData]) -> bytes:
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


def test_lines_are_those_of_watch(path: Path) -> None:
    lines = written("jsonl", taken(path, Selection())).splitlines()
    assert [msgspec.json.decode(line, type=AnyEvent) for line in lines] == taken(path, Selection())


def test_csv_keeps_every_digit() -> None:
    head, ticker, traded = csv.reader(io.StringIO(written("csv", [datum(1), trade(9, price_text="0.30")]).decode()))
    assert tuple(head) == COLUMNS
    assert ticker[2:10] == ["1", "e-1", "LIVE", "2026-01-01T00:00:01Z", "0.1", "0.2", "", "1e+300"]
    assert traded[-5:] == ["3.0", "0.30", "3.000", "buy", "t-7"]


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
