"""What can be wrong with a state machine.

::

    StateMachineError
    +-- MalformedTableError     a table that must not be used; raised when it is built
    +-- UndeclaredTriggerError  a trigger fired in a state that has no row for it; raised when it is fired
"""

from gapless.states.states import State, Trigger


class StateMachineError(Exception):
    """Base of the errors of this package. Both kinds are defects in a program, never faults of a peer."""


class MalformedTableError(StateMachineError):
    """The table contradicts itself: a duplicate pair, an unreachable state, a trap, an activity never heard."""


class UndeclaredTriggerError(StateMachineError):
    """The table has no row for this trigger in this state. The state has not changed."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(f"{trigger} was fired in {state.name}, where the table declares no row for it")
        self.state = state
        self.trigger = trigger
