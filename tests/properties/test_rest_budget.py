"""The pure parts of the limiter, put together as it does: a line of many clients, a window by weight, a breaker.

The model is the record of what was sent. One request at a time is let go: the first in line, when the window has room.
"""

from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gapless.controller.circuit_breaker import Circuit, CircuitBreaker
from gapless.controller.fair_line import FairLine, Ticket
from gapless.controller.priority import Priority
from gapless.controller.request_window import WINDOW_GUARD_S, RequestWindow
from tests.properties.profile import explore

WINDOW_S = 1.0
INITIAL_S, MAX_S = 1.0, 8.0
PAUSE_S = 5.0
HEAVIEST = 4
LAST_BITS_S = 2e-6
"""Seconds within which sums of floats may differ."""
CLIENTS = ("a", "b", "c")


class Gate(RuleBasedStateMachine):
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(requests=st.integers(2, 6))
    def begin(self, requests: int) -> None:
        self.requests = requests
        self.now = 1_000.0
        self.window = RequestWindow(
            requests=requests, window_s=WINDOW_S, initial_backoff=INITIAL_S, max_backoff=MAX_S, backoff_multiplier=2.0
        )
        self.line = FairLine()
        self.waiting: dict[int, tuple[str, Ticket]] = {}
        self.sent: list[tuple[float, int]] = []
        self.floor = 0.0
        self.limited_in_a_row = 0
        self.served: dict[Priority, Counter[str]] = {each: Counter() for each in Priority}
        """Weight each client got since anybody of its priority waits alongside it."""

    # -- the line ------------------------------------------------------------------------------------------------------

    @rule(
        client=st.sampled_from(CLIENTS),
        priority=st.sampled_from(Priority),
        weights=st.lists(st.integers(1, HEAVIEST), min_size=1, max_size=5),
    )
    def a_client_asks(self, client: str, priority: Priority, weights: list[int]) -> None:
        if all(each != client or ticket.priority is not priority for each, ticket in self.waiting.values()):
            # Who comes anew starts even with whoever waits: the count begins again.
            self.served[priority].clear()
        for weight in weights:
            ticket = self.line.join(client, priority, weight)
            assert (ticket.priority, ticket.weight) == (priority, weight)
            self.waiting[ticket.number] = (client, ticket)

    @rule(index=st.integers(0, 50))
    @precondition(lambda self: self.waiting)
    def somebody_gives_up(self, index: int) -> None:
        number = sorted(self.waiting)[index % len(self.waiting)]
        _, ticket = self.waiting.pop(number)
        self.line.leave(ticket)
        # It had its place, and the others of its client do not move up.
        self.served[ticket.priority].clear()
        self.reached["gave up"] += 1

    @rule(count=st.integers(1, 8))
    @precondition(lambda self: self.waiting)
    def the_gate_opens(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            self.let_one_go()

    def let_one_go(self) -> None:
        ticket = self.line.first
        assert ticket is not None
        client, same = self.waiting[ticket.number]
        assert ticket is same
        assert ticket.priority is min(each.priority for _, each in self.waiting.values()), "the highest goes first"
        self.reached["overtook"] += any(each.number < ticket.number for _, each in self.waiting.values())
        wait_s = self.window.wait_s(self.now, ticket.weight)
        slept = 0
        while wait_s > 0.0:
            self.reached["waited"] += 1
            assert slept < 3, "a wait that is over is not asked for again and again"
            self.now, slept = self.now + wait_s, slept + 1
            wait_s = self.window.wait_s(self.now, ticket.weight)
        assert self.now >= self.floor - LAST_BITS_S, "what the host asked for is a floor"
        self.line.served(ticket)
        del self.waiting[ticket.number]
        self.window.sent(self.now, ticket.weight)
        self.sent.append((self.now, ticket.weight))
        self.share(client, ticket)

    def share(self, client: str, ticket: Ticket) -> None:
        """Clients that wait alongside each other all the time get equal weights, but for one request of each."""
        served = self.served[ticket.priority]
        served[client] += ticket.weight
        rivals = {each for each, other in self.waiting.values() if other.priority is ticket.priority} | {client}
        if not any(other.priority is ticket.priority and each == client for each, other in self.waiting.values()):
            # It has nothing more to ask for: the others share what it leaves.
            served.clear()
        elif len(rivals) > 1:
            spread = max(served[each] for each in rivals) - min(served[each] for each in rivals)
            assert spread <= 2 * HEAVIEST
            self.reached["shared"] += 1

    # -- the host ------------------------------------------------------------------------------------------------------

    @rule(pause_s=st.sampled_from([0.0, 0.01, 0.3, 1.0, 1.2, 20.0]))
    def time_passes(self, pause_s: float) -> None:
        self.now += pause_s

    @rule(asked_s=st.sampled_from([0.0, 0.0, 0.5, 3.0, 30.0]), took_s=st.sampled_from([0.0, 0.2]))
    @precondition(lambda self: self.sent)
    def a_429_comes(self, asked_s: float, took_s: float) -> None:
        self.now += took_s
        self.limited_in_a_row += 1
        own_s = min(INITIAL_S * 2.0 ** (self.limited_in_a_row - 1), MAX_S)
        pause_s = self.window.limited(self.now, sent_at=self.now, asked_s=asked_s)
        assert pause_s == max(own_s, asked_s)
        self.floor = max(self.floor, self.now + pause_s)
        self.reached["Retry-After"] += pause_s > own_s
        self.reached["ceiling"] += own_s == MAX_S
        # Another one, for a request that had left before, neither doubles the backoff nor shortens the pause.
        again_s = self.window.limited(self.now, sent_at=self.now - 0.1, asked_s=0.0)
        assert again_s == own_s

    @rule()
    @precondition(lambda self: self.limited_in_a_row)
    def a_reply_comes(self) -> None:
        self.window.succeeded(sent_at=self.now)
        self.limited_in_a_row = 0

    @invariant()
    def no_window_holds_more_than_is_allowed(self) -> None:
        if not hasattr(self, "sent"):
            return
        assert len(self.line) == len(self.waiting)
        latest = [(at, weight) for at, weight in self.sent if at > self.now - WINDOW_S]
        assert self.window.used(self.now) == sum(weight for _, weight in latest)
        # The host's window is counted with the guard: it sees arrivals.
        for last, (end, _) in enumerate(self.sent[-12:], start=max(len(self.sent) - 12, 0)):
            inside = [w for at, w in self.sent[: last + 1] if at > end - WINDOW_S - WINDOW_GUARD_S + LAST_BITS_S]
            assert sum(inside) <= self.requests or len(inside) == 1, "only what is heavier than a window goes alone"
            self.reached["full"] += sum(inside) == self.requests
        if self.window.is_clear(self.now):
            assert self.window.wait_s(self.now, self.requests) == 0.0
            self.reached["clear"] += 1


def test_the_gate_keeps_the_budget_and_is_fair() -> None:
    wanted = {"overtook", "waited", "shared", "gave up", "Retry-After", "ceiling", "full", "clear"}
    explore(Gate, Gate.reached, wanted, examples=120)


class Breaker(RuleBasedStateMachine):
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(failures=st.integers(0, 4))
    def begin(self, failures: int) -> None:
        self.breaker = CircuitBreaker(failures=failures, pause_s=PAUSE_S)
        self.failures = failures
        self.now = 0.0
        self.in_a_row = 0
        self.circuit = Circuit.CLOSED
        self.opened_at = 0.0
        self.in_flight: list[bool] = []
        """Of each request on its way, whether it is the probe."""

    @rule(count=st.integers(1, 4))
    def requests_are_sent(self, count: int) -> None:
        for _ in range(count):
            may_pass = self.circuit is Circuit.CLOSED or (
                self.circuit is Circuit.OPEN and self.now >= self.opened_at + PAUSE_S
            )
            refused_s = self.breaker.refuses_for_s(self.now)
            assert (refused_s is None) is may_pass
            if refused_s is not None:
                assert refused_s == max(self.opened_at + PAUSE_S - self.now, 0.0)
                self.reached["refused"] += 1
                continue
            probe = self.breaker.begun()
            assert probe is (self.circuit is Circuit.OPEN)
            if probe:
                self.circuit = Circuit.PROBING
                self.reached["probed"] += 1
            self.in_flight.append(probe)

    @rule(index=st.integers(0, 9))
    @precondition(lambda self: self.in_flight)
    def one_succeeds(self, index: int) -> None:
        self.in_flight.pop(index % len(self.in_flight))
        assert self.breaker.succeeded() is (self.circuit is not Circuit.CLOSED)
        self.reached["closed"] += self.circuit is not Circuit.CLOSED
        # Any answer shows that the host is back, a straggler's as well; a probe on its way is one no more.
        self.in_flight = [False] * len(self.in_flight)
        self.circuit, self.in_a_row = Circuit.CLOSED, 0

    @rule(count=st.integers(1, 5), index=st.integers(0, 9))
    @precondition(lambda self: self.in_flight)
    def some_fail(self, count: int, index: int) -> None:
        for _ in range(min(count, len(self.in_flight))):
            probe = self.in_flight.pop(index % len(self.in_flight))
            self.in_a_row += 1
            opens = probe or (self.circuit is Circuit.CLOSED and 0 < self.failures <= self.in_a_row)
            assert self.breaker.failed(self.now, probe=probe) is opens
            self.reached["straggler"] += not opens and self.circuit is not Circuit.CLOSED
            if opens:
                self.reached["opened again" if probe else "opened"] += 1
                self.circuit, self.opened_at = Circuit.OPEN, self.now

    @rule()
    @precondition(lambda self: self.circuit is Circuit.PROBING and True in self.in_flight)
    def the_probe_is_cancelled(self) -> None:
        self.in_flight.remove(True)
        self.breaker.abandoned()
        self.circuit = Circuit.OPEN
        self.reached["abandoned"] += 1

    @rule(pause_s=st.sampled_from([0.0, 1.0, 4.0, 6.0]))
    def time_passes(self, pause_s: float) -> None:
        self.now += pause_s

    @invariant()
    def it_is_as_open_as_it_should_be(self) -> None:
        if hasattr(self, "breaker"):
            assert self.breaker.circuit is self.circuit
            assert self.failures or self.circuit is Circuit.CLOSED, "0: it never opens"


def test_the_breaker_opens_after_failures_in_a_row_and_one_probe_decides() -> None:
    wanted = {"refused", "probed", "closed", "straggler", "opened", "opened again", "abandoned"}
    explore(Breaker, Breaker.reached, wanted, examples=120)
