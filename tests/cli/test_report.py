"""``gapless report`` as a person reads it: every stream that was asked for, and what there is to say about it."""

import json
from pathlib import Path

from click.testing import CliRunner

from gapless.cli import main
from gapless.controller import AnyEvent, Cursor, StreamCursor
from tests.store.events import at, datum, lost, order, rejected, reset, snapshot_read, write


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
