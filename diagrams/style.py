"""How a diagram looks: what each state means, its colours, and the ids a page can highlight.

Colours carry nothing alone: every state also says its condition in words. The hues (purple, blue, bluish green, amber,
vermilion) stay apart for colour-blind readers and are dark enough that text and thin lines in them pass a contrast of
4.5:1 on the panel. Only the fill of amber stays light, so that it is not taken for brown; its header has dark text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gapless.states import Row, State

FONT: Final = "Helvetica,Arial,sans-serif"
"""A generic web stack. Liberation Sans, Helvetica and Arial have the same metrics, so sizes fit in every browser."""

PANEL: Final = "#F7F9FB"
"""The diagram brings its own light panel, so it reads the same on a white and on a dark page."""
PANEL_BORDER: Final = "#D5DCE4"
CARD: Final = "#FFFFFF"
TEXT: Final = "#1F2933"
MUTED: Final = "#5B6875"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One state's appearance: what it means in words, and the colours of that meaning."""

    condition: str
    """One word for the state of the feed; the colour says the same."""
    meaning: tuple[str, str]
    """One sentence in two lines."""
    fill: str
    """Header of the card."""
    tint: str
    """The same hue, light enough for text: a whole card where cards have no header."""
    on_fill: str
    """Text on the header."""
    ink: str
    """Lines and labels of the arrows that lead here, border of the card."""


LOOKS: Final[Mapping[State, Look]] = {
    State.RECONNECTING: Look(
        condition="attempting",
        meaning=("one attempt in flight: dial,", "subscribe, wait for the first data"),
        fill="#6B4FA0",
        tint="#EFEBF7",
        on_fill="#FFFFFF",
        ink="#6B4FA0",
    ),
    State.RESYNCING: Look(
        condition="repairing",
        meaning=("the link is good;", "known gaps are being filled"),
        fill="#0067A5",
        tint="#E3F0F9",
        on_fill="#FFFFFF",
        ink="#0067A5",
    ),
    State.CONNECTED: Look(
        condition="healthy",
        meaning=("the link is good;", "no stream has a known gap"),
        fill="#00765A",
        tint="#E2F4EE",
        on_fill="#FFFFFF",
        ink="#00765A",
    ),
    State.SILENT: Look(
        condition="doubtful",
        meaning=("the socket is open but says nothing:", "the silence is being verified"),
        fill="#F0B429",
        tint="#FDF3D8",
        on_fill="#3D2B00",
        ink="#8F5F00",
    ),
    State.REST_FALLBACK: Look(
        condition="down",
        meaning=("no socket: collecting over REST,", "waiting for the next attempt"),
        fill="#B8371B",
        tint="#FBE9E4",
        on_fill="#FFFFFF",
        ink="#B8371B",
    ),
}

HAPPY_PATH: Final = frozenset(
    {
        (State.RECONNECTING, State.RESYNCING),
        (State.RESYNCING, State.CONNECTED),
    }
)
"""The arrows drawn heavier: the way a feed takes when nothing goes wrong."""


def state_id(state: State) -> str:
    """The id of a state's card: ``state_CONNECTED``. Ids have no ``-``, which Graphviz would write as an entity."""
    return f"state_{state.name}"


def edge_id(source: State, target: State) -> str:
    """The id of an arrow with its labels: ``edge_CONNECTED_SILENT``."""
    return f"edge_{source.name}_{target.name}"


def trigger_id(row: Row) -> str:
    """The id of one trigger's name on an arrow: ``edge_CONNECTED_IDLE_SILENT``."""
    return f"edge_{row.source.name}_{row.trigger.name}_{row.target.name}"
