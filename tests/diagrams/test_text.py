"""Mermaid and DOT say what the two tables say, neither more nor less."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pygraphviz
import pytest

from gapless.diagrams import dot, edge_id, mermaid, state_id
from gapless.states import (
    ACTIVITIES,
    TABLE,
    Activity,
    ActivityTable,
    Effect,
    Mode,
    State,
    TransitionTable,
    Trigger,
    moves,
)

Arrows = dict[tuple[str, str], list[str]]
Listed = dict[str, list[str]]
Render = Callable[[TransitionTable, ActivityTable], str]
Read = Callable[[str], tuple[str, Arrows, Listed]]

MOVES = [(row.source.name, row.trigger.name, row.target.name) for row in TABLE.rows if row.effect is Effect.MOVES]
WITHOUT_TOLERATED = TransitionTable(
    initial=TABLE.initial, rows=tuple(row for row in TABLE.rows if row.effect is not Effect.TOLERATED)
)
WITH_A_SHORTCUT = TransitionTable(
    initial=TABLE.initial, rows=(*TABLE.rows, *moves(Trigger.DATA_FLOWS, (State.REST_FALLBACK,), State.CONNECTED))
)


def read_mermaid(text: str) -> tuple[str, Arrows, Listed]:
    """The initial state, the arrows and what each state lists."""
    initial = re.findall(r"^    \[\*\] --> (\w+)$", text, re.MULTILINE)
    arrows = re.findall(r"^    (\w+) --> (\w+) : (\S+)$", text, re.MULTILINE)
    states = re.findall(r'^    state "(.*)" as (\w+)$', text, re.MULTILINE)
    assert len(initial) == 1
    assert len({(source, target) for source, target, _ in arrows}) == len(arrows)
    return (
        initial[0],
        {(source, target): label.split("<br/>") for source, target, label in arrows},
        {name: label.split("<br/>") for label, name in states},
    )


def read_dot(text: str) -> tuple[str, Arrows, Listed]:
    """The same, by Graphviz' own parser."""
    graph: Any = pygraphviz.AGraph(string=text)
    edges = [(str(edge[0]), str(edge[1]), str(edge.attr["label"])) for edge in graph.edges()]
    (initial,) = (target for source, target, _ in edges if source == "start")
    arrows = {(source, target): _cells(label) for source, target, label in edges if source != "start"}
    assert len(arrows) == len(edges) - 1
    states = {str(node): _rows(str(node.attr["label"])) for node in graph.nodes() if str(node) in State.__members__}
    return initial, arrows, states


def _rows(label: str) -> list[str]:
    table = ET.fromstring(label)  # noqa: S314
    joined = (" ".join(" ".join(row.itertext()).split()) for row in table.iter("TR"))
    return [text for text in joined if text]


def _cells(label: str) -> list[str]:
    return ["".join(cell.itertext()) for cell in ET.fromstring(label).iter("TD")]  # noqa: S314


READERS = pytest.mark.parametrize(
    ("render", "read"), [pytest.param(mermaid, read_mermaid, id="mermaid"), pytest.param(dot, read_dot, id="dot")]
)


@READERS
def test_the_arrows_are_the_moves(render: Render, read: Read) -> None:
    initial, arrows, _ = read(render(TABLE, ACTIVITIES))

    drawn = [(source, trigger, target) for (source, target), triggers in arrows.items() for trigger in triggers]
    assert sorted(drawn) == sorted(MOVES)
    assert initial == TABLE.initial.name


@READERS
def test_each_state_lists_what_runs_and_what_restarts(render: Render, read: Read) -> None:
    _, _, listed = read(render(TABLE, ACTIVITIES))

    assert sorted(listed) == sorted(State.__members__)
    for state in State:
        words = {line.split()[0]: line for line in listed[state.name] if line.split()[0] in Activity.__members__}
        assert sorted(words) == sorted(activity.name for activity in ACTIVITIES.wanted(state))
        restarting = {name for name, line in words.items() if "restarts" in line}
        assert restarting == {activity.name for activity in ACTIVITIES.restarted(state)}


@READERS
def test_internal_triggers_are_listed_in_their_state(render: Render, read: Read) -> None:
    _, _, listed = read(render(TABLE, ACTIVITIES))

    staying = {(name, line.split()[0]) for name, lines in listed.items() for line in lines if "stays" in line}
    assert staying == {(row.source.name, row.trigger.name) for row in TABLE.rows if row.effect is Effect.INTERNAL}


@READERS
def test_a_removed_row_loses_its_arrow(render: Render, read: Read, without_gap_found: TransitionTable) -> None:
    _, before, _ = read(render(TABLE, ACTIVITIES))
    _, after, _ = read(render(without_gap_found, ACTIVITIES))

    assert before.keys() - after.keys() == {("CONNECTED", "RESYNCING")}


@READERS
def test_an_added_row_gains_an_arrow_even_where_no_route_is_chosen(render: Render, read: Read) -> None:
    _, after, _ = read(render(WITH_A_SHORTCUT, ACTIVITIES))

    assert after["REST_FALLBACK", "CONNECTED"] == ["DATA_FLOWS"]


@READERS
def test_a_changed_activity_shows(render: Render, read: Read) -> None:
    cells = {**ACTIVITIES.cells, State.SILENT: {**ACTIVITIES.cells[State.SILENT], Activity.HEARTBEAT: Mode.RESTART}}
    changed = ActivityTable(transitions=TABLE, emits=ACTIVITIES.emits, cells=cells)

    _, _, listed = read(render(TABLE, changed))

    (line,) = (line for line in listed["SILENT"] if line.startswith("HEARTBEAT"))
    assert "restarts" in line


@pytest.mark.parametrize("render", [mermaid, dot])
def test_tolerated_pairs_are_not_drawn_and_that_is_said(render: Render) -> None:
    assert render(WITHOUT_TOLERATED, ACTIVITIES) == render(TABLE, ACTIVITIES)
    assert "are not drawn" in render(TABLE, ACTIVITIES)


@pytest.mark.parametrize("render", [mermaid, dot])
def test_the_same_tables_give_the_same_bytes(render: Render) -> None:
    assert render(TABLE, ACTIVITIES) == render(TABLE, ACTIVITIES)
    assert render(TABLE, ACTIVITIES).endswith("\n")


def test_ids_in_dot_are_unique_and_have_no_hyphen() -> None:
    ids = re.findall(r'\bid="([^"]*)"', dot(), re.IGNORECASE)

    assert len(ids) == len(set(ids))
    assert not [found for found in ids if not re.fullmatch(r"\w+", found)]
    assert {state_id(state) for state in State} <= set(ids)
    assert {edge_id(State[source], State[target]) for source, _, target in MOVES} <= set(ids)
    assert "edge_CONNECTED_IDLE_SILENT" in ids
