"""A stream that is given up and wanted again while data of before lies unread: a cursor tells of the present wish."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConnectionController, Stream, open_controller
from gapless.controller.cursor import Cursor, StreamCursor
from tests.controller.resume_kit import ids, lost, read, stored
from tests.kit import ETHER, TICKER, World, virtual_wall_clock, world


def publish(w: World, count: int) -> None:
    for _ in range(count):
        w.exchange.publish(TICKER.channel, TICKER.symbol)


async def wanted_again(w: World, controller: ConnectionController, *, restarts: bool) -> None:
    """600 are issued, and the app has read none; from 601 on it wants them again."""
    await trio.sleep(1)
    if restarts:
        publish(w, 5)
        await trio.sleep(0.1)
        w.exchange.restart()
        await trio.sleep(3)
    publish(w, 500)
    await trio.sleep(0.5)
    controller.unsubscribe(TICKER)
    await trio.sleep(0.5)
    publish(w, 100)
    controller.subscribe(TICKER)
    await trio.sleep(0.5)


def of(cursor: Cursor, stream: Stream) -> StreamCursor:
    (place,) = (each for each in cursor.streams if each.symbol == stream.symbol)
    return place


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("unread", [0, 7])
async def test_what_lies_unread_of_an_earlier_wish_is_no_hole(
    unread: int, restarts: bool, autojump_clock: MockClock
) -> None:
    async with world(rate_per_s=0) as w:
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER, ETHER],
            random=Random(1),
            wall_clock=virtual_wall_clock,
        ) as controller:
            await wanted_again(w, controller, restarts=restarts)
            publish(w, unread)
            await trio.sleep(0.5)
            cursor = stored(controller.cursor())
        place = of(cursor, TICKER)
        assert (place.epoch, place.next_id, place.holes, place.ahead) == (w.exchange.epoch, 601, [], [])
        publish(w, 3)
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER, ETHER],
            random=Random(1),
            wall_clock=virtual_wall_clock,
            resume=cursor,
        ) as controller:
            after = await read(controller, 5)
    assert ids(after) == list(range(601, 601 + unread + 3))
    assert lost(each for each in after if getattr(each, "symbol", None) == TICKER.symbol) == []
