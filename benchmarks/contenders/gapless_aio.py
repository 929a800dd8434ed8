"""gapless in an asyncio app, the full controller with the default configuration.

Options: ``transport`` and ``consume`` as in :mod:`gapless_full`; ``how`` is ``thread`` (:mod:`gapless.controller.aio`)
or ``guest`` (trio's guest mode: the run and the app share the loop's thread; batches go from a trio task to an asyncio
task, without threads between them). ``free``: not bound to one processor. Beside the app a task of the loop sleeps 5 ms
at a time and notes by how much it wakes late.
"""

import asyncio
import os
from array import array
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import outcome
import trio

from benchmarks.contenders.gapless_full import transport_of
from benchmarks.contenders.meter import Meter, Task, run
from gapless.controller import AnyEvent, FeedStats, MarketData, Stream, aio, open_controller

_NAP_S: Final = 0.005
_WAITING_MAX: Final = 8
"""Batches that the guest's trio side hands over before it waits."""

Enter = Callable[[list[AnyEvent]], bool]
"""Takes a batch to the app; True: that was all."""


def _enter(meter: Meter) -> Enter:
    n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample

    def enter(batch: list[AnyEvent]) -> bool:
        nonlocal n, next_at
        for event in batch:
            if type(event) is MarketData:
                _ = event.price
                if timed:
                    sample(event.volume_24h or 0.0)
                n += 1
        if n >= next_at:
            next_at = meter.reached(n)
        return meter.done.is_set()

    return enter


async def _events(controller: aio.AsyncioController, meter: Meter) -> None:
    n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample
    async for event in controller:
        if type(event) is MarketData:
            _ = event.price
            if timed:
                sample(event.volume_24h or 0.0)
            n += 1
            if n >= next_at:
                next_at = meter.reached(n)
                if meter.done.is_set():
                    return


async def _lag(meter: Meter) -> None:
    loop, late = asyncio.get_running_loop(), array("d")
    while True:
        due = loop.time() + _NAP_S
        await asyncio.sleep(_NAP_S)
        late.append(loop.time() - due)
        if len(late) % 20 == 0:
            meter.more = {"lag_p99_ms": sorted(late)[len(late) * 99 // 100] * 1e3}


async def _watched(meter: Meter, work: Awaitable[FeedStats]) -> None:
    lag = asyncio.create_task(_lag(meter))
    stats = await work
    lag.cancel()
    if stats.gaps_found or stats.skipped:
        meter.notes = {"gaps": stats.gaps_found, "skipped": stats.skipped, "backfilled": stats.backfilled}


async def _thread(task: Task, meter: Meter) -> FeedStats:
    streams = [Stream("ticker", name) for name in task.names]
    transport = transport_of(task.options["transport"], task.certificate)
    async with aio.open_controller(
        ws_url=task.ws_url, rest_url=task.rest_url, streams=streams, transport=transport
    ) as controller:
        if task.options["consume"] == "events":
            await _events(controller, meter)
        else:
            enter = _enter(meter)
            async for batch in controller.batches():
                if enter(batch):
                    break
        return controller.stats


class _Guest:
    """One feed in a trio run that is a guest of the loop."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[outcome.Outcome[None]] = self._loop.create_future()
        self._batches: deque[list[AnyEvent]] = deque()
        self._arrived = asyncio.Event()
        self._room = trio.Event()
        self._scope = trio.CancelScope()
        self.stats = FeedStats()

    async def _run(self) -> None:
        task = self._task
        with self._scope:
            async with open_controller(
                ws_url=task.ws_url,
                rest_url=task.rest_url,
                streams=[Stream("ticker", name) for name in task.names],
                transport=transport_of(task.options["transport"], task.certificate),
            ) as controller:
                self.stats = controller.stats
                async for batch in controller.batches():
                    self._batches.append(batch)
                    self._arrived.set()
                    if len(self._batches) >= _WAITING_MAX:
                        self._room = trio.Event()
                        await self._room.wait()

    async def consume(self, enter: Enter) -> None:
        trio.lowlevel.start_guest_run(
            self._run,
            run_sync_soon_threadsafe=self._loop.call_soon_threadsafe,
            done_callback=self._over.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        over = False
        while not over:
            await self._arrived.wait()
            self._arrived.clear()
            while self._batches and not over:
                over = enter(self._batches.popleft())
            self._room.set()
        self._scope.cancel()
        (await self._over).unwrap()


async def _guest(task: Task, meter: Meter) -> FeedStats:
    guest = _Guest(task)
    await guest.consume(_enter(meter))
    return guest.stats


def contend(task: Task, meter: Meter) -> None:
    """Open a controller and consume."""
    if task.options.get("free") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    how = _guest if task.options["how"] == "guest" else _thread
    asyncio.run(_watched(meter, how(task, meter)))


if __name__ == "__main__":
    run(contend)
