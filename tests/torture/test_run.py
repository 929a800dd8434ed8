"""What a run does beside judging: it can be interrupted, tells troubles apart, and remembers what led to one."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from gapless.simulator.torture.catalogue import FAULTS
from gapless.simulator.torture.faults import Fault
from gapless.simulator.torture.plan import Terms, draw
from gapless.simulator.torture.run import run_seed
from gapless.simulator.torture.stage import Stage
from tests.torture.bugs import BUGS

SHORT = Terms(hours=0.02, rate_per_s=0.5, faults=("quiet_market",))


@contextmanager
def struck_by(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    async def strike(_stage: Stage, _random: Random, _duration_s: float) -> bool:
        raise error

    with monkeypatch.context() as patched:
        patched.setitem(FAULTS, "quiet_market", Fault(name="quiet_market", what="", strike=strike))
        yield


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_comes_out_bare_from_any_depth(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    with struck_by(monkeypatch, error), pytest.raises(type(error)) as raised:
        run_seed(1, SHORT)
    assert raised.value is error


def test_what_is_raised_in_a_world_is_a_broken_promise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with struck_by(monkeypatch, ValueError("no")):
        outcome = run_seed(1, SHORT)
    assert outcome.violations[-1].startswith("nothing but what is expected is raised: it ended with ValueError: no")
    assert outcome.edges, "what had been seen until then is told"


def test_an_error_of_who_listens_is_none_of_the_world() -> None:
    """The pipe that --replay writes to may be closed at any line: an event's, a transition's, a fault's."""
    story: list[str] = []
    run_seed(1, SHORT, lambda _now, text: story.append(text))
    for line in range(0, len(story), 1 + len(story) // 8):
        told = 0

        def log(_now: float, _text: str, line: int = line) -> None:
            nonlocal told
            told += 1
            if told > line:
                raise BrokenPipeError(32, "Broken pipe")

        with pytest.raises(BrokenPipeError):
            run_seed(1, SHORT, log)
        assert told == line + 1, "who has failed to listen is not spoken to again"


def test_the_last_moves_are_those_that_led_to_the_first_broken_promise() -> None:
    with BUGS["verdict_100s_late"]():
        outcome = run_seed(0, Terms())
    first_at = min(float(text.split(": at ", 1)[1].split(" s:", 1)[0]) for text in outcome.violations)
    assert outcome.last_moves
    assert float(outcome.last_moves[-1].split()[0]) <= first_at
    assert first_at < outcome.sim_s - 60.0, "or the last moves of all would do"


@pytest.mark.parametrize("name", ["overflow", "reconnect_exhausted"])
def test_what_ends_a_run_by_design_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=raise: .* ends the run, as it is asked to"):
        Terms(settings={name: "raise"})


def test_one_app_in_four_leaves_in_the_middle_of_a_strike() -> None:
    plans = [draw(seed, Terms()) for seed in range(200)]
    leaving = [each for each in plans if each.leaves_at is not None]
    assert 30 <= len(leaving) <= 70
    for plan in leaving:
        assert any(
            each.at_s <= plan.leaves_at <= each.at_s + each.duration_s  # type: ignore[operator]
            for each in plan.strikes
        )


def test_a_fault_that_had_nothing_to_act_on_is_not_counted() -> None:
    """Orders and balances concern nobody who did not subscribe to them; a stream alone is not given up."""
    names = ("account_activity", "no_snapshots")
    terms = Terms(hours=0.05, rate_per_s=0.5, faults=names)
    with_accounts = [any(each.symbol == "*" for each in draw(seed, terms).streams) for seed in range(12)]
    assert run_seed(with_accounts.index(True), terms).faults.total()
    assert not run_seed(with_accounts.index(False), terms).faults.total()
