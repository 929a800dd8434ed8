"""The plot for the README: bars in an SVG written by hand, readable on light and on dark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _LABEL, _BAR, _HEADING, _FIGURE = 760, 230, 22, 46, 90
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.heading { font-weight: 600; font-size: 15px }
.own { fill: #1f6feb }
.bare { fill: #8c959f }
.peer { fill: #bf8700 }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .spread { stroke: #e6edf3 } }
""".strip()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One group of bars."""

    scenario: str
    title: str
    key: str
    most_first: bool
    form: str


PANELS: Sequence[Panel] = (
    Panel(
        scenario="bursts",
        title="190-byte messages as fast as they are taken: messages/s, more is better",
        key="rate_per_s",
        most_first=True,
        form="{:,.0f}",
    ),
    Panel(
        scenario="twenties",
        title="5,000 messages/s in bursts of 20: CPU per message in us, less is better",
        key="cpu_us",
        most_first=False,
        form="{:.1f}",
    ),
    Panel(
        scenario="lone-5000",
        title="5,000 messages/s, each alone: CPU per message in us, less is better",
        key="cpu_us",
        most_first=False,
        form="{:.1f}",
    ),
)


def as_svg(document: Mapping[str, Any]) -> str:
    """Bars of medians, with a line from the lowest to the highest run; empty where no scenario shown was measured."""
    parts: list[str] = []
    top = 0
    for panel in PANELS:
        scenario = document["scenarios"].get(panel.scenario)
        if scenario and scenario["medians"]:
            parts += _panel(panel, scenario, top)
            top += _HEADING + _BAR * len(scenario["medians"]) + 14
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img">'
    return "\n".join([head, "<title>gapless and its peers</title>", f"<style>{_STYLE}</style>", *parts, "</svg>\n"])


def _panel(panel: Panel, scenario: Mapping[str, Any], top: int) -> Iterator[str]:
    values: dict[str, float] = {name: figures[panel.key] for name, figures in scenario["medians"].items()}
    runs = {name: [sample[panel.key] for sample in samples] for name, samples in scenario["samples"].items()}
    order = sorted(values, key=lambda name: values[name], reverse=panel.most_first)
    scale = (_WIDTH - _LABEL - _FIGURE) / max(max(each) for each in runs.values())
    yield f'<text class="heading" x="0" y="{top + 28}">{escape(panel.title)}</text>'
    for row, name in enumerate(order):
        y = top + _HEADING + row * _BAR
        kind = "own" if name.startswith("gapless") else "bare" if name.startswith("bare") else "peer"
        low, high = (_LABEL + each(runs[name]) * scale for each in (min, max))
        yield f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect class="{kind}" x="{_LABEL}" y="{y + 2}" width="{values[name] * scale:.1f}" height="{_BAR - 6}"/>'
        yield f'<line class="spread" x1="{low:.1f}" y1="{y + 10}" x2="{high:.1f}" y2="{y + 10}"/>'
        yield f'<text x="{high + 8:.1f}" y="{y + 14}">{panel.form.format(values[name])}</text>'
