"""The transition table: everything that can change the state is written in this file.

Theory. A controller is in one :class:`State`. Activities observe the world and emit triggers; one dispatcher fires
them, one at a time, against this table. Firing is synchronous, so it is atomic among trio tasks. The table is a
literal: no conditions, no callbacks, no wildcard rows. A pair of state and trigger is either

* a transition (the state changes),
* internal (``SAME``: it matters, yet the state stays: ``ROTATED`` changes the connection generation), or
* tolerated (it may arrive late because another trigger overtook it; it has no effect).

Tolerated pairs are rows, never absences. Every pair that has no row raises
:class:`~gapless.states.errors.UndeclaredTriggerError` and changes nothing; ``tests/states/test_search.py`` lets
triggers overtake each other in every possible way and shows that no such pair is ever reached.

What the table cannot say:

* A claim is checked again at the moment it is fired. ``IDLE`` is dropped if data came since, ``RESYNCED`` if a gap is
  open. A dropped claim never reaches the machine.
* A trigger carries the lease of the activity that emitted it. What a revoked lease sent is dropped before this table is
  asked. That is why ``LINK_LOST`` needs no row in ``REST_FALLBACK``: no link runs there.
* ``ROTATED`` has a row in ``SILENT`` because the link keeps running there: its ``ROTATED`` may already be in the
  mailbox when ``IDLE`` wins. The search finds this pair if the row is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique

from gapless.states.errors import MalformedTableError, UndeclaredTriggerError
from gapless.states.states import State, Trigger


@unique
class Effect(Enum):
    """What a row does."""

    MOVES = "moves"
    INTERNAL = "internal"
    TOLERATED = "tolerated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One declared pair: ``trigger`` fired in ``source`` leads to ``target``."""

    trigger: Trigger
    source: State
    target: State
    effect: Effect


def moves(trigger: Trigger, sources: Iterable[State], target: State) -> tuple[Row, ...]:
    """Rows that change the state to ``target``."""
    return tuple(Row(trigger=trigger, source=source, target=target, effect=Effect.MOVES) for source in sources)


def stays(trigger: Trigger, sources: Iterable[State], effect: Effect) -> tuple[Row, ...]:
    """Rows that leave the state as it is."""
    return tuple(Row(trigger=trigger, source=source, target=source, effect=effect) for source in sources)


@dataclass(frozen=True, slots=True)
class TransitionTable:
    """A checked set of rows.

    Raises:
        MalformedTableError: a pair is declared twice, a row's effect contradicts its target, a trigger has no row, or a
            state can never be entered or never be left again.
    """

    rows: tuple[Row, ...]
    initial: State
    _by_pair: Mapping[tuple[State, Trigger], Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_pair: dict[tuple[State, Trigger], Row] = {}
        for row in self.rows:
            pair = (row.source, row.trigger)
            if pair in by_pair:
                raise MalformedTableError(f"{row.trigger} in {row.source.name} is declared twice; a pair has one row")
            if (row.effect is Effect.MOVES) == (row.source is row.target):
                raise MalformedTableError(
                    f"{row.trigger} in {row.source.name} is marked {row.effect.value} but leads to {row.target.name}"
                )
            by_pair[pair] = row
        object.__setattr__(self, "_by_pair", by_pair)
        self._refuse_unused_triggers()
        self._refuse_unreachable_states()
        self._refuse_traps()

    def find(self, state: State, trigger: Trigger) -> Row | None:
        """The row for this pair, or None where it is undeclared."""
        return self._by_pair.get((state, trigger))

    def row(self, state: State, trigger: Trigger) -> Row:
        """The row for this pair.

        Raises:
            UndeclaredTriggerError: there is none.
        """
        found = self.find(state, trigger)
        if found is None:
            raise UndeclaredTriggerError(state, trigger)
        return found

    def reachable_from(self, state: State) -> frozenset[State]:
        """Every state that some sequence of triggers leads to, ``state`` included."""
        found = {state}
        frontier = [state]
        while frontier:
            here = frontier.pop()
            for row in self.rows:
                if row.source is here and row.target not in found:
                    found.add(row.target)
                    frontier.append(row.target)
        return frozenset(found)

    def _refuse_unused_triggers(self) -> None:
        unused = [trigger.name for trigger in Trigger if all(row.trigger is not trigger for row in self.rows)]
        if unused:
            raise MalformedTableError(f"no row mentions {', '.join(unused)}; every trigger needs one")

    def _refuse_unreachable_states(self) -> None:
        unreachable = [state.name for state in State if state not in self.reachable_from(self.initial)]
        if unreachable:
            raise MalformedTableError(f"{', '.join(unreachable)} cannot be reached from {self.initial.name}")

    def _refuse_traps(self) -> None:
        for state in State:
            missing = [other.name for other in State if other not in self.reachable_from(state)]
            if missing:
                raise MalformedTableError(f"{state.name} is a trap: {', '.join(missing)} cannot be reached from it")


_RECONNECTING = State.RECONNECTING
_RESYNCING = State.RESYNCING
_CONNECTED = State.CONNECTED
_SILENT = State.SILENT
_REST_FALLBACK = State.REST_FALLBACK

TABLE = TransitionTable(
    initial=_RECONNECTING,
    rows=(
        *moves(Trigger.DATA_FLOWS, (_RECONNECTING, _SILENT), _RESYNCING),
        *moves(Trigger.LINK_LOST, (_RECONNECTING, _RESYNCING, _CONNECTED, _SILENT), _REST_FALLBACK),
        *moves(Trigger.IDLE, (_RECONNECTING, _RESYNCING, _CONNECTED), _SILENT),
        *moves(Trigger.PONG_OVERDUE, (_RECONNECTING, _RESYNCING, _CONNECTED), _SILENT),
        *moves(Trigger.MARKET_QUIET, (_SILENT,), _RESYNCING),
        *moves(Trigger.SILENCE_CONFIRMED, (_SILENT,), _REST_FALLBACK),
        *moves(Trigger.GAP_FOUND, (_CONNECTED,), _RESYNCING),
        *moves(Trigger.RESYNCED, (_RESYNCING,), _CONNECTED),
        *moves(Trigger.RETRY_DUE, (_REST_FALLBACK,), _RECONNECTING),
        *moves(Trigger.RECONNECT_REQUESTED, (_RESYNCING, _CONNECTED, _SILENT, _REST_FALLBACK), _RECONNECTING),
        # A successor socket took over: the generation changes, the state does not.
        *stays(Trigger.ROTATED, (_RESYNCING, _CONNECTED, _SILENT), Effect.INTERNAL),
        # Overtaken by another trigger while in the mailbox.
        *stays(Trigger.DATA_FLOWS, (_RESYNCING, _CONNECTED), Effect.TOLERATED),
        # The gap waits in the ledger for the reconciler or the fetch loop.
        *stays(Trigger.GAP_FOUND, (_RECONNECTING, _RESYNCING, _SILENT, _REST_FALLBACK), Effect.TOLERATED),
        # The verifier judges already.
        *stays(Trigger.PONG_OVERDUE, (_SILENT,), Effect.TOLERATED),
        # An attempt is under way.
        *stays(Trigger.RECONNECT_REQUESTED, (_RECONNECTING,), Effect.TOLERATED),
    ),
)
