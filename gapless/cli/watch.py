"""``gapless watch``: a controller whose app is a terminal, or a program in any language."""

import sys
import time
from collections.abc import Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import click
import msgspec
import trio

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.exit_codes import FAILED, WRONG_USAGE
from gapless.cli.feed_options import NAMES, exchange_of, feed_options
from gapless.cli.lines import Summary, line_of
from gapless.cli.options import network_config, parse_streams
from gapless.cli.output import Output
from gapless.cli.rejections import Rejections
from gapless.cli.rest_lines import Witness, client_through
from gapless.cli.tally import Tally
from gapless.controller import (
    AnyEvent,
    ConfigurationError,
    ConnectionController,
    Exchange,
    NetworkConfig,
    ReconnectExhaustedError,
    Stream,
    open_controller,
)

_SUMMARY_EVERY_S: Final = 1.0
_FLUSH_MAX_S: Final = 10.0
"""How long a reader may take for what was received before the end."""


@click.command(
    epilog=f"""\b
Examples (gapless simulate prints both URLs):
  gapless watch --ws-url ws://127.0.0.1:8080/ws --rest-url http://127.0.0.1:8081 --stream ticker:BTC/USD
  gapless watch ... --stream ticker:BTC/USD --stream 'orders:*' --json | jq .
  gapless watch ... --set ws_idle_timeout=2 --set reconnect_max_backoff=5
  gapless watch --exchange binance --stream trade:BTCUSDT
  gapless watch --exchange binance --stream trade:BTCUSDT --ws-url ws://127.0.0.1:8080/ws --rest-url ...

{NAMES} docs/events.md describes the lines of --json."""
)
@feed_options
@click.option("--json", "as_json", is_flag=True, help="One event a line on stdout, and nothing else.")
@click.option("--requests", is_flag=True, help="With --json: a line for each REST request, too.")
@click.pass_context
def watch(
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
    as_json: bool,
    requests: bool,
) -> None:
    """Keep streams of an exchange whole, and print every event.

    Ends with 0 at SIGINT, SIGTERM or after --seconds, when everything received until then is printed. A server that is
    down is no failure: unlike an app's, the attempts go on for ever where reconnect_max_attempts is not set. Where the
    server rejects every stream, a line on stderr says so, and each new connection asks again; if --seconds end it while
    that is so, it has failed, with 1.
    """
    if requests and not as_json:
        raise click.UsageError("--requests goes with --json")
    exchange = exchange_of(venue_name, ws_url, rest_url, session_id)
    network = network_config(config, settings)
    wanted = parse_streams(streams)

    run = partial(
        _watch,
        network=network,
        seconds=seconds or inf,
        as_json=as_json,
        witness=Witness() if requests else None,
    )
    try:
        refused = trio.run(run, exchange, wanted)
    except ConfigurationError as error:
        raise OneLineError(str(error), WRONG_USAGE) from None
    except ReconnectExhaustedError as error:
        raise OneLineError(str(error)) from None
    if refused:
        context.exit(FAILED)  # the line on stderr is out already


async def _watch(
    exchange: Exchange,
    streams: list[Stream],
    *,
    network: NetworkConfig,
    seconds: float,
    as_json: bool,
    witness: Witness | None,
) -> bool:
    """Watch until it is over; whether the time was over while every stream stood rejected."""
    out = Output(sys.stdout)
    rejections = Rejections(streams)
    print_events = _print_json if as_json else _print_lines
    failure: Exception | None = None
    watching, printing = trio.CancelScope(), trio.CancelScope()
    async with cancelled_by_signals(watching, printing):
        with printing:
            async with trio.open_nursery() as nursery:
                try:
                    async with (
                        client_through(witness, network.rest_timeout) as http,
                        open_controller(
                            exchange=exchange,
                            streams=streams,
                            config=network,
                            http=http,
                        ) as controller,
                    ):
                        if witness is not None:
                            nursery.start_soon(witness.print_to, out)
                        nursery.start_soon(print_events, controller, out, rejections)
                        watching.deadline = trio.current_time() + seconds
                        with watching:
                            await out.ended.wait()
                except (ConfigurationError, ReconnectExhaustedError) as error:
                    failure = error
                # The controller is closed: the printer prints what it had received, and ends.
                printing.deadline = trio.current_time() + _FLUSH_MAX_S
    if failure is not None:
        raise failure
    if out.failure:
        raise OneLineError(f"cannot write to stdout: {out.failure}")
    if printing.cancelled_caught:
        raise OneLineError("stdout took no more; the last events are not printed")
    return rejections.are_all() and trio.current_time() >= watching.deadline


async def _note(batch: Sequence[AnyEvent], rejections: Rejections) -> None:
    line = rejections.add(batch)
    if line is not None:
        await Output(sys.stderr).write(f"Warning: {line}\n".encode(errors="backslashreplace"))


async def _print_json(controller: ConnectionController, out: Output, rejections: Rejections) -> None:
    encoder = msgspec.json.Encoder()
    async for batch in controller.batches():
        await _note(batch, rejections)
        await out.write(encoder.encode_lines(batch))


async def _print_lines(controller: ConnectionController, out: Output, rejections: Rejections) -> None:
    tally = Tally(rejections.streams, keep=False)
    summary = Summary(tally)
    over = trio.Event()

    async def sum_up() -> None:
        began_at = trio.current_time()
        while not over.is_set():
            with trio.move_on_after(_SUMMARY_EVERY_S):
                await over.wait()
            now = trio.current_time()
            line = summary.line(state=controller.state, seconds=max(now - began_at, 0.001), at=time.time())
            began_at = now
            if line is not None:
                await out.write(f"{line}\n".encode())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sum_up)
        async for batch in controller.batches():
            tally.add(batch)
            await _note(batch, rejections)
            lines = [line for line in map(line_of, batch) if line is not None]
            if lines:
                await out.write("".join(f"{line}\n" for line in lines).encode())
        over.set()
