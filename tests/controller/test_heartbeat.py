"""PING and PONG: which are awaited and what overdue ones mean (pure), then by the clock, in virtual time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import NetworkConfig, State, Trigger, open_controller
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.heartbeat import HeartbeatManager
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.network import Direction
from tests.kit import SESSION, TICKER, Feed, World, virtual_wall_clock, world

# -- the books --------------------------------------------------------------------------------------------------------


def test_the_specifications_defaults() -> None:
    manager = HeartbeatManager()
    assert (manager.interval, manager.timeout) == (60.0, 10.0)


def test_ids_are_unique() -> None:
    manager = HeartbeatManager()
    first = [manager.next_id() for _ in range(100)]
    manager.forget()
    assert len({*first, *(manager.next_id() for _ in range(100))}) == 200, "over connections too: a late PONG is no new"


def test_a_pong_is_matched_by_id_and_measures_the_round_trip() -> None:
    manager = HeartbeatManager()
    manager.sent("p-1", 100.0)
    manager.sent("p-2", 160.0)
    assert manager.handle_pong("p-2", 160.25) == 0.25
    assert manager.handle_pong("p-1", 160.5) == 60.5
    assert manager.round_trip_s == 60.5
    assert manager.overdue_at() == float("inf")


@pytest.mark.parametrize("request_id", ["p-2", "", "P-1"])
def test_a_pong_of_no_ping_of_ours_means_nothing(request_id: str) -> None:
    manager = HeartbeatManager()
    manager.sent("p-1", 100.0)
    assert manager.handle_pong(request_id, 100.1) is None
    assert manager.round_trip_s is None
    assert manager.overdue_at() == 110.0, "the PING still waits"


def test_a_second_pong_means_nothing() -> None:
    manager = HeartbeatManager()
    manager.sent("p-1", 100.0)
    assert [manager.handle_pong("p-1", 100.5), manager.handle_pong("p-1", 105.0)] == [0.5, None]
    assert manager.round_trip_s == 0.5


def test_a_ping_is_overdue_at_the_time_out_and_taken_once() -> None:
    manager = HeartbeatManager()
    assert manager.overdue_at() == float("inf")
    manager.sent("p-1", 100.0)
    manager.sent("p-2", 103.0)
    assert manager.overdue_at() == 110.0, "the oldest counts"
    assert manager.take_overdue(109.9) is None
    assert manager.take_overdue(110.0) == 100.0
    assert manager.overdue_at() == 113.0
    assert manager.take_overdue(110.0) is None
    assert manager.handle_pong("p-1", 111.0) is None, "too late: it has been judged"


def test_several_overdue_pings_are_one_finding_since_the_oldest() -> None:
    manager = HeartbeatManager()
    for number, sent_at in enumerate((104.0, 101.0, 102.0)):
        manager.sent(f"p-{number}", sent_at)
    assert manager.take_overdue(200.0) == 101.0
    assert manager.take_overdue(200.0) is None


def test_a_new_connection_awaits_no_pong_of_the_old_one() -> None:
    manager = HeartbeatManager()
    manager.sent("p-1", 100.0)
    manager.forget()
    assert manager.overdue_at() == float("inf")
    assert manager.take_overdue(1_000.0) is None
    assert manager.handle_pong("p-1", 101.0) is None


def test_only_a_ping_that_left_since_answers_a_question() -> None:
    manager = HeartbeatManager()
    assert manager.answered_since(float("-inf")) is None
    manager.sent("p-1", 100.0)
    manager.handle_pong("p-1", 120.0)
    assert manager.answered_since(100.0) == 20.0
    assert manager.answered_since(110.0) is None, "its PONG came since, but the PING is older than the question"


def test_until_a_ping_is_answered_the_subscription_tells_what_a_round_trip_takes() -> None:
    assert HeartbeatManager().usual_s is None
    manager = HeartbeatManager()
    manager.subscribed_in(1.5)
    assert manager.usual_s == 1.5
    assert manager.round_trip_s is None
    manager.sent("p-1", 100.0)
    manager.handle_pong("p-1", 100.2)
    manager.subscribed_in(3.0)
    assert manager.usual_s == pytest.approx(0.2)


def test_health_changes_are_told_once_each() -> None:
    told: list[bool] = []
    manager = HeartbeatManager(on_health_change=told.append)
    manager.sent("p-1", 100.0)
    manager.handle_pong("p-1", 100.1)
    assert told == [], "healthy from the start"
    manager.unhealthy()
    manager.unhealthy()
    assert (told, manager.healthy) == ([False], False)
    for request_id in ("p-2", "p-3"):
        manager.sent(request_id, 200.0)
        manager.handle_pong(request_id, 200.1)
    assert (told, manager.healthy) == ([False, True], True)


# -- by the clock -----------------------------------------------------------------------------------------------------


class Noting(ReferenceExchange):
    """The reference exchange, noting the PINGs; ``spoken`` False says what the server does not understand."""

    def __init__(self, w: World, *, spoken: bool = True) -> None:
        super().__init__(ws_url=w.ws_url, rest_url=w.rest_url, session_id=SESSION)
        self.pings: list[tuple[float, str]] = []
        self._spoken = spoken

    def ping(self, request_id: str) -> str:
        self.pings.append((trio.current_time(), request_id))
        return super().ping(request_id) if self._spoken else f'{{"type":"NOISE","request_id":"{request_id}"}}'


@asynccontextmanager
async def opened(
    exchange: ReferenceExchange, on_health_change: Callable[[bool], None] | None = None, **settings: object
) -> AsyncIterator[Feed]:
    async with (
        open_controller(
            exchange=exchange,
            streams=[TICKER],
            config=NetworkConfig.from_mapping(settings),
            wall_clock=virtual_wall_clock,
            on_health_change=on_health_change,
        ) as controller,
        trio.open_nursery() as nursery,
    ):
        feed = Feed(controller)
        nursery.start_soon(feed.consume)
        yield feed
        nursery.cancel_scope.cancel()


async def test_a_ping_leaves_every_interval(autojump_clock: MockClock) -> None:
    async with world() as w:
        exchange = Noting(w)
        async with opened(exchange, heartbeat_interval=5.0, heartbeat_timeout=2.0) as feed:
            await feed.until_state(State.CONNECTED)
            await trio.sleep(31)
            times = [at for at, _ in exchange.pings]
            assert times == pytest.approx([times[0] + 5.0 * number for number in range(6)], abs=0.01)
            assert times[0] == pytest.approx(5.0, abs=0.1), "the first one interval after the socket opened"
            assert len({request_id for _, request_id in exchange.pings}) == 6
            assert feed.controller.round_trip_s == pytest.approx(0.01, abs=0.005), "twice the latency"
            assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]


async def test_what_else_is_sent_postpones_no_ping(autojump_clock: MockClock) -> None:
    """In a quiet market the verifier sends PINGs of its own, shortly before the clock's one is due."""
    async with world(rate_per_s=0) as w:
        exchange = Noting(w)
        async with opened(exchange, ws_idle_timeout=7.0, heartbeat_interval=60.0) as feed:
            await trio.sleep(0.1)
            w.publish()
            await feed.until_state(State.CONNECTED)
            await trio.sleep(185)
            idle = [move for move in feed.moves if move.trigger is Trigger.IDLE]
            times = [at for at, _ in exchange.pings]
            by_the_clock = [at for at in times if at % 60.0 < 0.1]
            assert len(idle) >= 4
            assert by_the_clock == pytest.approx([60.0, 120.0, 180.0], abs=0.1)
            assert len(times) == len(by_the_clock) + len(idle)
            assert len({request_id for _, request_id in exchange.pings}) == len(times)


