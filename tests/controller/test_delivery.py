"""The buffer between the ledger and the app: bounded for data, never dropping a control event, fair, closable."""

from collections import Counter, deque

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from gapless.controller import AnyEvent, GapFound, MarketData, Source
from gapless.controller.delivery import DeliveryBuffer


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


def control(number: int) -> GapFound:
    return GapFound(
        channel="ticker", symbol="BTC/USD", epoch="e-1", start_seq=number, end_seq=number, reason="test", at=0.0
    )


class Relief:
    """Counts how often an overflow ended."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def buffer_of(capacity: int, *, held: int = 0, relief: Relief | None = None) -> DeliveryBuffer:
    made = DeliveryBuffer(capacity=capacity, on_relief=relief or Relief())
    for sequence_id in range(1, held + 1):
        made.put_data(datum(sequence_id))
    return made


async def drain(buffer: DeliveryBuffer, count: int) -> list[AnyEvent | None]:
    return [await buffer.take() for _ in range(count)]


# -- the bound --------------------------------------------------------------------------------------------------------


async def test_a_full_buffer_says_so() -> None:
    buffer = buffer_of(4, held=3)
    assert (buffer.overflowing, buffer.room) == (False, 1)
    buffer.put_data(datum(4))
    assert (buffer.overflowing, buffer.room, len(buffer)) == (True, 0, 4)


async def test_the_overflow_lasts_until_the_buffer_is_half_empty() -> None:
    relief = Relief()
    buffer = buffer_of(6, held=6, relief=relief)
    overflow = []
    for _ in range(6):
        await buffer.take()
        overflow.append((buffer.room, buffer.overflowing, relief.times))
    assert overflow == [
        (1, True, 0),
        (2, True, 0),
        (3, False, 1),
        (4, False, 1),
        (5, False, 1),
        (6, False, 1),
    ]


async def test_an_odd_capacity_is_relieved_when_no_more_than_half_is_held() -> None:
    buffer = buffer_of(5, held=5)
    await drain(buffer, 2)
    assert buffer.overflowing
    await buffer.take()
    assert not buffer.overflowing


async def test_taking_everything_relieves_at_once_and_each_overflow_once() -> None:
    relief = Relief()
    buffer = buffer_of(4, relief=relief)
    for number in range(3):
        for sequence_id in range(4):
            buffer.put_data(datum(sequence_id))
        assert len(await buffer.take_all()) == 4
        assert (buffer.overflowing, buffer.room, relief.times) == (False, 4, number + 1)


async def test_what_relief_adds_comes_after_what_was_taken() -> None:
    buffer = DeliveryBuffer(capacity=2, on_relief=lambda: buffer.put(control(9)))
    for sequence_id in (1, 2):
        buffer.put_data(datum(sequence_id))
    assert await drain(buffer, 3) == [datum(1), datum(2), control(9)]
    for sequence_id in (3, 4):
        buffer.put_data(datum(sequence_id))
    assert await buffer.take_all() == [datum(3), datum(4)]
    assert await buffer.take_all() == [control(9)]


# -- control events ---------------------------------------------------------------------------------------------------


async def test_control_events_are_taken_by_a_full_buffer_and_count_for_nothing() -> None:
    buffer = buffer_of(2, held=2)
    for number in range(1_000):
        buffer.put(control(number))
    assert (len(buffer), buffer.room) == (1_002, 0)
    assert len(await buffer.take_all()) == 1_002
    for number in range(1_000):
        buffer.put(control(number))
    assert (buffer.overflowing, buffer.room) == (False, 2)


async def test_control_events_keep_their_place_among_the_data() -> None:
    """A reset stands between the last datum of the old epoch and the first of the new."""
    buffer = buffer_of(10, held=2)
    buffer.put(control(1))
    buffer.put_data(datum(3))
    assert await drain(buffer, 4) == [datum(1), datum(2), control(1), datum(3)]


async def test_taking_a_control_event_relieves_nothing() -> None:
    buffer = buffer_of(2)
    buffer.put(control(1))
    for sequence_id in (1, 2):
        buffer.put_data(datum(sequence_id))
    await buffer.take()
    assert buffer.overflowing


# -- room for a page --------------------------------------------------------------------------------------------------


async def test_a_page_waits_until_it_fits(autojump_clock: MockClock) -> None:
    buffer = buffer_of(10, held=8)
    with trio.move_on_after(1) as scope:
        await buffer.wait_room(4)
    assert scope.cancelled_caught, "room for two only"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(buffer.wait_room, 4)
        await wait_all_tasks_blocked()
        await buffer.take()
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        await buffer.take()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_while_an_overflow_lasts_nothing_fits(autojump_clock: MockClock) -> None:
    buffer = buffer_of(10, held=10)
    await drain(buffer, 4)
    with trio.move_on_after(1) as scope:
        await buffer.wait_room(1)
    assert scope.cancelled_caught
    await buffer.take()
    await buffer.wait_room(1)


async def test_a_page_larger_than_half_the_buffer_waits_for_half(autojump_clock: MockClock) -> None:
    buffer = buffer_of(10, held=6)
    with trio.move_on_after(1) as scope:
        await buffer.wait_room(1_000)
    assert scope.cancelled_caught
    await buffer.take()
    await buffer.wait_room(1_000)


async def test_several_wait_and_each_goes_when_its_page_fits(autojump_clock: MockClock) -> None:
    buffer = buffer_of(20, held=19)
    went: list[int] = []

    async def page(rows: int) -> None:
        await buffer.wait_room(rows)
        went.append(rows)

    async with trio.open_nursery() as nursery:
        for rows in (9, 3, 6, 3):
            nursery.start_soon(page, rows)
        for _ in range(19):
            await wait_all_tasks_blocked()
            assert sorted(went) == [rows for rows in (3, 3, 6, 9) if rows <= buffer.room]
            await buffer.take()
    assert len(went) == 4


async def test_taking_everything_makes_room_for_all_of_them(autojump_clock: MockClock) -> None:
    buffer = buffer_of(20, held=20)
    async with trio.open_nursery() as nursery:
        for rows in (10, 1, 5):
            nursery.start_soon(buffer.wait_room, rows)
        await wait_all_tasks_blocked()
        await buffer.take_all()


# -- the consumer -----------------------------------------------------------------------------------------------------


async def test_the_consumer_sleeps_until_something_comes(autojump_clock: MockClock) -> None:
    buffer = buffer_of(4)
    taken: list[AnyEvent | None] = []

    async def consume() -> None:
        taken.append(await buffer.take())
        taken.extend(await buffer.take_all())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        buffer.put_data(datum(1))
        await wait_all_tasks_blocked()
        buffer.put(control(2))
        buffer.put_data(datum(3))
    assert taken == [datum(1), control(2), datum(3)]


async def test_a_cancelled_wait_takes_nothing(autojump_clock: MockClock) -> None:
    buffer = buffer_of(4)
    with trio.move_on_after(1):
        await buffer.take()
    with trio.move_on_after(1):
        await buffer.take_all()
    buffer.put_data(datum(1))
    assert await buffer.take() == datum(1)


async def test_what_is_held_is_handed_over_after_closing() -> None:
    buffer = buffer_of(4, held=2)
    buffer.close()
    assert await drain(buffer, 4) == [datum(1), datum(2), None, None]
    assert await buffer.take_all() == []


async def test_closing_wakes_who_waits(autojump_clock: MockClock) -> None:
    for wait in ("take", "take_all"):
        buffer = buffer_of(4)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(getattr(buffer, wait))
            await wait_all_tasks_blocked()
            buffer.close()


async def test_a_loop_over_a_full_buffer_can_be_cancelled() -> None:
    """Nothing ever blocks in it: without a checkpoint now and then it would run to the end."""
    buffer = buffer_of(10_000, held=9_999)
    taken = 0
    with trio.CancelScope() as scope:
        scope.cancel()
        while len(buffer):
            await buffer.take()
            taken += 1
    assert scope.cancelled_caught
    assert taken < 100
    assert len(buffer) == 9_999 - taken, "and no event is lost by it"


async def test_a_loop_over_a_buffer_that_is_always_refilled_is_fair() -> None:
    """Batches too: another task gets its turn although the consumer never has to wait."""
    buffer = buffer_of(4)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for sequence_id in range(1_000):
            buffer.put_data(datum(sequence_id))
            await buffer.take_all()
        nursery.cancel_scope.cancel()
    assert turns >= 10


def test_any_sequence_of_puts_and_takes_keeps_order_bound_and_relief() -> None:
    reached: Counter[str] = Counter()
    steps = st.sampled_from(["data"] * 9 + ["control"] * 2 + ["take"] * 6 + ["take_all"])
    operations = st.lists(steps, min_size=30, max_size=80)

    @settings(max_examples=60, derandomize=True, deadline=None)
    @given(st.integers(2, 7), operations)
    def explore(capacity: int, steps: list[str]) -> None:
        async def play() -> None:
            relief = Relief()
            buffer = buffer_of(capacity, relief=relief)
            model = deque[AnyEvent]()
            overflowing, reliefs = False, 0
            for number, step in enumerate(steps):
                if step == "data" and buffer.room:
                    model.append(datum(number))
                    buffer.put_data(datum(number))
                elif step == "control":
                    model.append(control(number))
                    buffer.put(control(number))
                    reached["control while full"] += not buffer.room
                elif step == "take" and model:
                    assert await buffer.take() == model.popleft()
                elif step == "take_all" and model:
                    assert await buffer.take_all() == list(model)
                    model.clear()
                held = sum(isinstance(event, MarketData) for event in model)
                assert (len(buffer), buffer.room) == (len(model), capacity - held)
                if overflowing and held <= capacity // 2:
                    overflowing, reliefs = False, reliefs + 1
                    reached["relieved"] += 1
                elif held == capacity:
                    overflowing = True
                    reached["overflowed"] += 1
                assert (buffer.overflowing, relief.times) == (overflowing, reliefs)
                reached["half full again"] += overflowing and buffer.room > 0

        trio.run(play)

    explore()
    wanted = {"control while full", "relieved", "overflowed", "half full again"}
    assert not wanted - {name for name, times in reached.items() if times}


async def test_a_loop_keeps_up_with_a_link_that_enters_whole_reads(autojump_clock: MockClock) -> None:
    """Each turn of the link brings 340 events, as a read of 64 KiB does; the app only counts them."""
    buffer = buffer_of(2_000)
    skipped = 0

    async def link() -> None:
        nonlocal skipped
        for read in range(100):
            for sequence_id in range(340):
                if buffer.overflowing:
                    skipped += 1
                else:
                    buffer.put_data(datum(read * 340 + sequence_id))
            await trio.lowlevel.checkpoint()
        buffer.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(link)
        while await buffer.take() is not None:
            pass
    assert skipped == 0


async def test_a_turn_ends_where_the_clock_stands_still(autojump_clock: MockClock) -> None:
    buffer = buffer_of(20_000)
    for sequence_id in range(10_000):
        buffer.put_data(datum(sequence_id))
    for _ in range(100):
        await buffer.take()
    taken = 0
    with trio.CancelScope() as scope:
        scope.cancel()
        while len(buffer):
            await buffer.take()
            taken += 1
    assert scope.cancelled_caught
    assert 1_000 < taken < 5_000
