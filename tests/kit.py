"""The world of the project's own tests: the public test kit, judged more strictly.

A market may go on where a test says ``settled=False``; a gap may not be open even then.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gapless.controller import Stream
from gapless.simulator import FailuresConfig, testkit
from gapless.simulator.testkit import ETHER, SESSION, TICKER, virtual_wall_clock
from gapless.simulator.testkit import ControllerFeed as Feed

__all__ = ["ETHER", "SESSION", "TICKER", "Feed", "World", "virtual_wall_clock", "world"]


class World(testkit.World):
    """Everything is asked for unless a test says otherwise."""

    def assert_contract(
        self,
        recording: testkit.Recording,
        *streams: Stream,
        settled: bool = True,
        session_id: str = SESSION,
        gaps_may_be_open: bool = False,
    ) -> None:
        super().assert_contract(
            recording,
            *(streams or (TICKER,)),
            settled=settled,
            session_id=session_id,
            gaps_may_be_open=gaps_may_be_open,
        )


@asynccontextmanager
async def world(
    *,
    rate_per_s: float = 10.0,
    seed: int = 1,
    latency_s: float = 0.005,
    failures: FailuresConfig | None = None,
    history_size: int = 100_000,
    symbols: tuple[str, ...] = ("BTC/USD", "ETH/USD"),
) -> AsyncIterator[World]:
    """A running exchange; ``rate_per_s`` per stream, 0: nothing unless published by hand. No socket may be left."""
    async with testkit.open_world(
        rate_per_s=rate_per_s,
        seed=seed,
        latency_s=latency_s,
        failures=failures,
        history_size=history_size,
        symbols=symbols,
    ) as w:
        yield World(w.network, w.exchange, w.ws_url, w.rest_url)
