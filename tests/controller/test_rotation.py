"""A successor socket takes over: nothing is lost, repeated or delayed, and the state is not disturbed."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import GapFound, OrderUpdate, State, Stream, Trigger, waiting_room
from gapless.simulator import FailuresConfig, RefuseMode
from gapless.simulator.failure_modes import Mode
from tests.kit import ETHER, TICKER, Feed, world
from tests.scripted import Socket, Venue, history

ORDERS = Stream("orders", "*")


def assert_undisturbed(feed: Feed, rotations: int) -> None:
    """The state was CONNECTED all the time; every rotation is an event of its own."""
    moves = feed.moves
    settled = next(at for at, move in enumerate(moves) if move.after is State.CONNECTED)
    assert [move.trigger for move in moves[settled + 1 :]] == [Trigger.ROTATED] * rotations
    assert {move.after for move in moves[settled:]} == {State.CONNECTED}
    assert [move.generation for move in moves[settled:]] == list(range(1, rotations + 2))


async def test_fifty_rotations_under_load_lose_and_repeat_nothing(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=50.0) as w, w.feed(TICKER, ETHER, rotate_after=1.2) as feed:
        await feed.until(lambda: feed.controller.generation == 51, within_s=300.0)
        await trio.sleep(0.5)
        assert_undisturbed(feed, rotations=50)
        assert feed.lost == []
        began = feed.events.index(next(move for move in feed.moves if move.trigger is Trigger.ROTATED))
        assert not any(isinstance(event, GapFound) for event in feed.events[began:])
        ids = [number or 0 for number in feed.ids()]
        assert len(ids) > 3_000
        assert sorted(ids) == list(range(min(ids), min(ids) + len(ids)))
        w.assert_contract(feed, TICKER, ETHER, settled=False)
        assert len(w.exchange.hub.sessions) == 1


async def test_a_rotation_on_request(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        feed.controller.rotate("the venue announces maintenance")
        await feed.until(lambda: feed.moves[-1].trigger is Trigger.ROTATED)
        assert feed.moves[-1].reason == "the venue announces maintenance"
        assert feed.controller.generation == 2
        await trio.sleep(60.0)
        assert_undisturbed(feed, rotations=1)
        w.assert_contract(feed, settled=False)


async def test_a_failed_rotation_changes_nothing_and_is_tried_again(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)))
        feed.controller.rotate()
        await trio.sleep(65.0)
        assert w.exchange.injected["refuse"] == 3
        assert_undisturbed(feed, rotations=0)
        w.fail(FailuresConfig())
        await trio.sleep(35.0)
        assert_undisturbed(feed, rotations=1)
        w.assert_contract(feed, settled=False)


async def test_a_successor_that_stalls_is_given_up(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(stalled_handshake=Mode(enabled=True)))
        feed.controller.rotate()
        await trio.sleep(15.0)
        assert w.network.open_sockets <= 8
        w.fail(FailuresConfig())
        await trio.sleep(30.0)
        assert_undisturbed(feed, rotations=1)
        w.assert_contract(feed, settled=False)


async def test_a_predecessor_that_dies_during_the_rotation_is_a_lost_link(autojump_clock: MockClock) -> None:
    async with world(latency_s=0.1) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.rotate()
        await trio.sleep(0.25)
        w.exchange.disconnect()
        await feed.until(lambda: feed.moves[-1].trigger is Trigger.LINK_LOST)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.assert_contract(feed, settled=False)


async def test_no_rotation_before_the_link_is_good(autojump_clock: MockClock) -> None:
    """A link whose silence is examined is not replaced behind the verifier's back."""
    async with world(rate_per_s=0) as w, w.feed(rest_timeout=1.0) as feed:
        await trio.sleep(1.0)
        feed.controller.rotate()
        await trio.sleep(5.0)
        assert feed.controller.state is State.RECONNECTING
        assert feed.controller.generation == 1
        assert len(w.exchange.handshakes) == 1, "nobody else was dialled"
        w.publish()
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        assert feed.controller.generation == 2
        w.assert_contract(feed)


