"""A hundred quarters of an hour in which everything goes wrong, and what they must have been through."""

from collections import Counter
from collections.abc import Iterable

import pytest

from gapless.controller import ContinuityLost
from gapless.simulator.torture.catalogue import FAULTS
from gapless.simulator.torture.outcome import Outcome
from gapless.simulator.torture.plan import Terms
from gapless.simulator.torture.pool import run_seeds
from gapless.simulator.torture.run import run_seed
from gapless.states import TABLE

SEEDS = range(100)
TERMS = Terms(hours=0.25, rate_per_s=2.0)
REASONS = frozenset(reason.strip(" `.\n") for reason in str(ContinuityLost.__doc__).split("Reasons:", 1)[1].split(","))
"""Every reason that the event's documentation names."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return list(run_seeds(SEEDS, TERMS, jobs=2))


@pytest.mark.torture
def test_a_hundred_worlds_keep_every_promise_and_leave_nothing_out(outcomes: list[Outcome]) -> None:
    """One test, since it takes a minute: no promise broken, no fault class, row of the table or loss unreached."""
    broken = [f"seed {each.seed}: {text}" for each in outcomes for text in each.violations]
    assert not broken, "\n".join(broken)
    assert [each.seed for each in sorted(outcomes, key=lambda each: each.seed)] == list(SEEDS)

    faults: Counter[str] = sum((each.faults for each in outcomes), Counter())
    edges: Counter[str] = sum((each.edges for each in outcomes), Counter())
    reasons: Counter[str] = sum((each.reasons for each in outcomes), Counter())
    rows = [f"{row.source.name} {row.trigger}" for row in TABLE.rows]
    print(table("fault class", FAULTS, faults), table("row of the table", rows, edges), sep="\n")  # noqa: T201
    print(table("reason of a loss", sorted(REASONS), reasons))  # noqa: T201

    assert not [name for name in FAULTS if not faults[name]], "fault classes that never struck"
    assert not [row for row in rows if not edges[row]], "rows never taken"
    assert not [reason for reason in REASONS if not reasons[reason]], "reasons never given"
    assert not reasons.keys() - REASONS, "reasons that are not documented"


@pytest.mark.torture
@pytest.mark.parametrize("seed", [102, 208, 362, 896, 1393, 1643, 1813, 2044, 2113])
def test_a_quiet_world_that_broke_a_promise_once_keeps_them_all(seed: int) -> None:
    """What 5,000 quiet quarters of an hour found, in the controller or in what judges it."""
    quiet = Terms(hours=0.25, rate_per_s=0.2, settings={"ws_idle_timeout": 60.0})
    assert run_seed(seed, quiet).violations == ()


def table(title: str, names: Iterable[str], counts: Counter[str]) -> str:
    """Two columns."""
    lines = [f"{title:<36} times", *(f"{name:<36} {counts[name]:>5}" for name in names)]
    return "\n".join(lines)
