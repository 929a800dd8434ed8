"""The oracle is tested: each planted bug is found by a seed known to find it, and that seed is clean without it."""

import pytest

from gapless.simulator.torture.run import run_seed
from tests.torture.bugs import BUGS, FOUND_BY
from tests.torture.find_bugs import TERMS


def test_there_are_at_least_25_bugs_and_a_seed_for_each() -> None:
    assert len(BUGS) >= 25
    assert set(FOUND_BY) == set(BUGS)


@pytest.mark.torture
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    with BUGS[name]():
        outcome = run_seed(FOUND_BY[name], TERMS)
    assert outcome.violations


@pytest.mark.torture
@pytest.mark.parametrize("seed", sorted(set(FOUND_BY.values()) - set(range(100))))
def test_a_seed_that_finds_bugs_is_clean_without_them(seed: int) -> None:
    """Those below 100 are among the hundred worlds."""
    assert run_seed(seed, TERMS).violations == ()
