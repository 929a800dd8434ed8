"""Nothing grows: no memory while an app is slow, no thread, task or socket over many feeds."""

import asyncio
import gc
import os
import threading
import time
import tracemalloc
from contextlib import AbstractAsyncContextManager

import pytest

from gapless.controller import ConnectionController, ContinuityLost, NetworkConfig, aio
from gapless.controller.aio.handover import IN_FLIGHT_MAX
from tests.aio.kit import ETHER, TICKER, Venue, data, ids, run, threads, until, until_no_thread, venue


def opened(v: Venue, config: NetworkConfig | None = None) -> AbstractAsyncContextManager[aio.AsyncioController]:
    return aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], config=config)


def test_a_slow_app_costs_freshness_never_memory_and_nothing_is_lost() -> None:
    """As under trio: what does not fit becomes a gap, and is fetched once there is room."""

    async def main() -> tuple[list[int], int]:
        async with opened(v, NetworkConfig(buffer_size=500)) as controller:
            await until(lambda: v.subscribed() == 1)
            held_max = 0
            for _ in range(40):
                v.publish(250)
                await asyncio.sleep(0)
                held_max = max(held_max, controller.events_held)
            await until(lambda: controller.stats.skipped > 0)
            assert controller.open_gaps or controller.stats.skipped
            taken = await data(controller.__anext__, 10_000)
            assert not [event for event in taken if isinstance(event, ContinuityLost)]
            return ids(taken), held_max

    with venue() as v:
        taken, held_max = run(main)
    assert sorted(taken) == list(range(1, 10_001))
    # In flight, the one batch beyond, and the buffer; the few state events do not count against it.
    assert held_max <= IN_FLIGHT_MAX + 500 + 500 + 50


def test_an_app_that_blocks_its_loop_does_not_look_like_a_dead_peer() -> None:
    """The feed's timers and socket have a thread of their own: it stays connected, and answers in time."""

    async def main() -> None:
        config = NetworkConfig(heartbeat_interval=0.2, heartbeat_timeout=0.15, ws_idle_timeout=0.3)
        async with opened(v, config) as controller:
            await until(lambda: controller.stats.live > 0 and controller.round_trip_s is not None)
            generation, seen = controller.generation, controller.stats.live
            time.sleep(1.0)  # noqa: ASYNC251  # that is the point
            assert controller.generation == generation
            assert controller.stats.live > seen + 20

    with venue(rate_per_s=100) as v:
        run(main)


def test_the_thread_ends_with_the_last_feed_and_begins_with_the_next() -> None:
    async def main() -> None:
        async with opened(v):
            await until(lambda: v.subscribed() > 0)
            assert len(threads()) == 1

    with venue() as v:
        run(main)
        until_no_thread()
        run(main)


def test_the_thread_stays_while_a_host_has_something_to_remember() -> None:
    """The next feed goes on with the same limiter: what the first one has sent counts."""

    async def main() -> tuple[threading.Thread, int]:
        async with opened(v, NetworkConfig(rate_limit_window=2.0)) as controller:
            await until(lambda: v.subscribed() > 0)
            await controller.price_history("BTC/USD", limit=1)
            (thread,) = threads()
            return thread, controller.rest_budget[0]

    with venue() as v:
        first, one = run(main)
        second, two = run(main)
    assert second is first
    assert two > one
    until_no_thread()


@pytest.mark.parametrize("count", [25, pytest.param(1_000, marks=pytest.mark.long)])
def test_opens_and_closes_leak_nothing(count: int) -> None:
    """Left at whatever moment: while it dials, once it is subscribed, with events on their way."""

    async def feed(number: int) -> None:
        before = v.subscribed()
        async with opened(v) as controller:
            if number % 3:
                await until(lambda: v.subscribed() > before)
            if number % 3 == 2:
                await anext(controller)

    async def main() -> None:
        # One more feed holds the thread: what it takes by itself is no part of the count.
        async with aio.open_controller(
            ws_url=v.ws_url, rest_url=v.rest_url, streams=[ETHER], on_message=lambda _event: None
        ):
            await feed(2)
            await until(lambda: v.do(lambda: v.exchange.hub.sockets) == 1)
            files, tasks, held = open_files(), asyncio.all_tasks(), 0
            tracemalloc.start()
            for number in range(count):
                await feed(number)
                assert len(threads()) == 1
                assert asyncio.all_tasks() == tasks
                if number == count // 5:
                    held = held_bytes()
            await until(lambda: v.do(lambda: v.exchange.hub.sockets) == 1)
            grown = (held_bytes() - held) / (count * 4 // 5)
            tracemalloc.stop()
            assert open_files() <= files
            gc.collect()
            assert sum(isinstance(each, ConnectionController) for each in gc.get_objects()) == 1
            if count >= 1_000:
                # Caches that fill up weigh on a few feeds, and on a thousand no more.
                assert grown < 1_000, f"{grown:.0f} bytes per feed"

    async def patient() -> None:
        async with asyncio.timeout(300):
            await main()

    with venue(rate_per_s=100) as v:
        asyncio.run(patient())


def held_bytes() -> int:
    """What the library's own lines have allocated and somebody still holds."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/controller/*")])
    return sum(each.size for each in snapshot.traces)


def open_files() -> int:
    """Sockets, pipes and files of this process; 0 where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0  # noqa: PTH110, PTH208
