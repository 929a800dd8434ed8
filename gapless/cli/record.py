"""``gapless record``: a controller whose app is a file."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from math import inf
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

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
from gapless.controller.store import Recording, StoreTroubleError, Sync, open_recording

_FLUSH_MAX_S: Final = 10.0
"""How long a file in trouble is waited for, for what was received before the end."""
_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0
"""Between two attempts to open a file in trouble."""


def _file(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    if not value.name:
        raise click.BadParameter("expected the name of a file, such as feed.db")
    return value


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
@click.option(
    "--db",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_file,
    required=True,
    metavar="FILE",
    help="The SQLite file.",
)
@click.option(
    "--sync",
    type=click.Choice(["normal", "full"]),
    default="normal",
    show_default=True,
    help="When a commit counts: written, or on the disk. A crash of the process loses nothing either way.",
)
@click.option(
    "--quiet",
    is_flag=True,
    help="No line each second; without a terminal on stderr there is none anyway. The last line always comes.",
)
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

    Ends with 0 at SIGINT, SIGTERM or after --seconds, when everything received until then is written; the last line on
    stderr says how much that was. A server that is down is no failure, and a full disk or a locked file is none while
    it lasts, not at the start either: a line on stderr says so, it is tried again, and what did not fit meanwhile is
    fetched again.
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
    opening, watching, writing = trio.CancelScope(), trio.CancelScope(), trio.CancelScope()
    opening.deadline = ends_at = trio.current_time() + seconds
    progress = Progress(streams, shows=shows)
    recording: Recording | None = None
    try:
        async with cancelled_by_signals((opening, watching), writing), AsyncExitStack() as stack:
            with opening:
                host = urlsplit(exchange.websocket_url).netloc.rpartition("@")[2]
                recording = await _opened(
                    stack, partial(open_recording, path, sync=sync, venue=venue, host=host), progress
                )
                if recording.host_before not in {None, host}:
                    await progress.warn(_other_host(recording, host))
            if recording is None:
                if trio.current_time() >= ends_at:
                    raise OneLineError(f"{path} could not be opened in {seconds:g} s; nothing was recorded")
                await progress.last_words(f"{path}: 0 data stored; it could not be opened yet")
                return False
            with writing:
                async with trio.open_nursery() as nursery:
                    async with open_controller(
                        exchange=exchange, streams=streams, config=network, resume=recording.cursor
                    ) as controller:
                        nursery.start_soon(progress.run, recording, controller)
                        watching.deadline = ends_at
                        with watching:
                            await trio.sleep_forever()
                    # The controller is closed: what it had received is written, and then the recording ends.
                    writing.deadline = trio.current_time() + _FLUSH_MAX_S
    except BaseExceptionGroup as group:
        reraise(unwrapped(group))
    finally:
        if recording is not None:
            await progress.last_line(recording)
    if recording is not None and recording.unwritten:
        raise OneLineError(f"{recording.stats.trouble}; the last {recording.unwritten} events are not in it")
    return progress.rejections.are_all() and trio.current_time() >= ends_at


async def _opened(
    stack: AsyncExitStack, opening: Callable[[], AbstractAsyncContextManager[Recording]], progress: Progress
) -> Recording:
    """Open the file, as often as it takes where it is a matter of time."""
    wait_s, said = _RETRY_MIN_S, ""
    while True:
        try:
            return await stack.enter_async_context(opening())
        except StoreTroubleError as error:
            if not error.passes:
                raise
            if str(error) != said:
                said = str(error)
                await progress.warn(f"{said}; opened again and again until that is over")
        await trio.sleep(wait_s)
        wait_s = min(2 * wait_s, _RETRY_MAX_S)


def _other_host(recording: Recording, host: str) -> str:
    return (
        f"{recording.path} was recorded from {recording.host_before} last, and this is {host}: ids go on where the "
        "file ends, which is right for another host of the same exchange; of another exchange, as a test network is, "
        "they mean something else, and those below are dropped as known: record that into a file of its own"
    )