async def test_an_overdue_pong_with_no_frame_since_is_pong_overdue(autojump_clock: MockClock) -> None:
    health: list[bool] = []
    async with world() as w, w.feed(ws_idle_timeout=300.0, on_health_change=health.append) as feed:
        await feed.until_state(State.CONNECTED)
        opened_at = feed.moves[0].at
        await trio.sleep(30)
        w.fail(FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)))
        await feed.until_state(State.SILENT, within_s=100)
        silent = feed.moves[-1]
        assert silent.trigger is Trigger.PONG_OVERDUE
        assert silent.at - opened_at == pytest.approx(70.0, abs=0.1)
        assert silent.reason == "no PONG within 10 s and no frame since the PING"
        assert health == [False]
        await feed.until_state(State.CONNECTED)
        await trio.sleep(70)
        assert health == [False, True], "the new connection's PONG"


async def test_an_overdue_pong_with_frames_since_is_none(autojump_clock: MockClock) -> None:
    """A server that never answers a PING but sends data is alive."""
    health: list[bool] = []
    async with world() as w:
        exchange = Noting(w, spoken=False)
        async with opened(exchange, health.append, heartbeat_interval=5.0, heartbeat_timeout=2.0) as feed:
            await feed.until_state(State.CONNECTED)
            await trio.sleep(60)
            assert len(exchange.pings) == 12
            assert feed.controller.round_trip_s is None
            assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
            assert health == []


async def test_a_ping_that_cannot_leave_is_overdue_too(autojump_clock: MockClock) -> None:
    """A black hole swallows the PING itself; what counts is that nothing comes back."""
    async with world() as w, w.feed(ws_idle_timeout=300.0, heartbeat_interval=20.0, heartbeat_timeout=3.0) as feed:
        await feed.until_state(State.CONNECTED)
        opened_at = feed.moves[0].at
        w.network.black_hole(Direction.BOTH, w.ws_port)
        await feed.until_state(State.SILENT)
        assert feed.moves[-1].trigger is Trigger.PONG_OVERDUE
        assert feed.moves[-1].at - opened_at == pytest.approx(23.0, abs=0.1)
