"""Many share one host: weights, turns, the circuit, and ten controllers at once."""

from collections import Counter

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger
from trio.testing import MockClock, wait_all_tasks_blocked

from gapless.cli.oracle import busiest_second
from gapless.controller import (
    ConfigurationError,
    NetworkConfig,
    Priority,
    RequestFailedError,
    RestRateLimiter,
    SnapshotMissed,
    State,
    Stream,
    open_controller,
)
from gapless.controller.circuit_breaker import Circuit, CircuitBreaker
from gapless.controller.errors import CircuitOpenError
from gapless.controller.exchange import RestReply
from gapless.controller.fair_line import FairLine
from gapless.controller.host_limiters import limiter_of
from gapless.controller.request_window import WINDOW_GUARD_S, RequestWindow
from gapless.controller.waiting import asked_wait_s
from gapless.simulator import FailuresConfig, RateLimitMode, RefuseMode, ServerErrorMode
from tests.kit import virtual_wall_clock, world

OK, LIMITED, BANNED, BROKEN = 200, 429, 418, 503


def reply(status: int, **headers: str) -> RestReply:
    return RestReply(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=b"")


# -- weights ----------------------------------------------------------------------------------------------------------


def test_a_heavy_request_takes_the_room_of_many() -> None:
    window = RequestWindow(requests=10)
    window.sent(0.0, 6)
    assert window.wait_s(0.0, 4) == 0.0
    assert window.wait_s(0.0, 5) == pytest.approx(1.0 + WINDOW_GUARD_S)
    window.sent(0.5, 4)
    assert window.used(0.5) == 10
    assert window.wait_s(0.6) == pytest.approx(0.4 + WINDOW_GUARD_S)
    assert window.wait_s(0.6, 7) == pytest.approx(0.9 + WINDOW_GUARD_S), "the six alone leave too little room"


def test_a_request_heavier_than_the_budget_waits_for_an_empty_window() -> None:
    window = RequestWindow(requests=10)
    assert window.wait_s(0.0, 25) == 0.0
    window.sent(0.0, 25)
    assert window.wait_s(0.0, 1) == pytest.approx(1.0 + WINDOW_GUARD_S)
    assert window.wait_s(1.0 + WINDOW_GUARD_S, 25) == 0.0


# -- turns ------------------------------------------------------------------------------------------------------------


def order(line: FairLine) -> list[int]:
    served = []
    while (ticket := line.first) is not None:
        line.served(ticket)
        served.append(ticket.number)
    return served


def test_clients_take_turns_however_many_requests_one_of_them_queues() -> None:
    line = FairLine()
    greedy = [line.join("greedy", Priority.POLL, 1).number for _ in range(5)]
    modest = [line.join("modest", Priority.POLL, 1).number for _ in range(2)]
    assert order(line) == [greedy[0], modest[0], greedy[1], modest[1], *greedy[2:]]


def test_priorities_go_first_across_all_clients() -> None:
    line = FairLine()
    poll = line.join("a", Priority.POLL, 1).number
    fills = [line.join("b", Priority.GAP_FILL, 1).number for _ in range(3)]
    verify = line.join("c", Priority.VERIFY, 1).number
    assert order(line) == [verify, *fills, poll]


def test_who_was_idle_has_nothing_saved_up() -> None:
    line = FairLine()
    for _ in range(10):
        line.join("early", Priority.POLL, 1)
    for _ in range(5):
        assert line.first is not None
        line.served(line.first)
    late = [line.join("late", Priority.POLL, 1).number for _ in range(5)]
    served = order(line)
    assert [number in late for number in served].count(True) == 5
    assert not all(number in late for number in served[:4]), "the late one must not go before everybody else"


def test_turns_are_even_by_weight_and_nobody_starves() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=100, derandomize=True, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=2, max_size=60), st.integers(0, 59))
    def explore(requests: list[tuple[int, int]], leaves: int) -> None:
        line = FairLine()
        tickets = [(client, line.join(client, Priority.POLL, weight)) for client, weight in requests]
        client_of = {ticket.number: client for client, ticket in tickets}
        if leaves < len(tickets):
            line.leave(tickets.pop(leaves)[1])
            reached["left"] += 1
        left = Counter(client for client, _ in tickets)
        had: Counter[int] = Counter()
        weight_of = {ticket.number: ticket.weight for _, ticket in tickets}
        busy = set(left)
        for number in order(line):
            client = client_of[number]
            had[client] += weight_of[number]
            left[client] -= 1
            if len(busy) > 1 and busy == set(+left) | {client}:
                spread = max(had[each] for each in busy) - min(had[each] for each in busy)
                # One request each may be ahead, and the one that left had its place.
                assert spread <= 3 * 5
                reached["compared"] += 1
            busy &= set(+left)
        assert not +left
        assert len(line) == 0

    explore()
    assert reached["compared"] > 100
    assert reached["left"] > 20


