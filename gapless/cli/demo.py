"""``gapless demo``: everything that can go wrong with a feed, and what an app notices of it."""

from pathlib import Path
from typing import Final

import click
import trio
from rich.console import Console

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.exit_codes import INTERRUPTED
from gapless.cli.options import CAPTURE, SECONDS, SPEED
from gapless.cli.page import PORT, Page
from gapless.cli.progress import report_progress
from gapless.cli.scene import Script, Show
from gapless.cli.stage import Outcome, Screen, perform
from gapless.cli.story import LENGTH_MIN_S
from gapless.cli.summary import as_json, as_text
from gapless.cli.view import on_terminal
from gapless.controller.groups import unwrapped
from gapless.dashboard import CannotListenError
from gapless.simulator import CaptureError, SettingsError, read_trades

LENGTH_S: Final = 45.0
"""Long enough to read along, short enough to wait for."""
LENGTH_MAX_S: Final = 3_600.0
"""Everything issued and received is kept for the check: an hour is a quarter of a gigabyte."""
REPLAY_SPEED: Final = 20.0
_LIMITS: Final = (
    f"the story takes at least {LENGTH_MIN_S:g} s, and at most {LENGTH_MAX_S:g} s of market are kept for the check"
)


_SECONDS_HELP: Final = f"How long the market is open, {LENGTH_MIN_S:g} to {LENGTH_MAX_S:g}; by default {LENGTH_S:g}."


@click.command(
    epilog="""\b
Examples:
  gapless demo                          watch it on the terminal
  gapless demo --stay                   then break it yourself: the page has buttons
  gapless demo --headless --json        for a program: the last line of stdout is a JSON object
  gapless demo --record demo.jsonl      then: gapless timeline demo.jsonl -o demo.svg
  gapless demo --capture trades.gz      recorded trades as the market, 20 times as fast"""
)
@click.option(
    "--seconds",
    type=SECONDS,
    metavar="N",
    help=f"How long the market is open, {LENGTH_MIN_S:g} to {LENGTH_MAX_S:g}; by default {LENGTH_S:g}.",
)
@click.option("--headless", is_flag=True, help="Lines of progress on stderr; no view, no dashboard.")
@click.option(
    "--json", "json_wanted", is_flag=True, help="The last line of stdout is a JSON object; no view, no dashboard."
)
@click.option("--port", type=PORT, metavar="P", help="For the dashboard, at 127.0.0.1; by default a free one.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the run as JSON lines, for gapless timeline.",
)
@click.option("--stay", is_flag=True, help="After the check, go on with the dashboard and its buttons until Ctrl-C.")
@click.option(
    "--capture",
    "captures",
    type=CAPTURE,
    multiple=True,
    metavar="FILE",
    help="Recorded trades as the market; given again, files continue each other. Lasts as they do, or --seconds.",
)
@click.option("--speed", type=SPEED, metavar="X", help=f"How much faster than recorded; by default {REPLAY_SPEED:g}.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the market, the failures and the jitter.")
@click.pass_context
def demo(
    context: click.Context,
    *,
    seconds: float | None,
    headless: bool,
    json_wanted: bool,
    port: int | None,
    stay: bool,
    record: Path | None,
    captures: tuple[Path, ...],
    speed: float | None,
    seed: int,
) -> None:
    """Put a controller through everything that can go wrong, and check that nothing was lost.

    An exchange and a controller run in this process, with real sockets between them. The exchange drops, repeats and
    reorders frames, goes silent, refuses connections, answers 429, cuts the connection and restarts. In the end what
    the app received is compared with what the exchange issued: every id once, or reported lost. A page shows all of it
    meanwhile; its URL is the first line.
    """
    script = _script(seconds, captures, speed, seed)
    if (headless or json_wanted) and (stay or port is not None):
        raise click.UsageError("--port and --stay are about the dashboard, which --headless and --json leave out")
    console = Console(highlight=False)
    is_shown = console.is_terminal and not console.is_dumb_terminal
    plain = headless or json_wanted or not is_shown or bool(context.find_root().params.get("verbose"))
    outcomes: list[Outcome] = []

    def conclude(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if record is not None:
            _write(outcome, record)
        if json_wanted:
            click.echo(as_json(outcome))
        else:
            console.print(as_text(outcome), soft_wrap=True)

    def announce(url: str) -> None:
        click.echo(f"dashboard: {url}", err=plain)

    screen: Screen | None = None
    if not (headless or json_wanted):
        screen = Screen(page=Page(port=port or 0), announce=announce, stay=conclude if stay else None)
    show = report_progress if plain else on_terminal(console)
    try:
        outcome = trio.run(_until_interrupted, script, show, screen)
    except* CannotListenError as group:
        raise OneLineError(str(unwrapped(group))) from None
    except* OSError as group:
        raise OneLineError(f"cannot open sockets on this machine: {unwrapped(group)}") from None
    if outcome is not None:
        conclude(outcome)
    if not outcomes:
        raise OneLineError("interrupted; nothing was checked", INTERRUPTED)
    if not outcomes[0].verdict.ok:
        raise OneLineError(f"the contract was broken: {outcomes[0].verdict.violations[0]}")


def _write(outcome: Outcome, file: Path) -> None:
    try:
        outcome.run.write(file)
    except OSError as error:
        raise OneLineError(f"cannot write {file}: {error.strerror}") from None


def _script(seconds: float | None, captures: tuple[Path, ...], speed: float | None, seed: int) -> Script:
    if seconds is not None and not LENGTH_MIN_S <= seconds <= LENGTH_MAX_S:
        raise click.UsageError(f"--seconds {seconds:g} is not allowed: {_LIMITS}")
    if speed is not None and not captures:
        raise click.UsageError("--speed goes with --capture; the generated market has no other speed")
    if not captures:
        return Script(seconds=LENGTH_S if seconds is None else seconds, seed=seed)
    try:
        trades = read_trades(*captures)
        script = Script(seconds=seconds, seed=seed, trades=trades, speed=REPLAY_SPEED if speed is None else speed)
    except (CaptureError, SettingsError) as error:
        raise OneLineError(str(error)) from None
    if not LENGTH_MIN_S <= script.story_s <= LENGTH_MAX_S:
        at_best = script.speed * script.story_s / LENGTH_MIN_S
        advice = f"the fastest --speed for it is {at_best:.1f}" if at_best >= 0.1 else "the recording is too short"
        raise OneLineError(f"the replay takes {script.story_s:.1f} s at --speed {script.speed:g}: {_LIMITS}; {advice}")
    return script


async def _until_interrupted(script: Script, show: Show, screen: Screen | None) -> Outcome | None:
    """The outcome, or None where a signal ended it before."""
    outcome: Outcome | None = None
    scope = trio.CancelScope()
    async with cancelled_by_signals(scope):
        with scope:
            outcome = await perform(script, show=show, screen=screen)
    return outcome
