"""What commands with a feed of a real venue take: which venue, where, which streams, how long."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import click

from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE
from gapless.cli.options import SECONDS, settings_options
from gapless.controller import ConfigurationError, Exchange
from gapless.controller.exchanges import VENUES, ReferenceExchange, venue
from gapless.controller.opening import random_session_id

_P = ParamSpec("_P")
_R = TypeVar("_R")

NAMES: Final = """\b
A venue's channels and symbols, as it writes them:
  binance   trade:BTCUSDT  aggTrade:BTCUSDT  bookTicker:BTCUSDT
  coinbase  matches:BTC-USD
  deribit   trades:BTC-PERPETUAL
  kraken    trade:BTC/USD

The file's table [network] takes the fields of --set."""
"""A part of each command's help."""


def feed_options(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a command: ``--exchange`` (as ``venue_name``), URLs, ``--stream``, settings, time, ``--session-id``."""
    for option in (
        click.option("--session-id", metavar="ID", help="Kept over reconnects; by default a random one."),
        click.option("--seconds", type=SECONDS, metavar="N", help="End after so long; by default only at a signal."),
        settings_options,
        click.option(
            "--stream", "streams", multiple=True, required=True, metavar="CHANNEL:SYMBOL", help="Which; repeatable."
        ),
        click.option("--rest-url", metavar="URL", help="http://HOST:PORT or https://...; by default the venue's own."),
        click.option("--ws-url", metavar="URL", help="ws://HOST:PORT/ws or wss://...; by default the venue's own."),
        click.option(
            "--exchange",
            "venue_name",
            type=click.Choice(["reference", *VENUES]),
            default="reference",
            show_default=True,
            help="What is spoken: the reference exchange's format, or a venue's own.",
        ),
    ):
        command = option(command)
    return command


def exchange_of(name: str, ws_url: str | None, rest_url: str | None, session_id: str | None) -> Exchange:
    """The venue that the options name."""
    if session_id is not None and not (session_id.isascii() and session_id.isprintable() and session_id.strip()):
        raise OneLineError(f"--session-id {session_id!r} is not allowed: expected printable ASCII", WRONG_USAGE)
    try:
        if name != "reference":
            if session_id is not None:
                raise click.UsageError("--session-id goes with --exchange reference")
            return venue(name, ws_url=ws_url, rest_url=rest_url)
        if ws_url is None or rest_url is None:
            missing = "--ws-url" if ws_url is None else "--rest-url"
            raise click.UsageError(f"Missing option '{missing}': the reference exchange has no address of its own.")
        name = random_session_id() if session_id is None else session_id
        return ReferenceExchange(ws_url=ws_url, rest_url=rest_url, session_id=name)
    except ConfigurationError as error:
        raise OneLineError(str(error), WRONG_USAGE) from None
