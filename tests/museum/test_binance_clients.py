"""What users of python-binance, binance-connector-python and UBWA reported: long lives, slow apps, old payloads."""

import trio
from trio.testing import MockClock

from gapless.controller import GapFound, MarketData, NetworkConfig, Source, State, Stream, Trigger
from gapless.simulator import RefuseMode
from tests.kit import ETHER, SESSION, TICKER, world

XRP = Stream("ticker", "XRP/USD")


async def test_python_binance_670_sockets_that_fall_silent_one_after_the_other_are_each_left(
    autojump_clock: MockClock,
) -> None:
    """python-binance #670: after some six hours messages stopped without an error.

    The app noticed, built a new socket manager, and that one brought nothing either. Here three sockets in a row say
    nothing: each is found and left, REST brings the data meanwhile, seconds old, and the fourth goes on without a hole.
    """
    async with world(rate_per_s=4.0, symbols=("BTC/USD",)) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        w.exchange.go_silent(SESSION, connections=3)
        stale_s = [0.0]
        with trio.move_on_after(60.0):
            while feed.controller.generation < 4 or feed.controller.state is not State.CONNECTED:
                await trio.sleep(0.5)
                newest = max(event.received_at for event in feed.data)
                stale_s.append(w.exchange.now() - newest)
        assert feed.controller.generation == 4
        assert w.exchange.injected["silent_connection"] == 3
        assert [each.outcome for each in w.exchange.handshakes] == ["accepted"] * 4
        assert max(stale_s) <= 11.0, "once an idle window, and then REST collects"
        assert sum(each > 3.0 for each in stale_s) <= 20
        assert feed.ids(Source.POLL)
        await trio.sleep(2.0)
        assert feed.lost == []
        w.assert_contract(feed, settled=False)


async def test_python_binance_1016_a_full_queue_loses_no_message_and_ends_no_stream(autojump_clock: MockClock) -> None:
    """python-binance #1016: "Queue overflow. Message not filled", and a larger queue only put it off.

    What did not fit was gone, and some streams stopped for good. Here a hundred places meet a thousand messages and an
    app that reads none of them for half a minute: later it has every one, once, on the same socket.
    """
    async with world(rate_per_s=0) as w, w.feed(consume=False, buffer_size=100, price_history_limit=50) as feed:
        await trio.sleep(1.0)
        for _ in range(20):
            w.publish(50)
            await trio.sleep(1.5)
        assert feed.controller.stats.skipped > 800
        assert feed.controller.events_held <= 160
        with trio.move_on_after(60.0):
            async for batch in feed.controller.batches():
                feed.events += batch
                await trio.sleep(0.01)
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, 1_001))
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 1
        assert feed.lost == []
        w.assert_contract(feed)


async def test_binance_connector_python_442_a_planned_rotation_leaves_no_hole_and_is_the_apps_to_plan(
    autojump_clock: MockClock,
) -> None:
    """binance-connector-python #442: the socket was replaced every 23 hours, unasked, and data was missing in between.

    Whoever has hundreds of streams wants to choose the hour. Here nothing rotates unless told to, the app may say when,
    and neither that rotation nor one by age costs an id, a gap, or a moment out of CONNECTED.
    """
    assert NetworkConfig().rotate_after is None
    async with world(rate_per_s=20.0, latency_s=0.1, symbols=("BTC/USD",)) as w:
        async with w.feed(session_id="untold") as feed:
            await trio.sleep(2.0)
            feed.controller.rotate("the quiet hour")
            await trio.sleep(2.0)
            assert [move.reason for move in feed.moves if move.trigger is Trigger.ROTATED] == ["the quiet hour"]
            w.assert_contract(feed, session_id="untold", settled=False)
        async with w.feed(rotate_after=2.0) as feed:
            await feed.until_state(State.CONNECTED)
            settled = len(feed.moves)
            began = len(feed.events)
            await trio.sleep(8.0)
            assert [move.trigger for move in feed.moves[settled:]] == [Trigger.ROTATED] * 3
            assert not any(isinstance(event, GapFound) for event in feed.events[began:])
            since = [event for event in feed.events[began:] if isinstance(event, MarketData)]
            assert {event.source for event in since} == {Source.LIVE}
            assert w.exchange.hub.sockets == 1
            w.assert_contract(feed, settled=False)


async def test_ubwa_pr_402_what_was_wanted_during_an_outage_is_not_replayed_but_what_is_wanted_now(
    autojump_clock: MockClock,
) -> None:
    """UBWA (unicorn-binance-websocket-api) PR#402: SUBSCRIBE payloads queued before a disconnect were sent after it.

    The new connection had subscribed what was current already, so messages came twice and the venue's count of
    subscriptions drifted. Here the app changes its mind six times without a socket: the next one is asked once, for
    exactly what is wanted then.
    """
    symbols = ("BTC/USD", "ETH/USD", "XRP/USD")
    async with world(rate_per_s=5.0, symbols=symbols) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        w.exchange.failures.switch("refuse", RefuseMode(enabled=True), SESSION)
        w.exchange.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        before = len(w.exchange.subscriptions)
        for change in (feed.controller.unsubscribe, feed.controller.subscribe, feed.controller.unsubscribe):
            change(ETHER)
            await trio.sleep(0.3)
        for change in (feed.controller.subscribe, feed.controller.unsubscribe, feed.controller.subscribe):
            change(XRP)
            await trio.sleep(0.3)
        w.exchange.failures.switch("refuse", None, SESSION)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(4.0)
        asked = [each.symbol for each in list(w.exchange.subscriptions)[before:]]
        assert asked == ["BTC/USD", "XRP/USD"]
        (session,) = w.exchange.hub.sessions
        assert {key.symbol for key in session.marks} == {"BTC/USD", "XRP/USD"}
        assert w.exchange.ignored == 0
        assert feed.controller.stats.unexpected == 0
        assert feed.controller.stats.duplicates == 0
        w.assert_contract(feed, TICKER, XRP, settled=False)
