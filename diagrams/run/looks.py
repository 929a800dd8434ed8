"""How what is not a state looks: data by source, holes by fate, requests by answer. Shape and hatch besides colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gapless.diagrams.run.holes import Fate
from gapless.diagrams.run.lines import Source
from gapless.diagrams.run.model import Answer, Dial
from gapless.diagrams.style import LOOKS, MUTED
from gapless.states import State

_BLUE: Final = LOOKS[State.RESYNCING].ink
_GREEN: Final = LOOKS[State.CONNECTED].ink
_VERMILION: Final = LOOKS[State.REST_FALLBACK].ink
_AMBER: Final = LOOKS[State.SILENT].ink
_ORANGE: Final = "#D97706"
"""Lighter than blue and green: the three stay apart in grey, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point: its shape, its size in points, its colour."""

    marker: str
    size_pt: float
    color: str
    text: str
    """In the legend."""
    edge: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A hole: its hatch and colours."""

    hatch: str
    edge: str
    fill: str
    text: str


SOURCES: Final[Mapping[Source, Mark]] = {
    Source.LIVE: Mark(marker="o", size_pt=2.4, color=_GREEN, text="live, over the WebSocket"),
    Source.POLL: Mark(marker="s", size_pt=3.6, color=_ORANGE, text="polled over REST"),
    Source.BACKFILL: Mark(marker="^", size_pt=5.0, color=_BLUE, text="backfilled over REST", edge="white"),
}
"""In the order in which they are drawn: the rarest on top."""

FATES: Final[Mapping[Fate, Patch]] = {
    Fate.FILLED: Patch(hatch="/////", edge=_BLUE, fill="#E3F0F9", text="gap, from found to filled"),
    Fate.REFUTED: Patch(hatch="\\\\\\\\", edge=MUTED, fill="#F0F2F4", text="ids never issued"),
    Fate.OPEN: Patch(hatch="....", edge=_AMBER, fill="#FDF3D8", text="gap, still open at the end"),
    Fate.LOST: Patch(hatch="xxxxx", edge=_VERMILION, fill="#FBE9E4", text="lost for good"),
}

ANSWERS: Final[Mapping[Answer, Mark]] = {
    Answer.GIVEN: Mark(marker="|", size_pt=7.0, color=_BLUE, text="answered"),
    Answer.LIMITED: Mark(marker="D", size_pt=4.5, color=_ORANGE, text="429, 418"),
    Answer.FAILED: Mark(marker="X", size_pt=5.5, color=_VERMILION, text="failed"),
    Answer.CANCELLED: Mark(marker="|", size_pt=7.0, color=MUTED, text="cancelled"),
}

RESET: Final = LOOKS[State.RECONNECTING].ink
ATTEMPT: Final = LOOKS[State.RECONNECTING].ink
DIALS: Final[Mapping[Dial, Mark]] = {
    Dial.ATTEMPT: Mark(marker=">", size_pt=5.0, color=ATTEMPT, text="attempt"),
    Dial.ROTATION: Mark(marker="o", size_pt=5.0, color=ATTEMPT, text="rotation to a successor"),
}
GAVE_UP: Final = Mark(marker="X", size_pt=6.5, color=_VERMILION, text="gave up")
FAULT: Final = MUTED
