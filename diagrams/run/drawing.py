"""A run as a picture: states on top, one panel for each stream, attempts and REST at the bottom."""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Final, Literal

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch as LegendPatch

from gapless.diagrams.run.looks import DIALS, FATES, RESET, SOURCES
from gapless.diagrams.run.model import Dial, Run, StreamRun
from gapless.diagrams.run.panels import (
    LANE_IN,
    LETTER_IN,
    STATES,
    draw_faults,
    draw_rest,
    draw_states,
    fault_lanes,
    rest_lanes,
    say_nothing_came,
    shade,
)
from gapless.diagrams.run.sheet import LEFT_IN, PLOT_IN, SMALL_PT, WIDTH_IN, Sheet, Space, our_settings
from gapless.diagrams.run.stream_panel import draw_stream
from gapless.diagrams.run.words import notes, plain, totals, verdict
from gapless.diagrams.style import MUTED, TEXT

Form = Literal["svg", "png"]

STREAMS_MAX: Final = 8
"""Panels; the busiest streams have them."""
MARKS_MAX: Final = 5_000
"""More points, holes and requests than that are drawn as an image within the SVG: each would take 100 bytes or more."""
_PNG_DPI: Final = 150
_IMAGE_DPI: Final = 170
"""Of the image within an SVG."""
_STREAM_IN: Final = 2.1
_STREAM_MIN_IN: Final = 1.3
_STREAMS_IN: Final = 7.6
"""All panels of streams together, before they shrink."""
_HEAD_IN: Final = 0.72
_LEGEND_COLUMNS: Final = 7
"""More entries take two rows."""
_LEGEND_ROW_IN: Final = 0.2
_NOTE_IN: Final = 0.17
_LENGTH_MIN_S: Final = 1.0
"""Of the axis: a single event has no length."""
_FONT: Final = b"'DejaVu Sans'"
_FONTS: Final = b"'DejaVu Sans', Verdana, Helvetica, Arial"
"""Verdana has the same widths, for readers without the font that the picture was measured with."""


def draw(run: Run, form: Form, title: str) -> bytes:
    """Draw a run. The same run gives the same bytes, with the same matplotlib."""
    with our_settings(), warnings.catch_warnings():
        # A symbol may be written in letters that the font lacks; they are drawn as boxes, and stay text in an SVG.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        sheet = _compose(run, title)
        buffer = BytesIO()
        if form == "svg":
            about = {"Date": None, "Creator": "gapless", "Title": f"{plain(title)}: {verdict(run)}"}
            sheet.figure.savefig(buffer, format="svg", dpi=_IMAGE_DPI, metadata=about)
            return buffer.getvalue().replace(_FONT, _FONTS)
        sheet.figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": "gapless"})
        return buffer.getvalue()


def _compose(run: Run, title: str) -> Sheet:
    streams = run.streams[:STREAMS_MAX]
    length_s = max(run.length_s, _LENGTH_MIN_S)
    marks = sum(each.weight for each in streams) + len(run.requests or run.rest_data_at)
    as_image = marks > MARKS_MAX
    lanes = fault_lanes(run.faults, length_s / PLOT_IN * LETTER_IN)
    said = notes(run, drawn=len(streams), as_image=as_image)
    each_in = max(_STREAM_MIN_IN, min(_STREAM_IN, _STREAMS_IN / max(len(streams), 1)))
    spaces = [
        Space(height_in=LANE_IN * len(STATES)),
        *([Space(height_in=LANE_IN * len(lanes), above_in=0.08)] if lanes else []),
        *(Space(height_in=each_in) for _ in streams or [None]),
        Space(height_in=LANE_IN * len(rest_lanes(run))),
    ]
    handles = _legend(run, streams)
    foot_in = 0.9 + _LEGEND_ROW_IN * (len(handles) > _LEGEND_COLUMNS) + _NOTE_IN * len(said)
    sheet = Sheet(spaces, head_in=_HEAD_IN, foot_in=foot_in, start=run.start, length_s=length_s)
    panels = iter(sheet.panels)
    draw_states(sheet, next(panels), run)
    if lanes:
        draw_faults(sheet, next(panels), lanes)
    for stream in streams:
        panel = next(panels)
        shade(panel, run)
        draw_stream(sheet, panel, stream, as_image=as_image)
    if not streams:
        panel = next(panels)
        shade(panel, run)
        say_nothing_came(panel, "no data of any stream in these lines")
    draw_rest(sheet, next(panels), run, as_image=as_image)
    _write_head(sheet, run, title)
    _write_foot(sheet, run, handles, said)
    return sheet


def _write_head(sheet: Sheet, run: Run, title: str) -> None:
    left, high = 0.22 / WIDTH_IN, sheet.height_in
    sheet.figure.text(left, 1 - 0.2 / high, verdict(run), fontsize=14, fontweight="bold", va="top", color=TEXT)
    sheet.figure.text(left, 1 - 0.5 / high, totals(run), fontsize=9, va="top", color=TEXT)
    sheet.figure.text(1 - left, 1 - 0.24 / high, plain(title, 60), fontsize=9, va="top", ha="right", color=MUTED)


def _write_foot(sheet: Sheet, run: Run, handles: Sequence[Artist], said: Sequence[str]) -> None:
    began = f", {datetime.fromtimestamp(run.start, UTC):%Y-%m-%d %H:%M:%S} UTC" if run.start else ""
    sheet.figure.text(
        (LEFT_IN + PLOT_IN / 2) / WIDTH_IN,
        (sheet.foot_in - 0.27) / sheet.height_in,
        f"time since the first line{began}",
        ha="center",
        va="top",
        fontsize=SMALL_PT,
        color=MUTED,
    )
    if handles:
        rows = 2 if len(handles) > _LEGEND_COLUMNS else 1
        sheet.figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, (sheet.foot_in - 0.45) / sheet.height_in),
            ncols=-(-len(handles) // rows),
            frameon=False,
            fontsize=SMALL_PT + 0.5,
            handletextpad=0.6,
            columnspacing=1.8,
        )
    for number, text in enumerate(reversed(said)):
        sheet.figure.text(
            0.22 / WIDTH_IN,
            (0.1 + _NOTE_IN * number) / sheet.height_in,
            text,
            fontsize=SMALL_PT,
            color=MUTED,
        )


def _legend(run: Run, streams: Sequence[StreamRun]) -> list[Artist]:
    """What occurs, and nothing else."""
    stretches = [stretch for each in streams for stretch in each.stretches]
    fates = {hole.fate for each in stretches for hole in each.holes}
    marks = [mark for source, mark in SOURCES.items() if any(each.points[source].at for each in stretches)]
    if any(each.dial is Dial.ROTATION for each in run.generations):
        marks.append(DIALS[Dial.ROTATION])
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=mark.marker,
            markersize=mark.size_pt + 1.5,
            color=mark.color,
            label=mark.text,
        )
        for mark in marks
    ]
    handles += [
        LegendPatch(facecolor=look.fill, edgecolor=look.edge, hatch=look.hatch, linewidth=0.8, label=look.text)
        for fate, look in FATES.items()
        if fate in fates
    ]
    if any(each.began_at is not None for each in stretches):
        handles.append(Line2D([], [], color=RESET, linewidth=1.1, linestyle=(0, (5, 2)), label="the venue restarted"))
    return handles
