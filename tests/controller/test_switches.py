"""Each switch reaches what it switches: another value than the default, and the app or the venue sees another thing.

The parts are tested elsewhere with arguments of their own; here it is the settings of a controller that must get there.
"""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import NetworkConfig, RequestFailedError, State, Trigger
from gapless.simulator import (
    CorruptMode,
    FailuresConfig,
    Mode,
    RateLimitMode,
    RefuseMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
)
from gapless.simulator.network import Direction
from tests.kit import ETHER, TICKER, Feed, World, world
from tests.scripted import Socket, Venue, history

REFUSED = RefuseMode(enabled=True)
"""No socket: everything comes over REST."""
DEFAULT = NetworkConfig()
NEVER_S = 3_600.0
"""An interval at which nothing is fetched while a test lasts."""


def pauses(w: World) -> list[float]:
    """Seconds between one REST request and the next."""
    return [later.time_s - earlier.time_s for earlier, later in pairwise(w.exchange.requests)]


# -- the budget -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({}, 30, 40),
        ({"rate_limit_proactive": False}, 70, 84),
        ({"rate_limit_requests": 5}, 15, 20),
        ({"rate_limit_window": 4.0}, 8, 12),
        ({"rest_fetch_interval": 1.0}, 7, 9),
    ],
)
async def test_how_often_the_host_is_asked(
    settings: dict[str, Any], least: int, most: int, autojump_clock: MockClock
) -> None:
    """Two streams that want to be asked for ten times a second each, for four seconds."""
    async with (
        world(rate_per_s=1.0, failures=FailuresConfig(refuse=REFUSED)) as w,
        w.feed(TICKER, ETHER, **{"rest_fetch_interval": 0.1, "reconnect_max_attempts": None, **settings}),
    ):
        await trio.sleep(4.4)
        since = w.exchange.now()
        await trio.sleep(4.0)
        assert least <= w.requests_since(since) <= most


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({}, [1, 2, 4]),
        ({"rate_limit_initial_backoff": 2.0}, [2, 4]),
        ({"rate_limit_backoff_multiplier": 3.0}, [1, 3]),
        ({"rate_limit_max_backoff": 1.5}, [1, 1.5, 1.5]),
    ],
)
async def test_how_long_everybody_pauses_after_a_429(
    settings: dict[str, Any], waits: list[float], autojump_clock: MockClock
) -> None:
    limited = FailuresConfig(refuse=REFUSED, rate_limited=RateLimitMode(enabled=True, retry_after_s=None))
    async with world(rate_per_s=1.0, failures=limited) as w, w.feed(**settings):
        await trio.sleep(7.5)
        assert pauses(w)[: len(waits)] == pytest.approx(waits, abs=0.15)


@pytest.mark.parametrize(("failures", "pause_s"), [(2, 5.0), (3, 2.0), (0, 5.0)])
async def test_when_a_host_is_left_alone_and_for_how_long(
    failures: int, pause_s: float, autojump_clock: MockClock
) -> None:
    broken = FailuresConfig(refuse=REFUSED, server_error=ServerErrorMode(enabled=True))
    settings: dict[str, Any] = {
        "circuit_breaker_failures": failures,
        "circuit_breaker_pause": pause_s,
        "max_retries": 0,
    }
    async with world(rate_per_s=1.0, failures=broken) as w, w.feed(rest_fetch_interval=0.5, **settings):
        await trio.sleep(8.0)
        if failures:
            assert max(pauses(w)[: failures - 1]) < 1.0
            assert pauses(w)[failures - 1] == pytest.approx(pause_s, abs=0.6)
        else:
            assert max(pauses(w)) < 1.0


# -- one request ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 4])
async def test_how_often_a_request_is_sent_again(retries: int, autojump_clock: MockClock) -> None:
    settings: dict[str, Any] = {
        "max_retries": retries,
        "circuit_breaker_failures": 0,
        "rate_limit_initial_backoff": 0.05,
    }
    async with world() as w, w.feed(**settings) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True)))
        before = len(w.exchange.requests)
        with pytest.raises(RequestFailedError):
            await feed.controller.price_history("BTC/USD")
        assert len(w.exchange.requests) - before == retries + 1