# -- the circuit ------------------------------------------------------------------------------------------------------


def test_failures_in_a_row_open_the_circuit_and_one_probe_closes_it() -> None:
    breaker = CircuitBreaker(failures=3, pause_s=5.0)
    assert [breaker.failed(at, probe=False) for at in (0.0, 1.0, 2.0)] == [False, False, True]
    assert breaker.refuses_for_s(2.0) == 5.0
    assert breaker.refuses_for_s(6.0) == 1.0
    assert breaker.refuses_for_s(7.0) is None
    assert breaker.begun()
    assert breaker.refuses_for_s(7.0) == 0.0, "one probe at a time"
    assert breaker.succeeded()
    assert breaker.refuses_for_s(7.0) is None
    assert not breaker.begun()


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = CircuitBreaker(failures=2)
    for at in range(10):
        assert not breaker.failed(float(at), probe=False)
        breaker.succeeded()
    assert breaker.circuit is Circuit.CLOSED


def test_a_probe_that_fails_opens_it_for_another_pause_and_an_abandoned_one_leaves_its_place() -> None:
    breaker = CircuitBreaker(failures=1, pause_s=5.0)
    breaker.failed(0.0, probe=False)
    assert breaker.begun()
    assert breaker.failed(6.0, probe=True)
    assert breaker.refuses_for_s(10.0) == 1.0
    assert breaker.begun()
    breaker.abandoned()
    assert breaker.refuses_for_s(11.0) is None
    assert breaker.begun()


def test_stragglers_do_not_prolong_the_pause() -> None:
    breaker = CircuitBreaker(failures=1, pause_s=5.0)
    breaker.failed(0.0, probe=False)
    assert not breaker.failed(3.0, probe=False)
    assert breaker.refuses_for_s(5.0) is None


@pytest.mark.parametrize("end", ["abandoned", "failed"])
def test_a_probe_that_a_straggler_has_overtaken_is_a_request_like_any_other(end: str) -> None:
    breaker = CircuitBreaker(failures=3, pause_s=5.0)
    for _ in range(3):
        breaker.failed(0.0, probe=False)
    assert breaker.begun()
    assert breaker.succeeded(), "a straggler's answer: the host is back"
    if end == "abandoned":
        breaker.abandoned()
    else:
        assert not breaker.failed(6.0, probe=True)
    assert breaker.circuit is Circuit.CLOSED


def test_zero_failures_switch_it_off() -> None:
    breaker = CircuitBreaker(failures=0)
    assert not any(breaker.failed(float(at), probe=False) for at in range(100))


