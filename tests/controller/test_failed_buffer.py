"""A buffer that has failed: whatever happens until the app is through with it, its cursor leads to no silent loss."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    ContinuityLost,
    DeliveryOverflowError,
    MarketData,
    NetworkConfig,
    Source,
    StateChanged,
    StreamReset,
    delivery,
    open_controller,
)
from gapless.controller.cursor import Cursor
from gapless.controller.delivery import DeliveryBuffer
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import SelectMode
from tests.kit import TICKER, World, virtual_wall_clock, world

DROPPED = FailuresConfig(drop=SelectMode(enabled=True, ids=tuple(range(20, 40))))


@asynccontextmanager
async def app(w: World, resume: Cursor | None = None, **settings: object) -> AsyncIterator[ConnectionController]:
    async with open_controller(
        ws_url=w.ws_url,
        rest_url=w.rest_url,
        streams=[TICKER],
        config=NetworkConfig.from_mapping(settings),
        random=Random(1),
        wall_clock=virtual_wall_clock,
        resume=resume,
    ) as controller:
        yield controller


async def take(controller: ConnectionController, until: int) -> list[AnyEvent]:
    """Events up to the datum of this id."""
    taken: list[AnyEvent] = []
    async for event in controller:
        taken.append(event)
        if isinstance(event, MarketData) and (event.sequence_id or 0) >= until:
            break
    return taken


async def drain_slowly(controller: ConnectionController, into: list[AnyEvent]) -> None:
    """To the error, with time between two events for everything else to go on."""
    try:
        async for event in controller:
            into.append(event)
            await trio.sleep(0.2)
    except DeliveryOverflowError:
        return
    pytest.fail("it did not end")


def ids(events: Sequence[AnyEvent]) -> list[int]:
    return [event.sequence_id or 0 for event in events if isinstance(event, MarketData)]


def lost(events: Sequence[AnyEvent]) -> list[ContinuityLost]:
    return [event for event in events if isinstance(event, ContinuityLost)]


def stored(controller: ConnectionController) -> Cursor:
    return Cursor.decode(controller.cursor().encode())


@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
async def test_what_rest_could_bring_now_is_left_to_the_next_controller(
    ordering: str, autojump_clock: MockClock
) -> None:
    """The app drains, so that there would be room; REST comes back, so that there would be a fill."""
    async with world(rate_per_s=20) as w:
        w.fail(DROPPED, None)
        w.network.black_hole(port=w.rest_port)
        before: list[AnyEvent] = []
        settings = {"overflow": "raise", "buffer_size": 40, "price_history_limit": 10, "ordering": ordering}
        async with app(w, None, **settings) as controller:
            before += await take(controller, until=19 if ordering == "sequence" else 50)
            await trio.sleep(6)
            w.network.heal()
            await drain_slowly(controller, before)
            asked = w.requests_since(0.0)
            await trio.sleep(30)
            assert w.requests_since(0.0) == asked, "nobody would get the replies"
            cursor = stored(controller)
        async with app(w, cursor) as controller:
            after = await take(controller, until=max(ids(before)) + 700)
    numbers = ids(before) + ids(after)
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
    assert not lost(after)


@pytest.mark.parametrize("restarts", [1, 2])
async def test_an_epoch_that_ends_now_is_reported_by_the_next_controller(
    restarts: int, autojump_clock: MockClock
) -> None:
    async with world(rate_per_s=20) as w:
        before: list[AnyEvent] = []
        async with app(w, overflow="raise", buffer_size=40) as controller:
            before += await take(controller, until=30)
            epochs = [w.exchange.epoch]
            await trio.sleep(6)
            for _ in range(restarts):
                w.exchange.restart()
                epochs.append(w.exchange.epoch)
                await trio.sleep(10)
            await drain_slowly(controller, before)
            cursor = stored(controller)
        assert not lost(before)
        assert (cursor.streams[0].epoch, cursor.streams[0].next_id) == (epochs[0], max(ids(before)) + 1)
        async with app(w, cursor) as controller:
            after = await take(controller, until=300)
    told = [(each.epoch, each.start_seq, each.end_seq) for each in lost(after)]
    assert told == [(epochs[0], max(ids(before)) + 1, None), *((each, 1, None) for each in epochs[1:-1])]
    assert [each.new_epoch for each in after if isinstance(each, StreamReset)] == epochs[1:]
    assert sorted(ids(after)) == list(range(1, max(ids(after)) + 1))


async def test_what_is_lost_now_is_reported_by_the_next_controller(autojump_clock: MockClock) -> None:
    """Without history a mark that jumps is a loss at once."""
    async with world(rate_per_s=20) as w:
        before: list[AnyEvent] = []
        async with app(w, overflow="raise", buffer_size=40, reconciliation_enabled=False) as controller:
            before += await take(controller, until=30)
            await trio.sleep(6)
            for _ in range(3):
                w.network.reset(w.ws_port)
                await trio.sleep(10)
            assert controller.stats.ids_lost > 100
            await drain_slowly(controller, before)
            cursor = stored(controller)
        assert not lost(before)
        assert (cursor.streams[0].next_id, cursor.streams[0].holes) == (max(ids(before)) + 1, [])
        async with app(w, cursor) as controller:
            after = await take(controller, until=1_000)
    assert sorted(ids(after)) == list(range(max(ids(before)) + 1, max(ids(after)) + 1))


@pytest.mark.parametrize("overflow", ["refetch", "conflate"])
async def test_an_app_that_reads_no_word_any_more_can_go_on_later(
    overflow: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CONTROL_MAX", 25)
    async with world(rate_per_s=20) as w:
        before: list[AnyEvent] = []
        async with app(w, overflow=overflow, buffer_size=100, reconnect_max_attempts=None) as controller:
            before += await take(controller, until=30)
            left = w.exchange.epoch
            for _ in range(10):
                w.network.reset(w.ws_port)
                await trio.sleep(10)
            w.exchange.restart()
            await trio.sleep(10)
            await drain_slowly(controller, before)
            cursor = stored(controller)
        assert sum(isinstance(event, StateChanged) for event in before) > 10
        assert cursor.streams[0].epoch == left
        async with app(w, cursor) as controller:
            after = await take(controller, until=100)
    told = lost(before) + lost(after)
    assert sum(each.end_seq is None for each in told) == 1
    (end,) = [each.start_seq for each in told if each.end_seq is None]
    covered = [number for each in told if each.end_seq for number in range(each.start_seq, each.end_seq + 1)]
    of_left = [e.sequence_id or 0 for e in (*before, *after) if isinstance(e, MarketData) and e.epoch == left]
    assert sorted(of_left + covered) == list(range(min(of_left), end))


# -- the buffer alone --------------------------------------------------------------------------------------------------


def loss(start: int, end: int | None, epoch: str = "e-1") -> ContinuityLost:
    return ContinuityLost(
        channel="ticker", symbol="BTC/USD", epoch=epoch, start_seq=start, end_seq=end, reason="test", at=0.0
    )


def datum(sequence_id: int) -> MarketData:
    return MarketData(
        channel="ticker",
        symbol="BTC/USD",
        sequence_id=sequence_id,
        epoch="e-1",
        source=Source.LIVE,
        timestamp="2026-01-01T00:00:00.000Z",
        price=1.0,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )


def failed() -> DeliveryBuffer:
    buffer = DeliveryBuffer(capacity=10, on_relief=lambda: None, overflow="raise")
    buffer.put_data(datum(1))
    buffer.hold_back("a", 5, datum(5))
    buffer.fail(DeliveryOverflowError("too slow"))
    return buffer


async def test_it_has_no_room_however_much_is_taken(autojump_clock: MockClock) -> None:
    buffer = failed()
    assert (buffer.room, buffer.hold_room) == (0, 0)
    assert await buffer.take() == datum(1)
    assert (buffer.room, buffer.hold_room) == (0, 0)
    with trio.move_on_after(3_600) as scope:
        await buffer.wait_room(1)
    assert scope.cancelled_caught


async def test_whatever_is_put_then_counts_as_not_given(autojump_clock: MockClock) -> None:
    buffer = failed()
    buffer.release("a", 10)
    buffer.put_data(datum(6))
    buffer.put_all([datum(7)])
    buffer.hold_back("a", 9, datum(9))
    buffer.put(loss(10, 11))
    assert await buffer.take_all() == [datum(1)]
    with pytest.raises(DeliveryOverflowError):
        await buffer.take()
    assert buffer.held() == [datum(5), datum(6), datum(7), datum(9), loss(10, 11)]


def test_it_keeps_little_of_a_feed_that_goes_on_for_days() -> None:
    buffer = failed()
    for start in range(10, 1_000_000, 10):
        buffer.put(loss(start, start + 9))
    assert buffer.held()[2:] == [loss(10, 999_999)]
    for number in range(1_000):
        buffer.put(loss(7, None, f"e-{number}"))
        buffer.put(
            StreamReset(
                channel="ticker", symbol="BTC/USD", old_epoch=f"e-{number}", new_epoch=f"e-{number + 1}", at=0.0
            )
        )
    held = buffer.held()[2:]
    assert held[:2] == [loss(10, 999_999), loss(7, None, "e-0")]
    assert len(held) < 150
