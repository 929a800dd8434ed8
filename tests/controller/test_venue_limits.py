"""What venues allow: frames on a socket, attempts to connect, requests, streams of a connection, its age."""

from functools import partial
from itertools import pairwise

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    ConfigurationError,
    NetworkConfig,
    State,
    Stream,
    StreamRejected,
    Trigger,
    open_controller,
    open_controllers,
    split_streams,
)
from gapless.controller.connect_gates import gate_of
from gapless.controller.exchanges import BinanceExchange, ReferenceExchange
from gapless.controller.exchanges import CoinbaseExchange as CoinbaseAdapter
from gapless.controller.gate import Gate
from gapless.controller.host_limiters import limiter_of
from gapless.controller.outbox import Outbox
from gapless.controller.request_window import WINDOW_GUARD_S, RequestWindow
from gapless.simulator.failure_modes import SelectMode
from gapless.simulator.venues import BinanceLimits, BinanceSpot, CoinbaseExchange
from tests.controller.venue_kit import assert_whole, venue_world

TRADES = Stream("trade", "BTCUSDT")


# -- frames on a socket -----------------------------------------------------------------------------------------------


async def test_an_outbox_sends_so_many_frames_in_any_window_in_their_order(autojump_clock: MockClock) -> None:
    sent: list[tuple[float, str]] = []

    async def send(frame: str) -> None:
        sent.append((trio.current_time(), frame))
        await trio.lowlevel.checkpoint()

    outbox = Outbox(send, (5, 1.0))
    for number in range(12):
        await outbox.send(str(number))
    assert [frame for _, frame in sent] == [str(number) for number in range(12)]
    times = [at for at, _ in sent]
    assert times[:5] == [0.0] * 5
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[5:], strict=False))
    assert times[-1] == pytest.approx(2 * (1.0 + WINDOW_GUARD_S), abs=0.01)


async def test_frames_of_several_tasks_take_turns(autojump_clock: MockClock) -> None:
    sent: list[float] = []

    async def send(_frame: str) -> None:
        sent.append(trio.current_time())
        await trio.lowlevel.checkpoint()

    outbox = Outbox(send, (2, 1.0))
    async with trio.open_nursery() as nursery:
        for number in range(7):
            nursery.start_soon(outbox.send, str(number))
    assert all(later - earlier > 1.0 for earlier, later in zip(sent, sent[2:], strict=False))
    assert len(sent) == 7


async def test_an_outbox_without_a_budget_sends_as_they_come(autojump_clock: MockClock) -> None:
    sent: list[str] = []

    async def send(frame: str) -> None:
        sent.append(frame)
        await trio.lowlevel.checkpoint()

    outbox = Outbox(send, None)
    for number in range(100):
        await outbox.send(str(number))
    assert (len(sent), trio.current_time()) == (100, 0.0)


