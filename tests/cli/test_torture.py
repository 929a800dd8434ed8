"""``gapless torture`` as a command: what it refuses, what it prints, and that it leads back to the same world."""

import shlex
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gapless.cli import main
from gapless.cli import torture as command
from gapless.simulator.torture.catalogue import FAULTS
from gapless.simulator.torture.outcome import Outcome
from gapless.simulator.torture.plan import Terms

SHORT = ("--hours", "0.02", "--rate", "0.5", "--jobs", "1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("torture", *arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--seeds", "5:5"), "expected A:B with A below B, got '5:5'"),
        (("--seeds", "-3:2"), "expected A:B or one number"),
        (("--seeds", "0:" + "9" * 20), "expected A:B or one number"),
        (("--seeds", "\u0663:\u0665"), "expected A:B or one number"),
        (("--replay", "3", "--seeds", "0:5"), "--seeds does not go with it"),
        (("--replay", "3", "--jobs", "2"), "--jobs does not go with it"),
        (("--timeline", "17.svg"), "--timeline draws one seed: it goes with --replay"),
        (("--replay", "3", "--timeline", "17.gif"), ".svg"),
        (("--faults", " , ,"), "names no fault; --list-faults prints them"),
        (("--faults", "nosuch"), "unknown faults: nosuch"),
        (("--hours", "0"), "hours = 0.0: expected more than 0"),
        (("--set", "nosuch=1"), "nosuch"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr.splitlines()[-1]


def test_the_last_line_is_an_object_for_programs() -> None:
    result = run("--seeds", "0:2", *SHORT, "--json")
    assert result.exit_code == 0, result.stderr
    told = msgspec.json.decode(result.stdout.splitlines()[-1], type=dict[str, object])
    assert told["seeds"] == 2
    assert told["failed"] == []
    assert told["faults"].keys() == FAULTS.keys()  # type: ignore[attr-defined]
    assert isinstance(told["sim_hours"], float)
    assert isinstance(told["cpu_s"], float)


def test_a_replay_tells_the_faults_and_the_transitions() -> None:
    result = run("--replay", "1", "--hours", "0.05", "--rate", "0.5")
    assert result.exit_code == 0, result.stderr
    assert " fault " in result.stdout
    assert "RECONNECTING -> " in result.stdout
    assert "everybody behaves" in result.stdout


def test_a_replay_can_be_drawn(tmp_path: Path) -> None:
    """The tape of a world is lines as an app would print them; with it the world is no other."""
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "1.svg"
    terms = ("--replay", "1", "--hours", "0.05", "--rate", "0.5")
    result = run(*terms, "--timeline", str(drawn))
    assert result.exit_code == 0, result.stderr
    assert "torture, seed 1" in drawn.read_text()
    assert result.stdout.splitlines()[:-3] == run(*terms).stdout.splitlines()[:-3]


def broken(seed: int) -> Outcome:
    return Outcome(seed=seed, violations=("silence is found: at 3 s: no",), last_moves=("a move",))


def test_a_failing_seed_names_the_promise_and_the_command_that_leads_back_to_its_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The terms are part of a world: the number alone would lead to another one."""

    def runs(seeds: range, terms: Terms, workers: int) -> Iterator[Outcome]:
        yield from map(broken, seeds)

    monkeypatch.setattr(command, "run_seeds", runs)
    terms = ("--hours", "0.02", "--faults", "silent,restart", "--set", "ws_idle_timeout=60")
    result = run("--seeds", "7:8", *terms)
    assert result.exit_code == 1
    again = shlex.join(("gapless", "torture", *terms, "--replay", "7"))
    assert "seed 7 broke 1 promises" in result.stderr
    assert "silence is found: at 3 s: no" in result.stderr
    assert "a move" in result.stderr
    assert result.stderr.splitlines()[-1].endswith(f"broke a promise; {again}")


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted after 1 of 5"),
        (BrokenProcessPool(), 1, "a process was killed after 1 of 5"),
    ],
)
def test_what_was_found_until_the_end_is_told(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, says: str
) -> None:
    def runs(seeds: range, terms: Terms, workers: int) -> Iterator[Outcome]:
        yield Outcome(seed=0, violations=(), delivered=3)
        raise raised

    monkeypatch.setattr(command, "run_seeds", runs)
    result = run("--seeds", "0:5", "--json")
    assert result.exit_code == code
    assert says in result.stderr
    assert msgspec.json.decode(result.stdout.splitlines()[-1])["delivered"] == 3
