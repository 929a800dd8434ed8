"""The tables as a Graphviz graph in which every place is given.

``layout=nop2`` makes Graphviz draw what it reads and choose no place or route itself. The text depends on the tables
and on no font, so it is compared byte for byte with the committed file.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from gapless.diagrams.contents import LISTED_NOTE, STAYS, TOLERATED_NOTE, Arrow, Line, arrows, lines
from gapless.diagrams.curves import at, inches, number, spline
from gapless.diagrams.layout import CARD_WIDTH, HEADER_HEIGHT, LINE_HEIGHT, MEANING_HEIGHT, PADDING, Layout
from gapless.diagrams.style import (
    CARD,
    FONT,
    HAPPY_PATH,
    LOOKS,
    MUTED,
    PANEL,
    PANEL_BORDER,
    TEXT,
    edge_id,
    state_id,
    trigger_id,
)
from gapless.states import ACTIVITIES, TABLE, ActivityTable, State, TransitionTable

_PLAIN: Final = 'BORDER="0" CELLBORDER="0" CELLSPACING="0"'
_PAD: Final = "&#160;&#160;"
"""Keeps text off the border of a card: cells can be padded on all sides only."""
_SMALL: Final = "11.25"
"""15 whole pixels at 96 dpi. Graphviz measures text there, and measures a fraction of a pixel up to 3 % too wide."""
_MARK_DIAMETER: Final = 12.0
_NOTES: Final = (LISTED_NOTE, f"An arrow has the colour of the state it leads to. {TOLERATED_NOTE}")


def dot(table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES) -> str:
    """The state machine as Graphviz DOT with all places given; ends with a newline."""
    listed = {state: lines(table, activities, state) for state in State}
    layout = Layout(max(len(found) for found in listed.values()))
    body = (
        *_frame(layout, table.initial),
        *(_card(layout, state, listed[state]) for state in State),
        *(_arrow(layout, arrow) for arrow in arrows(table)),
    )
    return "\n".join(["digraph gapless {", *(f"  {statement}" for statement in body), "}", ""])


def _frame(layout: Layout, initial: State) -> Iterator[str]:
    """What surrounds the states: the panel, the notes, the mark of the initial state."""
    canvas, notes, start = layout.canvas, layout.notes, layout.start(initial)
    mark = inches(_MARK_DIAMETER)
    yield _statement("graph", layout="nop2", pad=inches(1), bgcolor="transparent", outputorder="nodesfirst")
    yield _statement("node", shape="plain", margin="0", fontname=FONT, fontsize="12", fontcolor=TEXT)
    yield _statement(
        "edge", fontname=FONT, fontsize=_SMALL, fontcolor=TEXT, color=TEXT, penwidth="1.6", arrowsize="0.9"
    )
    yield _statement(
        "panel",
        shape="box",
        style="rounded,filled",
        fillcolor=PANEL,
        color=PANEL_BORDER,
        width=inches(canvas.width),
        height=inches(canvas.height),
        pos=at(canvas.centre, canvas.height),
        label="",
    )
    rows = "".join(
        f'<TR><TD ALIGN="LEFT" HEIGHT="{number(notes.height / 2)}">{escape(note)}</TD></TR>' for note in _NOTES
    )
    yield _statement(
        "notes",
        fontsize=_SMALL,
        fontcolor=MUTED,
        pos=at(notes.centre, canvas.height),
        label=f'<<TABLE {_PLAIN} CELLPADDING="0" WIDTH="{number(notes.width)}">{rows}</TABLE>>',
    )
    yield _statement(
        "start",
        id="start",
        shape="circle",
        style="filled",
        fillcolor=TEXT,
        width=mark,
        height=mark,
        pos=at(start.corners[0], canvas.height),
        label="",
    )
    yield _statement(
        f"start -> {initial.name}",
        id="edge_start",
        pos=spline(start.corners, canvas.height),
        lp=at(start.label, canvas.height),
        label="start",
    )


def _card(layout: Layout, state: State, listed: tuple[Line, ...]) -> str:
    """One state: a header in its colour, its meaning, and what is listed in it."""
    look, box = LOOKS[state], layout.card(state)
    rows = (
        _row(
            HEADER_HEIGHT,
            f'<FONT COLOR="{look.on_fill}" POINT-SIZE="14"><B>{state.name}</B></FONT>',
            _coloured(escape(look.condition), look.on_fill),
        ),
        _meaning(look.meaning),
        _space(PADDING),
        *(_listed(line) for line in listed),
        _space(PADDING + LINE_HEIGHT * (layout.lines - len(listed))),
    )
    # A gradient with a sharp step colours the header up to the round corners; a cell of its own would cover them.
    step = number(HEADER_HEIGHT / box.height, 3)
    return _statement(
        state.name,
        id=state_id(state),
        **{"class": f"state {look.condition}"},
        pos=at(box.centre, layout.canvas.height),
        label=f'<<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" STYLE="ROUNDED" COLOR="{look.ink}" '
        f'BGCOLOR="{look.fill};{step}:{CARD}" GRADIENTANGLE="270" '
        f'WIDTH="{number(box.width)}" HEIGHT="{number(box.height)}">{"".join(rows)}</TABLE>>',
    )


def _meaning(text: tuple[str, ...]) -> str:
    """The row that says what a state means, with a rule below it."""
    broken = "".join(f"{_PAD}{escape(line)}<BR/>" for line in text)
    rule = f'BORDER="1" SIDES="B" COLOR="{PANEL_BORDER}"'
    return f'<TR><TD COLSPAN="2" ALIGN="LEFT" BALIGN="LEFT" HEIGHT="{number(MEANING_HEIGHT)}" {rule}>{broken}</TD></TR>'


def _listed(line: Line) -> str:
    """The row of an activity, or, paler, of a trigger that stays."""
    name = _coloured(line.name, MUTED if line.mark == STAYS else TEXT)
    return _row(LINE_HEIGHT, name, _coloured(line.mark, MUTED) if line.mark else "")


def _coloured(text: str, colour: str) -> str:
    return f'<FONT COLOR="{colour}">{text}</FONT>'


def _row(height: float, left: str, right: str) -> str:
    """A row of a card."""
    return (
        f'<TR><TD ALIGN="LEFT" WIDTH="{number(CARD_WIDTH * 0.6)}" HEIGHT="{number(height)}">{_PAD}{left}</TD>'
        f'<TD ALIGN="RIGHT" WIDTH="{number(CARD_WIDTH * 0.4)}">{right and right + _PAD}</TD></TR>'
    )


def _space(height: float) -> str:
    """An empty row of a card."""
    return f'<TR><TD COLSPAN="2" HEIGHT="{number(height)}"></TD></TR>'


def _arrow(layout: Layout, arrow: Arrow) -> str:
    """One arrow; its label covers the line it stands on, so it cannot be taken for another's."""
    ink = LOOKS[arrow.target].ink
    route, height = layout.route(arrow.source, arrow.target), layout.canvas.height
    rows = "".join(
        f'<TR><TD ID="{trigger_id(row)}" TOOLTIP="{row.trigger.name}: {row.source.name} to {row.target.name}">'
        f"{row.trigger.name}</TD></TR>"
        for row in arrow.rows
    )
    return _statement(
        f"{arrow.source.name} -> {arrow.target.name}",
        id=edge_id(arrow.source, arrow.target),
        **{"class": " ".join(row.trigger.name for row in arrow.rows)},
        color=ink,
        fontcolor=ink,
        penwidth="2.8" if (arrow.source, arrow.target) in HAPPY_PATH else "1.6",
        pos=spline(route.corners, height),
        lp=at(route.label, height),
        label=f'<<TABLE {_PLAIN} CELLPADDING="2" BGCOLOR="{PANEL}">{rows}</TABLE>>',
    )


def _statement(subject: str, **attributes: str) -> str:
    """One DOT statement; a label in angle brackets is HTML and stands unquoted."""
    listed = (f"{name}={_quoted(value)}" for name, value in attributes.items())
    return f"{subject} [{', '.join(listed)}]"


def _quoted(value: str) -> str:
    return value if value.startswith("<") else f'"{value}"'
