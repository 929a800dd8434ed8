"""What users of nautilus_trader reported: sockets that are open, acknowledged, pinged, and mute."""

import trio
from trio.testing import MockClock

from gapless.controller import Source, State, Trigger
from gapless.simulator import FailureMode, FailuresConfig, PingFloodMode, SymbolSilentMode
from gapless.simulator.failure_modes import Mode
from tests.kit import ETHER, SESSION, TICKER, Feed, world


def last_live_at(feed: Feed) -> float:
    return max(event.received_at for event in feed.data if event.source is Source.LIVE)


async def test_a_ping_resets_no_idle_timer(autojump_clock: MockClock) -> None:
    """nautilus_trader #3907: the idle time-out of its WebSocket client never fired on a zombie server.

    PING and PONG frames reset the timer that was to measure how long no data came. Here both kinds come several times a
    second, from the server and as answers to ours, and the silence is found as if there were none.
    """
    async with world(rate_per_s=4.0) as w, w.feed(heartbeat_interval=1.0) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        switch = w.exchange.failures.switch
        switch("ping_flood", PingFloodMode(enabled=True, pings_per_s=4.0, count=1), SESSION)
        switch("pong_only", FailureMode(enabled=True, after_messages=0, count=1), SESSION)
        await feed.until_state(State.SILENT, within_s=15.0)
        assert w.exchange.injected["ping_flood"] == 1
        assert feed.moves[-1].trigger is Trigger.IDLE
        assert feed.moves[-1].at - last_live_at(feed) <= 10.1
        await feed.until_state(State.CONNECTED)
        assert feed.controller.generation == 2, "the PONGs did not save the socket either: REST had moved on"
        w.assert_contract(feed, settled=False)


async def test_an_acknowledged_subscription_that_brings_no_data_is_found(autojump_clock: MockClock) -> None:
    """nautilus_trader #4255: Kraken acknowledged a subscription and then sent nothing on that connection, for minutes.

    The adapter had no idle time-out, so all it knew was good news: subscribed, socket open, no error.
    """
    async with world() as w:
        w.fail(FailuresConfig(acknowledged_silent=Mode(enabled=True, count=1)))
        async with w.feed() as feed:
            await feed.until_state(State.SILENT, within_s=10.2)
            assert State.CONNECTED not in {move.after for move in feed.moves}, "an acknowledgement is no data"
            assert {event.source for event in feed.data} == {Source.POLL}, "REST has collected all the while"
            await feed.until_state(State.CONNECTED)
            assert feed.controller.generation == 2
            await trio.sleep(1.0)
            w.assert_contract(feed, settled=False)


async def test_a_stream_that_stalls_behind_a_lively_connection_is_told_and_mended(autojump_clock: MockClock) -> None:
    """nautilus_trader #4298: the book of one Hyperliquid instrument stopped while the data client stayed connected.

    There was no disconnect, no error and no event; a strategy could only compare timestamps by itself. Here the
    stream's age can be read at any time, and the controller acts on it although everything else is lively.
    """
    dead = SymbolSilentMode(enabled=True, symbols=("ETH/USD",), after_messages=0, until="reconnect", count=1)
    async with world(rate_per_s=4.0) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.exchange.failures.switch("symbol_silent", dead, SESSION)
        await trio.sleep(8.0)
        assert feed.controller.state is State.CONNECTED
        ages = feed.controller.freshness()
        assert (ages[ETHER] > 7.0, ages[TICKER] < 1.0) == (True, True), "an app that trades on it can see it"
        await feed.until(lambda: feed.controller.generation == 2)
        reasons = [move.reason for move in feed.moves if move.trigger is Trigger.RECONNECT_REQUESTED]
        assert [reason.startswith("ticker:ETH/USD stays dead: REST has moved on") for reason in reasons] == [True]
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        assert feed.controller.freshness()[ETHER] < 1.0
        w.assert_contract(feed, TICKER, ETHER, settled=False)