@pytest.mark.parametrize("seconds", [0.5, DEFAULT.rest_timeout])
async def test_how_long_a_reply_may_take(seconds: float, autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(max_retries=0, rest_timeout=seconds) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(slow_reply=SlowReplyMode(enabled=True, delay_s=0.0, trickle_s=60.0)))
        began = trio.current_time()
        with pytest.raises(RequestFailedError, match=f"no whole reply within {seconds} s"):
            await feed.controller.price_history("BTC/USD")
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(("size", "fits"), [(1_024, False), (DEFAULT.reply_size_max, True)])
async def test_how_large_a_reply_may_be(size: int, fits: bool, autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed(max_retries=0, reply_size_max=size) as feed:
        w.publish(20)
        if fits:
            assert len(await feed.controller.price_history("BTC/USD")) == 20
        else:
            with pytest.raises(RequestFailedError, match="the reply is larger than 1024 bytes"):
                await feed.controller.price_history("BTC/USD")


@pytest.mark.parametrize(("rows", "requests"), [(7, 3), (DEFAULT.price_history_limit, 1)])
async def test_how_many_rows_one_request_asks_for(rows: int, requests: int, autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0, failures=FailuresConfig(refuse=REFUSED)) as w:
        w.publish(20)
        async with w.feed(price_history_limit=rows, rest_fetch_interval=NEVER_S) as feed:
            await trio.sleep(1)
            before = len(w.exchange.requests)
            assert len(await feed.controller.price_history("BTC/USD")) == 20
            asked = list(w.exchange.requests)[before:]
            assert len(asked) == pytest.approx(requests, abs=1)
            assert all(f"limit={rows}" in each.query for each in asked)


# -- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3.0, DEFAULT.attempt_timeout])
async def test_how_long_an_attempt_may_take(seconds: float, autojump_clock: MockClock) -> None:
    stalled = FailuresConfig(stalled_handshake=Mode(enabled=True))
    settings: dict[str, Any] = {"attempt_timeout": seconds, "rest_fetch_interval": NEVER_S}
    async with world(rate_per_s=0, failures=stalled) as w, w.feed(**settings) as feed:
        await feed.until_state(State.REST_FALLBACK)
        assert trio.current_time() == pytest.approx(seconds, abs=0.2)


async def waits_of(feed: Feed, count: int) -> list[float]:
    """The first waits between attempts."""

    def waits() -> list[float]:
        return [move.retry_in_s for move in feed.moved(State.REST_FALLBACK) if move.retry_in_s is not None]

    await feed.until(lambda: len(waits()) >= count, within_s=NEVER_S)
    return waits()


@pytest.mark.parametrize(
    ("settings", "first_s", "longest_s"),
    [
        ({}, (1.0, 1.1 + 1.0), (30.0, 60.0)),
        ({"reconnect_initial_backoff": 30.0}, (2.0, 30.0), (30.0, 60.0)),
        ({"reconnect_max_backoff": 3.0}, (1.0, 1.1 + 1.0), (1.5, 3.0)),
    ],
)
async def test_how_long_it_waits_between_attempts(
    settings: dict[str, Any],
    first_s: tuple[float, float],
    longest_s: tuple[float, float],
    autojump_clock: MockClock,
) -> None:
    async with world(rate_per_s=0) as w:
        w.network.refuse(w.ws_port)
        async with w.feed(reconnect_max_attempts=None, rest_fetch_interval=NEVER_S, **settings) as feed:
            waits = await waits_of(feed, 12)
    assert first_s[0] <= waits[0] <= first_s[1]
    assert longest_s[0] <= max(waits) <= longest_s[1]


@pytest.mark.parametrize(("threshold", "wakes"), [(DEFAULT.suspend_after, True), (100.0, False)])
async def test_what_is_a_sleep_of_the_machine(threshold: float, wakes: bool, autojump_clock: MockClock) -> None:
    slept_s = 0.0

    def boot_clock() -> float:
        return trio.current_time() + slept_s

    async with world() as w, w.feed(boot_clock=boot_clock, suspend_after=threshold) as feed:
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.BOTH)
        slept_s = 50.0
        # A quarter of the default threshold until it is noticed, two seconds for the socket to prove itself.
        await trio.sleep(5)
        assert (Trigger.RECONNECT_REQUESTED in {move.trigger for move in feed.moves}) is wakes


@pytest.mark.parametrize(("size", "ends"), [(50_000, True), (DEFAULT.message_size_max, False)])
async def test_how_large_a_message_may_be(size: int, ends: bool, autojump_clock: MockClock) -> None:
    huge = CorruptMode(enabled=True, probability=1.0, count=1, how=("huge",), huge_bytes=100_000)
    async with world() as w, w.feed(message_size_max=size) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(corrupt=huge))
        await trio.sleep(1)
        assert w.exchange.injected["corrupt"] == 1
        assert (State.REST_FALLBACK in {move.after for move in feed.moves}) is ends


# -- the ledger -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "suspects"), [(5, 1), (DEFAULT.sequence_jump_max, 0)])
async def test_how_far_an_id_may_jump(ahead: int, suspects: int, autojump_clock: MockClock) -> None:
    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2, 20)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: 20)).feed(sequence_jump_max=ahead) as feed:
        await trio.sleep(1)
        assert feed.controller.stats.suspects == suspects


@pytest.mark.parametrize(("most", "lost"), [(3, {"too_many_gaps"}), (DEFAULT.open_intervals_max, set[str]())])
async def test_how_many_gaps_may_be_open(most: int, lost: set[str], autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(open_intervals_max=most) as feed:
        await feed.until_state(State.CONNECTED)
        every_second = SelectMode(enabled=True, every_nth=2)
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=every_second))
        await trio.sleep(2)
        assert len(feed.controller.open_gaps[TICKER]) == (3 if most == 3 else pytest.approx(10, abs=2))
        assert {event.reason for event in feed.lost} == lost
