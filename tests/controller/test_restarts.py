"""A venue that restarts with ids from 1, and one that has forgotten: both are reported, exactly."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ContinuityLost, MarketData, State, StreamReset
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import SelectMode, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import Feed, World, world
from tests.ways import WAY_TO


async def recovered(w: World, feed: Feed) -> None:
    """Whatever was in the way is cleared; the feed is whole again and has been for a while."""
    w.fail(FailuresConfig())
    w.network.accept(w.ws_port)
    w.network.heal()
    await feed.until(lambda: feed.controller.state is State.CONNECTED and bool(feed.of(StreamReset)), within_s=120.0)
    await trio.sleep(5.0)


def assert_reported_exactly(w: World, feed: Feed, old: str, new: str) -> None:
    """The old epoch's losses, then its open end, then the reset, then ids from 1: in this order, nothing twice."""
    (reset,) = [event for event in feed.events if isinstance(event, StreamReset)]
    assert (reset.old_epoch, reset.new_epoch) == (old, new)
    at = feed.events.index(reset)
    end = feed.events[at - 1]
    assert isinstance(end, ContinuityLost)
    assert (end.epoch, end.end_seq, end.reason) == (old, None, "epoch_ended")
    of_old = [event.sequence_id or 0 for event in feed.data if event.epoch == old]
    lost_before = [
        number
        for event in feed.lost
        if event.epoch == old and event.end_seq is not None
        for number in range(event.start_seq, event.end_seq + 1)
    ]
    first = min(of_old)
    assert sorted(of_old + lost_before) == list(range(first, end.start_seq))
    assert all(event.epoch == old for event in feed.events[:at] if isinstance(event, MarketData))
    of_new = [event.sequence_id or 0 for event in feed.events[at:] if isinstance(event, MarketData)]
    assert sorted(of_new) == list(range(1, len(of_new) + 1))
    assert len(of_new) > 20
    w.assert_contract(feed, settled=False)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("downtime_s", [0.0, 3.0])
async def test_a_restart_in_every_state(state: State, downtime_s: float, autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reconnect_max_backoff=5.0) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        await WAY_TO[state](w, feed)
        await feed.until_state(state)
        assert feed.controller.state is state
        old = w.exchange.epoch
        new = w.exchange.restart(downtime_s)
        await trio.sleep(2.0)
        await recovered(w, feed)
        assert_reported_exactly(w, feed, old, new)


async def test_a_restart_during_a_backfill(autojump_clock: MockClock) -> None:
    """The request for the hole has left in the old epoch; its answer comes from the new one."""
    async with world(latency_s=0.3) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=tuple(range(last + 5, last + 15)))))
        await feed.until(lambda: bool(feed.controller.open_gaps))
        await trio.sleep(0.1)
        old = w.exchange.epoch
        new = w.exchange.restart()
        await recovered(w, feed)
        assert_reported_exactly(w, feed, old, new)
        holes = [event for event in feed.lost if event.reason == "epoch_ended" and event.end_seq is not None]
        assert [(event.start_seq, event.end_seq) for event in holes] == [(last + 5, last + 14)]


async def test_a_restart_while_rest_is_down(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(40, 41))))
        await trio.sleep(5.0)
        old = w.exchange.epoch
        new = w.exchange.restart()
        await trio.sleep(5.0)
        await recovered(w, feed)
        assert_reported_exactly(w, feed, old, new)


async def test_two_restarts_in_a_row(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(3.0)
        w.exchange.restart()
        await trio.sleep(8.0)
        w.exchange.restart()
        await trio.sleep(8.0)
        resets = [event for event in feed.events if isinstance(event, StreamReset)]
        assert [(event.old_epoch, event.new_epoch) for event in resets] == list(
            zip(w.exchange.issued.epochs, w.exchange.issued.epochs[1:], strict=False)
        )
        w.assert_contract(feed, settled=False)


async def test_history_that_was_evicted_is_reported_to_the_id(autojump_clock: MockClock) -> None:
    """REST keeps 20 ids; an outage of both ways costs more: what lies below the first id kept is lost, exactly."""
    async with world(history_size=20) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        seen = max(number or 0 for number in feed.ids())
        w.network.black_hole(Direction.BOTH)
        await trio.sleep(40.0)
        w.network.heal()
        await feed.until(lambda: any(event.reason == "evicted" for event in feed.lost))
        await feed.until_state(State.CONNECTED, within_s=120.0)
        await trio.sleep(2.0)
        lost = [event for event in feed.lost if event.reason == "evicted"]
        assert lost[0].start_seq == seen + 1
        assert [event.reason for event in feed.lost] == ["evicted"] * len(lost)
        numbers = [number for event in lost for number in range(event.start_seq, (event.end_seq or 0) + 1)]
        assert numbers == list(range(seen + 1, seen + 1 + len(numbers)))
        assert min(number or 0 for number in feed.ids() if (number or 0) > seen) == numbers[-1] + 1
        w.assert_contract(feed, settled=False)


async def test_a_gap_whose_history_is_evicted_before_it_can_be_filled(autojump_clock: MockClock) -> None:
    async with world(history_size=20) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        dropped = range(last + 5, last + 10)
        w.fail(
            FailuresConfig(
                drop=SelectMode(enabled=True, ids=tuple(dropped)), server_error=ServerErrorMode(enabled=True)
            )
        )
        await trio.sleep(10.0)
        assert list(feed.controller.open_gaps.values()) == [[(dropped[0], dropped[-1])]]
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        assert [(event.start_seq, event.end_seq, event.reason) for event in feed.lost] == [
            (dropped[0], dropped[-1], "evicted")
        ]
        w.assert_contract(feed, settled=False)
