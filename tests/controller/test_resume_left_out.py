"""Streams that an app leaves out for a while stay in its cursor where they were."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from gapless.controller import ConnectionController, ContinuityLost, MarketData, Stream, open_controller
from gapless.controller.cursor import Cursor
from tests.kit import ETHER, TICKER, World, virtual_wall_clock, world


@asynccontextmanager
async def app(w: World, streams: Sequence[Stream], resume: Cursor | None = None) -> AsyncIterator[ConnectionController]:
    async with open_controller(
        ws_url=w.ws_url, rest_url=w.rest_url, streams=streams, wall_clock=virtual_wall_clock, resume=resume
    ) as controller:
        yield controller


async def take(controller: ConnectionController, seconds: float) -> dict[str, list[int]]:
    """The ids of what comes for so long, by symbol."""
    taken: dict[str, list[int]] = {}
    with trio.move_on_after(seconds):
        async for event in controller:
            assert not isinstance(event, ContinuityLost)
            if isinstance(event, MarketData):
                taken.setdefault(event.symbol, []).append(event.sequence_id or 0)
    return taken


async def test_one_that_comes_back_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    both = [TICKER, ETHER]
    async with world(rate_per_s=5) as w:
        async with app(w, both) as controller:
            first = await take(controller, 10)
            cursor = controller.cursor()
        async with app(w, [TICKER], cursor) as controller:
            second = await take(controller, 30)
            cursor = Cursor.decode(controller.cursor().encode())
        assert ETHER.symbol not in second
        async with app(w, both, cursor) as controller:
            third = await take(controller, 10)
    for stream in both:
        ids = [number for each in (first, second, third) for number in each.get(stream.symbol, [])]
        assert sorted(ids) == list(range(min(ids), max(ids) + 1)), stream
        assert len(ids) > 150


async def test_one_that_is_wanted_later_in_the_run_begins_anew(autojump_clock: MockClock) -> None:
    """And so it does in the cursor; given up, it is in none."""
    async with world(rate_per_s=5) as w:
        async with app(w, [TICKER, ETHER]) as controller:
            first = await take(controller, 10)
            cursor = controller.cursor()
        async with app(w, [TICKER], cursor) as controller:
            await take(controller, 10)
            (left_out,) = [each for each in controller.cursor().streams if each.symbol == ETHER.symbol]
            assert left_out == next(each for each in cursor.streams if each.symbol == ETHER.symbol)
            controller.subscribe(ETHER)
            second = await take(controller, 10)
            assert min(second[ETHER.symbol]) > max(first[ETHER.symbol]) + 30
            (present,) = [each for each in controller.cursor().streams if each.symbol == ETHER.symbol]
            assert present.next_id == max(second[ETHER.symbol]) + 1
            controller.unsubscribe(ETHER)
            assert [each.symbol for each in controller.cursor().streams] == [TICKER.symbol]


async def test_an_epoch_that_ended_while_it_was_left_out_is_reported(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=5) as w:
        async with app(w, [TICKER, ETHER]) as controller:
            first = await take(controller, 10)
            cursor = controller.cursor()
        epoch = w.exchange.epoch
        w.exchange.restart()
        async with app(w, [TICKER], cursor) as controller:
            with trio.move_on_after(10):
                async for _ in controller:
                    pass
            cursor = Cursor.decode(controller.cursor().encode())
        lost: list[ContinuityLost] = []
        async with app(w, [TICKER, ETHER], cursor) as controller:
            with trio.move_on_after(10):
                async for event in controller:
                    lost += [event] if isinstance(event, ContinuityLost) else []
    told = [(each.symbol, each.epoch, each.start_seq, each.end_seq) for each in lost]
    assert told == [(ETHER.symbol, epoch, max(first[ETHER.symbol]) + 1, None)]
