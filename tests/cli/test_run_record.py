"""A demo's record: every line is one the picture of a run can read."""

from pathlib import Path

import pytest

from gapless.cli.run_record import RunRecord
from gapless.controller import GapFound
from gapless.diagrams.run import read_run
from gapless.simulator.records import RequestRecord

REQUEST = RequestRecord(time_s=12.0, method="GET", path="/api/v1/prices", query="", session_id="demo", status=429)
GAP = GapFound(channel="ticker", symbol="BTC/USD", epoch="e-1", start_seq=3, end_seq=4, reason="sequence_jump", at=10.0)


def test_a_record_is_lines_that_a_picture_reads(tmp_path: Path) -> None:
    file = tmp_path / "demo.jsonl"
    RunRecord(events=[GAP], faults=[(9.0, "drops frames")], requests=[REQUEST]).write(file)
    with file.open("rb") as lines:
        run = read_run(lines)
    assert run is not None
    assert [line.split(b'"')[3] for line in file.read_bytes().splitlines()] == [b"GapFound", b"Fault", b"RestRequest"]


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunRecord(events=[], faults=[], requests=[]).write(tmp_path / "nowhere" / "demo.jsonl")
