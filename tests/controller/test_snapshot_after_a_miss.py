"""An app that was told that a snapshot is missing gets it with the next generation, though no id has changed."""

import trio
from trio.testing import MockClock

from gapless.controller import OrderUpdate, SnapshotMissed, Source, State, Stream
from gapless.simulator import FailuresConfig, ServerErrorMode
from tests.kit import TICKER, world

ORDERS = Stream("orders", "*")


async def test_a_snapshot_that_was_missed_is_news_to_whoever_reads_it_first(autojump_clock: MockClock) -> None:
    """The fetch loop reads it while the new socket's first data is awaited, with an id that the books know already."""
    no_orders = FailuresConfig(server_error=ServerErrorMode(enabled=True, paths=("/api/v1/orders",)))
    async with world(rate_per_s=0) as w, w.feed(TICKER, ORDERS, max_retries=0, circuit_breaker_failures=0) as feed:
        w.publish()
        await feed.until_state(State.CONNECTED)
        w.fail(no_orders)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await trio.sleep(1.0)
        order = w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        w.network.accept(w.ws_port)
        await feed.until_state(State.RECONNECTING)
        await trio.sleep(1.0)
        w.publish()
        await feed.until(lambda: bool(feed.of(SnapshotMissed)))
        w.fail(FailuresConfig())
        w.exchange.disconnect()
        await trio.sleep(5.0)
        w.publish()
        await feed.until_state(State.CONNECTED)
        told = [event for event in feed.events if isinstance(event, OrderUpdate)]
        assert [event.order.order_id for event in told] == [order.order_id]
        assert told[0].source is Source.POLL
