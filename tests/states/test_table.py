"""A malformed table is refused when it is built; the real one declares exactly what the design says."""

import pytest

from gapless.states import (
    TABLE,
    Effect,
    MalformedTableError,
    Row,
    State,
    StateMachine,
    TransitionTable,
    Trigger,
    UndeclaredTriggerError,
    moves,
    stays,
)

R, S, C, Q, F = State.RECONNECTING, State.RESYNCING, State.CONNECTED, State.SILENT, State.REST_FALLBACK

# Trigger -> state -> where it leads. Written out by hand, apart from the table under test: a pair that is absent here
# must be undeclared there. `None` marks a pair that is declared and leaves the state as it is.
EXPECTED: dict[Trigger, dict[State, State | None]] = {
    Trigger.DATA_FLOWS: {R: S, Q: S, S: None, C: None},
    Trigger.LINK_LOST: {R: F, S: F, C: F, Q: F},
    Trigger.IDLE: {R: Q, S: Q, C: Q},
    Trigger.PONG_OVERDUE: {R: Q, S: Q, C: Q, Q: None},
    Trigger.MARKET_QUIET: {Q: S},
    Trigger.SILENCE_CONFIRMED: {Q: F},
    Trigger.GAP_FOUND: {C: S, R: None, S: None, Q: None, F: None},
    Trigger.RESYNCED: {S: C},
    Trigger.RETRY_DUE: {F: R},
    Trigger.RECONNECT_REQUESTED: {S: R, C: R, Q: R, F: R, R: None},
    Trigger.ROTATED: {S: None, C: None, Q: None},
}

WAY_TO: dict[State, tuple[Trigger, ...]] = {
    R: (),
    S: (Trigger.DATA_FLOWS,),
    C: (Trigger.DATA_FLOWS, Trigger.RESYNCED),
    Q: (Trigger.IDLE,),
    F: (Trigger.LINK_LOST,),
}


def machine_in(state: State) -> StateMachine:
    machine = StateMachine()
    for trigger in WAY_TO[state]:
        machine.fire(trigger)
    assert machine.state is state
    return machine


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("trigger", Trigger)
def test_every_pair_of_state_and_trigger(state: State, trigger: Trigger) -> None:
    machine = machine_in(state)
    if state not in EXPECTED[trigger]:
        with pytest.raises(UndeclaredTriggerError, match=f"{trigger} was fired in {state.name}"):
            machine.fire(trigger)
        assert machine.state is state, "a refused trigger changes nothing"
        return
    target = EXPECTED[trigger][state]
    row = machine.fire(trigger)
    assert machine.state is (target or state)
    assert (row.source, row.trigger, row.target) == (state, trigger, target or state)
    assert (row.effect is Effect.MOVES) == (target is not None)


def test_only_a_rotation_is_internal_and_the_other_stays_are_tolerated() -> None:
    internal = {row.trigger for row in TABLE.rows if row.effect is Effect.INTERNAL}
    assert internal == {Trigger.ROTATED}


def rebuilt(*rows: Row, without: Trigger | None = None, initial: State = R) -> TransitionTable:
    kept = tuple(row for row in TABLE.rows if row.trigger is not without)
    return TransitionTable(rows=(*kept, *rows), initial=initial)


def test_a_duplicate_pair_is_refused() -> None:
    with pytest.raises(MalformedTableError, match="IDLE in CONNECTED is declared twice"):
        rebuilt(*moves(Trigger.IDLE, (C,), F))


def test_a_row_whose_effect_contradicts_its_target_is_refused() -> None:
    with pytest.raises(MalformedTableError, match="marked moves but leads to SILENT"):
        rebuilt(*moves(Trigger.IDLE, (Q,), Q))
    with pytest.raises(MalformedTableError, match="marked tolerated but leads to CONNECTED"):
        rebuilt(Row(trigger=Trigger.IDLE, source=F, target=C, effect=Effect.TOLERATED))


def test_a_trigger_without_a_row_is_refused() -> None:
    with pytest.raises(MalformedTableError, match="no row mentions ROTATED"):
        rebuilt(without=Trigger.ROTATED)


def test_an_unreachable_state_is_refused() -> None:
    rows = stays(Trigger.RESYNCED, (R,), Effect.TOLERATED)
    with pytest.raises(MalformedTableError, match="CONNECTED cannot be reached from RECONNECTING"):
        rebuilt(*rows, without=Trigger.RESYNCED)


def test_a_trap_is_refused() -> None:
    rows = [row for row in TABLE.rows if not (row.source is F and row.effect is Effect.MOVES)]
    tolerated = stays(Trigger.RETRY_DUE, (R,), Effect.TOLERATED)
    with pytest.raises(MalformedTableError, match="REST_FALLBACK is a trap"):
        TransitionTable(rows=(*rows, *tolerated), initial=R)
