"""``gapless diagram`` at the shell."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapless.cli.diagram import diagram
from gapless.diagrams import RENDERINGS, dot, mermaid, stale
from gapless.diagrams.images import png_digest, svg_digest


def run(*arguments: str) -> Result:
    return CliRunner().invoke(diagram, arguments)


def assert_one_clear_line(result: Result, *, says: str, code: int = 1) -> None:
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)
    assert says in result.output
    assert "Traceback" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: ")


def test_mermaid_is_the_default() -> None:
    assert run().output == mermaid()


def test_text_formats_go_to_stdout() -> None:
    assert run("--format", "dot").output == dot()
    assert svg_digest(run("--format", "svg").output) is not None


def test_a_png_goes_to_a_redirected_stdout() -> None:
    assert png_digest(run("--format", "png").stdout_bytes) is not None


def test_a_png_does_not_go_to_a_terminal() -> None:
    parent, child = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from gapless.cli.diagram import diagram; diagram()", "--format", "png"],
            stdout=child,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(parent)
        os.close(child)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: a PNG is binary")


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.mmd", b"stateDiagram-v2"), ("a.gv", b"digraph"), ("a.SVG", b"<?xml"), ("a.png", b"\x89PNG")],
)
def test_the_suffix_tells_the_format(tmp_path: Path, name: str, start: bytes) -> None:
    result = run("-o", str(tmp_path / name))

    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_format_wins_over_the_suffix(tmp_path: Path) -> None:
    run("--format", "dot", "-o", str(tmp_path / "a.txt"))

    assert (tmp_path / "a.txt").read_text() == dot()


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    assert_one_clear_line(run("-o", str(tmp_path / "a.jpg")), says="cannot tell the format", code=2)


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    target = tmp_path / "not_there" / "a.svg"

    assert_one_clear_line(run("-o", str(target)), says=f"cannot write {target}: No such file or directory")


def test_the_shipped_renderings_are_fresh() -> None:
    result = run("--check")

    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in RENDERINGS)


def test_write_makes_a_directory_fresh_and_check_agrees(tmp_path: Path) -> None:
    assert run("--write", "--directory", str(tmp_path)).exit_code == 0
    assert stale(tmp_path) == []
    assert run("--check", "--directory", str(tmp_path)).exit_code == 0


def test_check_names_the_stale_files_and_exits_1(tmp_path: Path) -> None:
    run("--write", "--directory", str(tmp_path))
    (tmp_path / "states.dot").write_text(dot().replace("IDLE", "IDOL"))
    (tmp_path / "states.png").unlink()

    result = run("--check", "--directory", str(tmp_path))

    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["states.dot", "states.png"]
    assert "--write" in result.stderr


def test_a_directory_that_cannot_be_written_or_read_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert_one_clear_line(run("--write", "--directory", str(file)), says=f"cannot write {file}")
    assert_one_clear_line(run("--check", "--directory", str(file)), says=f"cannot read {file}")


@pytest.mark.parametrize(
    "arguments",
    [("--check", "--write"), ("--check", "-o", "a.svg"), ("--write", "--format", "dot"), ("--directory", "a")],
)
def test_contradictory_options_are_refused(arguments: tuple[str, ...]) -> None:
    assert_one_clear_line(run(*arguments), says="--write", code=2)


def test_without_pygraphviz_a_drawing_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)

    assert_one_clear_line(run("--format", "svg"), says="needs pygraphviz")
    assert run().exit_code == 0


def test_help_teaches_by_example() -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert "gapless diagram --check" in result.output
