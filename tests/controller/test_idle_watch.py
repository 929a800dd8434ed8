"""Silence on the connection is found within the idle window, from whenever market data is awaited."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State, Trigger
from tests.kit import Feed
from tests.scripted import Socket, Venue, history

IDLE_S = 10.0


class Market:
    """Ids that REST knows; the socket shows some of them."""

    def __init__(self) -> None:
        self.last = 0
        self.shown_at = 0.0

    async def lives_and_dies(self, socket: Socket) -> None:
        """A hundred ids on the socket; then it is dead for data and alive for PINGs, while REST moves on."""
        for number in range(1, 101):
            self.last = number
            await socket.data(number, every_s=0.1)
            self.shown_at = trio.current_time() - 0.1
        while True:
            self.last += 1
            await trio.sleep(0.1)


async def rejected(socket: Socket) -> None:
    streams = [{"channel": "ticker", "symbol": "BTC/USD"}]
    await socket.send(type="REJECTED", request_id=None, code="busy", message="", streams=streams)


def found_idle_at(feed: Feed) -> list[float]:
    return [move.at - 1_767_225_600.0 for move in feed.moves if move.trigger is Trigger.IDLE]


async def test_a_stream_that_a_successor_takes_after_its_rejection_is_watched(autojump_clock: MockClock) -> None:
    market = Market()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        if number == 1:
            await rejected(socket)
            await trio.sleep_forever()
        await socket.subscribed(0)
        await market.lives_and_dies(socket)

    async with Venue(script, history(lambda: market.last)).feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(15.0)
        feed.controller.rotate()
        await feed.until_state(State.SILENT)
        assert found_idle_at(feed) == [pytest.approx(market.shown_at + IDLE_S, abs=0.1)]


async def test_a_stream_that_the_same_socket_takes_after_its_rejection_is_watched(autojump_clock: MockClock) -> None:
    market = Market()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await rejected(socket)
        await trio.sleep(12.0)
        await socket.subscribed(0)
        await market.lives_and_dies(socket)

    async with Venue(script, history(lambda: market.last)).feed() as feed:
        await feed.until_state(State.SILENT)
        assert found_idle_at(feed) == [pytest.approx(market.shown_at + IDLE_S, abs=0.1)]


async def test_a_stream_taken_at_last_has_a_whole_window_for_its_first_data(autojump_clock: MockClock) -> None:
    taken_at = 0.0

    async def script(socket: Socket, _number: int) -> None:
        nonlocal taken_at
        await socket.welcome()
        await rejected(socket)
        await trio.sleep(12.0)
        await socket.subscribed(0)
        taken_at = trio.current_time()
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 0)).feed() as feed:
        await feed.until_state(State.SILENT)
        assert found_idle_at(feed) == [pytest.approx(taken_at + IDLE_S, abs=0.1)]


async def test_the_window_begins_with_the_last_subscription_not_with_the_socket(autojump_clock: MockClock) -> None:
    """A venue takes eight seconds to answer, and may: until then nothing is owed."""
    taken_at = 0.0

    async def script(socket: Socket, _number: int) -> None:
        nonlocal taken_at
        await socket.welcome()
        await trio.sleep(8.0)
        await socket.subscribed(0)
        taken_at = trio.current_time()
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 0)).feed() as feed:
        await feed.until_state(State.SILENT)
        assert taken_at == pytest.approx(8.0, abs=0.1)
        assert found_idle_at(feed) == [pytest.approx(taken_at + IDLE_S, abs=0.1)]
