"""``gapless record``, ``report`` and ``export`` as commands."""

import json
import os
import pty
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapless.cli import main
from gapless.controller.store.database import opened
from tests.cli.test_processes import PATIENCE_S, exchange, started, wait
from tests.store.audit import assert_sound
from tests.store.events import at, datum, lost, trade, write
from tests.store.kit import locked


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def record(ready: dict[str, str], path: Path, *arguments: str) -> tuple[str, ...]:
    urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
    return ("record", *urls, "--stream", "ticker:BTC/USD", "--db", str(path), *arguments)


def test_record_writes_all_it_has_received_before_a_signal_ends_it(path: Path) -> None:
    with exchange() as (_process, ready), started(*record(ready, path)) as recorder:
        until_there(path)
        recorder.send_signal(signal.SIGINT)
        code, said = wait(recorder)
    (series,) = assert_sound(path)
    assert len(series.ids) > 5
    assert code == 0
    assert re.fullmatch(rf"{re.escape(str(path))}: {len(series.ids)} data stored in \d+\.\d s\n", said), said
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing is left beside it"


def test_record_shows_a_line_each_second_on_a_terminal(path: Path) -> None:
    parent, child = pty.openpty()
    try:
        with exchange() as (_process, ready), started(*record(ready, path, "--seconds", "3"), stderr=child) as recorder:
            os.close(child)
            assert recorder.wait(PATIENCE_S) == 0
            said = os.read(parent, 65_536).decode()
    finally:
        os.close(parent)
    assert "ticker:BTC/USD" in said
    assert " stored" in said


def until_there(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if path.exists():
            with closing(sqlite3.connect(path)) as connection:
                tables = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'data'").fetchone()[0]
                if tables and connection.execute("SELECT count(*) FROM data").fetchone()[0] > 5:
                    return
        time.sleep(0.05)
    raise AssertionError("nothing was recorded")


def test_record_says_why_it_cannot(path: Path, tmp_path: Path) -> None:
    urls = ("--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1", "--stream", "ticker:A")
    path.write_text("a diary, much longer than the header of a database would be: " * 20)
    failed = run("record", *urls, "--db", str(path))
    assert (failed.exit_code, failed.output) == (
        1,
        f"Error: {path} is no recording of gapless: expected a SQLite file; name another\n",
    )
    other = tmp_path / "other.db"
    write(other)
    failed = run("record", "--exchange", "kraken", "--stream", "trade:BTC/USD", "--db", str(other))
    assert failed.exit_code == 1
    assert "is a recording of reference, not of kraken" in failed.output


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_record_waits_for_a_file_that_is_locked_when_it_begins(path: Path, number: int, *, ends: bool) -> None:
    """A signal meanwhile ends it: there is nothing to be written."""
    write(path)
    with exchange() as (_process, ready), locked(path) as other, started(*record(ready, path)) as recorder:
        assert recorder.stderr is not None
        line = recorder.stderr.readline().decode()
        assert line.startswith(f"Warning: {path}: another program holds a lock on it")
        assert recorder.poll() is None
        if not ends:
            other.execute("ROLLBACK")
            until_there(path)
        recorder.send_signal(number)
        code, said = wait(recorder)
    assert code == 0
    assert (" data stored in " in said) is not ends
    assert said.endswith(f"{path}: 0 data stored; it could not be opened yet\n") is ends


def test_record_does_not_wait_for_what_only_somebody_can_change(path: Path, tmp_path: Path) -> None:
    write(path)
    urls = ("--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1", "--stream", "ticker:A")
    failed = run("record", *urls, "--db", str(tmp_path / "no" / "feed.db"))
    assert failed.exit_code == 1
    assert "cannot make feed.db-lock beside it: No such file or directory" in failed.output
    with opened(path, sync="normal", venue=None, started_at=0.0):
        failed = run("record", *urls, "--db", str(path))
    assert failed.exit_code == 1
    assert "is being recorded into by another process" in failed.output


def test_record_says_that_it_listens_elsewhere_than_the_run_before(path: Path) -> None:
    with opened(path, sync="normal", venue="reference", host="stream.example:9443", started_at=0.0):
        pass
    nobody = {"ws_url": "ws://127.0.0.1:1/ws", "rest_url": "http://127.0.0.1:1"}
    said: list[str] = []
    for _ in range(2):
        with started(*record(nobody, path, "--seconds", "0.1")) as recorder:
            said.append(wait(recorder)[1])
    assert f"Warning: {path} was recorded from stream.example:9443 last, and this is 127.0.0.1:1: " in said[0]
    assert "was recorded from" not in said[1]


@pytest.mark.parametrize("name", [".", ""])
def test_record_into_no_file(name: str) -> None:
    urls = ("--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1", "--stream", "ticker:A")
    failed = run("record", *urls, "--db", name)
    assert failed.exit_code == 2
    assert "Invalid value for '--db'" in failed.output


@pytest.mark.parametrize("arguments", [(), ("--stream", "ticker:A"), ("--db", "x", "--sync", "never")])
def test_record_used_wrongly(arguments: tuple[str, ...]) -> None:
    assert run("record", *arguments).exit_code == 2


def test_report_tells_what_is_there_and_what_is_missing(path: Path) -> None:
    write(path, ([datum(1), datum(2), lost(3, 4), datum(5, at=7.0)], at(9, holes=[(6, 8)])))
    found = run("report", str(path))
    assert found.exit_code == 0
    assert found.output.splitlines()[1:] == [
        "ticker:A in e-1: 3 data, ids 1 to 5 (contiguous)",
        "  live 100.0 %, backfill 0.0 %, poll 0.0 %",
        "  longest without data: 7.000 s, until 1970-01-01T00:00:07Z",
        "  lost: 3..4 (evicted)",
        "  owed: 6..8",
        "whole, but for what is reported lost",
    ]


def test_report_fails_where_nothing_explains_what_is_missing(path: Path) -> None:
    write(path, ([datum(1), datum(5)], at(6)))
    found = run("report", str(path))
    assert found.exit_code == 1
    assert "  MISSING: 2..4\nBROKEN" in found.output
    as_json = run("report", str(path), "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["series"][0]["missing"] == [[2, 4]]


def test_export_to_stdout_and_to_a_file(path: Path, tmp_path: Path) -> None:
    write(path, ([datum(1), datum(2), trade(9)], at(3)))
    lines = run("export", str(path), "--format", "jsonl", "--stream", "ticker:A").output.splitlines()
    assert [json.loads(line)["sequence_id"] for line in lines] == [1, 2]
    out = tmp_path / "feed.csv"
    assert run("export", str(path), "--format", "csv", "--from", "2026-01-01T00:00:02Z", "-o", str(out)).output == ""
    assert len(out.read_text().splitlines()) == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--format", "csv", "--from", "yesterday"), 2, "expected RFC 3339, such as 2026-01-01"),
        (("--format", "csv", "--from", "2026-01-02", "--to", "2026-01-01"), 2, "--from lies after --to"),
        (("--format", "csv", "--stream", "ticker:B"), 1, "no stream ticker:B was recorded; there are: ticker:A"),
        (("--format", "csv", "-o", "/dev/null/x"), 1, "cannot write /dev/null/x: Not a directory"),
        (("--format", "xlsx"), 2, "is not one of"),
        ((), 2, "Missing option '--format'"),
    ],
)
def test_export_used_wrongly(path: Path, arguments: tuple[str, ...], code: int, word: str) -> None:
    write(path, ([datum(1)], at(2)))
    failed = run("export", str(path), *arguments)
    assert failed.exit_code == code
    assert word in failed.output
