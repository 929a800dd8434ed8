"""One profile for all: the same examples each time, and a look at whether they reached what they were made for."""

from collections import Counter

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def explore(machine: type[RuleBasedStateMachine], reached: Counter[str], wanted: set[str], *, examples: int) -> None:
    """Run a state machine; everything ``wanted`` must have been reached, or the test has shown nothing."""
    reached.clear()
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40, derandomize=True, deadline=None)
    )
    assert {name for name in wanted if not reached[name]} == set()
