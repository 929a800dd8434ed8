"""Batches between two threads: in order, whole, bounded, and woken no more often than needed."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest
import trio

from gapless.controller import AnyEvent, MarketData, Source
from gapless.controller.aio import thread
from gapless.controller.aio.crossing import tell
from gapless.controller.aio.handover import IN_FLIGHT_MAX, HandOver
from tests.aio.kit import ids, run, until


class CountingLoop:
    """The running loop, whose wakes from other threads are counted."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wakes = 0
        self._call = self.loop.call_soon_threadsafe
        self.loop.call_soon_threadsafe = self._counted  # type: ignore[method-assign,assignment]

    def _counted(self, call: Callable[..., object], *arguments: object) -> asyncio.Handle:
        self.wakes += 1
        return self._call(call, *arguments)


class Producer:
    """Puts events into a queue in the trio thread, in batches, and ends."""

    def __init__(self, batches: list[int], error: Exception | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.batches = batches
        self.error = error
        self.put = 0
        self.scope = trio.CancelScope()
        self.ready: asyncio.Future[HandOver] = self.loop.create_future()

    def cancel(self) -> None:
        self.scope.cancel()

    def refuse(self, reason: BaseException | None) -> None:
        raise AssertionError("the thread had just been started") from reason

    async def run(self) -> None:
        held = HandOver(self.loop)
        self.loop.call_soon_threadsafe(self.ready.set_result, held)
        with self.scope:
            for size in self.batches:
                await held.put([datum(self.put + number) for number in range(size)])
                self.put += size
        if self.error is not None:
            held.fail(self.error)
        else:
            tell(self.loop, held.finish)


def datum(number: int) -> AnyEvent:
    return MarketData("ticker", "BTC/USD", number, "e", Source.LIVE, "", 1.0, None, None, None, 0.0, 1)


async def produced(batches: list[int], error: Exception | None = None) -> tuple[Producer, HandOver]:
    producer = Producer(batches, error)
    thread.admit(producer)
    return producer, await producer.ready


@pytest.mark.parametrize("seed", range(5))
def test_everything_arrives_once_and_in_order_however_it_is_taken(seed: int) -> None:
    """One by one, in batches, and by tasks that are cancelled at any moment."""
    chance = random.Random(seed)
    sizes = [chance.choice((1, 2, 30, 700)) for _ in range(300)]

    async def main() -> list[int]:
        _, held = await produced(sizes)
        taken: list[AnyEvent] = []

        async def take() -> None:
            while len(taken) < sum(sizes):
                if chance.random() < 0.1:
                    taken.extend(await held.take_all())
                elif (event := await held.take()) is not None:
                    taken.append(event)

        while len(taken) < sum(sizes):
            task = asyncio.create_task(take())
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert await held.take() is None
        assert await held.take_all() == []
        return ids(taken)

    assert run(main) == list(range(sum(sizes)))


def test_an_app_that_does_not_take_stops_the_producer() -> None:
    async def main() -> None:
        producer, held = await produced([100] * 1_000)
        await until(lambda: len(held) >= IN_FLIGHT_MAX)
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert IN_FLIGHT_MAX <= len(held) <= IN_FLIGHT_MAX + 100
        batch = await held.take_all()
        assert len(batch) == len({id(event) for event in batch}) >= IN_FLIGHT_MAX
        await until(lambda: len(held) >= IN_FLIGHT_MAX)
        assert len(batch) + len(held) <= 2 * (IN_FLIGHT_MAX + 100)
        while await held.take_all():
            continue
        assert producer.put == 100_000

    run(main)


def test_what_is_begun_counts_as_unread_event_by_event() -> None:
    async def main() -> None:
        _, held = await produced([3, 4])
        await until(lambda: len(held) == 7)
        assert ids(held.unread()) == list(range(7))
        await held.take()
        await held.take()
        assert (len(held), ids(held.unread())) == (5, [2, 3, 4, 5, 6])
        assert ids(await held.take_all()) == [2, 3, 4, 5, 6]
        assert (len(held), held.unread()) == (0, [])

    run(main)


def test_a_loop_that_is_busy_is_not_woken_for_each_batch() -> None:
    """Two hundred batches come while the app does not wait: no wake at all; and one for each wait afterwards."""

    async def main() -> None:
        counting = CountingLoop()
        producer, held = await produced([5] * 200)
        await until(lambda: producer.put == 1_000)
        begun = counting.wakes
        assert begun <= 2
        assert len(await held.take_all()) == 1_000
        assert await held.take() is None
        assert counting.wakes - begun <= 1

    run(main)


def test_a_failure_comes_behind_what_was_held_again_and_again() -> None:
    async def main() -> None:
        _, held = await produced([2], ValueError("no more"))
        await until(lambda: len(held) == 2)
        assert len(await held.take_all()) == 2
        for take in (held.take, held.take_all):
            with pytest.raises(ValueError, match="no more"):
                await take()

    run(main)


def test_a_loop_over_what_is_there_leaves_others_their_turn() -> None:
    """An app that spends long on each event, though a batch lies there: the loop turns every few milliseconds."""

    async def main() -> None:
        _, held = await produced([1_000])
        await until(lambda: len(held) == 1_000)
        loop, turns = asyncio.get_running_loop(), 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        begun_at = loop.time()
        for _ in range(1_000):
            await held.take()
            busy_until = loop.time() + 0.000_1
            while loop.time() < busy_until:
                continue
        took_s = loop.time() - begun_at
        task.cancel()
        await asyncio.wait([task])
        assert turns >= 10
        assert took_s / turns < 0.1

    run(main)


def test_a_loop_over_batches_that_never_waits_leaves_others_their_turn() -> None:
    async def main() -> None:
        producer, held = await produced([IN_FLIGHT_MAX] * 30)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        for number in range(1, 31):
            # Blocking, so that a batch lies there whenever the loop asks for one.
            while producer.put < IN_FLIGHT_MAX * (number - 1) or len(held) == 0:
                time.sleep(0.001)  # noqa: ASYNC251  # see above
            before = turns
            await held.take_all()
            assert turns > before or number == 1
        task.cancel()
        await asyncio.wait([task])

    run(main)
