"""What users of cryptofeed reported: false time-outs, resets of everything, storms of requests, memory."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.cli.oracle import busiest_second
from gapless.controller import (
    GapFilled,
    GapFound,
    MarketData,
    NetworkConfig,
    Source,
    State,
    Stream,
    open_controller,
)
from gapless.controller.exchanges import ReferenceExchange
from gapless.simulator import RateLimitMode, RefuseMode
from gapless.simulator.failure_modes import SelectMode
from tests.kit import ETHER, SESSION, TICKER, World, world

HOST_ALLOWS = RateLimitMode(enabled=True, rate_limit_per_s=10)
"""What the limiter's default stays inside; the eleventh request of a second is refused."""


def rest_times(w: World) -> list[float]:
    return [each.time_s for each in w.exchange.requests if each.path.startswith("/api/v1/")]


async def test_data_inside_the_window_is_no_time_out(autojump_clock: MockClock) -> None:
    """cryptofeed #536: "received no messages within timeout" although messages came, even with no time-out set.

    Here a datum comes every 9.9 s and the window is 10 s, for five minutes.
    """
    async with world(rate_per_s=0) as w, w.feed(heartbeat_interval=7.0) as feed:
        await trio.sleep(0.1)
        for _ in range(30):
            w.publish()
            await trio.sleep(9.9)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        assert feed.ids(Source.LIVE) == list(range(1, 31))


async def test_a_quiet_stream_beside_a_busy_one_restarts_no_connection(autojump_clock: MockClock) -> None:
    """cryptofeed #223: the Bybit connection was restarted for want of messages while messages were being stored.

    Each channel had a time-out of its own, and the one without trades restarted. Here one stream never says anything.
    """
    async with world(rate_per_s=0) as w, w.feed(TICKER, ETHER) as feed:
        await trio.sleep(0.1)
        for _ in range(150):
            w.publish()
            await trio.sleep(1.0)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        assert len(w.exchange.handshakes) == 1
        assert len(w.exchange.subscriptions) == 2, "nor is it subscribed again"


async def test_a_gap_of_one_stream_touches_no_other(autojump_clock: MockClock) -> None:
    """cryptofeed #291: one missing sequence number of one Coinbase pair reset the books of all pairs.

    Every pair then had its snapshot fetched anew.
    """
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        began = w.exchange.now()
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(40,), symbols=("BTC/USD",)), SESSION)
        await feed.until(lambda: bool(feed.of(GapFilled)))
        await trio.sleep(2.0)
        gaps = [(gap.symbol, gap.start_seq, gap.end_seq) for gap in feed.events if isinstance(gap, GapFound)]
        assert gaps == [("BTC/USD", 40, 40)]
        asked = [each.query for each in w.exchange.requests if each.time_s >= began]
        assert len(asked) == 1
        assert "BTC" in asked[0]
        ether = feed.ids(Source.LIVE, ETHER)
        assert ether == list(range(1, len(ether) + 1)) == feed.ids(stream=ETHER)
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_the_daily_disconnect_starts_no_storm(autojump_clock: MockClock) -> None:
    """cryptofeed #613: on the second day 125 Binance symbols got 429 for each symbol, and the collection stopped.

    Binance cuts a connection after 24 hours; each of the symbols then asked for its snapshot at once. Here the cut
    leaves forty streams with a gap each, and the host refuses what exceeds its budget.
    """
    symbols = tuple(f"S{number}/USD" for number in range(40))
    streams = [Stream("ticker", symbol) for symbol in symbols]
    async with world(rate_per_s=0, symbols=symbols) as w, w.feed(*streams) as feed:
        w.exchange.failures.switch("rate_limited", HOST_ALLOWS)
        await trio.sleep(0.1)
        for stream in streams:
            w.publish(1, stream)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(10.0)
        w.exchange.disconnect()
        for stream in streams:
            w.publish(3, stream)
        await feed.until(lambda: len(feed.data) == 160)
        await trio.sleep(1.0)
        w.publish(1, streams[0])
        await feed.until_state(State.CONNECTED)
        assert w.exchange.injected["rate_limited"] == 0
        assert len(w.exchange.handshakes) == 2
        w.assert_contract(feed, *streams)


