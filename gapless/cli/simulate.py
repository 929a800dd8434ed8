"""``gapless simulate``: the reference exchange, or a real venue's double, as a process."""

import errno
import os
import socket
from pathlib import Path

import click
import msgspec
import trio

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.exhibits import REFERENCE, Exhibit, reference_exhibit, settings_of, venue_exhibit
from gapless.cli.options import CAPTURE, SPEED
from gapless.controller.groups import unwrapped
from gapless.simulator import Endpoints, SimulatorConfig, serve_exchange
from gapless.simulator.venues import VENUES, VenueConfig

_PORT = click.IntRange(0, 65_535)


@click.command(
    epilog="""\b
Examples:
  gapless simulate                      a market on two free ports; the line printed names them
  gapless simulate --ws-port 8080 --rest-port 8081 --config exchange.toml
  gapless simulate --capture btcusdt.gz --speed 10
  gapless simulate --venue binance      speaks as Binance spot does: dial the ws_url, ask the rest_url
  gapless simulate --venue binance --capture day1.gz --capture day2.gz --speed 20
  gapless simulate --venue coinbase --capture COINBASE.ws.gz

\b
Captures: for reference and binance what Binance sent on combined streams, a line each,
  1723161254087896568 {"stream":"btcusdt@trade","data":{"e":"trade",...}}
for coinbase a recording of cryptofeed, of which the matches are taken,
  1618677846.645482: {"type":"match","trade_id":1568318,...}
for kraken and deribit there are none.
A venue sends the recorded ids, prices, amounts and times as they are.

\b
A TOML file for --config:
  symbols = ["BTC/USD", "ETH/USD"]      # as the venue writes them
  rate_per_s = 20.0
  [failures.silent_connection]
  enabled = true
  after_messages = 100

\b
Failures can be switched while it runs, for all sessions or for one:
  curl -X PUT -d '{"drop":{"enabled":true,"every_nth":10}}' \\
       http://HOST:PORT/api/v1/simulator/failures"""
)
@click.option(
    "--venue",
    type=click.Choice([REFERENCE, *VENUES]),
    default=REFERENCE,
    show_default=True,
    help="Whose wire format, REST and limits.",
)
@click.option("--ws-port", type=_PORT, default=0, metavar="P", help="For WebSocket; by default a free one.")
@click.option("--rest-port", type=_PORT, default=0, metavar="P", help="For REST; by default a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Where to listen.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML: market, limits, failures.")
@click.option("--seed", type=int, metavar="N", help="Of market and failures; goes over the one in FILE.")
@click.option(
    "--capture",
    "captures",
    type=CAPTURE,
    multiple=True,
    metavar="FILE",
    help="Recorded trades, not the generated market; given again, files continue each other.",
)
@click.option("--speed", type=SPEED, metavar="X", help="How much faster than recorded; by default 1.")
def simulate(
    *,
    venue: str,
    ws_port: int,
    rest_port: int,
    host: str,
    config: Path | None,
    seed: int | None,
    captures: tuple[Path, ...],
    speed: float | None,
) -> None:
    """Run an exchange: WebSocket, REST, a market, and failures to switch on.

    Prints one line of JSON when it is ready, with ws_url and rest_url, and runs until SIGINT or SIGTERM.
    """
    if ws_port and ws_port == rest_port:
        raise click.UsageError(f"--ws-port and --rest-port are both {ws_port}; the exchange needs two ports")
    if speed is not None and not captures:
        raise click.UsageError("--speed goes with --capture; the generated market's is rate_per_s in --config")
    if venue == REFERENCE:
        exhibit = reference_exhibit(
            settings_of(SimulatorConfig, config, seed), captures, speed or 1.0, configured=config is not None
        )
    else:
        exhibit = venue_exhibit(venue, settings_of(VenueConfig, config, seed), captures, speed or 1.0)

    unwritten = ""
    try:
        unwritten = trio.run(_serve, exhibit, host, ws_port, rest_port)
    except* OSError as group:
        error = unwrapped(group)
        ports = [port for port in (ws_port, rest_port) if _number(error) and port and not _is_free(host, port)]
        at = " and ".join(f"{host}:{port}" for port in ports) or host
        raise OneLineError(f"cannot listen on {at}: {_said(error)}") from None
    if unwritten:
        raise OneLineError(f"cannot write to stdout: {unwritten}")


def _said(error: BaseException) -> str:
    """The system's words alone, where it has any."""
    number = _number(error)
    return os.strerror(number) if number else str(error)


def _number(error: BaseException) -> int:
    """The system's number for an error, or 0: a host that does not resolve has one of its own."""
    number: int = getattr(error, "errno", None) or 0
    return number if number in errno.errorcode else 0


async def _serve(exhibit: Exhibit, host: str, ws_port: int, rest_port: int) -> str:
    """Serve until a signal comes; why the ready line could not be printed, or nothing."""
    scope = trio.CancelScope()
    async with cancelled_by_signals(scope):
        with scope:
            async with serve_exchange(exhibit.exchange, host, ws_port, rest_port) as endpoints:
                try:
                    click.echo(_ready_line(exhibit, endpoints))
                except OSError as error:
                    return _said(error)
                if exhibit.replay is not None:
                    await exhibit.replay()
                await trio.sleep_forever()
    return ""


def _ready_line(exhibit: Exhibit, endpoints: Endpoints) -> bytes:
    """One JSON object: where it is served, and what."""
    return msgspec.json.encode({"ws_url": endpoints.ws_url, "rest_url": endpoints.rest_url, **exhibit.facts})


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    return True
