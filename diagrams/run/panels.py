"""The panels that are lanes: states, faults, REST and attempts. A lane's name says what its colour says."""

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from gapless.diagrams.run.lines import Fault
from gapless.diagrams.run.looks import ANSWERS, ATTEMPT, DIALS, FAULT, GAVE_UP, Mark
from gapless.diagrams.run.model import Answer, Band, Dial, Generation, Run
from gapless.diagrams.run.sheet import SMALL_PT, Sheet
from gapless.diagrams.run.words import counted, plain
from gapless.diagrams.style import LOOKS, MUTED, PANEL_BORDER, TEXT
from gapless.states import State

STATES: Final = (State.CONNECTED, State.RESYNCING, State.RECONNECTING, State.SILENT, State.REST_FALLBACK)
"""From the best to the worst, so that a dip is a dip."""
LANE_IN: Final = 0.215
LETTER_IN: Final = 0.065
"""Width of a usual letter in a lane."""
FAULT_LANES_MAX: Final = 4
_FAULT_LETTERS_MAX: Final = 42


def draw_states(sheet: Sheet, panel: Axes, run: Run) -> None:
    """One lane for each state, a bar for each stay, and the way from one to the next."""
    _lanes(panel, [state.name for state in STATES], [LOOKS[state].ink for state in STATES])
    place = {state: len(STATES) - 1 - number for number, state in enumerate(STATES)}
    if not run.bands:
        panel.text(0.5, 0.5, "no transition in these lines", transform=panel.transAxes, ha="center", va="center")
        return
    start = run.start
    moments = [each.start - start for each in run.bands] + [run.bands[-1].end - start]
    heights = [place[each.state] for each in run.bands]
    panel.step(moments, [*heights, heights[-1]], where="post", color="#B6C0CA", linewidth=0.8, zorder=2)
    for state in STATES:
        look = LOOKS[state]
        bars = [(each.start - start, each.end - each.start) for each in run.bands if each.state is state]
        panel.broken_barh(
            bars, (place[state] - 0.36, 0.72), facecolors=look.fill, edgecolors=look.ink, linewidth=0.7, zorder=3
        )
    for each in run.bands:
        _label_band(sheet, panel, each, place[each.state])
    sheet.write_beside_lanes(panel, _shares(run))


def shade(panel: Axes, run: Run) -> None:
    """The states as a faint ground behind a panel; CONNECTED leaves it white."""
    for state in STATES[1:]:
        bars = [(each.start - run.start, each.end - each.start) for each in run.bands if each.state is state]
        if bars:
            panel.broken_barh(
                bars,
                (0, 1),
                facecolors=LOOKS[state].tint,
                edgecolors="none",
                zorder=0,
                transform=panel.get_xaxis_transform(),
            )


def _label_band(sheet: Sheet, panel: Axes, band: Band, height: int) -> None:
    duration_s = band.end - band.start
    text = f"{duration_s:.1f} s" if duration_s < 100 else f"{duration_s:,.0f} s"
    if sheet.letters(duration_s) > len(text):
        panel.text(
            (band.start + band.end) / 2 - sheet.start,
            height - 0.03,
            text,
            ha="center",
            va="center",
            fontsize=6.8,
            color=LOOKS[band.state].on_fill,
            zorder=4,
        )


def _shares(run: Run) -> list[str]:
    """How much of the time was spent in each state, in the order of the lanes."""
    lines = []
    for state in STATES:
        stays = [each.end - each.start for each in run.bands if each.state is state]
        share = sum(stays) / run.length_s * 100 if run.length_s > 0 else 0.0
        lines.append(f"{sum(stays):,.1f} s ({share:.0f} %), {counted(len(stays), 'time')}" if stays else "never")
    return lines


def fault_lanes(faults: Sequence[Fault], seconds_per_letter: float) -> list[list[Fault]]:
    """Faults in lanes, so that the text of one does not cover the next; what finds no lane goes into the last."""
    lanes: list[list[Fault]] = []
    free_at: list[float] = []
    for each in sorted(faults, key=lambda fault: fault.at):
        lane = next((number for number, free in enumerate(free_at) if free <= each.at), len(lanes))
        if lane == len(lanes) and lane < FAULT_LANES_MAX:
            lanes.append([])
            free_at.append(0.0)
        lane = min(lane, FAULT_LANES_MAX - 1)
        lanes[lane].append(each)
        letters_s = (min(len(each.text), _FAULT_LETTERS_MAX) + 2) * seconds_per_letter
        box_s = each.seconds or 0.0
        # Text that does not fit into its box stands behind it.
        free_at[lane] = max(free_at[lane], each.at + (box_s if letters_s <= box_s else box_s + letters_s))
    return lanes


