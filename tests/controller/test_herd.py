"""A thousand clients lose one server and come back: not all in one second, and all of them soon.

First the backoff alone, a thousand times over, in a world of one list; then real controllers on the virtual network.
"""

import heapq
from collections import Counter, deque
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConnectionController, NetworkConfig, State, open_controller
from gapless.controller.backoff import ReconnectBackoff
from tests.kit import TICKER, virtual_wall_clock, world

CLIENTS = 1_000
ADMITTED_PER_S = 100
WITHIN_S = 60.0
REFUSED_AFTER_S = 0.05
"""How long an attempt takes that comes to nothing."""


class FrontDoor:
    """A server that is down until a moment and then lets in so many a second; says what it saw."""

    def __init__(self, *, up_at: float = 0.0, admits_per_s: int | None = None) -> None:
        self.up_at = up_at
        self._lately: deque[float] = deque(maxlen=admits_per_s or 1)
        self._is_narrow = admits_per_s is not None
        self.entered: list[float] = []
        self.refused = 0

    def admits(self, now: float) -> bool:
        full = self._is_narrow and len(self._lately) == self._lately.maxlen and now - self._lately[0] < 1.0
        if now < self.up_at or full:
            self.refused += 1
            return False
        self._lately.append(now)
        self.entered.append(now)
        return True


def busiest_second(moments: list[float]) -> int:
    """The most that lie within any one second, wherever it begins."""
    times = sorted(moments)
    first = most = 0
    for number, moment in enumerate(times):
        while moment - times[first] >= 1.0:
            first += 1
        most = max(most, number - first + 1)
    return most


# -- the backoff alone ------------------------------------------------------------------------------------------------


def come_back(door: FrontDoor, *, seed: int, asked_s: float = 0.0, max_attempts: int | None = None) -> int:
    """All clients lose the server at 0 and dial until it lets them in; how many gave up."""
    clients = [
        ReconnectBackoff(
            initial_s=1.0, max_s=60.0, multiplier=2.0, max_attempts=max_attempts, random=Random(f"{seed} {number}")
        )
        for number in range(CLIENTS)
    ]
    gave_up = 0
    due: list[tuple[float, int]] = []

    def lost(number: int, now: float, *, earned: bool) -> None:
        nonlocal gave_up
        retry_at = clients[number].lost(now, earned=earned)
        if retry_at is None:
            gave_up += 1
        else:
            heapq.heappush(due, (retry_at, number))

    for number, client in enumerate(clients):
        client.attempt_started(-3_600.0)
        client.floor(asked_s)
        lost(number, 0.0, earned=True)
    while due:
        now, number = heapq.heappop(due)
        clients[number].attempt_started(now)
        if not door.admits(now):
            lost(number, now + REFUSED_AFTER_S, earned=False)
    return gave_up


@pytest.mark.parametrize("down_s", [30.0, 120.0, 3_600.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_second_has_more_than_a_tenth_of_the_reconnects(down_s: float, seed: int) -> None:
    door = FrontDoor(up_at=down_s)
    come_back(door, seed=seed)
    assert len(door.entered) == CLIENTS
    assert busiest_second(door.entered) <= CLIENTS / 10


@pytest.mark.parametrize("seed", range(3))
def test_nor_where_a_goodbye_has_told_all_of_them_the_moment(seed: int) -> None:
    """They earned a retry at once and know when: the jitter comes on top of what they were asked."""
    door = FrontDoor(up_at=30.0)
    come_back(door, seed=seed, asked_s=30.0)
    assert door.refused == 0
    assert busiest_second(door.entered) <= CLIENTS / 10


@pytest.mark.parametrize("down_s", [0.0, 2.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_door_has_all_of_them_back_within_a_minute(down_s: float, seed: int) -> None:
    """Down for 0 s, it lets in a hundred of those that come at once, and the others draw."""
    door = FrontDoor(up_at=down_s, admits_per_s=ADMITTED_PER_S)
    come_back(door, seed=seed)
    assert len(door.entered) == CLIENTS
    assert max(door.entered) <= down_s + WITHIN_S


def test_who_was_refused_together_does_not_come_together_again() -> None:
    """All dial at once when it falls, and it is back before the second attempt."""
    door = FrontDoor(up_at=0.5)
    come_back(door, seed=1)
    assert max(door.entered) - min(door.entered) > 0.9
    tenths = Counter(int(10 * moment) for moment in door.entered)
    assert max(tenths.values()) < CLIENTS / 5


def test_ten_attempts_last_for_half_a_minute_but_for_one_in_a_thousand() -> None:
    """The default gives up after ten: draws that are all short spend them early."""
    gave_up = sum(come_back(FrontDoor(up_at=30.0), seed=seed, max_attempts=10) for seed in range(5))
    assert gave_up <= 5 * CLIENTS / 1_000


# -- real controllers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients", [100, pytest.param(CLIENTS, marks=pytest.mark.long)])
async def test_real_controllers_come_back_like_that(clients: int, autojump_clock: MockClock) -> None:
    """The exchange falls under all of them, and is back after 30 s."""
    feeds: list[ConnectionController] = []
    async with world(rate_per_s=1.0) as w, trio.open_nursery() as nursery:

        async def run(number: int) -> None:
            async with open_controller(
                ws_url=w.ws_url,
                rest_url=w.rest_url,
                streams=[TICKER],
                session_id=f"app-{number}",
                config=NetworkConfig(reconnect_max_attempts=None),
                random=Random(f"herd {number}"),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time,
            ) as controller:
                feeds.append(controller)
                async for _event in controller:
                    pass

        for number in range(clients):
            nursery.start_soon(run, number)
        await trio.sleep(20.0)
        assert [each.state for each in feeds] == [State.CONNECTED] * clients
        up_at = w.exchange.now() + 30.0
        w.exchange.restart(downtime_s=30.0)
        await trio.sleep(30.0 + WITHIN_S + 1.0)
        came = [each.time_s for each in w.exchange.handshakes if each.time_s >= up_at]
        assert len(came) == clients
        assert busiest_second(came) <= clients / 10
        assert {each.generation for each in feeds} != {2}, "none would have waited: the exchange was not down"
        assert len({each.state for each in feeds} - {State.CONNECTED, State.RESYNCING}) == 0
        nursery.cancel_scope.cancel()
