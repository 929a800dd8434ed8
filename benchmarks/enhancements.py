"""What the switchable extras bring, in virtual time: ``python benchmarks/enhancements.py``.

* pace: requests per stream, and how old data are when they come, with one interval for all and with an adaptive one.
* batch: requests for the gaps of fifty streams after an outage.
* wire: bytes of a page of a thousand rows, as it is and compressed.

Virtual time, so a slow machine changes nothing but what decompressing takes. Of requests that become due at one instant
chance says which goes first: where the budget is short that moves figures by some percent from run to run.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Literal
from urllib.parse import parse_qs

import httpx
import trio
from trio.testing import MockClock

from gapless.controller import GapFound, MarketData, Source, State, Stream
from gapless.controller.bodies import decompressed
from gapless.controller.instants import instant
from gapless.simulator import FailuresConfig, RefuseMode, SelectMode, SimulatorConfig
from gapless.simulator.compression import COMPRESSORS
from gapless.simulator.testkit import World, open_world

Form = Literal["off", "gzip", "zstd"]
RATES = {"BUSY": 16.0, "USUAL": 1.0, "SLOW": 1 / 10, "QUIET": 1 / 60}
"""Data per second; trades at random."""


def streams_of(symbols: list[str]) -> list[Stream]:
    """Their tickers."""
    return [Stream("ticker", symbol) for symbol in symbols]


async def trade(world: World) -> None:
    """Publish at these rates until cancelled. Each symbol has chances of its own: tasks run in no fixed order."""

    async def one(symbol: str, rate: float) -> None:
        random = Random(symbol)
        while True:
            await trio.sleep(random.expovariate(rate))
            world.publish(1, Stream("ticker", symbol))

    async with trio.open_nursery() as nursery:
        for symbol, rate in RATES.items():
            nursery.start_soon(one, symbol, rate)


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What was asked for, and how old data were when they came."""

    requests: int
    age_s: float
    data: int


async def pace(copies: int, *, adaptive: bool) -> dict[str, Polled]:
    """Two minutes live, five without a socket: by symbol, and "all". ``copies`` quiet streams beside the four."""
    symbols = [*RATES, *(f"EXTRA{number}" for number in range(copies))]
    config = SimulatorConfig(channels=("ticker",), symbols=tuple(symbols), rate_per_s=0.0, record=True)
    settings: dict[str, object] = {
        "rest_fetch_adaptive": adaptive,
        "reconnect_max_attempts": None,
        "ws_idle_timeout": 60.0,
    }
    async with (
        open_world(config=config) as world,
        trio.open_nursery() as nursery,
        world.feed(*streams_of(symbols), **settings) as feed,  # type: ignore[arg-type]
    ):
        nursery.start_soon(trade, world)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(120)
        world.fail(FailuresConfig(refuse=RefuseMode(enabled=True)))
        world.network.reset(world.ws_port)
        await feed.until_state(State.REST_FALLBACK)
        since = world.exchange.now()
        await trio.sleep(300)
        asked = Counter(parse_qs(r.query)["symbol"][0] for r in world.exchange.requests if r.time_s >= since)
        ages = [
            (each.symbol, each.received_at - instant(each.timestamp))
            for each in feed.of(MarketData)
            if each.source is Source.POLL
        ]
        nursery.cancel_scope.cancel()
    found = {"all": Polled(requests=asked.total(), age_s=fmean(age for _, age in ages), data=len(ages))}
    for symbol in RATES:
        own = [age for name, age in ages if name == symbol]
        found[symbol] = Polled(requests=asked[symbol], age_s=fmean(own), data=len(own))
    return found


async def tell_pace(copies: int, *, adaptive: bool) -> None:
    """Print it."""
    found = await pace(copies, adaptive=adaptive)
    print(f"pace, {len(RATES) + copies} streams, {'adaptive' if adaptive else 'one interval'}")
    for name, polled in found.items():
        print(
            f"  {name:<6} {polled.requests:>4} requests, data {polled.age_s:6.2f} s old when they came ({polled.data})"
        )


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What it took."""

    gaps: int
    requests: int
    took_s: float


async def batch(*, drops: float) -> Filled:
    """Fifty streams of five data a second lose frames, or everything, for half a minute; REST is down, too."""
    symbols = [f"S{number}" for number in range(50)]
    config = SimulatorConfig(channels=("ticker",), symbols=tuple(symbols), rate_per_s=5.0, record=True)
    async with open_world(config=config) as world, world.feed(*streams_of(symbols)) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        world.network.black_hole(port=world.rest_port if drops else None)
        if drops:
            world.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=drops)))
        await trio.sleep(30)
        world.fail(FailuresConfig())
        world.network.heal()
        since = world.exchange.now()
        world.network.reset(world.ws_port)
        began_at = trio.current_time()
        await feed.until_whole(within_s=600)
        gaps, requests = len(feed.of(GapFound)), world.requests_since(since)
        return Filled(gaps=gaps, requests=requests, took_s=trio.current_time() - began_at)


async def tell_batch(*, drops: float) -> None:
    """Print it."""
    filled = await batch(drops=drops)
    print(
        f"batch, 50 streams, {drops or 1:.0%} of the frames lost for 30 s: {filled.gaps} gaps, {filled.requests} "
        f"requests ({filled.requests / filled.gaps:.2f} a gap), whole after {filled.took_s:.1f} s"
    )


async def wire(form: Form) -> tuple[int, int]:
    """One page: bytes on the wire, and unpacked."""
    config = SimulatorConfig(channels=("ticker",), rate_per_s=100.0, compression=form, record=True)
    async with open_world(config=config) as world, world.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(12)
        before = feed.controller.metrics().rest
        await feed.controller.price_history("BTC/USD", limit=1_000)
        after = feed.controller.metrics().rest
        return after.bytes_received - before.bytes_received, after.bytes_read - before.bytes_read


async def tell_wire(form: Form) -> None:
    """Print it, and what decompressing takes."""
    received, read = await wire(form)
    took = ""
    if form != "off":
        body = await _page()
        raw = COMPRESSORS[form](body)
        times = []
        for _ in range(50):
            began_at = time.process_time()
            decompressed(raw, form, 1 << 24)
            times.append(time.process_time() - began_at)
        took = f", {1e6 * min(times):.0f} us to decompress"
    print(f"wire, a page of 1,000 rows, {form}: {received:,} bytes for {read:,}{took}")


async def _page() -> bytes:
    """A page's body, as the exchange writes it."""
    config = SimulatorConfig(channels=("ticker",), rate_per_s=100.0)
    async with open_world(config=config) as world, httpx.AsyncClient() as http:
        await trio.sleep(12)
        return (await http.get(f"{world.rest_url}/api/v1/prices?symbol=BTC/USD&limit=1000")).content


def main() -> None:
    """Tell all of it."""
    stories: list[Callable[[], Awaitable[None]]] = [
        lambda: tell_pace(0, adaptive=False),
        lambda: tell_pace(0, adaptive=True),
        lambda: tell_pace(46, adaptive=False),
        lambda: tell_pace(46, adaptive=True),
        lambda: tell_batch(drops=0.0),
        lambda: tell_batch(drops=0.2),
        lambda: tell_wire("off"),
        lambda: tell_wire("gzip"),
        lambda: tell_wire("zstd"),
    ]
    for story in stories:
        trio.run(story, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
