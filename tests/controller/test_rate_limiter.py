"""Inside a host's REST budget: the window and its pauses (pure), then the gate with waiters, in virtual time."""

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gapless.controller import ConfigurationError, Priority, RequestFailedError, RequestWithdrawnError, RestRateLimiter
from gapless.controller.exchange import RestReply
from gapless.controller.request_window import WINDOW_GUARD_S, RequestWindow

OK, LIMITED, BANNED, BROKEN = 200, 429, 418, 503
PAUSE = 1.0
"""The initial backoff, seconds."""


def reply(status: int, **headers: str) -> RestReply:
    return RestReply(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=b"")


class Host:
    """Answers as it was told, OK when the script is over, and notes who came when."""

    def __init__(self, *script: RestReply | RequestFailedError, takes_s: float = 0.0) -> None:
        self.script = list(script)
        self.takes_s = takes_s
        self.came: list[tuple[str, float]] = []

    def request(self, name: str = "r") -> Callable[[], Awaitable[RestReply]]:
        async def make_request() -> RestReply:
            self.came.append((name, round(trio.current_time(), 3)))
            answer = self.script.pop(0) if self.script else reply(OK)
            await trio.sleep(self.takes_s)
            if isinstance(answer, RequestFailedError):
                raise answer
            return answer

        return make_request

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.came]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.came]


# -- the window -------------------------------------------------------------------------------------------------------


def test_no_window_ever_holds_more_than_its_requests() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=80, derandomize=True, deadline=None)
    @given(
        st.integers(1, 6),
        st.sampled_from([0.1, 1.0, 10.0]),
        st.lists(st.floats(0.0, 1.5) | st.just(0.0), min_size=10, max_size=40),
        st.floats(0.0, 1e9),
    )
    def explore(requests: int, window_s: float, gaps: list[float], now: float) -> None:
        window = RequestWindow(requests=requests, window_s=window_s)
        sent: list[float] = []
        for gap_s in gaps:
            now += gap_s * window_s
            asleep = count()
            while (wait_s := window.wait_s(now)) > 0.0:
                assert next(asleep) < 3, "a wait that is over is not asked for again and again"
                now += wait_s
                reached["waited"] += 1
            window.sent(now)
            sent.append(now)
            assert window.used(now) == sum(1 for each in sent if each > now - window_s) <= requests
            reached["full"] += window.used(now) == requests
        for first, last in zip(sent, sent[requests:], strict=False):
            assert last - first >= window_s + WINDOW_GUARD_S - 2e-6
            reached["met its limit"] += last - first < window_s + WINDOW_GUARD_S + 1e-3

    explore()
    assert not {"waited", "full", "met its limit"} - {name for name, times in reached.items() if times}


def test_the_budget_is_used_to_the_full() -> None:
    """Nobody waits before the window is full, and no longer than until its oldest request leaves it."""
    window = RequestWindow()
    for number in range(10):
        assert window.wait_s(number / 100) == 0.0
        window.sent(number / 100)
    assert window.wait_s(0.5) == pytest.approx(1.0 + WINDOW_GUARD_S - 0.5)
    assert window.wait_s(1.0 + WINDOW_GUARD_S) == 0.0


def test_a_wait_below_the_clocks_resolution_is_none() -> None:
    """Sums of floats differ in the last bits; who woke for the rest would find it unchanged, again and again."""
    window = RequestWindow(requests=1)
    window.sent(0.1)
    assert 0.1 + (1.0 + WINDOW_GUARD_S) > 1.2
    assert window.wait_s(1.2) == 0.0


def test_a_429_starts_at_the_initial_backoff_doubles_and_stops_at_the_maximum() -> None:
    window = RequestWindow()
    now, pauses = 0.0, []
    for _ in range(8):
        pauses.append(window.limited(now + 0.1, sent_at=now, asked_s=0.0))
        now += 0.1 + window.wait_s(now + 0.1)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_burst_of_429s_doubles_the_backoff_once() -> None:
    window = RequestWindow()
    for number in range(5):
        assert window.limited(0.1 + number / 100, sent_at=0.0, asked_s=0.0) == 1.0
    assert window.wait_s(0.14) == pytest.approx(1.0), "counted from the last of them"
    assert window.limited(2.0, sent_at=1.5, asked_s=0.0) == 2.0


