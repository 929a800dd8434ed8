"""``gapless record``: a controller whose app is a file."""

import sys
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import click
import trio

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.exit_codes import FAILED, WRONG_USAGE
from gapless.cli.feed_options import NAMES, exchange_of, feed_options
from gapless.cli.options import network_config, parse_streams
from gapless.cli.record_progress import Progress
from gapless.controller import (
    ConfigurationError,
    Exchange,
    GaplessError,
    NetworkConfig,
    Stream,
    open_controller,
)
from gapless.controller.groups import reraise, unwrapped
from gapless.controller.store import Sync, open_recording

_FLUSH_MAX_S: Final = 10.0
"""How long a file in trouble is waited for, for what was received before the end."""


@click.command(
    epilog=f"""\b
Examples (gapless simulate prints both URLs):
  gapless record --ws-url ws://127.0.0.1:8080/ws --rest-url http://127.0.0.1:8081 --stream ticker:BTC/USD --db feed.db
  gapless record --exchange binance --stream trade:BTCUSDT --stream trade:ETHUSDT --db binance.db
  gapless record ... --db feed.db --sync full          lose nothing even where the power fails
  gapless report feed.db                               what is in it, and what is missing
  gapless export feed.db --format csv -o feed.csv      the data, for other programs

{NAMES} docs/recording.md tells what is in the file."""
)
@feed_options
@click.option("--db", "path", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The SQLite file.")
@click.option(
    "--sync",
    type=click.Choice(["normal", "full"]),
    default="normal",
    show_default=True,
    help="When a commit counts: written, or on the disk. A crash of the process loses nothing either way.",
)
@click.option("--quiet", is_flag=True, help="No line each second; without a terminal on stderr there is none anyway.")
@click.pass_context
def record(
    context: click.Context,
    *,
    venue_name: str,
    ws_url: str | None,
    rest_url: str | None,
    streams: tuple[str, ...],
    config: Path | None,
    settings: tuple[str, ...],
    seconds: float | None,
    session_id: str | None,
    path: Path,
    sync: Sync,
    quiet: bool,
) -> None:
    """Keep streams of an exchange whole in a SQLite file, over restarts and crashes.

    Run it again with the same file, whatever ended it: what was missed meanwhile is fetched over REST, and what the
    venue no longer has is in the file as lost. Other programs may read the file at any time.

    Ends with 0 at SIGINT, SIGTERM or after --seconds, when everything received until then is written. A server that is
    down is no failure, and a full disk or a locked file is none while it lasts: a line on stderr says so, it is tried
    again, and what did not fit meanwhile is fetched again.
    """
    exchange = exchange_of(venue_name, ws_url, rest_url, session_id)
    network = network_config(config, settings)
    wanted = parse_streams(streams)
    shows = not quiet and sys.stderr is not None and sys.stderr.isatty()
    run = partial(_record, path=path, sync=sync, network=network, seconds=seconds or inf, venue=venue_name, shows=shows)
    try:
        refused = trio.run(run, exchange, wanted)
    except ConfigurationError as error:
        raise OneLineError(str(error), WRONG_USAGE) from None
    except GaplessError as error:
        raise OneLineError(str(error)) from None
    if refused:
        context.exit(FAILED)  # the line on stderr is out already


async def _record(
    exchange: Exchange,
    streams: list[Stream],
    *,
    path: Path,
    sync: Sync,
    network: NetworkConfig,
    seconds: float,
    venue: str,
    shows: bool,
) -> bool:
    """Record until it is over; whether the time was over while every stream stood rejected."""
    watching, writing = trio.CancelScope(), trio.CancelScope()
    progress = Progress(streams, shows=shows)
    try:
        async with cancelled_by_signals(watching, writing), open_recording(path, sync=sync, venue=venue) as recording:
            with writing:
                async with trio.open_nursery() as nursery:
                    async with open_controller(
                        exchange=exchange, streams=streams, config=network, resume=recording.cursor
                    ) as controller:
                        nursery.start_soon(progress.run, recording, controller)
                        watching.deadline = trio.current_time() + seconds
                        with watching:
                            await trio.sleep_forever()
                    # The controller is closed: what it had received is written, and then the recording ends.
                    writing.deadline = trio.current_time() + _FLUSH_MAX_S
    except BaseExceptionGroup as group:
        reraise(unwrapped(group))
    if recording.unwritten:
        raise OneLineError(f"{recording.stats.trouble}; the last {recording.unwritten} events are not in it")
    return progress.rejections.are_all() and trio.current_time() >= watching.deadline
