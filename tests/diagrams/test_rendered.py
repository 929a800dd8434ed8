"""The committed renderings are fresh, and a stale one is found."""

from pathlib import Path

import pytest

from gapless.diagrams import COMMITTED, RENDERINGS, dot, mermaid, stale, write_all
from gapless.diagrams.images import png_digest, svg_digest
from gapless.states import ACTIVITIES, TABLE, Activity, ActivityTable, Mode, State, TransitionTable

OTHER_ACTIVITIES = ActivityTable(
    transitions=TABLE,
    emits=ACTIVITIES.emits,
    cells={**ACTIVITIES.cells, State.SILENT: {**ACTIVITIES.cells[State.SILENT], Activity.LINK: Mode.RESTART}},
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    directory = tmp_path / "new" / "rendered"
    write_all(directory)
    return directory


def test_the_committed_renderings_show_the_tables() -> None:
    assert stale(COMMITTED) == [], "run `gapless diagram --write`"


def test_what_was_written_is_fresh_and_complete(written: Path) -> None:
    assert stale(written) == []
    assert {path.name for path in written.iterdir()} == set(RENDERINGS)


def test_written_anew_over_stale_files_they_are_fresh(written: Path, without_gap_found: TransitionTable) -> None:
    write_all(written, without_gap_found)
    assert len(stale(written)) == 4

    write_all(written)
    assert stale(written) == []


def test_a_changed_transition_makes_all_four_stale(written: Path, without_gap_found: TransitionTable) -> None:
    assert [line.split(":")[0] for line in stale(written, without_gap_found)] == list(RENDERINGS)


def test_a_changed_activity_makes_all_four_stale(written: Path) -> None:
    assert [line.split(":")[0] for line in stale(written, TABLE, OTHER_ACTIVITIES)] == list(RENDERINGS)


@pytest.mark.parametrize("name", RENDERINGS)
def test_a_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()

    assert stale(written) == [f"{name}: missing"]


@pytest.mark.parametrize("name", RENDERINGS)
def test_a_file_with_other_contents_is_named(written: Path, name: str) -> None:
    (written / name).write_bytes(b"something else \xff")

    (line,) = stale(written)
    assert line.startswith(f"{name}: ")
    assert "missing" not in line


def test_an_empty_directory_misses_all(tmp_path: Path) -> None:
    assert stale(tmp_path) == [f"{name}: missing" for name in RENDERINGS]


def test_the_files_hold_what_the_renderers_return(written: Path) -> None:
    assert (written / "states.mmd").read_text() == mermaid()
    assert (written / "states.dot").read_text() == dot()
    assert svg_digest((written / "states.svg").read_text()) == png_digest((written / "states.png").read_bytes())
