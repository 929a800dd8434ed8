"""Exhaustive search: triggers overtake each other in every possible way, and no undeclared pair is ever reached.

A world is the state, the activities that run, whether the link's data has flowed, and the mailbox. Two things can
happen in it: somebody who runs (or somebody without a lease: the app, a wake, the ledger) emits one of its triggers, or
the dispatcher takes the oldest entry. A revoked lease's entries vanish, as the dispatcher drops them unread; what came
without a lease stays. That the program emits nothing else is the supervisor's to see: it refuses a claim that the
activity table does not know. The mailbox is searched up to three entries deep:
entries do not influence each other except by revoking leases, so three cover a winner, a survivor and a newcomer.
"""

from collections import deque
from dataclasses import dataclass, replace

import pytest

from gapless.states import (
    ACTIVITIES,
    EMITS,
    LEASELESS,
    TABLE,
    Activity,
    ActivityTable,
    MalformedTableError,
    Mode,
    State,
    TransitionTable,
    Trigger,
    UndeclaredTriggerError,
)

MAILBOX_DEPTH = 3
Entry = tuple[Trigger, Activity | None]


@dataclass(frozen=True)
class World:
    state: State
    running: frozenset[Activity]
    data_flowed: bool = False
    mailbox: tuple[Entry, ...] = ()


def emissions(world: World, activities: ActivityTable) -> list[World]:
    """Every world in which one more trigger lies in the mailbox."""
    if len(world.mailbox) == MAILBOX_DEPTH:
        return []
    entries: list[Entry] = [(trigger, None) for trigger in activities.leaseless]
    for activity in world.running:
        # A link has nothing to rotate before its data flowed.
        silent_link = activity is Activity.LINK and not world.data_flowed
        entries += [(t, activity) for t in activities.emits[activity] if not (silent_link and t is Trigger.ROTATED)]
    return [
        replace(
            world,
            mailbox=(*world.mailbox, entry),
            data_flowed=world.data_flowed or entry[0] is Trigger.DATA_FLOWS,
        )
        for entry in entries
    ]


def dispatched(world: World, table: TransitionTable, activities: ActivityTable) -> World:
    """The world after the dispatcher took the oldest entry: fired it, converged, dropped what revoked leases sent."""
    (trigger, _sender), rest = world.mailbox[0], world.mailbox[1:]
    row = table.row(world.state, trigger)
    plan = activities.plan(row, world.running)
    return World(
        state=row.target,
        running=(world.running - plan.stop) | plan.start,
        data_flowed=world.data_flowed and Activity.LINK not in plan.stop,
        mailbox=tuple((t, sender) for t, sender in rest if sender not in plan.stop),
    )


def search(table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES) -> set[World]:
    start = World(state=table.initial, running=activities.wanted(table.initial))
    found = {start}
    frontier = deque([start])
    while frontier:
        world = frontier.popleft()
        after = emissions(world, activities)
        if world.mailbox:
            after.append(dispatched(world, table, activities))
        for other in after:
            if other not in found:
                found.add(other)
                frontier.append(other)
    return found


@pytest.fixture(scope="module")
def worlds() -> set[World]:
    return search()


def test_no_interleaving_reaches_an_undeclared_pair(worlds: set[World]) -> None:
    assert {world.state for world in worlds} == set(State)


def test_what_runs_always_agrees_with_the_state(worlds: set[World]) -> None:
    assert all(world.running == ACTIVITIES.wanted(world.state) for world in worlds)


def test_every_declared_pair_is_reached(worlds: set[World]) -> None:
    reached = {(world.state, world.mailbox[0][0]) for world in worlds if world.mailbox}
    assert reached == {(row.source, row.trigger) for row in TABLE.rows}


@pytest.mark.parametrize(
    ("state", "trigger"),
    [
        (State.SILENT, Trigger.ROTATED),
        (State.CONNECTED, Trigger.DATA_FLOWS),
        (State.SILENT, Trigger.PONG_OVERDUE),
        (State.REST_FALLBACK, Trigger.GAP_FOUND),
        (State.RECONNECTING, Trigger.RECONNECT_REQUESTED),
    ],
)
def test_the_search_finds_a_row_that_is_missing(state: State, trigger: Trigger) -> None:
    rows = tuple(row for row in TABLE.rows if (row.source, row.trigger) != (state, trigger))
    broken = TransitionTable(rows=rows, initial=TABLE.initial)
    with pytest.raises(UndeclaredTriggerError, match=f"{trigger} was fired in {state.name}"):
        search(table=broken)


def test_what_needs_no_lease_is_declared_in_every_state() -> None:
    rows = tuple(row for row in TABLE.rows if (row.source, row.trigger) != (State.SILENT, Trigger.GAP_FOUND))
    transitions = TransitionTable(rows=rows, initial=TABLE.initial)
    with pytest.raises(MalformedTableError, match="GAP_FOUND may come in any state, and is undeclared in SILENT"):
        ActivityTable(cells=ACTIVITIES.cells, emits=EMITS, transitions=transitions, leaseless=LEASELESS)


def test_the_search_finds_a_lease_that_is_not_revoked() -> None:
    """A link that survived into REST_FALLBACK would say LINK_LOST there: the table is refused when it is built."""
    cells = {**ACTIVITIES.cells, State.REST_FALLBACK: {Activity.LINK: Mode.KEEP, Activity.BACKOFF: Mode.KEEP}}
    with pytest.raises(MalformedTableError, match="LINK in REST_FALLBACK may emit"):
        ActivityTable(cells=cells, emits=EMITS, transitions=TABLE)