@pytest.mark.parametrize("wrong", [{"failures": -1}, {"pause_s": 0.0}, {"pause_s": float("inf")}])
def test_a_breaker_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="at least 0 failures and a finite pause above 0 s"):
        CircuitBreaker(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_host_that_is_down_is_left_alone_and_probed(autojump_clock: MockClock) -> None:
    limiter = RestRateLimiter()
    came: list[float] = []
    status = [BROKEN]

    async def make_request() -> RestReply:
        came.append(trio.current_time())
        return reply(status[0])

    for _ in range(5):
        with pytest.raises(RequestFailedError, match="HTTP 503"):
            await limiter.retry_request(make_request, "/prices", 0)
    with pytest.raises(CircuitOpenError, match=r"/prices: not sent, .* it is probed in 5\.0 s"):
        await limiter.retry_request(make_request, "/prices", 0)
    assert limiter.circuit.name == "OPEN"
    assert len(came) == 5
    await trio.sleep(5.0)
    status[0] = OK
    assert (await limiter.retry_request(make_request, "/prices", 0)).status == OK
    assert limiter.circuit.name == "CLOSED"


async def test_a_cancelled_probe_is_followed_by_another(autojump_clock: MockClock) -> None:
    limiter = RestRateLimiter(circuit_failures=1)

    async def fails() -> RestReply:
        return reply(BROKEN)

    async def hangs() -> RestReply:
        await trio.sleep_forever()
        raise AssertionError

    async def works() -> RestReply:
        return reply(OK)

    with pytest.raises(RequestFailedError):
        await limiter.retry_request(fails, "/x", 0)
    await trio.sleep(5.0)
    with trio.move_on_after(1.0):
        await limiter.retry_request(hangs, "/x", 0)
    assert (await limiter.retry_request(works, "/x", 0)).status == OK


async def test_a_429_is_no_failure_of_the_circuit(autojump_clock: MockClock) -> None:
    limiter = RestRateLimiter(circuit_failures=1)
    script = [reply(LIMITED), reply(BANNED), reply(OK)]

    async def make_request() -> RestReply:
        return script.pop(0)

    assert (await limiter.retry_request(make_request, "/x")).status == OK


async def test_an_open_circuit_is_no_missed_snapshot(autojump_clock: MockClock) -> None:
    """REST is down for ten seconds: the snapshot is read when it is back, not given up."""
    async with world(rate_per_s=10.0) as w:
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True)))
        async with w.feed(Stream("ticker", "BTC/USD"), Stream("orders", "*"), circuit_breaker_failures=2) as feed:
            await trio.sleep(10.0)
            w.fail(FailuresConfig())
            await feed.until_state(State.CONNECTED)
            assert feed.of(SnapshotMissed) == []


# -- what a host asks for ---------------------------------------------------------------------------------------------


def test_a_date_is_measured_by_the_clock_that_wrote_it() -> None:
    """The host's clock is an hour ahead of ours: both its dates are."""
    headers = {"retry-after": "Thu, 01 Jan 2026 13:00:30 GMT", "date": "Thu, 01 Jan 2026 13:00:00 GMT"}
    assert asked_wait_s(headers) == 30.0
    assert asked_wait_s({"retry-after": "30", "date": "nonsense"}) == 30.0
    assert asked_wait_s({}) == 0.0


@pytest.mark.parametrize(
    "asks",
    [
        reply(LIMITED, retry_after="20"),
        reply(BANNED, retry_after="20"),
        reply(LIMITED, retry_after="Thu, 01 Jan 2026 00:00:20 GMT", date="Thu, 01 Jan 2026 00:00:00 GMT"),
        reply(BROKEN, retry_after="20"),
    ],
    ids=["429", "418", "a date", "503"],
)
@pytest.mark.parametrize("proactive", [True, False])
async def test_what_the_host_asks_of_one_is_obeyed_by_all(
    asks: RestReply, proactive: bool, autojump_clock: MockClock
) -> None:
    limiter = RestRateLimiter(proactive)
    came: list[tuple[int, float]] = []
    script = [asks]

    async def use(client: int) -> None:
        async def make_request() -> RestReply:
            came.append((client, trio.current_time()))
            return script.pop() if script else reply(OK)

        await limiter.retry_request(make_request, "/prices", client=client)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use, 0)
        await wait_all_tasks_blocked()
        await trio.sleep(0.1)
        for client in range(1, 10):
            nursery.start_soon(use, client)
    assert {client for client, _ in came} == set(range(10))
    assert all(at >= 20.0 for client, at in came if client), came
    assert sorted(at for _, at in came)[1] == pytest.approx(20.0, abs=0.2)


# -- many controllers -------------------------------------------------------------------------------------------------


def test_a_second_controller_with_other_terms_is_told_that_they_are_not_used() -> None:
    async def main() -> None:
        first = limiter_of("host:1", NetworkConfig())
        assert limiter_of("host:1", NetworkConfig()) is first
        assert warned == []
        assert limiter_of("host:1", NetworkConfig(rate_limit_requests=5)) is first
        assert limiter_of("host:2", NetworkConfig(rate_limit_requests=5)) is not first

    warned: list[str] = []
    logger.enable("gapless")
    sink = logger.add(lambda message: warned.append(str(message)), level="WARNING")
    try:
        trio.run(main)
    finally:
        logger.remove(sink)
        logger.disable("gapless")
    (text,) = warned
    assert "host:1 has a limiter already; this controller shares it" in text


