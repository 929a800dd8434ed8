"""One profile for all: the same seeds each time, and a look at whether they reached what they were made for."""

from collections import Counter

from hypothesis import seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

ROUNDS = 6
"""Hypothesis draws some of its numbers from the source of whatever modules are loaded, so what one seed reaches depends
on which tests ran before in the same process. What one round leaves out another reaches."""


def explore(machine: type[RuleBasedStateMachine], reached: Counter[str], wanted: set[str], *, examples: int) -> None:
    """Run a state machine; everything ``wanted`` must have been reached, or the test has shown nothing."""
    reached.clear()
    for number in range(ROUNDS):
        run_state_machine_as_test(
            seed(number)(machine),
            settings=settings(max_examples=examples, stateful_step_count=40, database=None, deadline=None),
        )
        if all(reached[name] for name in wanted):
            return
    assert {name for name in wanted if not reached[name]} == set()