async def test_sixty_frames_are_said_within_what_the_venue_takes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cuts who says more than five a second; PINGs count, too."""
    monkeypatch.setattr("gapless.controller.exchanges.binance._STREAMS_PER_FRAME", 1)
    symbols = tuple(f"S{number}USDT" for number in range(60))
    async with venue_world(BinanceSpot(), symbols=symbols) as world:
        streams = [Stream("trade", symbol) for symbol in symbols]
        feed = await world.feed(*streams, heartbeat_interval=1.0, heartbeat_timeout=5.0, attempt_timeout=30.0)
        await trio.sleep(20.0)
        await world.market(10.0, *symbols, every_s=1.0)
        assert world.simulator.violations == type(world.simulator.violations)()
        assert len(world.simulator.subscriptions) == 60
        assert {move.after for move in feed.moves} == {State.RESYNCING, State.CONNECTED}
        assert feed.of(StreamRejected) == []
        assert_whole(world, feed, *streams)


# -- attempts to connect ----------------------------------------------------------------------------------------------


async def test_a_gate_lets_through_so_many_in_any_window_and_says_who_waits(autojump_clock: MockClock) -> None:
    gate = Gate((3, 10.0), "connections")
    passed: list[float] = []

    async def dial() -> None:
        await gate.turn()
        passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(7):
            nursery.start_soon(dial)
    assert passed[:3] == [0.0] * 3
    assert all(later - earlier > 10.0 for earlier, later in zip(passed, passed[3:], strict=False))
    assert passed[-1] == pytest.approx(2 * (10.0 + WINDOW_GUARD_S), abs=0.01)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("wss://stream.example:9443/ws", "wss://STREAM.example:9443/stream", True),
        ("wss://me:secret@stream.example/ws", "wss://stream.example/ws", True),
        ("wss://stream.example/ws", "wss://stream2.example/ws", False),
        ("wss://stream.example:1/ws", "wss://stream.example:2/ws", False),
    ],
)
async def test_one_host_has_one_gate(one: str, other: str, same: bool) -> None:
    first = gate_of(one, (3, 10.0))
    assert first is not None
    assert first.budget == (3, 10.0)
    assert (gate_of(other, (5, 20.0)) is first) is same
    assert gate_of(one, None) is None, "a host that is dialled at will"


async def test_controllers_on_one_host_share_its_budget_of_connections(autojump_clock: MockClock) -> None:
    """Three controllers, nine connections in five minutes: the tenth, of whichever of them, waits for the first."""
    limits = BinanceLimits(connects_per_5_minutes=9)
    symbols = tuple(f"S{number}USDT" for number in range(3))
    async with venue_world(BinanceSpot(limits=limits), symbols=symbols) as world:
        for symbol in symbols:
            exchange = world.adapter(connect_budget=(9, 300.0))
            await world.feed(Stream("trade", symbol), exchange=exchange, rest_fetch_interval=30.0)
        await trio.sleep(0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(world.market, 400.0, *symbols, every_s=5.0))
            for generation in (1, 2, 3):
                for feed in world.feeds:
                    await feed.until_state(State.CONNECTED)
                    assert feed.controller.generation == generation
                world.simulator.disconnect()
                await trio.sleep(0.1)
            await trio.sleep(290.0 - trio.current_time())
            assert {feed.controller.state for feed in world.feeds} <= {State.RECONNECTING, State.REST_FALLBACK}
            for feed in world.feeds:
                await feed.until_state(State.CONNECTED)
                assert feed.controller.generation >= 4
            nursery.cancel_scope.cancel()
        assert list(world.simulator.violations) == []
        await trio.sleep(1.0)
        for feed, symbol in zip(world.feeds, symbols, strict=True):
            assert_whole(world, feed, Stream("trade", symbol))


async def test_a_successor_takes_its_turn_at_the_gate_as_well(autojump_clock: MockClock) -> None:
    async with venue_world(BinanceSpot()) as world:
        feed = await world.feed(TRADES, exchange=world.adapter(connect_budget=(1, 60.0)))
        await trio.sleep(0.5)
        await world.market(5.0, "BTCUSDT")
        feed.controller.rotate("the test says so")
        await world.market(50.0, "BTCUSDT", every_s=1.0)
        assert feed.controller.generation == 1
        await world.market(15.0, "BTCUSDT", every_s=1.0)
        assert feed.controller.generation == 2
        assert_whole(world, feed, TRADES)


# -- requests ---------------------------------------------------------------------------------------------------------


def test_what_somebody_else_of_our_address_used_takes_room() -> None:
    window = RequestWindow(requests=100, window_s=60.0)
    window.sent(0.0, 25)
    window.observed(1.0, 25)
    assert window.used(1.0) == 25, "it is all ours"
    window.observed(2.0, 80)
    assert window.used(2.0) == 80
    window.sent(3.0, 10)
    assert window.used(3.0) == 90
    assert window.wait_s(3.0, 10) == 0.0
    assert window.wait_s(3.0, 11) == pytest.approx(2.0 + 60.0 + WINDOW_GUARD_S - 3.0)
    window.observed(4.0, 90)
    assert window.used(4.0) == 90, "said twice, counted once"
    assert not window.is_clear(63.0)
    assert window.is_clear(64.2)
    assert window.used(64.1) == 0


def test_a_host_whose_window_begins_anew_is_believed_and_our_own_window_slides_on() -> None:
    window = RequestWindow(requests=100, window_s=60.0)
    window.sent(0.0, 25)
    window.observed(1.0, 95)
    window.observed(30.0, 5)
    assert window.used(30.0) == 25
    assert window.wait_s(30.0, 75) == 0.0
    assert window.wait_s(30.0, 76) == pytest.approx(30.0 + WINDOW_GUARD_S)


def test_what_the_host_has_counted_does_not_fade_with_what_we_sent_in_its_window_before() -> None:
    """It counts by the minute: of 100, the 25 sent at 0 are none; taken for ours, they would make room at 60."""
    window = RequestWindow(requests=100, window_s=60.0)
    window.sent(0.0, 25)
    window.sent(50.0, 25)
    window.observed(50.1, 100)
    assert window.wait_s(61.0, 1) == pytest.approx(50.1 + 60.0 + WINDOW_GUARD_S - 61.0)


def test_a_host_that_counts_more_than_there_is_takes_all_of_it_and_no_more() -> None:
    window = RequestWindow(requests=100, window_s=60.0)
    window.observed(5.0, 1_000_000)
    assert window.used(5.0) == 100
    assert window.wait_s(5.0) == pytest.approx(60.0 + WINDOW_GUARD_S)
    assert window.wait_s(66.0) == 0.0


async def test_foreign_weight_is_seen_in_replies_and_kept_clear_of(autojump_clock: MockClock) -> None:
    """Somebody else of our address has used most of the minute: the venue never has to refuse us."""
    async with venue_world(BinanceSpot(limits=BinanceLimits(weight_per_minute=200))) as world:
        feed = await world.feed(TRADES, exchange=world.adapter(budget=(200, 60.0)))
        await trio.sleep(0.5)
        world.publish(3, "BTCUSDT")
        await feed.until_state(State.CONNECTED)
        await trio.sleep(65.0 - trio.current_time())  # a minute that holds nothing of ours
        async with httpx.AsyncClient(base_url=world.endpoints.rest_url, trust_env=False) as other:
            for _ in range(5):
                await other.get("/api/v3/historicalTrades?symbol=BTCUSDT&limit=1")
        for number in range(6):
            world.fail(drop=SelectMode(enabled=True, every_nth=1, count=1))
            world.publish(2, "BTCUSDT")
            await trio.sleep(2.0)
            assert len(feed.data) >= 3 + 2 * min(number + 1, 3)
        await trio.sleep(70.0)
        assert [each.status for each in world.simulator.weight_log] == [200] * len(world.simulator.weight_log)
        assert list(world.simulator.violations) == []
        assert_whole(world, feed, TRADES)


async def test_the_budget_is_the_venues_unless_a_setting_says_another(autojump_clock: MockClock) -> None:
    venue, budget = BinanceExchange(), (6_000, 60.0)
    terms = NetworkConfig().within(venue.budget, rotate_after_s=venue.rotate_after_s)
    assert (terms.rate_limit_requests, terms.rate_limit_window) == budget
    assert terms.rotate_after == venue.rotate_after_s
    mine = NetworkConfig(rate_limit_requests=100, rotate_after=600.0).within(budget, rotate_after_s=1.0)
    assert (mine.rate_limit_requests, mine.rate_limit_window, mine.rotate_after) == (100, 60.0, 600.0)
    assert NetworkConfig().within(None) == NetworkConfig()


async def test_a_controller_keeps_to_the_venues_budget(autojump_clock: MockClock) -> None:
    """Twenty gaps at once: ten requests a second and no more, which is what Coinbase allows."""
    symbols = tuple(f"C{number}-USD" for number in range(20))
    async with venue_world(CoinbaseExchange(), symbols=symbols) as world:
        streams = [Stream("matches", symbol) for symbol in symbols]
        feed = await world.feed(*streams)
        await trio.sleep(6.0)
        await world.market(1.0, *symbols)
        await trio.sleep(3.0)
        asked = len(world.paths)
        world.fail(drop=SelectMode(enabled=True, every_nth=1))
        await world.market(0.1, *symbols)
        world.simulator.behave()
        await trio.sleep(5.0)
        times = [record.time_s for record in world.simulator.weight_log][asked:]
        assert len(times) == 20
        assert all(later - earlier > 0.999 for earlier, later in zip(times, times[10:], strict=False))
        assert_whole(world, feed, *streams)


# -- the age of a socket ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "after_s"), [({}, 50.0), ({"rotate_after": 20.0}, 20.0)])
async def test_a_socket_is_replaced_before_the_venue_cuts_it(
    autojump_clock: MockClock, settings: dict[str, object], after_s: float
) -> None:
    """As the adapter says; an explicit setting wins."""
    async with venue_world(BinanceSpot(limits=BinanceLimits(connection_max_s=60))) as world:
        exchange = world.adapter(rotate_after_s=50.0)
        feed = await world.feed(TRADES, exchange=exchange, **settings)
        await trio.sleep(0.5)
        await world.market(130.0, "BTCUSDT", every_s=2.0)
        rotations = [move.at for move in feed.moves if move.trigger is Trigger.ROTATED]
        assert len(rotations) == 130 // after_s
        assert all(later - earlier == pytest.approx(after_s, abs=2.0) for earlier, later in pairwise(rotations))
        assert Trigger.LINK_LOST not in [move.trigger for move in feed.moves]
        assert_whole(world, feed, TRADES)


# -- streams on a connection ------------------------------------------------------------------------------------------


def test_streams_are_split_evenly_in_order_each_on_one_connection() -> None:
    streams = [Stream("trade", f"S{number}USDT") for number in range(1_500)]
    parts = split_streams(BinanceExchange(), [*streams, *streams[:7]])
    assert [len(part) for part in parts] == [750, 750]
    assert [stream for part in parts for stream in part] == streams
    assert [len(part) for part in split_streams(BinanceExchange(), streams[:1_024])] == [1_024]
    assert [len(part) for part in split_streams(BinanceExchange(), streams[:1_025])] == [512, 513]
    assert split_streams(BinanceExchange(), []) == []
    reference = ReferenceExchange(ws_url="ws://h:1", rest_url="http://h:1", session_id="x")
    assert reference.streams_max is None
    assert split_streams(reference, streams) == [streams]


async def test_more_streams_than_one_connection_carries_are_refused_with_a_way_out(autojump_clock: MockClock) -> None:
    streams = [Stream("matches", f"C{number}-USD") for number in range(51)]
    with pytest.raises(ConfigurationError, match=r"expected at most 50 streams.*got 51: let split_streams make parts"):
        async with open_controller(exchange=CoinbaseAdapter(), streams=streams):
            pass
    with pytest.raises(ConfigurationError, match="at least one stream, all different"):
        async with open_controllers(exchange=CoinbaseAdapter(), streams=[]):
            pass
    with pytest.raises(ConfigurationError, match="at least one stream, all different"):
        async with open_controllers(exchange=CoinbaseAdapter(), streams=streams[:1] * 2):
            pass
    with pytest.raises(ConfigurationError, match="BTC-USD"):
        async with open_controllers(exchange=CoinbaseAdapter(), streams=[Stream("matches", "btc")]):
            pass


async def test_several_controllers_carry_what_one_cannot(autojump_clock: MockClock) -> None:
    """Each stream is on exactly one of them; the REST budget is one, and no limit of the venue is passed."""
    symbols = tuple(f"S{number}USDT" for number in range(1_500))
    async with venue_world(BinanceSpot(), symbols=symbols) as world:
        exchange = world.adapter()
        streams = [Stream("trade", symbol) for symbol in symbols]
        async with open_controllers(exchange=exchange, streams=streams) as controllers:
            assert len(controllers) == 2
            assert [len(controller.streams) for controller in controllers] == [750, 750]
            assert limiter_of(exchange.rest_host, NetworkConfig()) is limiter_of(exchange.rest_host, NetworkConfig())
            await trio.sleep(4.0)
            keys = [key for session in world.simulator.hub.sessions for key in session.marks]
            assert sorted(key.symbol for key in keys) == sorted(symbols)
            assert len(world.simulator.hub.sessions) == 2
            assert list(world.simulator.violations) == []
