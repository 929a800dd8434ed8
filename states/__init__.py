"""The state machine of a connection controller: pure, no I/O, usable alone.

>>> from gapless.states import ACTIVITIES, State, StateMachine, Trigger
>>> machine = StateMachine()
>>> _ = machine.fire(Trigger.LINK_LOST)
>>> sorted(activity.name for activity in ACTIVITIES.wanted(machine.state))
['BACKOFF', 'FETCH_LOOP']
"""

from gapless.states.activities import ACTIVITIES, EMITS, LEASELESS, ActivityTable, Mode, Plan
from gapless.states.errors import MalformedTableError, StateMachineError, UndeclaredTriggerError
from gapless.states.machine import StateMachine
from gapless.states.states import Activity, State, Trigger
from gapless.states.table import TABLE, Effect, Row, TransitionTable, moves, stays

__all__ = [
    "ACTIVITIES",
    "EMITS",
    "LEASELESS",
    "TABLE",
    "Activity",
    "ActivityTable",
    "Effect",
    "MalformedTableError",
    "Mode",
    "Plan",
    "Row",
    "State",
    "StateMachine",
    "StateMachineError",
    "TransitionTable",
    "Trigger",
    "UndeclaredTriggerError",
    "moves",
    "stays",
]
