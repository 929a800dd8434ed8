"""The key points of the specification: each test is named after its line. Details are tested elsewhere."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    Gap,
    MarketData,
    Reconciled,
    RestRateLimiter,
    SequenceTracker,
    Source,
    State,
    Trigger,
    open_controller,
)
from gapless.controller.exchange import RestReply
from gapless.controller.heartbeat import HeartbeatManager
from gapless.controller.request_window import RequestWindow
from gapless.simulator import FailureMode, FailuresConfig, Mode, SelectMode, SilentConnectionStrategy
from tests.kit import ETHER, SESSION, TICKER, Feed, World, world
from tests.scripted import Socket, Venue, history
from tests.simulator.conftest import BTC, served

SILENT = FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=50, count=1))


async def through_a_silence(w: World, feed: Feed) -> None:
    """A connection that goes silent, until the feed is whole again and some seconds more."""
    await feed.until_state(State.CONNECTED)
    w.fail(SILENT)
    await feed.until(lambda: bool(feed.moved(State.REST_FALLBACK)))
    await feed.until_state(State.CONNECTED)
    await trio.sleep(5.0)


# -- 1. heartbeat -----------------------------------------------------------------------------------------------------


async def test_sends_ping_messages_every_60_seconds_configurable(autojump_clock: MockClock) -> None:
    pings: list[float] = []

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        for number in range(1, 400):
            await socket.data(number)
            if socket.pings > len(pings):
                pings.append(trio.current_time())
            await trio.sleep(0.5)

    async with Venue(script, history(lambda: 400)).feed() as feed:
        await trio.sleep(190.0)
        assert [round(at / 60) for at in pings] == [1, 2, 3]
        assert feed.controller.round_trip_s is not None


def test_tracks_pending_pings_with_request_ids() -> None:
    manager = HeartbeatManager()
    first, second = manager.next_id(), manager.next_id()
    manager.sent(first, 0.0)
    manager.sent(second, 1.0)
    assert manager.handle_pong("p-999", 2.0) is None
    assert manager.handle_pong(second, 2.0) == 1.0
    assert manager.handle_pong(second, 2.0) is None
    assert manager.overdue_at() == 10.0


async def test_without_a_pong_within_10_seconds_the_connection_is_unhealthy_and_the_callback_says_so(
    autojump_clock: MockClock,
) -> None:
    """The last two lines. An idle window longer than the heartbeat leaves the finding to it."""
    health: list[tuple[bool, float]] = []

    def on_health_change(healthy: bool) -> None:  # as in the specification
        health.append((healthy, trio.current_time()))

    async with world() as w, w.feed(on_health_change=on_health_change, ws_idle_timeout=300.0) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(SILENT)
        await feed.until(lambda: bool(health), within_s=120.0)
        (verdict, at) = health[0]
        assert not verdict
        assert 70.0 <= at <= 70.5, "a PING after 60 s, and 10 s for its PONG"
        assert feed.moves[-1].trigger is Trigger.PONG_OVERDUE


# -- 2. rate limiting -------------------------------------------------------------------------------------------------


def test_proactive_tracks_request_rate_using_a_sliding_window_of_10_per_second() -> None:
    window = RequestWindow()
    for number in range(10):
        assert window.wait_s(number / 100) == 0.0
        window.sent(number / 100)
    assert window.wait_s(0.5) > 0.5


async def test_reactive_on_429_backoff_starts_at_1_second_doubles_up_to_60_and_the_request_is_retried(
    autojump_clock: MockClock,
) -> None:
    """The last three lines."""
    came: list[float] = []

    async def make_request() -> RestReply:
        came.append(trio.current_time())
        return RestReply(status=429 if len(came) <= 8 else 200, headers={}, body=b"")

    reply = await RestRateLimiter().retry_request(make_request, "/api/v1/prices", max_retries=10)
    assert reply.status == 200
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(came)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


# -- 3. sequence tracking ---------------------------------------------------------------------------------------------


async def test_each_market_data_message_includes_a_sequence_id(autojump_clock: MockClock) -> None:
    async with served(literal=True) as w, w.welcomed() as client:
        await client.subscribe(BTC)
        w.publish(3)
        assert [message["sequence_id"] for message in await client.hear_many(3)] == [1, 2, 3]


def test_tracks_expected_sequence_id_per_channel_and_symbol() -> None:
    tracker = SequenceTracker()
    assert [tracker.update(*key, 1) for key in (("ticker", "A"), ("ticker", "B"), ("trade", "A"))] == [None] * 3
    assert tracker.update("ticker", "B", 3) == Gap("ticker", "B", 2, 2)
    assert tracker.update("ticker", "A", 2) is None


def test_returns_a_gap_when_3_was_expected_and_5_came() -> None:
    tracker = SequenceTracker()
    tracker.update("ticker", "A", 2)
    assert tracker.update("ticker", "A", 5) == Gap(channel="ticker", symbol="A", start_seq=3, end_seq=4)


def test_ignores_duplicates_and_out_of_order_messages() -> None:
    tracker = SequenceTracker()
    tracker.update("ticker", "A", 5)
    assert [tracker.update("ticker", "A", number) for number in (5, 3, 6, 6)] == [None] * 4
    assert tracker.update("ticker", "A", 8) == Gap("ticker", "A", 7, 7)


# -- 4. reconciliation ------------------------------------------------------------------------------------------------


async def test_a_gap_triggers_a_fetch_over_rest_of_the_price_history_endpoint_and_callbacks_notify(
    autojump_clock: MockClock,
) -> None:
    """All four lines: one gap, followed through."""
    told: list[tuple[str, Reconciled]] = []
    live: list[AnyEvent] = []

    def on_reconciliation(kind: str, data: Reconciled) -> None:
        told.append((kind, data))

    async with world() as w:
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(30,))))
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            session_id=SESSION,
            on_message=live.append,
            on_reconciliation=on_reconciliation,
            boot_clock=trio.current_time,
        ):
            await trio.sleep(5.0)
        (request,) = [each for each in w.exchange.requests if "start_seq=30" in each.query]
        assert request.path == "/api/v1/prices"
        assert {"symbol=BTC%2FUSD", "limit=1000", "end_seq=30"} <= set(request.query.split("&"))
    (kind, data) = told[-1]
    assert kind == "market_data"
    assert isinstance(data, MarketData)
    assert data.sequence_id == 30


# -- 5. REST fallback -------------------------------------------------------------------------------------------------


async def test_a_silent_connection_is_disconnected_rest_collects_and_the_socket_reconnects(
    autojump_clock: MockClock,
) -> None:
    async with world() as w, w.feed() as feed:
        await through_a_silence(w, feed)
        path = feed.path
        at = path.index("SILENT")
        assert path[at : at + 3] == ["SILENT", "REST_FALLBACK", "RECONNECTING"]
        assert feed.ids(Source.POLL)
        assert feed.controller.generation == 2
        w.assert_contract(feed, settled=False)


async def test_rest_fetches_every_2_seconds_for_all_symbols_until_messages_come_and_then_stops(
    autojump_clock: MockClock,
) -> None:
    """It goes on while the new connection is open and says nothing, too."""
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(acknowledged_silent=Mode(enabled=True)))
        w.exchange.disconnect()
        await feed.until_state(State.RECONNECTING)
        await trio.sleep(0.5)
        since = w.exchange.now()
        await trio.sleep(8.0)
        asked = [each for each in w.exchange.requests if each.time_s >= since and "/prices" in each.path]
        for symbol in ("BTC", "ETH"):
            # What the subscription's mark revealed is filled by id beside that.
            times = [each.time_s for each in asked if symbol in each.query and "end_seq" not in each.query]
            assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [2, 2, 2]
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1.0)
        since = w.exchange.now()
        await trio.sleep(20.0)
        assert w.requests_since(since) == 0


async def test_the_activity_monitor_finds_silence_after_10_seconds_sooner_than_the_heartbeat(
    autojump_clock: MockClock,
) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(SILENT)
        await feed.until(lambda: bool(feed.moved(State.SILENT)))
        silent_s = feed.controller.freshness()[TICKER]
        assert 10.0 <= silent_s <= 10.1
        assert feed.moves[-1].trigger is Trigger.IDLE
        assert trio.current_time() < 60.0


# -- 6. silent connection failure mode --------------------------------------------------------------------------------


async def test_each_session_gets_its_own_count_and_after_n_messages_nothing_is_sent() -> None:
    strategy = SilentConnectionStrategy(after_messages=2)
    message: dict[str, object] = {"type": "MARKET_DATA"}
    assert [await strategy.apply_outbound(message, "a") for _ in range(3)] == [message, message, None]
    assert await strategy.apply_outbound(message, "b") == message
    assert await strategy.apply_outbound(message, "a") is None


async def test_the_tcp_connection_remains_open_but_no_data_is_sent(autojump_clock: MockClock) -> None:
    async with served(failures=SILENT) as w, w.welcomed() as client:
        await client.subscribe(BTC)
        w.publish(60)
        await client.ids(48)
        assert await client.hears_nothing(for_s=600.0)
        assert len(w.exchange.hub.sessions) == 1


@pytest.mark.parametrize("idle_s", [10.0, 300.0], ids=["by the activity monitor", "by the heartbeat"])
async def test_the_client_detects_it_disconnects_fetches_and_reconnects(
    idle_s: float, autojump_clock: MockClock
) -> None:
    async with world() as w, w.feed(ws_idle_timeout=idle_s) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(SILENT)
        await feed.until(lambda: bool(feed.moved(State.REST_FALLBACK)), within_s=120.0)
        found = next(move.trigger for move in feed.moves if move.after is State.SILENT)
        assert found is (Trigger.IDLE if idle_s == 10.0 else Trigger.PONG_OVERDUE)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(3.0)
        assert feed.ids(Source.POLL)
        w.assert_contract(feed, settled=False)
