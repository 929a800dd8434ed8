"""Where everything stands: cards on a grid, arrows that run level or upright and meet at right angles only.

All five states are joined pairwise, so no drawing without a crossing exists, and an automatic layout sends long arcs
around the picture. The places and routes are therefore chosen by hand: the happy path runs along the top from left to
right, the two troubles stand below it, and the unavoidable crossing happens in the free field between them. An arrow
this file has no route for (a changed table) is drawn straight, which is never wrong, only less pretty.

Sizes are fixed, so the picture does not depend on the fonts of the machine that renders it; text has about a tenth of
its width to spare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gapless.diagrams.geometry import Box, Point, Route, across, stairs, straight, upright
from gapless.states import State

CARD_WIDTH: Final = 220.0
"""Holds the longest line of a meaning at 12 points."""
HEADER_HEIGHT: Final = 28.0
MEANING_HEIGHT: Final = 44.0
"""Two lines."""
LINE_HEIGHT: Final = 17.0
"""One activity at 12 points; smaller type is hard to read once a README scales the picture to its column."""
PADDING: Final = 6.0
"""Above and below the activities."""

_LEFT: Final = 74.0
"""Room for the mark of the initial state."""
_RIGHT: Final = 28.0
_TOP: Final = 64.0
"""Room for the arrow that passes over RESYNCING."""
_CHANNELS: Final = (240.0, 152.0)
"""Between the columns; the first holds three upright lines and, beside them, RECONNECT_REQUESTED."""
_ROW_GAP: Final = 104.0
"""Holds a label of two triggers and a piece of its line above and below."""
_LANE: Final = 38.0
"""From the lower cards to the arrow that passes under them."""
_FOOTER: Final = 70.0

_GRID: Final[Mapping[State, tuple[int, int]]] = {
    State.RECONNECTING: (0, 0),
    State.RESYNCING: (1, 0),
    State.CONNECTED: (2, 0),
    State.REST_FALLBACK: (0, 1),
    State.SILENT: (1, 1),
}
"""Column and row."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of everything, for cards that list up to ``lines`` lines."""

    lines: int

    @property
    def canvas(self) -> Box:
        """The whole picture."""
        right = max(self.card(state).right for state in State)
        bottom = max(self.card(state).bottom for state in State)
        return Box(left=0, top=0, width=right + _RIGHT, height=bottom + _LANE + _FOOTER)

    @property
    def notes(self) -> Box:
        """Where the notes stand, at the foot."""
        canvas = self.canvas
        return Box(left=_LEFT, top=canvas.height - _FOOTER + 14, width=canvas.width - _LEFT - _RIGHT, height=38)

    def card(self, state: State) -> Box:
        """The card of a state."""
        column, row = _GRID[state]
        height = HEADER_HEIGHT + MEANING_HEIGHT + LINE_HEIGHT * self.lines + 2 * PADDING
        return Box(
            left=_LEFT + CARD_WIDTH * column + sum(_CHANNELS[:column]),
            top=_TOP + (height + _ROW_GAP) * row,
            width=CARD_WIDTH,
            height=height,
        )

    def start(self, initial: State) -> Route:
        """From the mark of the initial state to its card."""
        card = self.card(initial)
        y = card.top + HEADER_HEIGHT / 2
        return Route(corners=(Point(card.left - 34, y), Point(card.left, y)), label=Point(card.left - 20, y - 13))

    def route(self, source: State, target: State) -> Route:
        """The way of the arrow between two states."""
        chosen = {**self._along_the_top(), **self._up_and_down(), **self._between_the_columns()}
        return chosen.get((source, target)) or straight(self.card(source), self.card(target))

    def _along_the_top(self) -> Mapping[tuple[State, State], Route]:
        """The happy path, the ways back along it, and the arrow over it. Labels stand clear of the tips."""
        first, second, third = (self.card(state) for state in (State.RECONNECTING, State.RESYNCING, State.CONNECTED))
        left, right = (first.right + second.left) / 2, (second.right + third.left) / 2
        there, back, over = first.top + 34, first.top + 80, first.top - 28
        return {
            (State.RECONNECTING, State.RESYNCING): across(first.right, second.left, there, left - 4),
            (State.RESYNCING, State.RECONNECTING): across(second.left, first.right, back, left + 4),
            (State.RESYNCING, State.CONNECTED): across(second.right, third.left, there, right - 4),
            (State.CONNECTED, State.RESYNCING): across(third.left, second.right, back, right + 4),
            (State.CONNECTED, State.RECONNECTING): Route(
                corners=(
                    Point(third.centre.x, third.top),
                    Point(third.centre.x, over),
                    Point(first.centre.x, over),
                    Point(first.centre.x, first.top),
                ),
                label=Point(second.centre.x, over),
            ),
        }

    def _up_and_down(self) -> Mapping[tuple[State, State], Route]:
        """Between the rows. Two labels side by side must fit the width of a card."""
        dialling, fallback = self.card(State.RECONNECTING), self.card(State.REST_FALLBACK)
        syncing, silent, connected = (self.card(state) for state in (State.RESYNCING, State.SILENT, State.CONNECTED))
        gap = (dialling.bottom + fallback.top) / 2
        under = fallback.bottom + _LANE
        return {
            (State.RECONNECTING, State.REST_FALLBACK): upright(
                dialling.left + 34, dialling.bottom, fallback.top, gap - 9
            ),
            (State.REST_FALLBACK, State.RECONNECTING): upright(dialling.left + 146, fallback.top, dialling.bottom, gap),
            (State.RESYNCING, State.SILENT): upright(syncing.left + 56, syncing.bottom, silent.top, gap),
            (State.SILENT, State.RESYNCING): upright(syncing.left + 164, silent.top, syncing.bottom, gap),
            (State.CONNECTED, State.SILENT): Route(
                corners=(
                    Point(connected.left + 56, connected.bottom),
                    Point(connected.left + 56, silent.top + 60),
                    Point(silent.right, silent.top + 60),
                ),
                label=Point(connected.left + 56, gap),
            ),
            (State.CONNECTED, State.REST_FALLBACK): Route(
                corners=(
                    Point(connected.left + 164, connected.bottom),
                    Point(connected.left + 164, under),
                    Point(fallback.centre.x, under),
                    Point(fallback.centre.x, fallback.bottom),
                ),
                label=Point(connected.left + 164, gap),
            ),
        }

    def _between_the_columns(self) -> Mapping[tuple[State, State], Route]:
        """Three stairs in the field between the first two columns, where LINK_LOST crosses the other two."""
        dialling, fallback = self.card(State.RECONNECTING), self.card(State.REST_FALLBACK)
        syncing, silent = self.card(State.RESYNCING), self.card(State.SILENT)
        edge = dialling.right
        return {
            (State.RECONNECTING, State.SILENT): stairs(
                Point(edge, dialling.bottom - 18), Point(silent.left, silent.top + 82), edge + 22
            ),
            (State.SILENT, State.RECONNECTING): stairs(
                Point(silent.left, silent.top + 34), Point(edge, dialling.bottom - 46), edge + 46
            ),
            (State.RESYNCING, State.REST_FALLBACK): stairs(
                Point(syncing.left, syncing.bottom - 18), Point(edge, fallback.top + 14), edge + 70
            ),
            (State.SILENT, State.REST_FALLBACK): across(
                silent.left, edge, silent.top + 130, (silent.left + edge) / 2 + 4
            ),
        }
