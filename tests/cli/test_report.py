"""``gapless report`` as a person reads it: every stream that was asked for, and what there is to say about it."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gapless.cli import main
from gapless.controller import AnyEvent, Cursor, Source, StreamCursor
from gapless.controller.instants import instant
from gapless.controller.messages import SequenceRule
from gapless.controller.store import AccountReport, Refused, Report, SeriesReport
from gapless.controller.store.database import opened
from tests.store.events import at, datum, lost, order, rejected, reset, snapshot_read, write

GUIDE = (Path(__file__).parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")


def lines_of(path: Path) -> list[str]:
    found = CliRunner().invoke(main, ["report", str(path)])
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


def test_of_a_stream_the_venue_has_refused_nothing_came(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    position = Cursor(streams=[*at(2).streams, StreamCursor(channel="ticker", symbol="B")], epoch="e-1")
    write(path, ([datum(1), rejected("B", at=5.0), rejected("B", at=7.0)], position))
    assert lines_of(path) == [
        f"{path}: 1 data of 2 streams of reference, 1970-01-01T00:00:01Z to 1970-01-01T00:00:02Z, in 1 run",
        "ticker:A in e-1: 1 data, ids 1 to 1 (contiguous)",
        "  live 100.0 %, backfill 0.0 %, poll 0.0 %",
        "ticker:B: nothing came",
        "refused: ticker:B, 2 x, last at 1970-01-01T00:00:07Z (UNKNOWN_SYMBOL: there is none)",
        "whole; nothing came of 1 stream",
    ]


@pytest.mark.parametrize(
    ("rule", "number", "next_id"),
    [("monotonic", 9, 10), ("chained", 9, 10), ("unsequenced", 9, None), ("contiguous", None, None)],
)
def test_where_ids_do_not_tell_it_is_whole_as_far_as_they_do(
    tmp_path: Path, rule: str, number: int | None, next_id: int | None
) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(number)], at(next_id)), rule=rule)
    words = "whole, as far as ids tell (1 stream without ids that tell what is missing)"
    assert lines_of(path)[-1] == words
    assert json.loads(CliRunner().invoke(main, ["report", str(path), "--json"]).output)["untellable"] == 1
    with opened(path, sync="normal", venue=None, started_at=3.0) as database:
        database.write(database.rows([lost(20, 22)], at(None)), 4.0)
    assert lines_of(path)[-1] == f"{words}, but for what is reported lost"


def test_where_all_ids_tell_none_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(1)], at(2)))
    assert lines_of(path)[-1] == "whole"
    assert json.loads(CliRunner().invoke(main, ["report", str(path), "--json"]).output)["untellable"] == 0


def test_orders_are_counted_and_their_losses_told(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    read = snapshot_read(3, rows=1, at=3.0), order(3, snapshot=True, at=3.0)
    gone = lost(5, 6, channel="orders", symbol="*", reason="snapshot_missed")
    write(path, ([datum(1), *read, order(4, at=4.0), gone], at(2)))
    assert lines_of(path)[3:] == [
        "orders:* in e-1: 1 update and 1 snapshot, 1970-01-01T00:00:03Z to 1970-01-01T00:00:04Z",
        "  lost: 5..6 (snapshot_missed)",
        "whole, but for what is reported lost",
    ]
    as_json = json.loads(CliRunner().invoke(main, ["report", str(path), "--json"]).output)
    assert as_json["accounts"][0]["lost"] == [{"start_seq": 5, "end_seq": 6, "reason": "snapshot_missed"}]


def test_an_epoch_that_came_back_has_lost_nothing_by_it(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    left: list[AnyEvent] = [lost(6, None), reset("e-1", "e-2")]
    back: list[AnyEvent] = [lost(1, None, epoch="e-2"), reset("e-2", "e-1"), lost(1, 5), *map(datum, range(6, 9))]
    write(path, ([*map(datum, range(1, 6))], at(6)), (left, at(1, epoch="e-2")), (back, at(9)))
    assert [line for line in lines_of(path) if "lost" in line or ":A" in line] == [
        "ticker:A in e-1: 8 data, ids 1 to 8 (contiguous)",
        "ticker:A in e-2: nothing came",
        "  lost: from 1 to the end of the epoch (evicted)",
        "whole, but for what is reported lost",
    ]


def test_the_example_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    began, symbol = instant("2026-01-01T00:00:00Z"), "BTC/USD"
    ticker = [("ticker", symbol, SequenceRule.CONTIGUOUS)]
    runs: list[list[AnyEvent]] = [
        [
            snapshot_read(3, rows=1, at=began + 1),
            order(3, snapshot=True, at=began + 1),
            *(datum(each, symbol=symbol, at=began + each / 10) for each in range(1, 1_001)),
            rejected("NOPE", at=began + 1),
            order(4, at=began + 52),
        ],
        [
            snapshot_read(4, at=began + 112),
            rejected("NOPE", at=began + 112),
            lost(1_001, 1_010, symbol=symbol),
            *(datum(each, symbol=symbol, at=began + 112.3, source=Source.BACKFILL) for each in range(1_011, 1_041)),
            *(datum(each, symbol=symbol, at=began + 9 + each / 10) for each in range(1_041, 1_201)),
        ],
    ]
    for events, next_id, ended_s in zip(runs, (1_001, 1_201), (100, 130), strict=True):
        with opened(Path("feed.db"), sync="normal", venue="reference", started_at=began) as database:
            position = StreamCursor(channel="ticker", symbol=symbol, epoch="e-1", next_id=next_id)
            cursor = Cursor(streams=[position], epoch="e-1")
            database.write(database.rows(events, cursor, ticker), began + ended_s)
            database.end()
    (example,) = re.findall(r"^```\n(feed\.db: .*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert lines_of(Path("feed.db")) == example.splitlines()


@pytest.mark.parametrize(
    ("head", "struct"),
    [
        ("field", Report),
        ("field of `series`", SeriesReport),
        ("field of `accounts`", AccountReport),
        ("field of `refused`", Refused),
    ],
)
def test_the_guide_has_every_field_and_no_other(head: str, struct: type[msgspec.Struct]) -> None:
    (table,) = re.findall(rf"^\| {re.escape(head)} \| what \|\n\|---\|---\|\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    first_cells = [line.split("|")[1] for line in table.splitlines()]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(struct.__struct_fields__)