def test_retry_after_is_a_floor_and_may_exceed_our_own_maximum() -> None:
    window = RequestWindow()
    assert window.limited(0.0, sent_at=0.0, asked_s=7.0) == 7.0
    assert window.wait_s(3.0) == 4.0
    assert window.limited(7.0, sent_at=7.0, asked_s=0.5) == 2.0, "never shorter than our own backoff"
    assert window.limited(9.0, sent_at=9.0, asked_s=3_600.0) == 3_600.0


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    window = RequestWindow()
    window.limited(0.0, sent_at=0.0, asked_s=100.0)
    window.limited(1.0, sent_at=-1.0, asked_s=5.0)
    assert window.wait_s(1.0) == 99.0


def test_a_success_starts_the_backoff_anew_unless_it_is_older_than_the_429() -> None:
    window = RequestWindow()
    window.limited(10.0, sent_at=9.0, asked_s=0.0)
    window.succeeded(sent_at=9.5)
    assert window.current_backoff_s == 1.0, "it left before the 429 came and says nothing about it"
    window.succeeded(sent_at=11.5)
    assert window.current_backoff_s == 0.0
    assert window.limited(13.0, sent_at=12.0, asked_s=0.0) == 1.0


def test_without_the_window_only_the_pause_holds() -> None:
    window = RequestWindow(proactive=False)
    for _ in range(100):
        assert window.wait_s(0.0) == 0.0
        window.sent(0.0)
    assert window.used(0.5) == 100, "still counted"
    window.limited(0.5, sent_at=0.0, asked_s=0.0)
    assert window.wait_s(0.5) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 0},
        {"window_s": 0.0},
        {"window_s": -1.0},
        {"initial_backoff": 0.0},
        {"initial_backoff": 61.0},
        {"max_backoff": 0.5},
        {"max_backoff": float("nan")},
        {"backoff_multiplier": 0.9},
    ],
)
def test_a_budget_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"expected .*, got .*{next(iter(wrong.values()))}"):
        RequestWindow(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- the gate ---------------------------------------------------------------------------------------------------------


async def test_the_eleventh_request_of_a_second_waits(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(), Host()
    async with trio.open_nursery() as nursery:
        for _ in range(25):
            nursery.start_soon(limiter.retry_request, host.request(), "/prices")
    span_s = 1.0 + WINDOW_GUARD_S
    assert host.times == [0.0] * 10 + [pytest.approx(span_s)] * 10 + [pytest.approx(2 * span_s)] * 5


async def test_the_budget_says_what_is_used(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(requests=4, window_s=2.0), Host()
    assert limiter.budget == (0, 4)
    for _ in range(3):
        await limiter.retry_request(host.request(), "/prices")
    assert limiter.budget == (3, 4)
    await trio.sleep(2.1)
    assert limiter.budget == (0, 4)
    assert limiter.requests_sent == 3


async def test_the_more_urgent_overtake_and_equals_keep_their_order(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(requests=1), Host()
    arrivals = [
        ("poll 1", Priority.POLL),
        ("poll 2", Priority.POLL),
        ("snapshot 1", Priority.SNAPSHOT),
        ("fill 1", Priority.GAP_FILL),
        ("verify 1", Priority.VERIFY),
        ("fill 2", Priority.GAP_FILL),
        ("poll 3", Priority.POLL),
        ("verify 2", Priority.VERIFY),
    ]

    async def ask(name: str, priority: Priority) -> None:
        await limiter.retry_request(host.request(name), name, priority=priority)

    await ask("first", Priority.POLL)
    async with trio.open_nursery() as nursery:
        for name, priority in arrivals:
            nursery.start_soon(ask, name, priority)
            await trio.sleep(0.01)
    assert host.names[1:] == [
        "verify 1",
        "verify 2",
        "fill 1",
        "fill 2",
        "snapshot 1",
        "poll 1",
        "poll 2",
        "poll 3",
    ]


@pytest.mark.parametrize(
    "failure", [reply(BROKEN), reply(500), RequestFailedError("connection reset")], ids=["503", "500", "network"]
)
async def test_5xx_and_network_errors_are_retried_with_exponential_delay(
    failure: RestReply | RequestFailedError, autojump_clock: MockClock
) -> None:
    limiter, host = RestRateLimiter(), Host(failure, failure, failure)
    assert (await limiter.retry_request(host.request(), "/prices")).status == OK
    assert host.times == [0.0, 1.0, 3.0, 7.0]
    assert limiter.retries == 3


async def test_a_5xx_delays_nobody_else(autojump_clock: MockClock) -> None:
    limiter, broken, other = RestRateLimiter(), Host(reply(BROKEN)), Host()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limiter.retry_request, broken.request(), "/orders")
        await trio.sleep(0.1)
        await limiter.retry_request(other.request(), "/prices")
        assert other.times == [0.1]


async def test_a_503_with_retry_after_is_a_wish_of_the_host(autojump_clock: MockClock) -> None:
    """Overload, said politely: a floor for the retry, and everyone else waits too."""
    limiter, broken, other = RestRateLimiter(), Host(reply(BROKEN, retry_after="7")), Host()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limiter.retry_request, broken.request(), "/orders")
        await trio.sleep(0.1)
        await limiter.retry_request(other.request(), "/prices")
    assert (broken.times, other.times) == ([0.0, 7.0], [7.0])


@pytest.mark.parametrize("max_retries", [0, 1, 3, 5])
async def test_only_max_retries_times(max_retries: int, autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(), Host(*[reply(BROKEN)] * 10)
    with pytest.raises(RequestFailedError, match="/prices: HTTP 503") as caught:
        await limiter.retry_request(host.request(), "/prices", max_retries)
    assert caught.value.status == BROKEN
    assert len(host.came) == max_retries + 1


async def test_the_last_network_error_is_what_the_caller_sees(autojump_clock: MockClock) -> None:
    last = RequestFailedError("reset by peer")
    host = Host(reply(BROKEN), last)
    with pytest.raises(RequestFailedError) as caught:
        await RestRateLimiter().retry_request(host.request(), "/prices", 1)
    assert caught.value is last


async def test_retry_delays_stop_growing_at_the_maximum(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(max_backoff=4.0, circuit_failures=0), Host(*[reply(BROKEN)] * 5)
    await limiter.retry_request(host.request(), "/prices", 5)
    assert host.times == [0.0, 1.0, 3.0, 7.0, 11.0, 15.0]


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404])
async def test_an_answer_is_not_retried(status: int, autojump_clock: MockClock) -> None:
    host = Host(reply(status))
    assert (await RestRateLimiter().retry_request(host.request(), "/prices")).status == status
    assert len(host.came) == 1


async def test_what_is_no_failed_request_escapes_at_once(autojump_clock: MockClock) -> None:
    async def defect() -> RestReply:
        raise ZeroDivisionError

    limiter = RestRateLimiter()
    with pytest.raises(ZeroDivisionError):
        await limiter.retry_request(defect, "/prices")
    assert limiter.retries == 0


@pytest.mark.parametrize("status", [LIMITED, BANNED])
async def test_429_and_418_pause_everyone(status: int, autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(), Host(reply(status, retry_after="7"))

    async def ask(name: str, priority: Priority) -> None:
        await limiter.retry_request(host.request(name), name, priority=priority)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "limited", Priority.POLL)
        await trio.sleep(3)
        nursery.start_soon(ask, "urgent", Priority.VERIFY)
    assert sorted(host.came) == [("limited", 0.0), ("limited", 7.0), ("urgent", 7.0)]
    assert limiter.replies_limited == 1


async def test_a_pause_holds_those_who_wait_for_the_window_already(autojump_clock: MockClock) -> None:
    """The 429 comes while somebody sleeps until the window has room: the sleeper must not wake into the pause."""
    limiter, host = RestRateLimiter(requests=1), Host(reply(LIMITED, retry_after="30"), takes_s=0.5)
    async with trio.open_nursery() as nursery:
        for name in ("first", "second"):
            nursery.start_soon(limiter.retry_request, host.request(name), name)
            await trio.sleep(0.1)
    assert host.times == [0.0, 30.5, 31.6]


async def test_429s_in_a_row_back_off_exponentially(autojump_clock: MockClock) -> None:
    host = Host(*[reply(LIMITED)] * 3)
    await RestRateLimiter().retry_request(host.request(), "/prices")
    assert host.times == [0.0, 1.0, 3.0, 7.0]


async def test_429s_spend_retries_too(autojump_clock: MockClock) -> None:
    host = Host(*[reply(LIMITED)] * 9)
    with pytest.raises(RequestFailedError, match="HTTP 429") as caught:
        await RestRateLimiter().retry_request(host.request(), "/prices", 2)
    assert caught.value.status == LIMITED
    assert len(host.came) == 3


async def test_a_burst_in_flight_together_pauses_once(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(), Host(*[reply(LIMITED)] * 5, takes_s=0.2)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(limiter.retry_request, host.request(), "/prices")
    assert host.times == [0.0] * 5 + [1.2] * 5


async def test_without_the_window_the_reactions_stay(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(proactive=False), Host(*[reply(OK)] * 50, reply(LIMITED), reply(BROKEN))
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(limiter.retry_request, host.request(), "/prices")
    assert host.times == [0.0] * 50
    await limiter.retry_request(host.request(), "/prices")
    assert host.times[50:] == [0.0, 1.0, 3.0], "the pause after the 429, the second retry's delay after the 503"


async def test_a_waiter_that_gives_up_leaves_no_trace(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(requests=1), Host()
    await limiter.retry_request(host.request("first"), "first")

    async def ask(name: str, scope: trio.CancelScope) -> None:
        with scope:
            await limiter.retry_request(host.request(name), name)

    scopes = {name: trio.CancelScope() for name in ("head", "second", "middle", "last")}
    async with trio.open_nursery() as nursery:
        for name, scope in scopes.items():
            nursery.start_soon(ask, name, scope)
            await trio.sleep(0.01)
        scopes["middle"].cancel()
        await trio.sleep(0.01)
        scopes["head"].cancel()
    assert host.came[1:] == [("second", 1.1), ("last", 2.2)], "nobody waits for those who left"
    assert limiter.requests_sent == 3


async def test_what_nobody_wants_any_more_when_its_turn_comes_is_not_sent(autojump_clock: MockClock) -> None:
    limiter, host = RestRateLimiter(requests=1), Host(reply(LIMITED, retry_after="7"))
    wanted = True
    waits: list[float] = []

    async def ask() -> None:
        with pytest.raises(RequestWithdrawnError, match="not sent"):
            await limiter.retry_request(host.request("gone"), "gone", still_wanted=lambda: wanted, on_turn=waits.append)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(3.0)
        wanted = False
    await limiter.retry_request(host.request("next"), "next")
    assert host.came == [("gone", 0.0), ("next", 7.0)], "its retry cost nothing, and nobody waited for it"
    assert limiter.requests_sent == 2
    assert waits == [0.0], "what is not sent has not waited to be sent"


async def test_a_request_cancelled_in_flight_has_still_been_sent(autojump_clock: MockClock) -> None:
    """The host may have counted it."""
    limiter, host = RestRateLimiter(requests=1), Host(takes_s=10.0)
    with trio.move_on_after(0.2):
        await limiter.retry_request(host.request("gone"), "gone")
    assert limiter.budget == (1, 1)
    host.takes_s = 0.0
    await limiter.retry_request(host.request("next"), "next")
    assert host.times == [0.0, 1.1]


def test_any_crowd_is_served_in_order_within_the_budget() -> None:
    """Whoever comes and gives up when they like: the most urgent of those who wait goes first, and nobody is lost."""
    reached: Counter[str] = Counter()
    for seed in range(60):
        trio.run(crowd, Random(seed), reached, clock=MockClock(autojump_threshold=0))
    assert not {"overtook", "gave up", "served"} - {name for name, times in reached.items() if times >= 100}


async def crowd(chance: Random, reached: Counter[str]) -> None:
    limiter = RestRateLimiter(requests=chance.randint(1, 3))
    _, requests = limiter.budget
    waiting: dict[int, Priority] = {}
    served: list[float] = []

    async def visit(number: int, priority: Priority, patience_s: float) -> None:
        async def make_request() -> RestReply:
            ahead = [other for other, urgency in waiting.items() if (urgency, other) < (priority, number)]
            assert not ahead, f"{number} went before {ahead}"
            reached["overtook"] += any(other < number for other in waiting)
            served.append(trio.current_time())
            return reply(OK)

        waiting[number] = priority
        with trio.move_on_after(patience_s) as scope:
            await limiter.retry_request(make_request, "/prices", priority=priority)
        del waiting[number]
        assert patience_s < float("inf") or not scope.cancelled_caught
        reached["gave up" if scope.cancelled_caught else "served"] += 1

    async with trio.open_nursery() as nursery:
        for number in range(30):
            # Arrivals and departures never meet at one instant: who was first is no matter of scheduling.
            await trio.sleep(chance.randint(1, 200) / 1_000)
            patience_s = chance.choice([float("inf"), chance.randint(1, 150) / 10 + 0.000_3])
            nursery.start_soon(visit, number, chance.choice(list(Priority)), patience_s)
    assert len(served) == limiter.requests_sent
    assert all(last - first >= 1.1 - 1e-5 for first, last in zip(served, served[requests:], strict=False))
