"""A cursor says where the app is, and the next controller goes on from there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import msgspec
import pytest
import trio

from gapless.controller import (
    AnyEvent,
    ConfigurationError,
    ConnectionController,
    ContinuityLost,
    GapFound,
    MarketData,
    NetworkConfig,
    State,
    Stream,
    StreamReset,
    open_controller,
)
from gapless.controller.cursor import Cursor, Rewind, StreamCursor
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import SelectMode
from tests.kit import TICKER, World, virtual_wall_clock, world


@asynccontextmanager
async def app(
    w: World, resume: Cursor | None = None, *, streams: Sequence[Stream] = (TICKER,), **settings: object
) -> AsyncIterator[ConnectionController]:
    async with open_controller(
        ws_url=w.ws_url,
        rest_url=w.rest_url,
        streams=streams,
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


def ids(events: Sequence[AnyEvent]) -> list[int]:
    return [event.sequence_id or 0 for event in events if isinstance(event, MarketData)]


def stored(cursor: Cursor) -> Cursor:
    """As it comes back from a store."""
    return Cursor.decode(cursor.encode())


async def test_what_was_missed_between_two_controllers_is_filled(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w:
        async with app(w) as controller:
            before = await take(controller, until=30)
            cursor = controller.cursor()
        await trio.sleep(60)
        async with app(w, stored(cursor)) as controller:
            after = await take(controller, until=700)
            await controller.wait_for(State.CONNECTED)
    numbers = ids(before) + ids(after)
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
    assert len(set(numbers)) == len(numbers)
    assert not [event for event in after if isinstance(event, ContinuityLost)]


async def test_what_lies_in_the_buffer_is_not_consumed(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w, app(w) as controller:
        before = await take(controller, until=20)
        await trio.sleep(10)
        assert controller.events_held > 50
        (position,) = controller.cursor().streams
        assert (position.next_id, position.holes) == (ids(before)[-1] + 1, [])


async def test_the_rest_of_a_batch_is_not_consumed_where_the_app_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(rate_per_s=10) as w, app(w) as controller:
        await take(controller, until=20)
        await trio.sleep(10)
        batch = await anext(controller.batches())
        assert controller.cursor().streams[0].next_id == ids(batch)[-1] + 1
        assert controller.cursor(unread=batch[10:]).streams[0].next_id == ids(batch[10:])[0]
        assert controller.cursor(unread=batch).streams[0].next_id == 21


async def test_holes_are_part_of_it_and_are_filled_later(autojump_clock: trio.testing.MockClock) -> None:
    """REST is out of order for as long as the first controller runs: what is dropped stays a hole."""
    async with world(rate_per_s=10) as w:
        w.network.black_hole(port=w.rest_port)
        w.exchange.failures.set(FailuresConfig(drop=SelectMode(enabled=True, ids=(20, 21, 25))))
        async with app(w) as controller:
            before = await take(controller, until=30)
            cursor = controller.cursor()
        assert cursor.streams[0].holes == [(20, 21), (25, 25)]
        w.network.heal()
        async with app(w, stored(cursor)) as controller:
            after = await take(controller, until=60)
    numbers = ids(before) + ids(after)
    assert {20, 21, 25} <= set(ids(after))
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))


async def test_an_epoch_that_ended_meanwhile_is_reported(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w:
        async with app(w) as controller:
            before = await take(controller, until=20)
            cursor = controller.cursor()
        left = w.exchange.epoch
        w.exchange.restart()
        await trio.sleep(5)
        async with app(w, stored(cursor)) as controller:
            after = await take(controller, until=70)
    lost = [event for event in after if isinstance(event, ContinuityLost)]
    assert [(each.epoch, each.start_seq, each.end_seq) for each in lost] == [(left, ids(before)[-1] + 1, None)]
    assert [each.new_epoch for each in after if isinstance(each, StreamReset)] == [w.exchange.epoch]
    assert sorted(ids(after)) == list(range(1, max(ids(after)) + 1))


async def test_what_the_app_was_not_told_of_a_restart_it_is_told_again(autojump_clock: trio.testing.MockClock) -> None:
    """The reset lies in the buffer: the app is still in the epoch before."""
    async with world(rate_per_s=10) as w:
        async with app(w) as controller:
            before = await take(controller, until=20)
            left = w.exchange.epoch
            w.exchange.restart()
            await trio.sleep(5)
            cursor = controller.cursor()
        (position,) = cursor.streams
        assert (position.epoch, cursor.epoch) == (left, w.exchange.epoch)
        assert position.next_id == ids(before)[-1] + 1
        async with app(w, stored(cursor)) as controller:
            after = await take(controller, until=100)
    lost = [event for event in after if isinstance(event, ContinuityLost)]
    assert [(each.epoch, each.start_seq, each.end_seq) for each in lost] == [(left, ids(before)[-1] + 1, None)]
    assert sorted(ids(after)) == list(range(1, max(ids(after)) + 1))


async def test_held_back_data_is_missing(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w:
        w.network.black_hole(port=w.rest_port)
        w.exchange.failures.set(FailuresConfig(drop=SelectMode(enabled=True, ids=(20,))))
        async with app(w, ordering="sequence") as controller:
            await take(controller, until=19)
            await trio.sleep(3)
            (position,) = controller.cursor().streams
    assert (position.next_id, position.holes) == (20, [])


async def test_more_holes_than_may_be_open_are_filled_all_the_same(autojump_clock: trio.testing.MockClock) -> None:
    """The bound is for what goes wrong from now on; what REST still has of before is not given up for it."""
    holes = [(number, number) for number in range(2, 100, 2)]
    async with world(rate_per_s=10) as w:
        async with app(w) as controller:
            await take(controller, until=100)
            (position,) = controller.cursor().streams
        cursor = Cursor(streams=[msgspec.structs.replace(position, holes=holes)], epoch=w.exchange.epoch)
        w.network.black_hole(port=w.rest_port)
        async with app(w, stored(cursor), open_intervals_max=5) as controller:
            after = await take(controller, until=105)
            assert controller.cursor().streams[0].holes == holes
            w.network.heal()
            after += await take(controller, until=200)
    assert [event for event in after if isinstance(event, ContinuityLost)] == []
    assert [(each.start_seq, each.end_seq) for each in after if isinstance(each, GapFound)][: len(holes)] == holes
    assert sorted(ids(after)) == sorted([*(start for start, _end in holes), *range(101, max(ids(after)) + 1)])


async def test_a_hole_is_announced_as_open_only_where_it_is(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w:
        async with app(w) as controller:
            await take(controller, until=100)
            (position,) = controller.cursor().streams
        cursor = Cursor(streams=[msgspec.structs.replace(position, holes=[(2, 3), (7, 9)])], epoch=w.exchange.epoch)
        async with app(w, stored(cursor), reconciliation_enabled=False) as controller:
            after = await take(controller, until=105)
    words = [
        (type(each), each.start_seq, each.end_seq) for each in after if isinstance(each, GapFound | ContinuityLost)
    ]
    assert words == [
        (GapFound, 2, 3),
        (ContinuityLost, 2, 3),
        (GapFound, 7, 9),
        (ContinuityLost, 7, 9),
        *words[4:],
    ]


async def test_a_stream_that_the_cursor_does_not_name_begins_anew(autojump_clock: trio.testing.MockClock) -> None:
    async with world(rate_per_s=10) as w, app(w, Cursor(streams=[], epoch=None)) as controller:
        assert ids(await take(controller, until=5))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"streams":[],"version":2}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":-1}]}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":9,"holes":[[5,4]]}]}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":9,"holes":[[5,9]]}]}',
        b'{"streams":[{"channel":"a","symbol":"b","holes":[[5,9]]}]}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":9223372036854775809}]}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":9,"lost":[[5,4,"evicted"]]}]}',
        b'{"streams":[{"channel":"a","symbol":"b","next_id":9,"lost":[[4,5,"eaten"]]}]}',
        b'{"streams":[{"channel":"a","symbol":"b"},{"channel":"a","symbol":"b"}]}',
    ],
)
def test_what_is_no_cursor_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not a cursor of gapless"):
        Cursor.decode(text)


def test_a_cursor_is_small() -> None:
    cursor = Cursor(
        streams=[StreamCursor(channel="ticker", symbol="BTC/USD", epoch="e-1", next_id=43, holes=[(7, 9)])], epoch="e-1"
    )
    assert msgspec.json.decode(cursor.encode())["streams"][0]["holes"] == [[7, 9]]
    assert len(cursor.encode()) < 200


def test_a_stream_has_one_place() -> None:
    twice = [StreamCursor(channel="ticker", symbol="BTC/USD", next_id=number) for number in (5, 9)]
    with pytest.raises(ValueError, match="once; got more often: ticker:BTC/USD"):
        Cursor(streams=twice)


def rewound(next_id: int, missing: Sequence[tuple[int, int]]) -> StreamCursor:
    return Rewind("e-1", next_id, missing).position("ticker", "BTC/USD")


def test_what_follows_the_highest_id_of_all_can_be_read_again() -> None:
    cursor = Cursor(streams=[rewound(2**63, [(5, 6)])])
    assert stored(cursor) == cursor


def test_more_holes_than_a_cursor_may_have_become_one_rather_than_none() -> None:
    """Of what lies between the oldest of them some comes twice; a cursor that cannot be read would cost everything."""
    most = 100_000
    missing = [(number, number) for number in range(10, 10 + 2 * (most + 3), 2)]
    position = rewound(10**6, missing)
    assert len(position.holes) == most
    assert position.holes[:2] == [(10, 16), (18, 18)]
    assert position.holes[-1] == missing[-1]
    assert stored(Cursor(streams=[position])).streams == [position]
