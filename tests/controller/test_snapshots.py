"""Snapshots of orders and balances: how often they are read, and what happens where they cannot be."""

import trio
from trio.testing import MockClock

from gapless.controller import GapFilled, SnapshotMissed, State, Stream
from gapless.simulator import FailuresConfig, ServerErrorMode
from gapless.simulator.failure_modes import SelectMode
from tests.kit import TICKER, World, world

ORDERS = Stream("orders", "*")


def order(venue: World) -> None:
    venue.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)


def down(*, times: int | None = None) -> ServerErrorMode:
    """The snapshot of orders cannot be read."""
    return ServerErrorMode(enabled=True, count=times, paths=("/api/v1/orders",))


async def test_a_gap_after_a_missed_snapshot_has_three_tries_of_its_own(autojump_clock: MockClock) -> None:
    async with (
        world(failures=FailuresConfig(server_error=down())) as w,
        w.feed(TICKER, ORDERS, max_retries=0, circuit_breaker_failures=0) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        assert len(feed.of(SnapshotMissed)) == 1
        order(w)
        await trio.sleep(1.0)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=1.0), server_error=down()))
        order(w)
        await trio.sleep(0.5)
        w.fail(FailuresConfig(server_error=down(times=2)))
        order(w)
        await feed.until(lambda: any(isinstance(e, GapFilled) and e.reason == "snapshot" for e in feed.events))
        assert feed.lost == []
        assert len(feed.of(SnapshotMissed)) == 1
