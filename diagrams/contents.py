"""What a diagram shows of the two tables, before any question of looks: arrows, and the lines listed in each state.

Tolerated pairs are left out on purpose: they may come late and change nothing, so an arrow for them would say something
untrue. Every rendering says that in words (:data:`TOLERATED_NOTE`).
"""

from dataclasses import dataclass
from typing import Final

from gapless.states import Activity, ActivityTable, Effect, Mode, Row, State, TransitionTable

RESTARTS: Final = "restarts"
STAYS: Final = "stays"

LISTED_NOTE: Final = (
    f"In a state: what runs in it. “{RESTARTS}”: ended and started anew on entry. "
    f"“{STAYS}”: a trigger that matters without leaving the state."
)
TOLERATED_NOTE: Final = "Tolerated triggers, which may come late and change nothing, are not drawn."
"""Without a colon, which Mermaid would not read in a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """All moves from one state to another, as one arrow."""

    source: State
    target: State
    rows: tuple[Row, ...]
    """Never empty; in the order of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing listed in a state: an activity that runs there, or a trigger that stays there."""

    name: str
    mark: str = ""
    """``RESTARTS``, ``STAYS`` or nothing."""


def arrows(table: TransitionTable) -> tuple[Arrow, ...]:
    """The moves of ``table``, merged into one arrow for each pair of states."""
    merged: dict[tuple[State, State], list[Row]] = {}
    for row in table.rows:
        if row.effect is Effect.MOVES:
            merged.setdefault((row.source, row.target), []).append(row)
    return tuple(Arrow(source=source, target=target, rows=tuple(rows)) for (source, target), rows in merged.items())


def lines(table: TransitionTable, activities: ActivityTable, state: State) -> tuple[Line, ...]:
    """What is listed in ``state``: the activities that run there, then the internal triggers."""
    cell = activities.cells[state]
    runs = (
        Line(name=activity.name, mark=RESTARTS if cell[activity] is Mode.RESTART else "")
        for activity in Activity
        if activity in cell
    )
    stays = (
        Line(name=row.trigger.name, mark=STAYS)
        for row in table.rows
        if row.source is state and row.effect is Effect.INTERNAL
    )
    return (*runs, *stays)