def draw_faults(sheet: Sheet, panel: Axes, lanes: Sequence[Sequence[Fault]]) -> None:
    """What was broken on purpose, for how long."""
    _lanes(panel, ["faults", *([""] * (len(lanes) - 1))], [TEXT] * len(lanes))
    for number, lane in enumerate(lanes):
        height = len(lanes) - 1 - number
        bars = [(each.at - sheet.start, each.seconds or 0.0) for each in lane]
        panel.broken_barh(bars, (height - 0.34, 0.68), facecolors="#E4E8EC", edgecolors=FAULT, linewidth=0.8, zorder=2)
        written_to = -1.0
        for each in lane:
            begin, box_s = each.at - sheet.start, each.seconds or 0.0
            text = plain(each.text, _FAULT_LETTERS_MAX)
            letters_s = sheet.seconds((len(text) + 2) * LETTER_IN)
            left = begin if letters_s <= box_s else begin + box_s
            is_late = left + letters_s > sheet.length_s
            left = begin - letters_s if is_late else left
            if left < written_to:
                continue
            written_to = begin + box_s if is_late else left + letters_s
            panel.text(
                begin - sheet.seconds(0.05) if is_late else left + sheet.seconds(0.06),
                height - 0.04,
                text,
                ha="right" if is_late else "left",
                va="center",
                fontsize=6.8,
                zorder=4,
            )
    sheet.write(panel, [f"{counted(sum(map(len, lanes)), 'fault')} made on purpose"])


def rest_lanes(run: Run) -> list[str]:
    """The names of the lanes at the bottom."""
    rest = ["data over REST"] if run.requests is None else [f"REST {answer.value}" for answer in _answers(run)]
    return [
        "attempts",
        *(["gave up"] if run.gave_up_at else []),
        *(["circuit open"] if run.circuit_open else []),
        *rest,
    ]


def _answers(run: Run) -> list[Answer]:
    """The answers that have a lane: what every run is asked about, and what occurred."""
    occurred = {each.answer for each in run.requests or ()}
    return [answer for answer in ANSWERS if answer is not Answer.CANCELLED or answer in occurred]


def draw_rest(sheet: Sheet, panel: Axes, run: Run, *, as_image: bool) -> None:
    """Attempts to connect, and every REST request or, where those are not known, what came of them."""
    names = rest_lanes(run)
    _lanes(panel, names, [TEXT] * len(names))
    top = len(names) - 1
    _draw_attempts(sheet, panel, run, top)
    figures = [_attempts_in_words(run.generations)]
    if run.gave_up_at:
        top -= 1
        _ticks(panel, sheet.since_start(run.gave_up_at), top, GAVE_UP)
        figures.append(counted(len(run.gave_up_at), "time"))
    if run.circuit_open:
        top -= 1
        begins, ends = (sheet.since_start(moments) for moments in zip(*run.circuit_open, strict=True))
        panel.hlines([top] * len(begins), begins, ends, linewidth=4.5, color=GAVE_UP.color, zorder=3)
        figures.append(counted(len(run.circuit_open), "time"))
    if run.requests is None:
        _ticks(panel, sheet.since_start(run.rest_data_at), top - 1, ANSWERS[Answer.GIVEN], as_image=as_image)
        figures.append(counted(len(run.rest_data_at), "arrival"))
    else:
        for number, answer in enumerate(_answers(run), 1):
            mark = ANSWERS[answer]
            moments = [each.at for each in run.requests if each.answer is answer]
            _ticks(panel, sheet.since_start(moments), top - number, mark, as_image=as_image)
            figures.append(counted(len(moments), "request") if moments else "none")
    sheet.write_beside_lanes(panel, figures)


def _draw_attempts(sheet: Sheet, panel: Axes, run: Run, height: int) -> None:
    for dial, mark in DIALS.items():
        moments = [each.at for each in run.generations if each.dial is dial]
        _ticks(panel, sheet.since_start(moments), height, mark)
    ends = [*(each.at for each in run.generations[1:]), float("inf")]
    for each, end in zip(run.generations, ends, strict=False):
        text = f"{each.number}"
        if end - each.at > sheet.seconds(0.16 + 0.065 * len(text)):
            begin = each.at - sheet.start + sheet.seconds(0.06)
            panel.text(begin, height - 0.04, text, va="center", fontsize=6.8, color=ATTEMPT)


def _attempts_in_words(generations: Sequence[Generation]) -> str:
    rotations = sum(each.dial is Dial.ROTATION for each in generations)
    text = counted(len(generations) - rotations, "attempt")
    return f"{text}, {counted(rotations, 'rotation')}" if rotations else text


def _ticks(panel: Axes, moments: Sequence[float], height: int, mark: Mark, *, as_image: bool = False) -> None:
    if moments:
        panel.plot(
            moments,
            [height] * len(moments),
            linestyle="none",
            marker=mark.marker,
            markersize=mark.size_pt,
            markeredgewidth=0.9,
            color=mark.color,
            zorder=3,
            rasterized=as_image,
        )


def _lanes(panel: Axes, names: Sequence[str], colors: Sequence[str]) -> None:
    """A panel of named lanes, the first on top."""
    panel.set_ylim(-0.6, len(names) - 0.4)
    panel.set_yticks(range(len(names)), labels=list(reversed(names)), fontsize=7.8)
    for label, color in zip(panel.get_yticklabels(), reversed(colors), strict=True):
        label.set_color(color)
    for number in range(1, len(names)):
        panel.axhline(number - 0.5, color="#F0F3F6", linewidth=0.8, zorder=1)
    panel.tick_params(axis="y", pad=5)
    for spine in panel.spines.values():
        spine.set_color(PANEL_BORDER)


def say_nothing_came(panel: Axes, text: str) -> None:
    """A sentence in the middle of a panel that has nothing to show."""
    panel.set_yticks([])
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=MUTED, fontsize=SMALL_PT + 1)
