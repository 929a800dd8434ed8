"""The demo on a terminal: redrawn a few times a second, from what an embedding app can see, and the exchange's side."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NoReturn

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gapless.cli.scene import Scene, Show
from gapless.cli.story import BEHAVES
from gapless.controller import State, StateChanged, Stream
from gapless.diagrams.style import LOOKS

_REDRAW_EVERY_S: Final = 0.25
_FIXED_LINES: Final = 13
"""Lines of the picture beside the streams and the time line; a spare one is for long repairs, one for the cursor."""
_ROWS_MIN: Final = 4
"""Rows of the time line on however small a terminal."""
_HARM: Final = "bold red"


def on_terminal(console: Console) -> Show:
    """A view that draws on this console until it is cancelled, and leaves its last picture standing."""

    async def show(scene: Scene) -> NoReturn:
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            while True:
                # A terminal that is held (Ctrl-S) blocks whoever writes to it: not the controller's thread.
                await trio.to_thread.run_sync(partial(live.update, picture(scene, console.size.height), refresh=True))
                await trio.sleep(_REDRAW_EVERY_S)

    return show


def picture(scene: Scene, height: int) -> RenderableType:
    """One frame, of at most ``height`` lines where that is possible."""
    room = max(_ROWS_MIN, height - _FIXED_LINES - len(scene.tally.by_stream))
    elapsed_s = trio.current_time() - scene.began_at
    return Panel(
        Group(
            _state(scene.controller.state),
            _exchange(scene.story.now),
            Text(),
            _streams(scene),
            Text(),
            _repairs(scene.controller.open_gaps),
            _budget(scene),
            Text(),
            _time_line(scene, room),
        ),
        title=f"gapless demo  {elapsed_s:5.1f} s of {scene.script.story_s:.0f} s",
        title_align="left",
        subtitle=scene.url or None,
        subtitle_align="left",
    )


def badge(state: State) -> Text:
    """A state's name in its colours."""
    look = LOOKS[state]
    return Text(f" {state.name} ", f"bold {look.on_fill} on {look.fill}")


def _state(state: State) -> Text:
    look = LOOKS[state]
    return Text.assemble(badge(state), f"  {look.condition}: {' '.join(look.meaning)}")


def _exchange(now: str) -> Text:
    return Text("the exchange  ").append(now, "default" if now == BEHAVES else _HARM)


def _streams(scene: Scene) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("stream", "last id", "price", "live data", "last came", "open gaps", "lost"):
        table.add_column(title, justify="left" if title in {"stream", "last came"} else "right", no_wrap=True)
    freshness, gaps = scene.controller.freshness(), scene.controller.open_gaps
    for stream, each in scene.tally.by_stream.items():
        missing = sum(end - start + 1 for start, end in gaps.get(stream, ()))
        table.add_row(
            str(stream),
            "-" if each.last_id is None else str(each.last_id),
            f"{each.last_price:,.2f}",
            _ago(freshness.get(stream, float("inf"))),
            "-" if each.last_source is None else str(each.last_source),
            Text(f"{missing} ids" if missing else "none", "bold yellow" if missing else "default"),
            Text(str(each.lost), "bold red" if each.lost else "default"),
        )
    return table


def _ago(seconds: float) -> str:
    return "never" if seconds == float("inf") else f"{seconds:.1f} s ago"


def _repairs(gaps: Mapping[Stream, Sequence[tuple[int, int]]]) -> Text:
    if not gaps:
        return Text("repairing     ").append("nothing", "default")
    texts = (f"{stream} {_ranges(ranges)}" for stream, ranges in gaps.items())
    return Text("repairing     ").append("; ".join(texts), "bold yellow")


def _ranges(ranges: Iterable[tuple[int, int]]) -> str:
    shown = [f"{start}" if start == end else f"{start}..{end}" for start, end in ranges]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def _budget(scene: Scene) -> Text:
    used, allowed = scene.controller.rest_budget
    stats = scene.controller.rest_stats
    text = Text(f"REST budget   {'#' * used}{'.' * (allowed - used)} {used} of {allowed} in this second")
    return text.append(f"; so far {stats.succeeded} answered, {stats.limited} refused with 429", "dim")


def _time_line(scene: Scene, room: int) -> Text:
    """The latest transitions, and between them what the exchange did to bring them about."""
    rows = [(at - scene.began_at, _doing(what)) for at, what in scene.story.told]
    rows += [(move.at - scene.wall_began_at, _moved(move)) for move in scene.tally.transitions[-room:]]
    rows.sort(key=lambda row: row[0])
    lines = (Text(f"{offset_s:7.2f} s  ").append_text(text) for offset_s, text in rows[-room:])
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _doing(what: str) -> Text:
    return Text("the exchange ").append(what, "default" if what == BEHAVES else _HARM)


def _moved(move: StateChanged) -> Text:
    wait = "" if move.retry_in_s is None else f" (next attempt in {move.retry_in_s:.1f} s)"
    return Text.assemble(
        badge(move.before), " -> ", badge(move.after), (f"  {move.trigger}: {move.reason}{wait}", "dim")
    )
