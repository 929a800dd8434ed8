"""The pytest plugin, in a project of its own; and the guide, whose examples are tests that run there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "testing.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)

STRICT = "[pytest]\nfilterwarnings = error\nxfail_strict = true\n"


def run(project: Path, *arguments: str, files: dict[str, str], by: tuple[str, ...] = ("-m", "pytest")) -> str:
    """Run pytest in a fresh project with these files; what it printed."""
    for name, text in {"pytest.ini": STRICT, **files}.items():
        (project / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    command = [sys.executable, *by, "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


WORLDS = """
import pytest
import trio
from gapless.controller import State

pytestmark = pytest.mark.trio


async def test_the_world_alone_brings_its_clock(gapless_world):
    await trio.sleep(3_600)
    assert trio.current_time() >= 3_600


async def test_the_clock_is_the_one_of_the_run(gapless_clock, gapless_world):
    assert trio.lowlevel.current_clock() is gapless_clock


async def test_another_clock_that_is_named_rules(autojump_clock, gapless_world):
    assert trio.lowlevel.current_clock() is autojump_clock


async def test_network_and_exchange_are_of_the_world(gapless_network, gapless_exchange, gapless_world):
    assert gapless_network is gapless_world.network
    assert gapless_exchange is gapless_world.exchange


async def test_the_network_alone_is_installed(gapless_network):
    with pytest.raises(OSError):
        await trio.open_tcp_stream("exchange.example", 1)


async def test_nothing_else_is_on_virtual_time():
    assert type(trio.lowlevel.current_clock()).__name__ == "SystemClock"


def runner(*arguments, **options):
    ran.append(options["clock"])
    return trio.run(*arguments, **options)


ran = []


@pytest.mark.trio(run=runner)
async def test_a_runner_of_its_own_gets_the_clock(gapless_clock):
    assert ran == [gapless_clock]
"""


def test_the_fixtures_bring_a_world_and_its_clock(tmp_path: Path) -> None:
    printed = run(tmp_path, "-q", files={"test_worlds.py": WORLDS})
    assert "7 passed" in printed, printed


def test_who_is_no_trio_test_is_told(tmp_path: Path) -> None:
    tests = "def test_plain(gapless_exchange):\n    pass\n\nasync def test_unmarked(gapless_world):\n    pass\n"
    printed = run(tmp_path, "-q", files={"test_it.py": tests})
    for name in ("test_plain", "test_unmarked"):
        assert f"{name} uses gapless_world and is no trio test: install pytest-trio" in printed, printed


def test_a_project_without_pytest_trio_notices_nothing(tmp_path: Path) -> None:
    test = """
import sys

def test_nothing_was_imported():
    assert not {"trio", "httpx", "starlette", "gapless.controller", "gapless.simulator"} & set(sys.modules)
"""
    printed = run(
        tmp_path, "-q", "-p", "no:trio", "-p", "no:anyio", "-p", "no:hypothesispytest", files={"test_it.py": test}
    )
    assert "1 passed" in printed, printed


def test_coverage_sees_what_the_tests_import(tmp_path: Path) -> None:
    """A plugin that imported the project before coverage began would hide the first lines of each module."""
    test = "from gapless.states import StateMachine\n\ndef test_it():\n    StateMachine()\n"
    files = {"test_it.py": test, ".coveragerc": "[run]\nbranch = true\nsource_pkgs = gapless\n"}
    printed = run(tmp_path, "-q", files=files, by=("-m", "coverage", "run", "-m", "pytest"))
    assert "1 passed" in printed, printed
    assert "CoverageWarning" not in printed, printed
    report = [sys.executable, "-m", "coverage", "report", "--include=*/states/states.py,*/gapless/__init__.py"]
    table = subprocess.run(report, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.search(r"TOTAL +\d+ +0 .* 100%", table), table


def test_the_examples_of_the_guide_pass(tmp_path: Path) -> None:
    files = {f"test_{number}.py": text for number, text in enumerate(EXAMPLES) if "def test_" in text}
    assert len(files) == 4
    files["test_outage.py"] = (ROOT / "examples" / "test_outage.py").read_text()
    printed = run(tmp_path, "-q", files=files)
    assert "9 passed" in printed, printed


def test_the_story_of_the_guide_runs_without_pytest(capsys: pytest.CaptureFixture[str]) -> None:
    (story,) = [text for text in EXAMPLES if "def test_" not in text]
    exec(compile(story, "docs/testing.md", "exec"), {})  # noqa: S102  # our own guide
    states = capsys.readouterr().out
    assert states.startswith("['RECONNECTING', 'RESYNCING', 'CONNECTED', 'SILENT', ")
    assert states.endswith("'CONNECTED']\n")
