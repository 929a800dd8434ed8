"""The machine: :mod:`transitions` run over the table, synchronously and without callbacks.

``transitions`` is given rows and nothing else. Callbacks would run user code in the middle of a transition (a raising
``on_enter`` has already changed the state, ``on_exception`` swallows ``KeyboardInterrupt``), so there are none; what a
transition sets off is decided by the supervisor from the returned row.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from transitions import Machine, MachineError

from gapless.states.errors import UndeclaredTriggerError
from gapless.states.states import State, Trigger
from gapless.states.table import TABLE, Effect, Row, TransitionTable


class _Model:
    """What ``transitions`` hangs its state and its ``trigger`` method on."""

    state: State

    if TYPE_CHECKING:

        def trigger(self, trigger_name: str) -> bool:
            """Supplied by ``transitions``."""
            ...


class StateMachine:
    """One controller's state. Usable alone, without any I/O.

    >>> machine = StateMachine()
    >>> machine.fire(Trigger.DATA_FLOWS).target.name
    'RESYNCING'
    >>> machine.state.name
    'RESYNCING'
    """

    def __init__(self, table: TransitionTable = TABLE) -> None:
        self._table: Final = table
        self._model: Final = _Model()
        Machine(
            self._model,
            states=State,
            initial=table.initial,
            transitions=[_as_transition(row) for row in table.rows],
            auto_transitions=False,
            queued=False,
            ignore_invalid_triggers=False,
        )

    @property
    def state(self) -> State:
        """Where the machine is."""
        return self._model.state

    def fire(self, trigger: Trigger) -> Row:
        """Fire one trigger and return the row that was taken.

        Raises:
            UndeclaredTriggerError: the table declares no row for this pair; the state has not changed.
        """
        before = self.state
        try:
            self._model.trigger(trigger.value)
        except MachineError as error:
            raise UndeclaredTriggerError(before, trigger) from error
        return self._table.row(before, trigger)

    def __repr__(self) -> str:
        return f"<StateMachine {self.state.name}>"


def _as_transition(row: Row) -> Mapping[str, str | State | None]:
    """A row in the form ``transitions`` takes; a ``dest`` of None is an internal transition."""
    dest = row.target if row.effect is Effect.MOVES else None
    return {"trigger": row.trigger.value, "source": row.source, "dest": dest}
