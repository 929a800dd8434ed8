"""cryptofeed: a ``Feed`` of one's own in a ``FeedHandler``, its parser, its ``Ticker``, its callback.

As its exchanges are built: ``message_handler`` gets each message, parses it with yapic.json (prices as ``Decimal``, as
all its exchanges do), checks the id, makes the ``Ticker`` that its users get, and awaits the registered callback. It
runs on uvloop, its default. Its connection refuses any address but ``wss://`` when it is built; for the scenarios
without TLS the address is set after that, and nothing else is changed.
"""

import asyncio
from decimal import Decimal
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint, WSAsyncConn
from cryptofeed.defines import TICKER
from cryptofeed.feed import Feed
from cryptofeed.symbols import Symbol, Symbols
from cryptofeed.types import Ticker
from yapic import json

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, subscribe

_CONFIG = {"uvloop": True, "log": {"disabled": True}}


class Venue(Feed):
    """An exchange that speaks the reference format."""

    id = "REFERENCE"
    websocket_endpoints = [WebsocketEndpoint("wss://localhost")]  # noqa: RUF012
    rest_endpoints = [RestEndpoint("https://localhost", routes=Routes("/"))]  # noqa: RUF012
    websocket_channels = {TICKER: "ticker"}  # noqa: RUF012
    task: Task

    def connect(self) -> list[Any]:
        """One connection to the measuring server."""
        options = {"ping_interval": 10, "ping_timeout": None, "max_size": None, "max_queue": None}
        if not self.task.deflate:
            options["compression"] = None
        connection = WSAsyncConn("wss://localhost", self.id, subscription=self.subscription, **options)
        connection.address = self.task.ws_url
        return [(connection, self.subscribe, self.message_handler, self.authenticate)]

    async def subscribe(self, connection: Any) -> None:
        """Called once a connection is open."""
        await connection.write(subscribe(self.task))

    async def message_handler(self, msg: str, conn: Any, timestamp: float) -> None:  # noqa: ARG002
        """Called for each message."""
        message = json.loads(msg, parse_float=Decimal)
        if message["type"] == "MARKET_DATA":
            pair = self.exchange_symbol_to_std_symbol(message["symbol"])
            ticker = Ticker(self.id, pair, message["bid"], message["ask"], timestamp, raw=message)
            await self.callback(TICKER, ticker, timestamp)


def contend(task: Task, meter: Meter) -> None:
    """Run the feed handler until all has come."""
    pairs = {name: Symbol(*name.split("/")) for name in task.names}
    Symbols.set(Venue.id, {pair.normalized: name for name, pair in pairs.items()}, {"instrument_type": {}})
    take = app(meter)

    async def on_ticker(ticker: Ticker, received_at: float) -> None:  # noqa: ARG001
        raw = ticker.raw
        take("ticker", ticker.symbol, raw["sequence_id"], ticker.bid, float(raw["volume_24h"]))

    def end() -> None:
        raise SystemExit

    meter.on_done = end
    handler = FeedHandler(config=_CONFIG)
    asyncio.set_event_loop(asyncio.new_event_loop())
    symbols = [pair.normalized for pair in pairs.values()]
    venue = Venue(config=_CONFIG, symbols=symbols, channels=[TICKER], callbacks={TICKER: on_ticker})
    venue.task = task
    handler.add_feed(venue)
    handler.run()


if __name__ == "__main__":
    run(contend)
