"""The machine: :mod:`transitions` run over the table, synchronously and without callbacks.

``transitions`` is given rows and nothing else. Callbacks would run user code in the middle of a transition (a raising
``on_enter`` has already changed the state, ``on_exception`` swallows ``KeyboardInterrupt``), so there are none; what a
transition sets off is decided by the supervisor from the returned row.

A machine of ``transitions`` takes 30 KiB, and all controllers run the same table: so there is one for each thread.
Before each trigger it is put into the state of whoever fires; nothing runs between the two: firing awaits nothing.
"""

import threading
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


def _model_of(table: TransitionTable) -> _Model:
    """A machine of ``transitions`` over the table, as its model."""
    model = _Model()
    Machine(
        model,
        states=State,
        initial=table.initial,
        transitions=[_as_transition(row) for row in table.rows],
        auto_transitions=False,
        queued=False,
        ignore_invalid_triggers=False,
    )
    return model


class _Shared(threading.local):
    """The machine that fired last in this thread; all run the same table, but for those of tests."""

    def __init__(self) -> None:
        self._table: TransitionTable | None = None
        self._model = _Model()

    def model_of(self, table: TransitionTable) -> _Model:
        if table is not self._table:
            self._table, self._model = table, _model_of(table)
        return self._model


_shared: Final = _Shared()


class StateMachine:
    """One controller's state. Usable alone, without any I/O.

    >>> machine = StateMachine()
    >>> machine.fire(Trigger.DATA_FLOWS).target.name
    'RESYNCING'
    >>> machine.state.name
    'RESYNCING'
    """

    __slots__ = ("_state", "_table")

    def __init__(self, table: TransitionTable = TABLE) -> None:
        self._table: Final = table
        self._state = table.initial

    @property
    def state(self) -> State:
        """Where the machine is."""
        return self._state

    def fire(self, trigger: Trigger) -> Row:
        """Fire one trigger and return the row that was taken.

        Raises:
            UndeclaredTriggerError: the table declares no row for this pair; the state has not changed.
        """
        before, model = self._state, _shared.model_of(self._table)
        model.state = before
        try:
            model.trigger(trigger.value)
        except MachineError as error:
            raise UndeclaredTriggerError(before, trigger) from error
        self._state = model.state
        return self._table.row(before, trigger)

    def __repr__(self) -> str:
        return f"<StateMachine {self.state.name}>"


def _as_transition(row: Row) -> Mapping[str, str | State | None]:
    """A row in the form ``transitions`` takes; a ``dest`` of None is an internal transition."""
    dest = row.target if row.effect is Effect.MOVES else None
    return {"trigger": row.trigger.value, "source": row.source, "dest": dest}
