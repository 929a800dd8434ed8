"""How tests speak to the venues that say several trades in one frame, so that each failure is told once for all."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import pytest
import trio

from gapless.simulator import (
    FailuresConfig,
    Mode,
)
from gapless.simulator.venues import Deribit, KrakenLimits, KrakenOptions, KrakenSpot, Venue
from tests.simulator.conftest import Client
from tests.venues.simulator_kit import VenueWorld, simulated

Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tongue:
    """How a test speaks to a venue."""

    venue: Callable[[], Venue]
    symbols: tuple[str, str]
    wish: Callable[..., Message]
    entries: Callable[[Message], list[Message] | None]
    id: str
    symbol: str
    type: str
    history: str
    rows: Callable[[Message], list[int]]
    ping: Message
    pong: Callable[[Message], bool]
    limited: tuple[int, Message]
    failed: Message


def kraken() -> KrakenSpot:
    return KrakenSpot(KrakenLimits(requests_per_s=1_000.0), KrakenOptions(absent_share=0.0))


def kraken_wish(*symbols: str, leave: bool = False) -> Message:
    method = "unsubscribe" if leave else "subscribe"
    return {"method": method, "params": {"channel": "trade", "symbol": list(symbols)}}


def deribit_wish(*symbols: str, leave: bool = False) -> Message:
    method = "public/unsubscribe" if leave else "public/subscribe"
    channels = [f"trades.{symbol}.100ms" for symbol in symbols]
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"channels": channels}}


KRAKEN: Final = Tongue(
    venue=kraken,
    symbols=("BTC/USD", "ETH/USD"),
    wish=kraken_wish,
    entries=lambda message: message["data"] if message.get("channel") == "trade" else None,
    id="trade_id",
    symbol="symbol",
    type="channel",
    history="/0/public/Trades?pair=XBTUSD",
    rows=lambda body: [row[6] for row in body["result"]["XXBTZUSD"]],
    ping={"method": "ping"},
    pong=lambda message: message.get("method") == "pong",
    limited=(200, {"error": ["EAPI:Rate limit exceeded"]}),
    failed={"error": ["EService:Unavailable"]},
)
DERIBIT: Final = Tongue(
    venue=Deribit,
    symbols=("BTC-PERPETUAL", "ETH-PERPETUAL"),
    wish=deribit_wish,
    entries=lambda message: message["params"]["data"] if message.get("method") == "subscription" else None,
    id="trade_seq",
    symbol="instrument_name",
    type="method",
    history="/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL&count=100",
    rows=lambda body: sorted(each["trade_seq"] for each in body["result"]["trades"]),
    ping={"jsonrpc": "2.0", "id": 7, "method": "public/test", "params": {}},
    pong=lambda message: "version" in message.get("result", {}),
    limited=(
        429,
        {"jsonrpc": "2.0", "error": {"code": 10028, "message": "too_many_requests", "data": None}},
    ),
    failed={"jsonrpc": "2.0", "error": {"code": -32603, "message": "Internal error"}},
)
both = pytest.mark.parametrize("tongue", [KRAKEN, DERIBIT], ids=["kraken", "deribit"])


async def subscribed(tongue: Tongue, client: Client, *symbols: str) -> None:
    """Subscribe, and hear out the answers, with the status of a connection where there is one."""
    wanted = symbols or tongue.symbols[:1]
    await client.say(tongue.wish(*wanted))
    answers = len(wanted) if tongue is KRAKEN else 1
    heard = 0
    while heard < answers:
        heard += "result" in await client.hear()


@asynccontextmanager
async def listening(tongue: Tongue, *symbols: str) -> AsyncIterator[tuple[VenueWorld, Client]]:
    async with simulated(tongue.venue()) as world, world.dial() as client:
        await subscribed(tongue, client, *symbols)
        yield world, client


async def said(world: VenueWorld, *symbols: str, count: int = 1) -> None:
    """Let so many frames be said, of three trades each."""
    for _ in range(count):
        for symbol in symbols:
            world.publish(3, symbol)
        await trio.sleep(0.2)


async def batch(tongue: Tongue, client: Client) -> list[Message]:
    """The trades of the next frame that has any."""
    while True:
        entries = tongue.entries(await client.hear())
        if entries is not None:
            return entries


async def ids(tongue: Tongue, client: Client, frames: int) -> list[int]:
    """How far the trades of so many frames lie behind the first of all."""
    first = tongue.venue().first_trade_id
    heard = [await batch(tongue, client) for _ in range(frames)]
    return [entry[tongue.id] - first for entry in chain.from_iterable(heard)]


async def rows(world: VenueWorld, tongue: Tongue) -> list[int]:
    return tongue.rows((await world.client.get(tongue.history)).json())


def issued(world: VenueWorld, tongue: Tongue) -> list[int]:
    return [trade.trade_id for trade in world.venue.trades(tongue.symbols[0])]


def fail(world: VenueWorld, **modes: Mode) -> None:
    world.venue.failures.set(FailuresConfig(**modes))  # type: ignore[arg-type]