async def test_five_hundred_share_ten_requests_a_second_evenly(autojump_clock: MockClock) -> None:
    """All want more than there is, one of them fifty at a time; nobody is woken but for a turn of his own."""
    limiter, came, steps = RestRateLimiter(), Counter[int](), Steps()

    async def use(client: int) -> None:
        async def make_request() -> RestReply:
            came[client] += 1
            await trio.sleep(0.01)
            return reply(OK)

        while True:
            await limiter.retry_request(make_request, "/prices", client=client)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            await limiter.retry_request(lambda: _answered(OK), "/prices")
        for client in range(500):
            for _ in range(50 if client == 0 else 1):
                nursery.start_soon(use, client)
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        for turns in (1, 2, 3):
            # The window's guard makes a second of ten requests a little longer than a second.
            await trio.sleep(50.0 * (1.0 + WINDOW_GUARD_S))
            assert max(came.values()) - min(came[client] for client in range(500)) <= 1, came.most_common(3)
            assert sum(came.values()) == pytest.approx(500 * turns, abs=10 * turns)
        trio.lowlevel.remove_instrument(steps)
        assert steps.taken <= 10 * sum(came.values())
        nursery.cancel_scope.cancel()


class Steps(trio.abc.Instrument):
    """Counts how often tasks are run."""

    def __init__(self) -> None:
        self.taken = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002, as in the protocol
        self.taken += 1


async def _answered(status: int) -> RestReply:
    return reply(status)


async def test_ten_controllers_share_ten_requests_a_second_fairly(autojump_clock: MockClock) -> None:
    """Without sockets all of them poll: 30 streams ask every 2 s, 15 requests a second, where 10 are allowed.

    One of the ten has eleven times as many streams as the others, and gets no more than its share.
    """
    symbols = tuple(f"S{number}/USD" for number in range(11))
    sessions = [f"app-{number}" for number in range(10)]
    async with world(rate_per_s=1.0, symbols=symbols) as w, trio.open_nursery() as nursery:
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)), None)

        async def run(session_id: str, streams: list[Stream]) -> None:
            async with open_controller(
                ws_url=w.ws_url,
                rest_url=w.rest_url,
                streams=streams,
                session_id=session_id,
                config=NetworkConfig(reconnect_max_attempts=None, rest_fetch_interval=0.5),
                wall_clock=virtual_wall_clock,
            ) as controller:
                async for _event in controller:
                    pass

        for number, session_id in enumerate(sessions):
            streams = [Stream("ticker", symbol) for symbol in symbols[: 11 if number == 0 else 1]]
            nursery.start_soon(run, session_id, streams)
        await trio.sleep(10.0)
        since = w.exchange.now()
        await trio.sleep(60.0)
        asked = [each for each in w.exchange.requests if each.time_s >= since]
        per_session = Counter(each.session_id for each in asked)
        assert busiest_second([each.time_s for each in w.exchange.requests]) <= 10
        assert sum(per_session.values()) > 500, "the budget was not used"
        shares = [per_session[session_id] for session_id in sessions]
        assert max(shares) - min(shares) <= 3, shares
        nursery.cancel_scope.cancel()


async def test_a_429_to_one_controller_holds_up_all_ten(autojump_clock: MockClock) -> None:
    sessions = [f"app-{number}" for number in range(10)]
    async with world(rate_per_s=1.0) as w, trio.open_nursery() as nursery:
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)), None)

        async def run(session_id: str) -> None:
            async with open_controller(
                ws_url=w.ws_url,
                rest_url=w.rest_url,
                streams=[Stream("ticker", "BTC/USD")],
                session_id=session_id,
                config=NetworkConfig(reconnect_max_attempts=None),
                wall_clock=virtual_wall_clock,
            ) as controller:
                async for _event in controller:
                    pass

        for session_id in sessions:
            nursery.start_soon(run, session_id)
        await trio.sleep(10.0)
        w.fail(
            FailuresConfig(
                refuse=RefuseMode(enabled=True), rate_limited=RateLimitMode(enabled=True, count=1, retry_after_s=30)
            ),
            sessions[3],
        )
        await trio.sleep(5.0)
        (limited,) = [each for each in w.exchange.requests if each.status == LIMITED]
        await trio.sleep(60.0)
        after = [each for each in w.exchange.requests if each.time_s > limited.time_s + 0.5]
        assert min(each.time_s for each in after) >= limited.time_s + 30.0
        assert {each.session_id for each in after} == set(sessions)
        nursery.cancel_scope.cancel()
