"""What users of hive, cashu-ts and xchange-stream reported: one connection, one owner, nothing half subscribed."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State, StreamRejected, Trigger
from gapless.simulator import RefuseMode, RejectMode
from tests.kit import ETHER, SESSION, TICKER, world
from tests.scripted import Socket, Venue, history


async def test_hive_pr_1185_handlers_of_an_old_connection_do_not_act_on_the_new_one(autojump_clock: MockClock) -> None:
    """hive PR#1185: event handlers of connections that were over fired on their successors.

    Ghost connections were the result, each with a life of its own. The lesson is one generation counter that everything
    belongs to: here, after three reconnects, one socket lives, with one heartbeat, and data comes once.
    """
    issued = 0
    open_now: set[int] = set()
    sockets: list[Socket] = []

    async def script(socket: Socket, number: int) -> None:
        nonlocal issued
        sockets.append(socket)
        open_now.add(number)
        try:
            await socket.welcome()
            await socket.subscribed(issued)
            while True:
                issued += 1
                await socket.data(issued, every_s=1.0)
        finally:
            open_now.discard(number)

    async with Venue(script, history(lambda: issued)).feed() as feed:
        for _ in range(3):
            await feed.until_state(State.CONNECTED)
            await trio.sleep(2.0)
            feed.controller.reconnect()
            await trio.sleep(0.1)
        await feed.until_state(State.CONNECTED)
        heard = len(feed.data)
        await trio.sleep(125.0)
        assert open_now == {4}
        assert feed.controller.generation == len(sockets) == 4
        assert sockets[-1].pings == 2, "one heartbeat, not one a handler"
        assert {event.generation for event in feed.data[heard:]} == {4}
        ids = [number or 0 for number in feed.ids()]
        assert sorted(ids) == list(range(1, len(ids) + 1))
        assert feed.lost == []


@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.101, 0.25])
async def test_cashu_ts_pr_930_a_late_close_leaves_the_successor_alone(
    after_s: float, autojump_clock: MockClock
) -> None:
    """cashu-ts PR#930: the close of a replaced socket arrived when its successor was being subscribed.

    It cleared the new connection's promise and failed its listeners: the acknowledgement was lost, events were denied,
    on a socket that looked open. Here the close is a tenth of a second under way while the app asks for a reconnect.
    """
    async with world(rate_per_s=5.0, latency_s=0.1, symbols=("BTC/USD",)) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        moves = len(feed.moves)
        w.exchange.disconnect()
        await trio.sleep(after_s)
        feed.controller.reconnect()
        await trio.sleep(5.0)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 2
        assert len(w.exchange.handshakes) == 2
        of_new = [move for move in feed.moves[moves:] if move.generation == 2]
        assert Trigger.LINK_LOST not in {move.trigger for move in of_new}
        assert feed.moves[-1].trigger is Trigger.RESYNCED
        w.assert_contract(feed, settled=False)


async def test_xchange_stream_356_an_outage_makes_one_attempt_after_the_other(autojump_clock: MockClock) -> None:
    """xchange-stream #356: Kraken answered 503 for a while, and the client ran out of memory.

    One break scheduled a reconnect in two places, as its fix, pull request 410, found. The lesson: a failure has one
    owner and one successor. Here every attempt of the outage is alone, and its generation is its number.
    """
    async with (
        world(rate_per_s=1.0, symbols=("BTC/USD",)) as w,
        w.feed(reconnect_max_attempts=None, reconnect_max_backoff=5.0) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        w.exchange.failures.switch("refuse", RefuseMode(enabled=True, how="http_503"), SESSION)
        w.exchange.disconnect()
        await trio.sleep(60.0)
        refused = [each.time_s for each in w.exchange.handshakes if each.outcome == "rejected"]
        assert 60.0 / 5.0 <= len(refused) <= 60.0
        assert min(later - earlier for earlier, later in pairwise(refused)) >= 1.0
        assert len(w.exchange.handshakes) in {feed.controller.generation, feed.controller.generation - 1}
        lost = [move for move in feed.moves if move.trigger is Trigger.LINK_LOST]
        assert len(lost) == len(refused) + 1
        assert w.network.open_sockets <= 6, "nothing is left of the attempts that failed"
        w.exchange.failures.switch("refuse", None, SESSION)
        await feed.until_state(State.CONNECTED)
        assert w.exchange.hub.sockets == 1
        w.assert_contract(feed, settled=False)


async def test_xchange_stream_502_a_stream_refused_on_resubscription_is_not_taken_for_subscribed(
    autojump_clock: MockClock,
) -> None:
    """xchange-stream #502: after a reconnect all channels were asked for at once, too fast for Kraken.

    It took the first and answered the rest with an error; the library held all of them for subscribed and never asked
    again. Here the refusal is an event, the next connection asks again, and what was issued meanwhile is fetched by id.
    """
    async with world(rate_per_s=5.0) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        reject = RejectMode(enabled=True, symbols=("ETH/USD",), code="msg_rate_exceeded", count=1)
        w.exchange.failures.switch("reject", reject, SESSION)
        w.exchange.disconnect()
        await feed.until(lambda: bool(feed.of(StreamRejected)))
        await trio.sleep(8.0)
        assert [getattr(event, "symbol", "") for event in feed.of(StreamRejected)] == ["ETH/USD"]
        stale_s = feed.controller.freshness()[ETHER]
        assert stale_s > 7.0, "it says so: this stream is not fresh"
        assert feed.controller.freshness()[TICKER] < 1.0
        w.exchange.disconnect()
        await trio.sleep(5.0)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.freshness()[ETHER] < 1.0
        assert feed.lost == []
        w.assert_contract(feed, TICKER, ETHER, settled=False)
