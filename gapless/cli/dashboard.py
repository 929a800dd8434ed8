"""``gapless dashboard``: a feed on a page, a real one or a simulated one with buttons that break things."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from gapless.cli.endings import OneLineError, cancelled_by_signals
from gapless.cli.exit_codes import FAILED, WRONG_USAGE
from gapless.cli.options import network_config, parse_streams, settings_options
from gapless.cli.page import CANDLE_S, PORT, Control, Page, buttons, symbols_of
from gapless.cli.scene import CONFIG, GENERATED
from gapless.controller import (
    ConfigurationError,
    NetworkConfig,
    ReconnectExhaustedError,
    Stream,
    open_controller,
)
from gapless.controller.groups import unwrapped
from gapless.dashboard import Faults, Picture, serve_dashboard, witnessed_client
from gapless.dashboard.public_origin import PublicOrigin
from gapless.simulator import ExchangeSimulator, SimulatorConfig, serve_exchange

DEMO_STREAMS: Final = (*GENERATED, Stream("orders", "*"), Stream("balance", "*"))
DEMO_EXCHANGE: Final = SimulatorConfig(
    symbols=tuple(symbols_of(GENERATED)),
    channels=tuple(dict.fromkeys(stream.channel for stream in GENERATED)),
    rate_per_s=10.0,
    account_rate_per_s=0.5,
)
"""Lively, and quiet enough to read along."""
_SESSION_ID: Final = "demo"


def _checked(url: str | None) -> str | None:
    """The public URL, where it is one."""
    if url is not None:
        try:
            PublicOrigin.of(url)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What is shown."""

    ws_url: str
    rest_url: str
    streams: tuple[Stream, ...]
    network: NetworkConfig
    session_id: str | None = None


@click.command(
    epilog="""\b
Examples:
  gapless dashboard --demo              a simulated exchange, and buttons that break it
  gapless dashboard --demo --port 8099  at http://127.0.0.1:8099/
  gapless dashboard --ws-url ws://127.0.0.1:8080/ws --rest-url http://127.0.0.1:8081 \\
      --stream ticker:BTC/USD --stream 'orders:*' --stream 'balance:*' --candle 60

The file's table [network] takes the fields of --set. docs/dashboard.md tells how to read the page, and how an app of
your own shows its controller."""
)
@click.option("--demo", is_flag=True, help="Start an exchange on loopback, with buttons that break it; no URLs then.")
@click.option("--ws-url", metavar="URL", help="ws://HOST:PORT/ws or wss://...")
@click.option("--rest-url", metavar="URL", help="http://HOST:PORT or https://...")
@click.option("--stream", "streams", multiple=True, metavar="CHANNEL:SYMBOL", help="What to show; repeatable.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Where to serve the page. Other than loopback, everybody who reaches the port sees it: it has no password.",
)
@click.option("--port", type=PORT, default=0, metavar="P", help="For the page; by default a free one.")
@click.option(
    "--public-url",
    callback=lambda _context, _option, url: _checked(url),
    metavar="URL",
    help="Where a reverse proxy shows the page: https://dash.example.com. Browsers are answered under that name, too.",
)
@click.option(
    "--candle",
    type=click.IntRange(1, 86_400),
    default=CANDLE_S,
    show_default=True,
    metavar="SECONDS",
    help="How wide a candle is.",
)
@settings_options
def dashboard(
    *,
    demo: bool,
    ws_url: str | None,
    rest_url: str | None,
    streams: tuple[str, ...],
    host: str,
    port: int,
    public_url: str | None,
    candle: int,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Show a feed on a page: whether it is whole, what happens to it, and the market itself.

    Prints the page's URL and runs until SIGINT or SIGTERM. Everything the page needs comes from this process; no
    request leaves the machine, but for those of the feed.
    """
    page = Page(host=host, port=port, candle_s=candle, public_url=public_url)
    if demo:
        given = {"--ws-url": ws_url, "--rest-url": rest_url, "--stream": streams}
        for name, value in given.items():
            if value:
                raise click.UsageError(f"--demo brings an exchange of its own; it does not go with {name}")
        base = {each.name: getattr(CONFIG, each.name) for each in fields(CONFIG)}
        run = partial(_show_demo, network_config(config, settings, base), page)
    else:
        feed = _feed(ws_url, rest_url, streams, network_config(config, settings))
        run = partial(_show_feed, feed, page)
    try:
        trio.run(_until_signalled, run)
    except* (ConfigurationError, ReconnectExhaustedError, OSError) as group:
        error = unwrapped(group)
        raise OneLineError(str(error), WRONG_USAGE if isinstance(error, ConfigurationError) else FAILED) from None


def _feed(ws_url: str | None, rest_url: str | None, streams: tuple[str, ...], network: NetworkConfig) -> Feed:
    """What the options say, where they say all of it."""
    given = {"--ws-url": ws_url, "--rest-url": rest_url, "--stream": streams}
    missing = [name for name, value in given.items() if not value]
    if missing or ws_url is None or rest_url is None:
        raise click.UsageError(f"missing {', '.join(missing)}; or --demo, which brings an exchange of its own")
    return Feed(ws_url=ws_url, rest_url=rest_url, streams=tuple(parse_streams(streams)), network=network)


async def _until_signalled(run: Callable[[], Awaitable[None]]) -> None:
    scope = trio.CancelScope()
    async with cancelled_by_signals(scope):
        with scope:
            await run()


async def _show_demo(network: NetworkConfig, page: Page) -> None:
    async with serve_exchange(ExchangeSimulator(DEMO_EXCHANGE)) as endpoints:
        feed = Feed(
            ws_url=endpoints.ws_url,
            rest_url=endpoints.rest_url,
            streams=DEMO_STREAMS,
            network=network,
            session_id=_SESSION_ID,
        )
        picture = page.picture(feed.streams, "demo")
        control = Control(rest_url=feed.rest_url, session_id=_SESSION_ID)
        async with buttons(picture, control, feed.streams) as faults:
            await _show(feed, page, picture, faults)


async def _show_feed(feed: Feed, page: Page) -> None:
    await _show(feed, page, page.picture(feed.streams, "feed"))


async def _show(feed: Feed, page: Page, picture: Picture, faults: Faults | None = None) -> None:
    """Run a controller and its page until cancelled."""
    async with (
        witnessed_client(picture, feed.network.rest_timeout) as http,
        open_controller(
            ws_url=feed.ws_url,
            rest_url=feed.rest_url,
            streams=feed.streams,
            config=feed.network,
            session_id=feed.session_id,
            http=http,
        ) as controller,
        serve_dashboard(
            controller, picture, host=page.host, port=page.port, public_url=page.public_url, faults=faults
        ) as url,
    ):
        click.echo(f"dashboard: {url}")
        async for event in controller:
            picture.enter(event)
