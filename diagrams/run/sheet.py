"""The sheet a run is drawn on: its fonts and colours, and one panel below the other on a shared axis of time.

Everything is placed in inches, so that a panel keeps its size however many there are. Only the modules from here on
know matplotlib; the figure is made without pyplot, so that no window system and no global figure is involved.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gapless.diagrams.style import MUTED, PANEL_BORDER, TEXT

WIDTH_IN: Final = 13.0
LEFT_IN: Final = 1.42
RIGHT_IN: Final = 1.78
PLOT_IN: Final = WIDTH_IN - LEFT_IN - RIGHT_IN
SMALL_PT: Final = 7.5
USUAL_PT: Final = 8.5
GRID: Final = "#E6EBF0"
_LETTER_IN: Final = 0.078
"""Width of a usual letter at 8.5 pt, rather too wide than too narrow."""
_HOURS_FROM_S: Final = 7_200.0
"""From here on the axis has hours and minutes: 40,000 s say nothing to anybody."""

_SETTINGS: Final[dict[Any, Any]] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": PANEL_BORDER,
    "axes.linewidth": 0.8,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": USUAL_PT,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "gapless",
    "text.color": TEXT,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "path.simplify": False,
}


@contextmanager
def our_settings() -> Iterator[None]:
    """While the block runs, matplotlib draws as we want it, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a panel needs: its height, and the space above it, in inches."""

    height_in: float
    above_in: float = 0.12


@dataclass(slots=True)
class Sheet:
    """A figure with one axes for each space, from the top down.

    Args:
        start: Unix s that is 0 on the axis.
        length_s: of the axis.
    """

    spaces: Sequence[Space]
    head_in: float
    foot_in: float
    start: float
    length_s: float
    figure: Figure = field(init=False)
    panels: list[Axes] = field(init=False)
    height_in: float = field(init=False)

    def __post_init__(self) -> None:
        self.height_in = self.head_in + self.foot_in + sum(each.height_in + each.above_in for each in self.spaces)
        self.figure = Figure(figsize=(WIDTH_IN, self.height_in))
        self.panels = []
        top = self.height_in - self.head_in
        margin_s = 0.01 * self.length_s
        for each in self.spaces:
            top -= each.above_in + each.height_in
            box = (LEFT_IN / WIDTH_IN, top / self.height_in, PLOT_IN / WIDTH_IN, each.height_in / self.height_in)
            panel = self.figure.add_axes(box)
            panel.set_xlim(-margin_s, self.length_s + margin_s)
            panel.xaxis.set_major_locator(_locator(self.length_s))
            panel.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
            panel.set_axisbelow(True)
            panel.tick_params(length=0, labelbottom=False, labelsize=SMALL_PT)
            self.panels.append(panel)
        self._label_time()

    def since_start(self, moments: Sequence[float]) -> list[float]:
        """Unix seconds as places on the axis."""
        start = self.start
        return [each - start for each in moments]

    def letters(self, seconds: float) -> int:
        """How many letters fit into so much time."""
        return int(seconds / (1.02 * self.length_s) * PLOT_IN / _LETTER_IN)

    def seconds(self, inches: float) -> float:
        """How much time so many inches are."""
        return inches / PLOT_IN * 1.02 * self.length_s

    def write(self, panel: Axes, lines: Sequence[str]) -> None:
        """Lines of text in the right margin from the top down; the first one is the most important."""
        step = 0.152 / (panel.get_position().height * self.height_in)
        for number, line in enumerate(lines):
            self._margin(panel, 1.0 - (number + 0.5) * step, line, TEXT if number == 0 else MUTED)

    def write_beside_lanes(self, panel: Axes, lines: Sequence[str]) -> None:
        """One text in the right margin for each lane, from the top down."""
        for number, line in enumerate(lines):
            self._margin(panel, 1.0 - (number + 0.5) / len(lines), line, TEXT)

    def _margin(self, panel: Axes, height: float, text: str, color: str) -> None:
        panel.text(
            1 + 0.12 / PLOT_IN, height, text, transform=panel.transAxes, fontsize=SMALL_PT, va="center", color=color
        )

    def _label_time(self) -> None:
        if not self.panels:
            return
        last = self.panels[-1]
        last.tick_params(axis="x", labelbottom=True, pad=4)
        last.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock_text(seconds, self.length_s)))


def clock_text(seconds: float, length_s: float) -> str:
    """A time on the axis: seconds, or hours and minutes where there are many."""
    if length_s >= _HOURS_FROM_S:
        minutes = round(seconds / 60)
        return f"{minutes // 60}:{minutes % 60:02d} h"
    return f"{seconds:,.10g} s"


def _locator(length_s: float) -> MaxNLocator:
    if length_s >= _HOURS_FROM_S:
        return _Minutes(nbins=12)
    return MaxNLocator(nbins=12, steps=[1, 2, 5, 10])


class _Minutes(MaxNLocator):
    """Ticks at whole minutes that people count in."""

    _STEPS_S: Final = tuple(60 * each for each in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440))

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """The ticks within a view."""
        days = 1440 * 60
        step = next((each for each in self._STEPS_S if (vmax - vmin) / each <= 13), 0)
        step = step or days * (int((vmax - vmin) / days / 12) + 1)
        first = int(vmin // step)
        return [step * each for each in range(first, int(vmax // step) + 2)]
