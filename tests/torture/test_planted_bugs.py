"""The oracle is tested: each planted bug is found by a seed known to find it, and that seed is clean without it."""

from typing import Final

import pytest

from gapless.simulator.torture.observer import Watch
from gapless.simulator.torture.run import PROMISES, run_seed
from tests.torture.bugs import BUGS, FOUND_BY
from tests.torture.find_bugs import TERMS, breaks, broken_promises

WATCHES: Final = [each for each in Watch.__subclasses__() if ".oracle." in each.__module__]
WATCHED: Final = {each.promise for each in WATCHES}


def test_there_are_at_least_25_bugs_and_a_seed_for_each() -> None:
    assert len(BUGS) >= 25
    assert set(FOUND_BY) == set(BUGS)


def test_every_watch_is_seen_to_see_something() -> None:
    """Each promise is the one that some bug must break."""
    promises = WATCHED | set(PROMISES)
    broken = set(broken_promises([promise for _seed, promise in FOUND_BY.values()]))
    assert len(WATCHED) == len(WATCHES), "two watches with the same promise"
    assert not broken - promises, "promises that nobody watches over"
    unseen = promises - broken
    assert not unseen, "promises that no planted bug breaks: that their watches see anything is not shown"


@pytest.mark.torture
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_breaks_its_promise(name: str) -> None:
    """That promise and no other: a mutation that only raises has rotted."""
    seed, promise = FOUND_BY[name]
    with BUGS[name]():
        outcome = run_seed(seed, TERMS)
    assert breaks(promise, outcome.violations), outcome.violations


@pytest.mark.torture
@pytest.mark.parametrize("seed", sorted({seed for seed, _promise in FOUND_BY.values()} - set(range(100))))
def test_a_seed_that_finds_bugs_is_clean_without_them(seed: int) -> None:
    """Those below 100 are among the hundred worlds."""
    assert run_seed(seed, TERMS).violations == ()
