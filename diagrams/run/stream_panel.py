"""One stream's panel: ids against time. Data climb; a gap is a hole beside them; what came over REST fills it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator

from gapless.diagrams.run.holes import Fate, Hole
from gapless.diagrams.run.looks import FATES, RESET, SOURCES
from gapless.diagrams.run.model import StreamRun, Stretch
from gapless.diagrams.run.scale import Shelf, shelves
from gapless.diagrams.run.sheet import SMALL_PT, USUAL_PT, Sheet
from gapless.diagrams.run.words import plain, stream_figures
from gapless.diagrams.style import MUTED, TEXT

_TEXTS_MAX: Final = 5
"""Losses that are named in one panel, the largest first; more cover each other."""
_RESETS_NAMED_MAX: Final = 6
_HOLE_MIN_IN: Final = 0.035
"""A hole that was filled within milliseconds is drawn so wide, or nobody sees it."""
_HATCH_MIN_IN: Final = 0.05
"""A smaller box is all edge: a hatch within costs a millisecond, and nobody sees it."""
_LOSS_MIN_IN: Final = 0.2
_BESIDE_PT: Final = -18.0
"""Text to the left of a loss begins left of its box."""
_EPOCH_MAX: Final = 12
"""Letters of an epoch that are worth reading; longer ones hold a time of day in milliseconds."""
_TICKS: Final = 5
_Box = tuple[float, float, float, float]
_Corners = list[list[tuple[float, float]]]


def draw_stream(sheet: Sheet, panel: Axes, stream: StreamRun, *, as_image: bool) -> None:
    """Draw one stream."""
    found = shelves(stream)
    top = found[-1].base + found[-1].height if found else 1.0
    height = max(top, 1.0)
    panel.set_ylim(-0.07 * height - 0.5, 1.07 * height + 0.5)
    _ticks(panel, found, height)
    for shelf in found:
        _draw_points(sheet, panel, shelf, as_image=as_image)
    for fate in Fate:
        _draw_holes(sheet, panel, found, fate, height, as_image=as_image)
    _name_losses(sheet, panel, found, height)
    _draw_resets(sheet, panel, stream)
    for at, _ in stream.rejected:
        panel.axvline(at - sheet.start, color=FATES[Fate.LOST].edge, linewidth=0.9, linestyle=":", zorder=2)
    panel.text(
        0.008,
        0.955,
        plain(stream.name),
        transform=panel.transAxes,
        va="top",
        fontsize=USUAL_PT + 0.5,
        fontweight="bold",
        color=TEXT,
        zorder=8,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )
    panel.set_ylabel("sequence id" if stream.numbered else "data, counted", fontsize=SMALL_PT, color=MUTED)
    panel.yaxis.set_label_coords(-0.9 / 9.8, 0.5)
    sheet.write(panel, stream_figures(stream))


def _draw_points(sheet: Sheet, panel: Axes, shelf: Shelf, *, as_image: bool) -> None:
    for number, (source, mark) in enumerate(SOURCES.items()):
        points = shelf.stretch.points[source]
        if points.at:
            panel.plot(
                sheet.since_start(points.at),
                [shelf.place(each) for each in points.ids],
                linestyle="none",
                marker=mark.marker,
                markersize=mark.size_pt,
                markeredgewidth=0.4 if mark.edge != "none" else 0.0,
                markeredgecolor=mark.edge,
                color=mark.color,
                zorder=5 + number / 10,
                rasterized=as_image,
            )


def _draw_holes(
    sheet: Sheet, panel: Axes, found: tuple[Shelf, ...], fate: Fate, height: float, *, as_image: bool
) -> None:
    look = FATES[fate]
    boxes = [_box(sheet, shelf, hole, height) for shelf in found for hole in shelf.stretch.holes if hole.fate is fate]
    low, high = panel.get_ylim()
    ids_of_hatch = _HATCH_MIN_IN / (panel.get_position().height * sheet.height_in) * (high - low)
    seconds_of_hatch = sheet.seconds(_HATCH_MIN_IN)
    large, small = _Corners(), _Corners()
    for left, bottom, right, top in boxes:
        is_large = right - left > seconds_of_hatch and top - bottom > ids_of_hatch
        (large if is_large else small).append([(left, bottom), (right, bottom), (right, top), (left, top)])
    for corners, hatch in ((small, None), (large, look.hatch)):
        if corners:
            panel.add_collection(
                PolyCollection(
                    corners,
                    facecolors=look.fill,
                    edgecolors=look.edge,
                    linewidths=0.8,
                    hatch=hatch,
                    zorder=4 if fate is Fate.LOST else 3,
                    rasterized=as_image,
                ),
                autolim=False,
            )


def _box(sheet: Sheet, shelf: Shelf, hole: Hole, height: float) -> _Box:
    """Left, bottom, right, top. The box ends when the hole did; one that would be too thin begins earlier."""
    right = hole.ended_at - sheet.start
    least = sheet.seconds(_LOSS_MIN_IN if hole.fate is Fate.LOST else _HOLE_MIN_IN)
    left = min(hole.found_at - sheet.start, right - least)
    half = max(0.5, 0.006 * height)
    return left, shelf.place(hole.first) - half, right, shelf.place(hole.last) + half


def _name_losses(sheet: Sheet, panel: Axes, found: tuple[Shelf, ...], height: float) -> None:
    """What is lost, in words beside its box; an end of an epoch, which has no box, at its place."""
    losses = [
        (shelf, loss)
        for shelf in found
        for loss in shelf.stretch.losses
        if loss.last is not None or shelf.stretch is found[-1].stretch  # else the reset that follows says so
    ]
    losses.sort(key=lambda pair: -pair[1].size)
    written: list[tuple[float, float]] = []
    for shelf, loss in losses:
        if len(written) == _TEXTS_MAX:
            break
        at = loss.at - sheet.start
        middle = (shelf.place(loss.first) + shelf.place(loss.first if loss.last is None else loss.last)) / 2
        near = (sheet.seconds(1.6), 0.09 * height)
        if any(abs(at - there) < near[0] and abs(middle - high) < near[1] for there, high in written):
            continue
        written.append((at, middle))
        is_late = at > 0.6 * sheet.length_s
        is_tail = loss.last is None
        text = f"from {loss.first:,} on, if any: {loss.reason}" if is_tail else f"{loss.size:,} lost: {loss.reason}"
        panel.annotate(
            plain(text.replace("_", " ")),
            (at, middle),
            xytext=(_BESIDE_PT if is_late else 6, 9 if is_tail else 0),
            textcoords="offset points",
            ha="right" if is_late else "left",
            va="center",
            fontsize=6.8,
            color=MUTED if is_tail else FATES[Fate.LOST].edge,
            zorder=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        )


def _draw_resets(sheet: Sheet, panel: Axes, stream: StreamRun) -> None:
    resets = [pair for pair in pairwise(stream.stretches) if pair[1].began_at is not None]
    for number, (before, after) in enumerate(resets):
        at = (after.began_at or 0.0) - sheet.start
        panel.axvline(at, color=RESET, linewidth=1.1, linestyle=(0, (5, 2)), zorder=6)
        if number < _RESETS_NAMED_MAX:
            is_late = at > 0.75 * sheet.length_s
            panel.annotate(
                _reset_in_words(before, after),
                (at, 0.06),
                xycoords=panel.get_xaxis_transform(),
                xytext=(-4 if is_late else 4, 0),
                textcoords="offset points",
                ha="right" if is_late else "left",
                fontsize=6.8,
                color=RESET,
                zorder=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
            )


def _reset_in_words(before: Stretch, after: Stretch) -> str:
    epoch = after.epoch or ""
    text = f"reset: epoch {plain(epoch)}" if 0 < len(epoch) <= _EPOCH_MAX else "reset"
    tail = next((loss.first for loss in before.losses if loss.last is None), None)
    return text if tail is None else f"{text}; ids from {tail:,} on, if any, are lost"


def _ticks(panel: Axes, found: tuple[Shelf, ...], height: float) -> None:
    ticks = [tick for shelf in found for tick in _ticks_of(shelf, height)]
    panel.set_yticks([place for place, _ in ticks], labels=[f"{number:,}" for _, number in ticks])


def _ticks_of(shelf: Shelf, height: float) -> Iterator[tuple[float, int]]:
    """Places and ids: round ones, as many as the shelf's share of the height allows."""
    count = round(_TICKS * shelf.height / height)
    if count < 1:
        if shelf.height >= 0.05 * height or shelf.base == 0.0:
            yield shelf.place(shelf.low), shelf.low
        return
    # Relative to the lowest id: a float does not hold ids of nineteen digits.
    step = max(1, round(_step(shelf.height, count)))
    first = -(-shelf.low // step) * step
    for number in range(first, shelf.high + 1, step):
        yield shelf.place(number), number


def _step(height: int, count: int) -> float:
    ticks = MaxNLocator(nbins=count, steps=[1, 2, 5, 10], integer=True).tick_values(0, max(height, 1))
    return float(ticks[1] - ticks[0])
