"""Resuming streams that only times tell apart: no row comes twice, and none that REST has is missing."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    Exchange,
    MarketData,
    NetworkConfig,
    Source,
    State,
    open_controller,
)
from gapless.controller.cursor import Cursor
from gapless.simulator import FailuresConfig, SelectMode
from tests.controller.resume_kit import ids, lost, read, stored, where
from tests.controller.test_by_time import Tape, unsequenced
from tests.controller.test_literal_exchange import Trouble, literal_world
from tests.kit import SESSION, TICKER, World, virtual_wall_clock
from tests.scripted import Socket, Venue


@asynccontextmanager
async def app(
    ws_url: str, rest_url: str, resume: Cursor | None = None, *, exchange: Exchange | None = None, **settings: object
) -> AsyncIterator[ConnectionController]:
    async with open_controller(
        ws_url=ws_url if exchange is None else None,
        rest_url=rest_url if exchange is None else None,
        exchange=exchange,
        streams=[TICKER],
        config=NetworkConfig.from_mapping({"reconnect_max_attempts": None, **settings}),
        random=Random(1),
        wall_clock=virtual_wall_clock,
        session_id=SESSION if exchange is None else None,
        resume=resume,
    ) as controller:
        yield controller


def assert_all_once(w: World, events: Iterable[AnyEvent]) -> None:
    """Of the times between the first and the last."""
    times = Counter(event.timestamp for event in events if isinstance(event, MarketData))
    assert [each for each, count in times.items() if count > 1] == []
    issued = {row.timestamp for row in w.exchange.get_price_history(TICKER.symbol, limit=100_000)}
    owed = {each for each in issued if min(times) <= each <= max(times)}
    assert len(owed) > 200, "hardly anything was issued"
    assert sorted(owed - times.keys()) == []


async def no_trouble(w: World) -> None:
    pass


async def a_hole(w: World) -> None:
    """Of ten ids, and REST does not tell them."""
    w.network.black_hole(port=w.rest_port)
    next_id = w.exchange.last_id(TICKER.channel, TICKER.symbol) + 1
    w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=tuple(range(next_id, next_id + 10)))))
    await trio.sleep(8)


async def only_rest(w: World) -> None:
    """Rows without ids lie in the buffer, of ids that no socket has shown."""
    w.network.refuse(w.ws_port)
    w.exchange.disconnect()
    await trio.sleep(15)


@pytest.mark.parametrize("unread_s", [0.0, 5.0])
@pytest.mark.parametrize("trouble", [no_trouble, a_hole, only_rest], ids=lambda each: each.__name__)
async def test_the_literal_form(trouble: Trouble, unread_s: float, autojump_clock: MockClock) -> None:
    async with literal_world() as w:
        events: list[AnyEvent] = []
        cursor: Cursor | None = None
        for _ in range(3):
            async with app(w.ws_url, w.rest_url, cursor) as controller:
                events += await read(controller, 10)
                await trouble(w)
                events += await read(controller, 5)
                await trio.sleep(unread_s)
                cursor = stored(controller.cursor())
            w.network.heal()
            w.network.accept(w.ws_port)
            await trio.sleep(5)
        async with app(w.ws_url, w.rest_url, cursor) as controller:
            events += await read(controller, 60)
            assert controller.state is State.CONNECTED
    assert_all_once(w, events)


async def test_rows_of_one_instant_are_told_apart(autojump_clock: MockClock) -> None:
    """Two of them were consumed; the third lies in the buffer when the app is killed, and is not among them."""
    tape = Tape()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await tape.tick(socket, 20)
        for row in [tape.issue() for _ in range(3)]:
            await socket.send(type="MARKET_DATA", channel="ticker", symbol="BTC/USD", **row)
        await trio.sleep_forever()

    venue = Venue(script, tape.rest)
    async with venue.served():
        ws_url, rest_url = venue.ws_url, venue.rest_url
        consumed: list[int] = []
        async with app(ws_url, rest_url, exchange=unsequenced(ws_url, rest_url)) as controller:
            async for event in controller:
                consumed += ids([event])
                if consumed[-1:] == [22]:
                    break
            await trio.sleep(1)
            cursor = stored(controller.cursor())
        assert where(cursor).times.by_time
        assert len(where(cursor).times.seen) == 2
        tape.issue()
        async with app(ws_url, rest_url, cursor, exchange=unsequenced(ws_url, rest_url)) as controller:
            after = await read(controller, 30)
    numbers = consumed + ids(after)
    assert sorted(numbers) == list(range(1, len(tape.rows) + 1))


async def test_a_hole_of_rows_without_ids_is_asked_for_in_its_own_time(autojump_clock: MockClock) -> None:
    """REST fails for so long that thousands were consumed after it: they need not be listed, nor do they come twice."""
    async with literal_world() as w:
        async with app(w.ws_url, w.rest_url) as controller:
            events = await read(controller, 10)
            await a_hole(w)
            events += await read(controller, 300)
            cursor = controller.cursor()
        position = where(cursor)
        assert position.times.holes_since < position.times.holes_until < position.timestamp
        assert len(position.times.seen) < 10
        w.network.heal()
        async with app(w.ws_url, w.rest_url, stored(cursor)) as controller:
            after = await read(controller, 30)
        assert [event for event in after if isinstance(event, MarketData) and event.source is Source.BACKFILL]
        assert {reason for _start, _end, reason in lost(after)} == {"unverifiable"}
    assert_all_once(w, events + after)
