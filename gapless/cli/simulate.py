"""``gapless simulate``: the reference exchange as a process."""

import errno
import os
import socket
from pathlib import Path

import click
import msgspec
import trio

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.options import CAPTURE, SPEED
from gapless.controller.groups import unwrapped
from gapless.simulator import (
    CaptureError,
    Endpoints,
    ExchangeSimulator,
    Replay,
    SettingsError,
    SimulatorConfig,
    read_trades,
    serve_exchange,
)

_CHANNEL = "trade"
"""Where recorded trades go."""
_PORT = click.IntRange(0, 65_535)


@click.command(
    epilog="""\b
Examples:
  gapless simulate                      a market on two free ports; the line printed names them
  gapless simulate --ws-port 8080 --rest-port 8081 --config exchange.toml
  gapless simulate --capture btcusdt.gz --speed 10

\b
A TOML file for --config:
  symbols = ["BTC/USD", "ETH/USD"]
  rate_per_s = 20.0
  [failures.silent_connection]
  enabled = true
  after_messages = 100

\b
Failures can be switched while it runs, for all sessions or for one:
  curl -X PUT -d '{"drop":{"enabled":true,"every_nth":10}}' \\
       http://HOST:PORT/api/v1/simulator/failures"""
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
    help=f"Recorded trades on channel {_CHANNEL}, not the generated market; given again, files continue each other.",
)
@click.option("--speed", type=SPEED, metavar="X", help="How much faster than recorded; by default 1.")
def simulate(
    *,
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
    settings = _settings(config, seed)
    replay: Replay | None = None
    if captures:
        settings, replay = _recorded(settings, captures, speed or 1.0, keep_channels=config is not None)

    unwritten = ""
    try:
        unwritten = trio.run(_serve, settings, replay, host, ws_port, rest_port)
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


def _settings(file: Path | None, seed: int | None) -> SimulatorConfig:
    try:
        settings = SimulatorConfig() if file is None else SimulatorConfig.load(file)
        return settings if seed is None else msgspec.structs.replace(settings, seed=seed)
    except SettingsError as error:
        raise OneLineError(str(error)) from None
    except OSError as error:
        raise OneLineError(f"cannot read {file}: {error.strerror}") from None


def _recorded(
    settings: SimulatorConfig, captures: tuple[Path, ...], speed: float, *, keep_channels: bool
) -> tuple[SimulatorConfig, Replay]:
    """An exchange whose market is the recording. What a file configured besides stays, as streams that are quiet."""
    try:
        trades = read_trades(*captures)
        symbols = dict.fromkeys(trade.symbol for trade in trades)
        if keep_channels:
            symbols |= dict.fromkeys(settings.symbols)
        channels = dict.fromkeys((_CHANNEL, *(settings.channels if keep_channels else ())))
        settings = msgspec.structs.replace(settings, symbols=tuple(symbols), channels=tuple(channels), rate_per_s=0.0)
    except (CaptureError, SettingsError) as error:
        raise OneLineError(str(error)) from None
    return settings, Replay(trades, speed, channel=_CHANNEL)


async def _serve(settings: SimulatorConfig, replay: Replay | None, host: str, ws_port: int, rest_port: int) -> str:
    """Serve until a signal comes; why the ready line could not be printed, or nothing."""
    exchange = ExchangeSimulator(settings)
    scope = trio.CancelScope()
    async with cancelled_by_signals(scope):
        with scope:
            async with serve_exchange(exchange, host, ws_port, rest_port) as endpoints:
                try:
                    click.echo(_ready_line(exchange, endpoints, replay))
                except OSError as error:
                    return _said(error)
                if replay is not None:
                    await replay.run(exchange)
                await trio.sleep_forever()
    return ""


def _ready_line(exchange: ExchangeSimulator, endpoints: Endpoints, replay: Replay | None) -> bytes:
    """One JSON object: where it is served, and what."""
    config = exchange.config
    facts = {
        "ws_url": endpoints.ws_url,
        "rest_url": endpoints.rest_url,
        "epoch": exchange.epoch,
        "symbols": config.symbols,
        "channels": config.channels,
        "seed": config.seed,
        "replay_s": None if replay is None else round(replay.duration_s, 3),
    }
    return msgspec.json.encode(facts)


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
