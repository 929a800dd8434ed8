"""What reaches the app equals what happened on the venue, trade for trade, whatever goes wrong on the way."""

import gzip
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest
import trio

from gapless.controller import Stream
from gapless.controller.exchange import Exchange
from gapless.controller.exchanges import BinanceExchange, CoinbaseExchange, DeribitExchange, KrakenExchange
from gapless.simulator import venues
from gapless.simulator.serve import Endpoints
from gapless.simulator.testkit import virtual_wall_clock
from gapless.simulator.venues import RecordedTrade, VenueConfig, VenueSimulator, read_capture
from tests.venues.stories import (
    Outcome,
    Venue,
    assert_interruptions_are_filled,
    assert_trade_for_trade,
    assert_weights_agree,
    through_trouble,
)

CAPTURES = Path(os.environ.get("GAPLESS_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
MARKET_S = 40.0
"""Virtual seconds of a generated market."""
SPEED = 20.0
SEEDS_OF_THE_RECORDING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A venue: what simulates it, what speaks to it, and one of its streams."""

    speaks: Callable[[], venues.Venue]
    adapter: Callable[[Endpoints], Exchange]
    stream: Stream
    judge: Callable[[Outcome], None] = assert_trade_for_trade


KINDS = {
    "binance": Kind(
        speaks=venues.BinanceSpot,
        adapter=lambda at: BinanceExchange(ws_url=at.ws_url, rest_url=at.rest_url),
        stream=Stream("trade", "BTCUSDT"),
    ),
    "coinbase": Kind(
        speaks=venues.CoinbaseExchange,
        adapter=lambda at: CoinbaseExchange(ws_url=at.ws_url, rest_url=at.rest_url),
        stream=Stream("matches", "BTC-USD"),
    ),
    "deribit": Kind(
        speaks=venues.Deribit,
        adapter=lambda at: DeribitExchange(ws_url=at.ws_url, rest_url=at.rest_url),
        stream=Stream("trades", "BTC-PERPETUAL"),
    ),
    "kraken": Kind(
        speaks=venues.KrakenSpot,
        adapter=lambda at: KrakenExchange(ws_url=at.ws_url, rest_url=at.rest_url),
        stream=Stream("trade", "BTC/USD"),
        judge=assert_interruptions_are_filled,
    ),
}


def simulator_of(kind: Kind, seed: int) -> VenueSimulator:
    config = VenueConfig(seed=seed, rate_per_s=0, symbols=(kind.stream.symbol,))
    return VenueSimulator(kind.speaks(), config, wall_clock=virtual_wall_clock)


async def bursts(simulator: VenueSimulator) -> None:
    """Bursts of one to four trades, ten a second on the average, now and then a pause of seconds."""
    random, ends_at = Random(simulator.config.seed), trio.current_time() + MARKET_S
    while trio.current_time() < ends_at:
        for _ in range(random.randint(1, 4)):
            simulator.publish(simulator.config.symbols[0])
        await trio.sleep(random.expovariate(10.0) if random.random() > 0.01 else random.uniform(1.0, 5.0))


def venue(kind: Kind, simulator: VenueSimulator, market: Callable[[VenueSimulator], Awaitable[None]]) -> Venue:
    streams = [Stream(kind.stream.channel, symbol) for symbol in simulator.config.symbols]
    return Venue(simulator=simulator, adapter=kind.adapter, streams=streams, market=market)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", KINDS)
async def test_whole_through_trouble(autojump_clock: trio.testing.MockClock, name: str, seed: int) -> None:
    simulator = simulator_of(KINDS[name], seed)
    outcome = await through_trouble(venue(KINDS[name], simulator, bursts), seed)
    KINDS[name].judge(outcome)
    assert_weights_agree(outcome, simulator)
    assert len(outcome.trades) > 500
    assert sum(outcome.injected.values()) > 10


RECORDED = {
    "binance": ("binance/btcusdt_20240808.gz", "binance/btcusdt_20240809.gz"),
    "coinbase": ("coinbase/COINBASE.ws.28.0.gz",),
}
"""Recordings by venue; files that continue each other."""


@cache
def recording(name: str) -> tuple[RecordedTrade, ...]:
    """The trades of a recording, as the simulator reads them."""
    first, *more = (CAPTURES / file for file in RECORDED[name])
    if not first.exists():
        pytest.skip(f"no recording {first.name} in {CAPTURES}; set GAPLESS_CAPTURES to where it is")
    return read_capture(KINDS[name].speaks().capture_reader(), first, *more)


async def replayed(name: str, seed: int, *, real: bool = False) -> tuple[Outcome, VenueSimulator]:
    """A recording, twenty times as fast, with trouble on top."""
    kind, trades = KINDS[name], recording(name)
    symbols = tuple(dict.fromkeys(each.trade.symbol for each in trades))
    config = VenueConfig(seed=seed, rate_per_s=0, symbols=symbols)
    simulator = VenueSimulator(kind.speaks(), config, wall_clock=time.time if real else virtual_wall_clock)

    async def market(of: VenueSimulator) -> None:
        await of.replay(trades, SPEED)

    return await through_trouble(venue(kind, simulator, market), seed, real=real), simulator


def judge_recorded(name: str, outcome: Outcome, simulator: VenueSimulator) -> None:
    assert_trade_for_trade(outcome)
    assert_weights_agree(outcome, simulator)
    for stream, issued in outcome.issued.items():
        assert list(issued) == [each.trade for each in recording(name) if each.trade.symbol == stream.symbol]


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recording_comes_out_whole(autojump_clock: trio.testing.MockClock, name: str) -> None:
    outcome, simulator = await replayed(name, 0)
    judge_recorded(name, outcome, simulator)
    if name == "binance":
        assert len(outcome.trades) == 19_904
        assert [trade.trade_id for trade in outcome.trades] == read_plainly()
        assert {"silent_connection", "drop", "reorder", "disconnect"} & set(outcome.injected)


def read_plainly() -> list[str]:
    """The ids of the recorded trades, without any reader of ours."""
    ids: list[str] = []
    for file in RECORDED["binance"]:
        text = gzip.decompress((CAPTURES / file).read_bytes()).decode()
        ids += re.findall(r'"e":"trade","E":\d+,"s":"BTCUSDT","t":(\d+)', text)
    return ids


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, SEEDS_OF_THE_RECORDING))
@pytest.mark.parametrize("name", RECORDED)
async def test_a_recording_comes_out_whole_whatever_the_seed(
    autojump_clock: trio.testing.MockClock, name: str, seed: int
) -> None:
    outcome, simulator = await replayed(name, seed)
    judge_recorded(name, outcome, simulator)


@pytest.mark.long
async def test_the_recording_comes_out_whole_on_real_sockets() -> None:
    """Half a minute by the machine's clock: that nothing above holds only on the virtual network."""
    outcome, simulator = await replayed("binance", 1, real=True)
    judge_recorded("binance", outcome, simulator)
    assert [trade.trade_id for trade in outcome.trades] == read_plainly()
