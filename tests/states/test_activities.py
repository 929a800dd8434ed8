"""What each state keeps running, written out apart from the table under test."""

import pytest

from gapless.states import (
    ACTIVITIES,
    EMITS,
    TABLE,
    Activity,
    ActivityTable,
    MalformedTableError,
    Row,
    State,
    Trigger,
)

A = Activity
WANTED = {
    State.RECONNECTING: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH, A.FETCH_LOOP},
    State.RESYNCING: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH, A.RECONCILER},
    State.CONNECTED: {A.LINK, A.HEARTBEAT, A.IDLE_WATCH},
    State.SILENT: {A.LINK, A.HEARTBEAT, A.SILENCE_VERIFIER, A.FETCH_LOOP},
    State.REST_FALLBACK: {A.FETCH_LOOP, A.BACKOFF},
}

T = Trigger
MAY_EMIT = {
    A.LINK: {T.DATA_FLOWS, T.LINK_LOST, T.ROTATED},
    A.HEARTBEAT: {T.PONG_OVERDUE},
    A.IDLE_WATCH: {T.IDLE, T.RECONNECT_REQUESTED},
    A.SILENCE_VERIFIER: {T.MARKET_QUIET, T.SILENCE_CONFIRMED, T.PONG_OVERDUE},
    A.FETCH_LOOP: set[Trigger](),
    A.RECONCILER: {T.RESYNCED},
    A.BACKOFF: {T.RETRY_DUE},
    None: {T.GAP_FOUND, T.RECONNECT_REQUESTED},
}


@pytest.mark.parametrize("activity", MAY_EMIT, ids=lambda each: each.name if each else "no lease")
@pytest.mark.parametrize("trigger", Trigger)
def test_each_activity_emits_its_triggers_and_no_other(activity: Activity | None, trigger: Trigger) -> None:
    if trigger in MAY_EMIT[activity]:
        ACTIVITIES.require(activity, trigger)
        return
    with pytest.raises(MalformedTableError, match=f"{trigger} was emitted "):
        ACTIVITIES.require(activity, trigger)


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
