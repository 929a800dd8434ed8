"""The examination of a silence: what a slow socket, an account feed and a busy host may count on."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Priority, RestRateLimiter, State, Stream, Trigger
from gapless.controller.exchange import RestReply
from gapless.simulator.network import Direction
from tests.kit import TICKER, world
from tests.scripted import Socket, Venue, history

ORDERS = Stream("orders", "*")
ONE_WAY_S = 0.6


class SlowVenue:
    """Everything its sockets say comes late by one way; REST knows of a trade just before a silence is examined."""

    def __init__(self) -> None:
        self.last = 3

    async def script(self, socket: Socket, _number: int) -> None:
        socket.answers = False
        await socket.welcome()
        await trio.sleep(2 * ONE_WAY_S)
        await socket.subscribed(0)
        await socket.data(1, 2, 3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer_pings, socket, nursery)
            await trio.sleep(9.95)
            self.last = 4
            await trio.sleep(ONE_WAY_S)
            await socket.data(4)
            await trio.sleep_forever()

    async def _answer_pings(self, socket: Socket, nursery: trio.Nursery) -> None:
        answered = 0
        while True:
            while answered < socket.pings:
                answered += 1
                nursery.start_soon(self._pong, socket, f"p-{answered}")
            await trio.sleep(0.01)

    async def _pong(self, socket: Socket, request_id: str) -> None:
        await trio.sleep(2 * ONE_WAY_S)
        await socket.send(type="PONG", request_id=request_id)


@pytest.mark.parametrize("heartbeat_interval", [3.0, 60.0], ids=["known by PONGs", "known by the subscription alone"])
async def test_a_live_socket_with_a_long_round_trip_keeps_its_good_name(
    heartbeat_interval: float, autojump_clock: MockClock
) -> None:
    venue = SlowVenue()
    async with Venue(venue.script, history(lambda: venue.last)).feed(heartbeat_interval=heartbeat_interval) as feed:
        await feed.until_state(State.SILENT)
        assert (feed.controller.round_trip_s is None) is (heartbeat_interval == 60.0)
        await trio.sleep(5.0)
        assert feed.controller.generation == 1
        assert [move.trigger for move in feed.moves if move.before is State.SILENT] == [Trigger.DATA_FLOWS]
        assert feed.ids()[-1] == 4


@pytest.mark.parametrize("sign", ["an order", "an answered PING"])
async def test_two_lost_pongs_with_a_sign_of_life_between_them_are_not_in_a_row(
    sign: str, autojump_clock: MockClock
) -> None:
    """An account feed has no witness but the PONG: a socket that answered meanwhile is not given up."""
    async with world(rate_per_s=0) as w, w.feed(ORDERS) as feed:
        await feed.until_state(State.CONNECTED)
        for number in (1, 2):
            await trio.sleep(30.0)
            w.network.black_hole(Direction.BOTH, w.ws_port)
            await feed.until(lambda: len(feed.moved(State.SILENT)) == number, within_s=200.0)  # noqa: B023
            w.network.heal()
            await feed.until(lambda: feed.moves[-1].trigger is not Trigger.PONG_OVERDUE)
            if sign == "an order":
                w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
                await trio.sleep(1.0)
            else:
                await trio.sleep(200.0)
        verdicts = [move for move in feed.moves if move.before is State.SILENT]
        assert [(move.trigger, move.unverified) for move in verdicts] == [(Trigger.MARKET_QUIET, True)] * 2
        assert feed.controller.generation == 1


async def test_without_a_sign_of_life_between_them_they_are(autojump_clock: MockClock) -> None:
    """Every PING of the clock is lost, only those of the examinations come through."""

    async def script(socket: Socket, number: int) -> None:
        socket.answers = False
        await socket.welcome()
        await socket.subscribed(0, ORDERS)
        for lost in range(1, 100):
            while socket.pings < 2 * lost:  # noqa: ASYNC110, the script has no other way to see a PING
                await trio.sleep(0.01)
            await socket.send(type="PONG", request_id=f"p-{2 * lost + 4 * (number - 1)}")

    async with Venue(script, history(lambda: 0)).feed(ORDERS) as feed:
        await feed.until(lambda: feed.controller.generation == 2, within_s=300.0)
        verdicts = [move for move in feed.moves if move.before is State.SILENT]
        assert [move.trigger for move in verdicts] == [Trigger.MARKET_QUIET, Trigger.SILENCE_CONFIRMED]
        assert all(move.unverified for move in verdicts)
        assert "twice in a row" in verdicts[1].reason


async def test_what_the_verdict_waits_for_goes_before_everything_else(autojump_clock: MockClock) -> None:
    """Thirty gap fills of somebody else wait for the same host: three seconds of its budget."""
    limiter = RestRateLimiter()

    async def somebody_else(number: int) -> None:
        async def make_request() -> RestReply:
            return RestReply(status=200, headers={}, body=b"")

        await limiter.retry_request(make_request, f"/{number}", priority=Priority.GAP_FILL, client="somebody else")

    async with world() as w, w.feed(limiter=limiter) as feed, trio.open_nursery() as nursery:
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.BOTH, w.ws_port)
        await trio.sleep(9.95)
        for number in range(30):
            nursery.start_soon(partial(somebody_else, number))
        await feed.until_state(State.SILENT)
        silent_at = trio.current_time()
        await feed.until_state(State.REST_FALLBACK)
        assert feed.moves[-1].reason.startswith(f"REST has moved on: {TICKER} has id")
        assert trio.current_time() - silent_at < 1.5
        nursery.cancel_scope.cancel()
