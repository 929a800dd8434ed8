"""The program whose page the tests open: an exchange, a controller, and its dashboard, in one process.

``python program.py '{"symbols": ["BTC/USD"], "rate_per_s": 5.0, "port": 0}'`` prints one JSON line: where the page is.
"""

import sys
from functools import partial
from random import SystemRandom
from time import time

import msgspec
import trio

from gapless.controller import NetworkConfig, Stream, open_controller
from gapless.dashboard import Picture, open_faults, serve_dashboard, witnessed_client
from gapless.simulator import ExchangeSimulator, SimulatorConfig, serve_exchange

SESSION = "page"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the program is asked for.

    Attributes:
        rate_per_s: ids per second and symbol.
        port: of the page; 0: any.
        orders: symbols of orders that are placed one a second.
        idle_s: ``ws_idle_timeout``.
    """

    symbols: tuple[str, ...] = ("BTC/USD", "ETH/USD")
    rate_per_s: float = 5.0
    port: int = 0
    orders: tuple[str, ...] = ("BTC/USD",)
    idle_s: float = 2.0


class At(msgspec.Struct, frozen=True):
    """Where the page is."""

    url: str


async def main(wanted: Wanted) -> None:
    exchange = ExchangeSimulator(SimulatorConfig(symbols=wanted.symbols, rate_per_s=wanted.rate_per_s, seed=1))
    streams = [*(Stream("ticker", each) for each in wanted.symbols), Stream("orders", "*"), Stream("balance", "*")]
    config = NetworkConfig(ws_idle_timeout=wanted.idle_s, reconnect_max_backoff=3.0)
    async with serve_exchange(exchange) as at, trio.open_nursery() as nursery:
        picture = Picture(began_at=time(), run=f"{SystemRandom().getrandbits(64):x}", mode="demo", title="a test")
        async with (
            witnessed_client(picture, config.rest_timeout) as http,
            open_controller(
                ws_url=at.ws_url, rest_url=at.rest_url, streams=streams, config=config, session_id=SESSION, http=http
            ) as controller,
            open_faults(
                rest_url=at.rest_url,
                session_id=SESSION,
                note=lambda text: picture.fault(time(), text),
                quiet_symbol=wanted.symbols[-1],
            ) as faults,
            serve_dashboard(controller, picture, port=wanted.port, faults=faults) as url,
        ):
            nursery.start_soon(partial(_trade, exchange, wanted.orders))
            sys.stdout.write(msgspec.json.encode(At(url)).decode() + "\n")
            sys.stdout.flush()
            async for event in controller:
                picture.enter(event)


async def _trade(exchange: ExchangeSimulator, symbols: tuple[str, ...]) -> None:
    for turn in range(1_000_000):
        if symbols:
            exchange.place_order(symbols[turn % len(symbols)], "buy", 1.0, 100.0 + turn % 5)
        exchange.set_balance("USD", 1_000.0 - turn % 100)
        await trio.sleep(1.0)


if __name__ == "__main__":
    trio.run(main, msgspec.json.decode(sys.argv[1], type=Wanted))
