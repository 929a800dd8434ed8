import pytest

from gapless.states import TABLE, State, TransitionTable, Trigger


@pytest.fixture
def without_gap_found() -> TransitionTable:
    """The shipped table without its one arrow from CONNECTED to RESYNCING."""
    pair = (Trigger.GAP_FOUND, State.CONNECTED)
    return TransitionTable(
        initial=TABLE.initial, rows=tuple(row for row in TABLE.rows if (row.trigger, row.source) != pair)
    )
