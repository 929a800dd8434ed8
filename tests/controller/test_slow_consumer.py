"""A slow app: 10 ms per event at 1,000 events a second, for 30 s; then the source stops and the app catches up.

Each overflow policy with both orderings: memory is bounded, no silence is claimed, REST is not asked in circles, and in
the end everything was delivered or reported.
"""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    BalanceUpdate,
    ContinuityLost,
    DeliveryOverflowError,
    MarketData,
    OrderUpdate,
    State,
    StateChanged,
)
from tests.kit import TICKER, Feed, World, world

RATE_PER_S = 1_000
PER_EVENT_S = 0.01
FOR_S = 30.0
BUFFER = 2_000
"""Full after two seconds: the policies act a dozen times."""
PAGE = 1_000


async def read_slowly(feed: Feed) -> None:
    async for event in feed.controller:
        feed.events.append(event)
        await trio.sleep(PER_EVENT_S)


async def watch_bound(feed: Feed, highest: list[int]) -> None:
    """Sample what is held, ten times a second."""
    while True:
        highest[0] = max(highest[0], feed.controller.events_held)
        await trio.sleep(0.1)


async def flood(w: World) -> None:
    """A thousand a second, in bursts of ten."""
    for _ in range(int(FOR_S * RATE_PER_S / 10)):
        w.publish(10)
        await trio.sleep(10 / RATE_PER_S)


@pytest.mark.parametrize("overflow", ["refetch", "conflate"])
@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
async def test_everything_is_delivered_or_reported(overflow: str, ordering: str, autojump_clock: MockClock) -> None:
    highest = [0]
    async with (
        world(rate_per_s=0) as w,
        w.feed(
            consume=False,
            overflow=overflow,
            ordering=ordering,
            buffer_size=BUFFER,
            # Half of them on either transport.
            transport="wire" if ordering == "sequence" else "trio-websocket",
        ) as feed,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(read_slowly, feed)
        nursery.start_soon(watch_bound, feed, highest)
        await trio.sleep(1.0)
        await flood(w)
        stats = feed.controller.stats
        if overflow == "refetch":
            assert stats.skipped > 20_000, "the policy never acted"
        else:
            assert stats.skipped == 0
            assert stats.ids_lost > 20_000, "the policy never acted"
        # The source is quiet: what is left is read, fetched again, read. A datum ends the market's silence.
        with trio.fail_after(3_000):
            while feed.controller.open_gaps or feed.controller.events_held:  # noqa: ASYNC110  # nothing tells
                await trio.sleep(1.0)
        assert {move.after for move in feed.moves if move.at < feed.moves[0].at + FOR_S} <= {
            State.CONNECTED,
            State.RESYNCING,
        }
        assert feed.controller.generation == 1, "a slow app is not a dead socket"
        assert highest[0] <= 2 * BUFFER + PAGE + 100
        requests = w.requests_since(0.0)
        assert requests <= 30_000 / PAGE * 3 + 60, requests
        w.assert_contract(feed)
        ids = [number or 0 for number in feed.ids()]
        if ordering == "sequence":
            assert ids == sorted(ids)
        if overflow == "refetch":
            assert feed.lost == []
            assert len(ids) == FOR_S * RATE_PER_S
        else:
            assert {event.reason for event in feed.lost} == {"conflated"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
async def test_raise_hands_over_what_is_held_and_then_says_so(ordering: str, autojump_clock: MockClock) -> None:
    async with (
        world(rate_per_s=0) as w,
        w.feed(consume=False, overflow="raise", ordering=ordering, buffer_size=500) as feed,
        trio.open_nursery() as nursery,
    ):
        # Subscribed at id 0: what REST says at the same time opens no gap at the beginning.
        await trio.sleep(1.0)
        nursery.start_soon(flood, w)
        with pytest.raises(DeliveryOverflowError, match=r"ticker:BTC/USD id \d+ did not fit: .* 500 data"):
            await read_slowly(feed)
        ids = [number or 0 for number in feed.ids()]
        assert len(ids) >= 500
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        with pytest.raises(DeliveryOverflowError):
            await anext(feed.controller)
        assert feed.controller.events_held == 0
        nursery.cancel_scope.cancel()


async def test_batches_are_as_whole_as_single_events(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed(consume=False, buffer_size=100, price_history_limit=50) as feed:
        await trio.sleep(1.0)
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                async for batch in feed.controller.batches():
                    assert batch
                    feed.events += batch
                    await trio.sleep(1.0)

            nursery.start_soon(read)
            for _ in range(200):
                w.publish(20)
                await trio.sleep(0.1)
            await trio.sleep(200.0)
            nursery.cancel_scope.cancel()
        assert feed.controller.stats.skipped > 1_000
        assert len(feed.data) == 4_000
        w.assert_contract(feed)


async def test_only_one_may_read_at_a_time(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(1.0)
        with pytest.raises(trio.BusyResourceError, match="another task waits"):
            async for _batch in feed.controller.batches():
                pass


async def test_an_app_that_never_reads_conflated_costs_no_memory(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=50.0) as w, w.feed(consume=False, overflow="conflate", buffer_size=100) as feed:
        await trio.sleep(120.0)
        assert feed.controller.state is State.CONNECTED
        kinds = (MarketData, OrderUpdate, BalanceUpdate, ContinuityLost, StateChanged)
        assert feed.controller.events_held <= 400, kinds
        with trio.move_on_after(1.0):
            async for event in feed.controller:
                feed.events.append(event)
        newest = w.exchange.last_id(TICKER.channel, TICKER.symbol)
        assert newest - max(number or 0 for number in feed.ids()) < 5
        w.assert_contract(feed, settled=False)
