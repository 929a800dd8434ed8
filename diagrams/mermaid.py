"""The tables as a Mermaid state diagram, which code hosts draw inside Markdown.

Mermaid places everything itself, so this is the plain sister of the drawn picture: the same contents, no layout.
"""

from gapless.diagrams.contents import LISTED_NOTE, TOLERATED_NOTE, Arrow, Line, arrows, lines
from gapless.diagrams.style import LOOKS, TEXT
from gapless.states import ACTIVITIES, TABLE, ActivityTable, State, TransitionTable


def mermaid(table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES) -> str:
    """The state machine as Mermaid ``stateDiagram-v2``; ends with a newline."""
    body = (
        "direction TB",
        "accTitle: The states of a gapless connection",
        f"accDescr: {LISTED_NOTE} {TOLERATED_NOTE}",
        *(_state(state, lines(table, activities, state)) for state in State),
        f"[*] --> {table.initial.name}",
        *(_arrow(arrow) for arrow in arrows(table)),
        f"note right of {State.REST_FALLBACK.name} : {TOLERATED_NOTE}",
        *(f"classDef {look.condition} fill:{look.tint},stroke:{look.ink},color:{TEXT}" for look in LOOKS.values()),
        *(f"class {state.name} {look.condition}" for state, look in LOOKS.items()),
    )
    return "\n".join(["stateDiagram-v2", *(f"    {statement}" for statement in body), ""])


def _state(state: State, listed: tuple[Line, ...]) -> str:
    """One state: its name and condition, its meaning, and what is listed in it."""
    look = LOOKS[state]
    text = (
        f"<b>{state.name}</b>",
        look.condition,
        f"<i>{' '.join(look.meaning)}</i>",
        *(f"{line.name} ({line.mark})" if line.mark else line.name for line in listed),
    )
    return f'state "{"<br/>".join(text)}" as {state.name}'


def _arrow(arrow: Arrow) -> str:
    """One arrow, with a line for each trigger."""
    triggers = "<br/>".join(row.trigger.name for row in arrow.rows)
    return f"{arrow.source.name} --> {arrow.target.name} : {triggers}"
