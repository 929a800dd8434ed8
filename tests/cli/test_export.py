"""``gapless export``: where it writes to, what it leaves alone, and what it says."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from gapless.cli import main
from gapless.cli.destination import ended_by_signals, written
from tests.store.events import at, datum, order, rejected, snapshot_read, write


def export(path: Path, *arguments: str, form: str = "csv") -> Result:
    return CliRunner().invoke(main, ["export", str(path), "--format", form, *arguments])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "feed.db"
    write(file, ([datum(1), datum(2)], at(3)))
    return file


def names_in(folder: Path) -> set[str]:
    """But for what SQLite leaves beside a file that was read."""
    return {each.name for each in folder.iterdir() if not each.name.startswith("feed.db-")}


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal", "-lock"])
def test_the_recording_is_not_written_over(path: Path, ending: str) -> None:
    before = path.read_bytes()
    found = export(path, "-o", f"{path}{ending}")
    assert (found.exit_code, "is a file of the recording itself" in found.output) == (2, True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to], ids=["symlink", "hard link"])
@pytest.mark.parametrize("which", ["input", "output"])
def test_nor_under_another_name(path: Path, tmp_path: Path, make: Callable[[Path, Path], None], which: str) -> None:
    other, before = tmp_path / "other.db", path.read_bytes()
    make(other, path)
    found = export(other, "-o", str(path)) if which == "input" else export(path, "-o", str(other))
    assert (found.exit_code, "is a file of the recording itself" in found.output) == (2, True)
    assert path.read_bytes() == before
    assert export(other, "-o", f"{path}-wal").exit_code == 2 or make is Path.hardlink_to


def test_a_link_stays_one_and_what_it_leads_to_is_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.csv", tmp_path / "link.csv"
    link.symlink_to(real)
    for _ in range(2):  # first it leads nowhere
        assert export(path, "-o", str(link)).exit_code == 0
        assert link.is_symlink()
        assert len(real.read_text().splitlines()) == 3
        real.write_text("old")


def test_permissions_stay(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.touch(0o600)
    export(path, "-o", str(out))
    assert (out.stat().st_mode & 0o777, len(out.read_text().splitlines())) == (0o600, 3)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_pipe_is_written_into_and_stays(path: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    pipe, plain = tmp_path / "pipe", tmp_path / "plain"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    found = export(path, "-o", str(pipe), form=form)
    if not pipe.is_fifo():
        os.close(os.open(pipe, os.O_WRONLY))  # let the reader go
    reader.join(30)
    assert export(path, "-o", str(plain), form=form).exit_code == 0
    assert (found.exit_code, pipe.is_fifo(), read) == (0, True, [plain.read_bytes()])


def test_an_open_descriptor_is_written_at_its_end(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine\n")
    with out.open("ab") as file:
        assert export(path, "-o", f"/dev/fd/{file.fileno()}").exit_code == 0
    assert (out.read_text()[:13], len(out.read_text().splitlines())) == ("mine\nchannel,", 4)


@pytest.mark.parametrize(
    ("output", "why"), [(".", "Is a directory"), ("", "Is a directory"), ("no/out.csv", "No such file or directory")]
)
def test_what_cannot_be_written_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = export(path, "-o", output)
    assert (found.exit_code, found.output) == (1, f"Error: cannot write {Path(output)}: {why}\n")


def test_files_of_a_similar_name_are_left_alone(path: Path, tmp_path: Path) -> None:
    mine = tmp_path / "out.csv.part"
    mine.write_text("mine")
    assert export(path, "-o", str(tmp_path / "out.csv")).exit_code == 0
    assert mine.read_text() == "mine"
    assert names_in(tmp_path) == {"feed.db", "out.csv", "out.csv.part"}


def test_what_fails_leaves_the_old_file_and_nothing_else(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    assert export(path, "-o", str(out), "--stream", "ticker:B").exit_code == 1
    assert (out.read_text(), names_in(tmp_path)) == ("old", {"feed.db", "out.csv"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_old_file_and_nothing_else(path: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")

    def interrupted() -> None:
        with ended_by_signals(), written(out, path) as file:
            file.write(b"half of i")
            assert len(names_in(tmp_path)) == 3
            signal.raise_signal(number)

    as_usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, as_usual)  # who runs the tests may have had it ignored
    try:
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            interrupted()
        assert signal.getsignal(number) is as_usual
    finally:
        signal.signal(number, before)
    assert (out.read_text(), names_in(tmp_path)) == ("old", {"feed.db", "out.csv"})


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_misspelt_stream_is_found_before_a_header_is_written(path: Path) -> None:
    found = export(path, "--stream", "ticker:B")
    assert (found.exit_code, found.stdout) == (1, "")


def test_orders_are_left_out_with_a_word_and_come_where_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(1), snapshot_read(3), order(4)], at(2)))
    plain = export(path)
    assert (plain.exit_code, len(plain.stdout.splitlines())) == (0, 2)
    assert plain.stderr == "left out: orders:* (no market data); --format jsonl --stream 'orders:*' has them\n"
    refused = export(path, "--stream", "orders:*")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "orders:* is no market data and has no columns: --format jsonl takes it" in refused.stderr
    named = export(path, "--stream", "orders:*", form="jsonl")
    assert [json.loads(line)["event"] for line in named.stdout.splitlines()] == ["SnapshotRead", "OrderUpdate"]
    assert named.stderr == ""


@pytest.mark.parametrize("arguments", [("--stream", "ticker:B"), ("--from", "2030-01-01")])
def test_nothing_at_all_is_worth_a_word(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "feed.db"
    write(path, ([datum(1), rejected("B")], at(2)))
    found = export(path, *arguments)
    assert (found.exit_code, len(found.stdout.splitlines())) == (0, 1)
    assert found.stderr == "nothing was exported: the recording holds none of it\n"


def test_times_may_be_written_small_and_a_day_is_its_midnight(path: Path) -> None:
    assert len(export(path, "--from", "2026-01-01t00:00:02z").stdout.splitlines()) == 2
    assert len(export(path, "--to", "2026-01-01").stdout.splitlines()) == 1
    assert len(export(path, "--from", "2026-01-01", "--to", "2026-01-02").stdout.splitlines()) == 3