class Weighty(ReferenceExchange):
    """A page of history costs five of the ten that the host allows in a second."""

    def __init__(self, w: World) -> None:
        super().__init__(ws_url=w.ws_url, rest_url=w.rest_url, session_id=SESSION)

    def weight(self, request: httpx.Request) -> int:  # noqa: ARG002
        return 5


async def test_the_start_of_many_streams_stays_inside_the_budget(autojump_clock: MockClock) -> None:
    """cryptofeed #558: subscribing 125 Binance symbols at once hit the rate limit during the start.

    Each symbol fetched a snapshot, at the deepest and heaviest setting rather than the one asked for. Here requests are
    counted by their weight, and who delivers live is not asked for at all.
    """
    symbols = tuple(f"S{number}/USD" for number in range(60))
    streams = [Stream("ticker", symbol) for symbol in symbols]
    async with world(rate_per_s=0, symbols=symbols) as w, trio.open_nursery() as nursery:

        async def market() -> None:
            while True:
                w.publish(1, streams[0])
                await trio.sleep(0.5)

        nursery.start_soon(market)
        w.network.refuse(w.ws_port)
        async with open_controller(exchange=Weighty(w), streams=streams, config=NetworkConfig()) as controller:
            await trio.sleep(5.0)
            assert len(rest_times(w)) >= 8, "it collects"
            assert busiest_second(rest_times(w)) <= 2
            w.network.accept(w.ws_port)
            with trio.fail_after(40.0):
                await controller.wait_for(State.CONNECTED)
            assert len(w.exchange.subscriptions) == 60
            asked = len(rest_times(w))
            await trio.sleep(5.0)
            assert len(rest_times(w)) == asked
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("retry_after_s", [60, None])
async def test_a_429_at_the_handshake_is_waited_out(retry_after_s: int | None, autojump_clock: MockClock) -> None:
    """cryptofeed #447: BitMEX answered the handshakes of several channels, sent in quick succession, with 429.

    Then all of them tried again, and failed again. Here a wish is obeyed to the second; without one the pauses grow,
    and six attempts take more than a quarter of a minute.
    """
    async with world(rate_per_s=1.0) as w, w.feed(reconnect_max_attempts=None) as feed:
        await feed.until_state(State.CONNECTED)
        w.exchange.failures.switch(
            "refuse",
            RefuseMode(enabled=True, how="http_429", retry_after_s=retry_after_s, count=1 if retry_after_s else 6),
            SESSION,
        )
        w.exchange.disconnect()
        await feed.until(lambda: [each.outcome for each in w.exchange.handshakes].count("accepted") == 2, 300)
        refused = [each.time_s for each in w.exchange.handshakes if each.status == 429]
        waited_s = w.exchange.handshakes[-1].time_s - refused[0]
        assert waited_s >= (retry_after_s or 15.0)
        assert len(refused) == (1 if retry_after_s else 6)
        await feed.until_state(State.CONNECTED)
        w.assert_contract(feed, settled=False)


async def test_a_slow_app_costs_no_memory_and_gets_no_ever_older_data(autojump_clock: MockClock) -> None:
    """cryptofeed #426: memory grew over days, and the exchange's timestamps fell further and further behind the clock.

    What came from the socket faster than it was taken was kept, somewhere, without a bound. Here the app takes a
    hundred events a second of two hundred; it never has more than its buffer to work off, and in the end it has
    everything.
    """
    async with (
        world(rate_per_s=0, latency_s=0.0) as w,
        w.feed(consume=False, buffer_size=100, price_history_limit=50) as feed,
        trio.open_nursery() as nursery,
    ):
        held: list[int] = []
        late_s: list[float] = []

        async def read() -> None:
            async for event in feed.controller:
                feed.events.append(event)
                held.append(feed.controller.events_held)
                if isinstance(event, MarketData) and event.source is Source.LIVE:
                    late_s.append(w.exchange.now() - event.received_at)
                await trio.sleep(0.01)

        nursery.start_soon(read)
        await trio.sleep(0.1)
        for _ in range(25):
            w.publish(20)
            await trio.sleep(0.1)
        await trio.sleep(10.0)
        assert feed.controller.stats.skipped > 0
        assert max(held) <= 100 + 20, "the buffer, and the news of its gaps"
        assert max(late_s) <= 1.5
        assert len(feed.data) == 500
        w.assert_contract(feed)
        nursery.cancel_scope.cancel()
