"""What users of nats.java, nats.rs and nats.py reported: clocks, PINGs, and what a dead stream missed."""

import trio
from trio.testing import MockClock

from gapless.controller import State, Trigger, open_controller
from gapless.simulator.failure_modes import SelectMode
from gapless.simulator.network import Direction
from tests.kit import ETHER, SESSION, TICKER, Feed, virtual_wall_clock, world


async def test_the_wall_clock_may_jump(autojump_clock: MockClock) -> None:
    """nats.java #1332: ``lastMsgReceived`` was wall-clock time; a step of the system clock was a missed heartbeat.

    Here it steps ten hours ahead, twenty back and three days ahead, within one healthy connection.
    """
    step_s = 0.0

    def wall_clock() -> float:
        return virtual_wall_clock() + step_s

    async with (
        world(rate_per_s=2.0) as w,
        open_controller(
            ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], session_id=SESSION, wall_clock=wall_clock
        ) as controller,
        trio.open_nursery() as nursery,
    ):
        feed = Feed(controller)
        nursery.start_soon(feed.consume)
        await feed.until_state(State.CONNECTED)
        asked = len(w.exchange.requests)
        for each_s in (36_000.0, -72_000.0, 259_200.0):
            step_s += each_s
            await trio.sleep(25.0)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        assert len(w.exchange.requests) == asked
        assert controller.freshness()[TICKER] < 1.0
        w.assert_contract(feed, settled=False)
        nursery.cancel_scope.cancel()


async def test_what_is_sent_postpones_no_ping(autojump_clock: MockClock) -> None:
    """nats.rs #1593: a client that published every second never noticed that the server was gone, for ten minutes.

    Each message it sent put the next PING off; one that was idle found out in time. Here the app sends something every
    second into a network that swallows it, and the idle watch is too patient to help.
    """
    async with (
        world(rate_per_s=2.0) as w,
        w.feed(ws_idle_timeout=300.0, heartbeat_interval=20.0, heartbeat_timeout=5.0, attempt_timeout=300.0) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        opened_at = w.exchange.handshakes[0].time_s
        await trio.sleep(10.0)
        w.network.black_hole(Direction.BOTH, w.ws_port)

        async def chatter() -> None:
            while True:
                feed.controller.subscribe(ETHER)
                await trio.sleep(0.5)
                feed.controller.unsubscribe(ETHER)
                await trio.sleep(0.5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            await feed.until_state(State.SILENT, within_s=20.0)
            nursery.cancel_scope.cancel()
        assert feed.moves[-1].trigger is Trigger.PONG_OVERDUE
        assert 24.9 <= feed.moves[-1].at - opened_at <= 25.1


async def test_a_stream_that_died_behind_a_gap_is_taken_up_where_it_was_whole(autojump_clock: MockClock) -> None:
    """nats.py #510: an ordered consumer whose heartbeats stopped was not set up anew, and stayed silent for good.

    It was to be reset wherever a heartbeat or a message in the sequence is missing. Here both are: ids are lost, nobody
    can be asked for them, and then the connection falls silent.
    """
    async with world(rate_per_s=4.0) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        w.network.black_hole(Direction.BOTH, w.rest_port)
        lost = w.exchange.last_id("ticker", "BTC/USD") + 3
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(lost, lost + 2)), SESSION)
        await trio.sleep(3.0)
        assert feed.controller.open_gaps[TICKER] == [(lost, lost), (lost + 2, lost + 2)]
        w.exchange.go_silent(SESSION)
        await feed.until_state(State.SILENT, within_s=11.0)
        await feed.until_state(State.RESYNCING, within_s=60.0)
        assert feed.controller.generation == 2
        assert feed.controller.open_gaps[TICKER][:2] == [(lost, lost), (lost + 2, lost + 2)], (
            "the new socket owes them, too"
        )
        w.network.heal()
        await feed.until_state(State.CONNECTED, within_s=60.0)
        await trio.sleep(1.0)
        assert feed.controller.generation == 2
        assert {lost, lost + 2} <= set(feed.ids())
        assert feed.lost == []
        w.assert_contract(feed, settled=False)
