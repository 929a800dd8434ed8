"""The command ``gapless`` as a whole: help, version, exit codes, and that help is quick."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapless import __version__
from gapless.cli import COMMANDS, main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_lists_the_commands_and_the_exit_codes() -> None:
    result = run("--help")

    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output
    for line in ("0  done", "1  it failed", "2  wrong usage"):
        assert line in result.output


def test_help_imports_nothing_heavy() -> None:
    """It must be quick; the clock is no test, what is imported is."""
    program = (
        "import sys; from click.testing import CliRunner; from gapless.cli import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print([name for name in ('trio', 'httpx', 'rich', 'starlette', 'pygraphviz') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_of_itself_what_the_list_says(name: str) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0
    assert COMMANDS[name] in " ".join(result.output.split())
    assert "Examples" in result.output


def test_version() -> None:
    assert run("--version").output == f"gapless, version {__version__}\n"


@pytest.mark.parametrize("arguments", [("nonsense",), ("--nonsense",), ("watch",), ("demo", "--seconds", "x")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("arguments", [(), ("-v",)])
def test_without_a_command_help_is_printed_and_nothing_is_called_an_error(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == run("--help").stdout


def test_a_file_name_that_is_no_text_is_printed_all_the_same(tmp_path: Path) -> None:
    """Whatever the locale makes of it: a process, because it is Python that opens stdout."""
    name = str(tmp_path / "\udcff.mmd")
    for arguments in (["settings", "--write", "-o", name], ["settings", "--check", "-o", name]):
        done = subprocess.run(
            [sys.executable, "-m", "gapless.cli", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        )
        assert done.stdout.endswith("/\\udcff.mmd\n")


def test_verbose_logs_to_stderr() -> None:
    """In a process of its own: loguru's handlers and its switches belong to the process."""
    done = subprocess.run(
        [sys.executable, "-m", "gapless.cli", "-v", *_UNREACHABLE, "--seconds", "0.2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "RECONNECTING -> REST_FALLBACK by LINK_LOST" in done.stderr
    assert "INFO" in done.stderr
    assert "DEBUG" not in done.stderr


def test_without_verbose_nothing_is_logged() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gapless.cli", *_UNREACHABLE, "--seconds", "0.2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stderr == ""


_UNREACHABLE = (
    *("watch", "--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1"),
    *(
        "--stream",
        "ticker:BTC/USD",
        "--set",
        "reconnect_initial_backoff=0.1",
        "--set",
        "rate_limit_initial_backoff=0.1",
    ),
)
"""Port 1 is closed on any sane machine."""


def test_wrong_usage_is_one_line_that_names_the_help() -> None:
    result = CliRunner().invoke(main, ["demo", "--seconds", "5"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: --seconds 5 is not allowed")
    assert line.endswith(" demo --help)")


@pytest.mark.parametrize("arguments", [["--help"], ["diagram"], ["simulate"], ["watch", "--list-settings"]])
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    """A real process: Python flushes stdout once more while it shuts down, and would complain there."""
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "gapless.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: cannot write")
    assert line.endswith("No space left on device")
