"""Jumps further than ``sequence_jump_max`` that are real: believed in the end, and filled once."""

import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import GapFilled, State
from tests.scripted import Query, Socket, Venue, history


async def test_a_real_jump_is_filled_once_while_history_is_kept(autojump_clock: MockClock) -> None:
    issued = 10

    async def script(socket: Socket, _number: int) -> None:
        nonlocal issued
        await socket.welcome()
        await socket.subscribed(10)
        await socket.data(11)
        issued = 514
        await socket.data(512, 513, 514, every_s=0.001)
        for issued in range(515, 560):
            await socket.data(issued, every_s=0.1)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: issued)).feed(sequence_jump_max=100) as feed:
        await trio.sleep(8.0)
        assert sorted(number or 0 for number in feed.ids()) == list(range(11, 560))
        assert {event.reason for event in feed.events if isinstance(event, GapFilled)} == {"rest"}
        assert feed.controller.state is State.CONNECTED


async def test_an_outage_of_socket_and_rest_that_a_mark_ends_far_ahead_is_filled_once(
    autojump_clock: MockClock,
) -> None:
    issued, rest_is_up = 0, False

    async def script(socket: Socket, number: int) -> None:
        nonlocal issued, rest_is_up
        await socket.welcome()
        if number == 1:
            await socket.subscribed(0)
            for issued in range(1, 61):
                await socket.data(issued, every_s=0.1)
            issued = 1000
            return
        await socket.subscribed(issued)
        rest_is_up = True
        for issued in range(1001, 1100):
            await socket.data(issued, every_s=0.1)
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        return history(lambda: issued)(path, query) if rest_is_up else Response(status_code=503)

    async with Venue(script, rest).feed(sequence_jump_max=100, circuit_breaker_failures=0) as feed:
        await trio.sleep(40.0)
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, 1100))
        assert feed.lost == []


async def test_two_corrupt_ids_during_an_overflow_are_refuted_when_it_is_over(autojump_clock: MockClock) -> None:
    issued, far = 0, 10**12

    async def script(socket: Socket, _number: int) -> None:
        nonlocal issued
        await socket.welcome()
        await socket.subscribed(0)
        for issued in range(1, 31):
            await socket.data(issued)
        await socket.data(far, far + 1)
        await trio.sleep(10.0)
        for issued in range(31, 100):
            await socket.data(issued, every_s=0.2)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued))
    async with venue.feed(buffer_size=20, consume=False) as feed, trio.open_nursery() as nursery:
        await trio.sleep(8.0)
        nursery.start_soon(feed.consume)
        await trio.sleep(30.0)
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, 100))
        assert feed.controller.state is State.CONNECTED
        nursery.cancel_scope.cancel()
