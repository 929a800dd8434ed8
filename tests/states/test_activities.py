"""What each state keeps running, written out apart from the table under test."""

import pytest

from gapless.states import ACTIVITIES, EMITS, TABLE, Activity, ActivityTable, MalformedTableError, Row, State

A = Activity
WANTED = {
    State.RECONNECTING: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH, A.FETCH_LOOP},
    State.RESYNCING: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH, A.RECONCILER},
    State.CONNECTED: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH},
    State.SILENT: {A.LINK, A.HEARTBEAT, A.SILENCE_VERIFIER, A.FETCH_LOOP},
    State.REST_FALLBACK: {A.FETCH_LOOP, A.BACKOFF},
}


@pytest.mark.parametrize("state", State)
def test_each_state_wants_its_activities(state: State) -> None:
    assert ACTIVITIES.wanted(state) == WANTED[state]


def test_the_fetch_loop_runs_exactly_while_live_data_does_not_flow() -> None:
    without_live_data = {state for state in State if A.FETCH_LOOP in ACTIVITIES.wanted(state)}
    assert without_live_data == {State.RECONNECTING, State.SILENT, State.REST_FALLBACK}


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: f"{row.source.name}-{row.trigger}")
def test_a_plan_leads_from_what_runs_to_what_the_target_wants(row: Row) -> None:
    running = ACTIVITIES.wanted(row.source)
    plan = ACTIVITIES.plan(row, running)
    assert (running - plan.stop) | plan.start == ACTIVITIES.wanted(row.target)
    untouched = running & ACTIVITIES.wanted(row.target) - plan.stop
    assert not untouched & plan.start
    if row.source is not row.target and row.target is State.RECONNECTING:
        assert {A.LINK, A.HEARTBEAT, A.IDLE_WATCH} <= plan.start, "a new attempt inherits nothing"
    if row.source is row.target:
        assert not plan.stop
        assert not plan.start


def test_a_state_without_activities_and_an_activity_without_a_state_are_refused() -> None:
    cells = dict(ACTIVITIES.cells)
    del cells[State.SILENT]
    with pytest.raises(MalformedTableError, match="no activities are declared for SILENT"):
        ActivityTable(cells=cells, emits=EMITS, transitions=TABLE)
    cells = {state: {a: m for a, m in cell.items() if a is not A.BACKOFF} for state, cell in ACTIVITIES.cells.items()}
    with pytest.raises(MalformedTableError, match="BACKOFF runs in no state"):
        ActivityTable(cells=cells, emits=EMITS, transitions=TABLE)
