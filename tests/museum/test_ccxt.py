"""What users of ccxt reported: awaits that never end, data that stands still, holes, ghosts, queues and bans."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    ContinuityLost,
    GapFilled,
    MarketData,
    RequestFailedError,
    RestRateLimiter,
    Source,
    State,
    StateChanged,
    StreamReset,
)
from gapless.simulator import RateLimitMode
from gapless.simulator.failure_modes import SelectMode
from gapless.simulator.network import Direction
from tests.kit import ETHER, SESSION, TICKER, world
from tests.scripted import Socket, Venue, history


async def test_whoever_waits_for_data_hears_that_the_connection_is_gone(autojump_clock: MockClock) -> None:
    """ccxt #22662: after a 1006 the Python client's ``watch_trades`` neither returned nor raised.

    The error of the socket did not reach those who waited for several symbols. Here an app waits in a quiet market,
    with nothing but the news of the loss to wake it.
    """
    async with world(rate_per_s=0) as w, w.feed(TICKER, ETHER, consume=False) as feed:
        w.publish()
        while feed.controller.state is not State.CONNECTED:
            await anext(feed.controller)
        w.exchange.disconnect()
        with trio.fail_after(0.1):
            event = await anext(feed.controller)
            while not isinstance(event, StateChanged) or event.after is not State.REST_FALLBACK:
                event = await anext(feed.controller)
        with trio.fail_after(2.0):
            await feed.controller.wait_for(State.RECONNECTING)
        await trio.sleep(0.1)
        w.publish()
        with trio.fail_after(2.0):
            while not isinstance(event, MarketData):
                event = await anext(feed.controller)
        assert event.sequence_id == 2


async def test_nothing_that_an_app_awaits_lasts_for_ever(autojump_clock: MockClock) -> None:
    """ccxt #26766: awaits that never end.

    Here every packet is swallowed, so that nothing ever fails by itself: the event loop of an app hears of it, a
    request of its own gives up, and leaving takes half a second.
    """
    async with world() as w:
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)
            w.network.black_hole(Direction.BOTH)
            with pytest.raises(RequestFailedError), trio.fail_after(40.0):
                await feed.controller.price_history("BTC/USD")
            assert State.SILENT in {move.after for move in feed.moves}
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 0.5


async def test_a_stream_whose_timestamps_stand_still_is_left_and_nothing_old_is_handed_over(
    autojump_clock: MockClock,
) -> None:
    """ccxt #23214: after some hours ``watchOrderBook`` returned no more data, or data whose timestamp stood still.

    Here the first socket says its last message twice more and then nothing, while the market goes on.
    """
    issued = 5

    async def script(socket: Socket, number: int) -> None:
        nonlocal issued
        await socket.welcome()
        await socket.subscribed(issued if number > 1 else 0)
        if number == 1:
            await socket.data(1, 2, 3, 4, 5, 5, 5)
        while True:
            await trio.sleep(0.5)
            issued += 1
            if number > 1:
                await socket.data(issued)

    venue = Venue(script, history(lambda: issued))
    async with venue.feed(TICKER) as feed:
        await feed.until_state(State.CONNECTED)
        await feed.until_state(State.REST_FALLBACK, within_s=10.0 + 1.0)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        ids = sorted(number or 0 for number in feed.ids())
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) >= issued - 1, "the newest may be under way"


async def test_what_was_traded_during_a_disconnect_is_filled_in(autojump_clock: MockClock) -> None:
    """ccxt #26945: after a 1006 ``watchTrades`` went on with the new trades and without those of the downtime.

    Minutes around the disconnect had no volume, and the user was to fetch the missing trades himself.
    """
    async with world(rate_per_s=0) as w, w.feed(rest_fetch_interval=600.0) as feed:
        await trio.sleep(0.1)
        w.publish(5)
        await feed.until_state(State.CONNECTED)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) == 2)
        w.publish(500)
        w.network.accept(w.ws_port)
        await feed.until(lambda: feed.controller.generation == 3)
        await trio.sleep(0.05)
        w.publish(5)
        await feed.until_state(State.CONNECTED)
        assert sorted(number for number in feed.ids() if number) == list(range(1, 511))
        assert len(feed.ids(Source.BACKFILL)) == 500
        assert feed.lost == []
        w.assert_contract(feed)


async def test_nothing_of_before_a_restart_haunts_what_comes_after_it(autojump_clock: MockClock) -> None:
    """ccxt #29210: Gemini's order book after a reconnect was the new snapshot merged into the book of before.

    Prices that had ceased to exist stayed in it for good. Here the exchange restarts during the disconnect: what is
    known of the old epoch is closed before anything of the new one is delivered, and nothing of it comes later.
    """
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(3.0)
        old = w.exchange.epoch
        new = w.exchange.restart(downtime_s=5.0)
        await feed.until(lambda: any(event.epoch == new for event in feed.data))
        await trio.sleep(5.0)
        kinds = [
            (type(event).__name__, getattr(event, "epoch", ""))
            for event in feed.events
            if isinstance(event, MarketData | ContinuityLost | StreamReset)
        ]
        turn = kinds.index(("StreamReset", ""))
        assert set(kinds[:turn]) == {("MarketData", old), ("ContinuityLost", old)}
        assert set(kinds[turn + 1 :]) == {("MarketData", new)}
        assert [event.reason for event in feed.lost] == ["epoch_ended"]
        w.assert_contract(feed, settled=False)


async def test_a_long_queue_of_one_app_starves_nobody(autojump_clock: MockClock) -> None:
    """ccxt #28355: an unfair queue.

    Here one app asks for sixty pages at once, six seconds of the host's budget. Its neighbour's single question takes
    the next turn, and a gap goes before all of it.
    """
    limiter = RestRateLimiter()
    async with (
        world(rate_per_s=2.0) as w,
        w.feed(session_id="greedy", limiter=limiter) as greedy,
        w.feed(limiter=limiter) as modest,
        trio.open_nursery() as nursery,
    ):
        await greedy.until_state(State.CONNECTED)
        await modest.until_state(State.CONNECTED)
        for _ in range(60):
            nursery.start_soon(greedy.controller.price_history, "ETH/USD")
        await trio.sleep(0.1)
        with trio.fail_after(1.2):
            await modest.controller.price_history("ETH/USD")
        w.exchange.failures.switch("drop", SelectMode(enabled=True, every_nth=1, count=1), "greedy")
        with trio.fail_after(2.2):
            await greedy.until(lambda: bool(greedy.of(GapFilled)))
        assert w.requests_since(w.exchange.now() - 10.0) < 60, "the queue is as long as it was"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("status", [429, 418])
async def test_a_host_that_says_stop_is_left_alone_as_long_as_it_says(status: int, autojump_clock: MockClock) -> None:
    """ccxt PR#2068: a 429 was followed by more requests two and four seconds later, and then by 418: the IP was banned.

    The ban was answered with further requests as well. Here a wish of 90 seconds is longer than any pause the limiter
    would make by itself, and the controller has nothing but REST to live on.
    """
    async with world(rate_per_s=2.0) as w:
        w.network.refuse(w.ws_port)
        async with w.feed(reconnect_max_attempts=None) as feed:
            await trio.sleep(10.0)
            said = RateLimitMode(enabled=True, status=429 if status == 429 else 418, retry_after_s=90, count=1)
            w.exchange.failures.switch("rate_limited", said, SESSION)
            await trio.sleep(120.0)
            refused_at = next(each.time_s for each in w.exchange.requests if each.status == status)
            next_at = min(each.time_s for each in w.exchange.requests if each.time_s > refused_at)
            assert 90.0 <= next_at - refused_at <= 95.0
            assert [each.status for each in w.exchange.requests].count(status) == 1
            ids = [number or 0 for number in feed.ids()]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
            assert ids[-1] >= w.exchange.last_id("ticker", "BTC/USD") - 5, "it has caught up"