async def test_a_slow_predecessor_is_waited_for_and_the_overlap_drops(autojump_clock: MockClock) -> None:
    """The successor's mark is 20 while the first socket has shown 10: it shows the rest within the second."""
    let_go = trio.Event()
    issued = [10]

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        if number == 1:
            await socket.subscribed(0)
            await socket.data(*range(1, 11))
            await let_go.wait()
            await trio.sleep(0.5)
            await socket.data(*range(11, 23))
        else:
            await socket.subscribed(20)
            await socket.data(21, 22, 23, 24)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued[0]))
    async with venue.feed() as feed:
        await feed.until_state(State.CONNECTED)
        issued[0] = 24
        feed.controller.rotate()
        let_go.set()
        await trio.sleep(3.0)
        assert feed.ids() == list(range(1, 25))
        assert feed.controller.stats.duplicates >= 2
        assert [event for event in feed.events if isinstance(event, GapFound) and event.start_seq > 10] == []
        assert feed.moves[-1].trigger is Trigger.ROTATED


async def test_a_predecessor_that_lags_for_good_leaves_a_gap_that_is_filled(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0 if number == 1 else 20)
        await socket.data(*(range(1, 11) if number == 1 else (21, 22)))
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 22))
    async with venue.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.rotate()
        await feed.until(lambda: len(feed.data) == 22)
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, 23))
        assert feed.lost == []
        await feed.until_state(State.CONNECTED)


async def test_a_successor_of_a_new_epoch_begins_it(autojump_clock: MockClock) -> None:
    """The venue restarted behind a first socket that lives on: the successor's WELCOME says so."""

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome("e-1" if number == 1 else "e-2")
        await socket.subscribed(0)
        await socket.data(1, 2, 3)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 3))
    async with venue.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.rotate()
        await feed.until(lambda: len(feed.data) == 6)
        assert [(event.epoch, event.sequence_id) for event in feed.data][3:] == [("e-2", 1), ("e-2", 2), ("e-2", 3)]
        assert [(event.start_seq, event.end_seq, event.reason) for event in feed.lost] == [(4, None, "epoch_ended")]


async def test_rotation_with_account_streams_reads_no_second_snapshot(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w:
        orders = ORDERS
        async with w.feed(orders) as feed:
            await feed.until_state(State.CONNECTED)
            w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
            await trio.sleep(1.0)
            before = w.requests_since(0.0, "/api/v1/orders")
            feed.controller.rotate()
            await trio.sleep(2.0)
            w.exchange.place_order("BTC/USD", "sell", 1.0, 50_000.0)
            await trio.sleep(2.0)
            assert_undisturbed(feed, rotations=1)
            assert w.requests_since(0.0, "/api/v1/orders") == before
            assert [event.sequence_id for event in feed.events if isinstance(event, OrderUpdate)] == [1, 2]


async def test_a_ping_of_the_predecessor_is_not_awaited_any_more(autojump_clock: MockClock) -> None:
    """It leaves while the successor waits for a lagging predecessor, which never answers; then both are quiet."""
    issued = [10]

    async def script(socket: Socket, number: int) -> None:
        socket.answers = number > 1
        await socket.welcome()
        if number == 1:
            await socket.subscribed(0)
            await socket.data(*range(1, 11))
        else:
            issued[0] = 20
            await socket.subscribed(20)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued[0]))
    async with venue.feed(heartbeat_interval=5.0, heartbeat_timeout=3.0, ws_idle_timeout=300.0) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(4.6)
        feed.controller.rotate()
        await feed.until(lambda: feed.controller.generation == 2)
        assert 5.0 < trio.current_time() < 6.0, "the PING has left"
        await trio.sleep(8.0)
        assert not feed.moved(State.SILENT)
        assert feed.controller.round_trip_s is not None, "the successor answers"


async def test_a_successor_with_more_to_say_than_fits_is_not_kept_waiting(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its predecessor lags behind, which is worth a second, but not a second of more data than may be kept."""
    monkeypatch.setattr(waiting_room, "HELD_MAX", 100)
    last = 520
    issued = [10]
    taken_at = 0.0

    async def script(socket: Socket, number: int) -> None:
        nonlocal taken_at
        await socket.welcome()
        if number == 1:
            await socket.subscribed(0)
            await socket.data(*range(1, 11))
        else:
            issued[0] = last
            await socket.subscribed(20)
            taken_at = trio.current_time()
            await socket.data(*range(21, last + 1))
        await trio.sleep_forever()

    async with Venue(script, history(lambda: issued[0])).feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.rotate()
        await feed.until(lambda: feed.controller.generation == 2)
        assert trio.current_time() - taken_at < 0.5
        await trio.sleep(5.0)
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, last + 1))
        assert feed.lost == []
