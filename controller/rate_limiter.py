"""Staying inside a host's REST budget: one gate for each host, shared by everything that talks to it.

The parts that decide are pure: :mod:`request_window` the budget, :mod:`fair_line` the order, :mod:`circuit_breaker`
whether the host is asked at all. :class:`RestRateLimiter` puts the waiting round them.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import trio
from loguru import logger

from gapless.controller.circuit_breaker import Circuit, CircuitBreaker
from gapless.controller.errors import CircuitOpenError, RequestFailedError, RequestWithdrawnError
from gapless.controller.fair_line import FairLine, Ticket
from gapless.controller.priority import Priority
from gapless.controller.request_window import RequestWindow
from gapless.controller.signal import Wakeup
from gapless.controller.waiting import asked_wait_s

_TOO_MANY_REQUESTS: Final = frozenset({418, 429})
"""429, and 418, with which Binance bans who did not heed 429: 2 minutes to 3 days, said in Retry-After."""
_SERVER_ERROR: Final = 500


class Reply(Protocol):
    """What the limiter needs to know of a reply."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case."""
        ...


OnCircuit = Callable[[Circuit, int, float | None], None]
"""Told whether the circuit is open or closed now, how many requests in a row have failed, and in how many seconds the
first probe is due; None: no probe is needed."""
_ReplyT = TypeVar("_ReplyT", bound=Reply)


class RestRateLimiter:
    """One host's gate: a sliding window, priorities, turns, retries, and a circuit breaker.

    Args:
        proactive: keep requests inside the window; off: only react to 429 and failures.
        initial_backoff: seconds of the pause after a first 429.
        max_backoff: seconds of the longest pause of our own making; ``Retry-After`` may ask for more.
        backoff_multiplier: growth of the pause with each 429 in a row.
        requests: requests allowed in one window; more exactly, their weight.
        window_s: length of the window, seconds.
        circuit_failures: failed requests in a row after which the host is left alone; 0: never.
        circuit_pause_s: for how long, seconds; then one request probes.
    """

    def __init__(
        self,
        proactive: bool = True,  # positional, as in the specification
        initial_backoff: float = 1.0,
        max_backoff: float = 60.0,
        backoff_multiplier: float = 2.0,
        *,
        requests: int = 10,
        window_s: float = 1.0,
        circuit_failures: int = 5,
        circuit_pause_s: float = 5.0,
    ) -> None:
        self._window = RequestWindow(
            requests=requests,
            window_s=window_s,
            proactive=proactive,
            initial_backoff=initial_backoff,
            max_backoff=max_backoff,
            backoff_multiplier=backoff_multiplier,
        )
        self._breaker = CircuitBreaker(failures=circuit_failures, pause_s=circuit_pause_s)
        self._line = FairLine()
        self._sleepers: dict[int, Wakeup] = {}
        """Of those in line, by the numbers of their tickets."""
        self.requests_sent = 0
        self.replies_limited = 0
        self.retries = 0
        self.circuit_listeners: Final[list[OnCircuit]] = []
        """Told when the circuit opens and when it closes; a probe that fails does neither."""
        self.circuit_opened = 0
        """How often, a probe that failed included."""

    @property
    def budget(self) -> tuple[int, int]:
        """Weight of the requests sent in the last window, and how much a window allows."""
        return self._window.used(trio.current_time()), self._window.requests

    def observe(self, used: int) -> None:
        """A reply said what the host has counted in its window, others of the same address included."""
        self._window.observed(trio.current_time(), used)

    @property
    def circuit(self) -> Circuit:
        """Whether the host is asked at all."""
        return self._breaker.circuit

    def tell_circuit(self, listener: OnCircuit) -> None:
        """Tell one who has not listened until now, where the circuit is not closed."""
        if self._breaker.circuit is not Circuit.CLOSED:
            listener(Circuit.OPEN, self._breaker.failures, self._breaker.refuses_for_s(trio.current_time()) or 0.0)

    @property
    def in_line(self) -> int:
        """How many requests wait for their turn."""
        return len(self._line)

    @property
    def is_clear(self) -> bool:
        """Whether a new limiter would do just the same: nothing sent lately, no pause, no circuit that refuses."""
        now = trio.current_time()
        return self._window.is_clear(now) and self._breaker.refuses_for_s(now) is None

    async def retry_request(
        self,
        make_request: Callable[[], Awaitable[_ReplyT]],
        endpoint: str,
        max_retries: int = 3,
        *,
        priority: Priority = Priority.POLL,
        weight: int = 1,
        client: Hashable = None,
        still_wanted: Callable[[], bool] = lambda: True,
        on_turn: Callable[[float], None] = lambda _: None,
    ) -> _ReplyT:
        """Send a request inside the budget, and again where that can help.

        429 and 418 pause the whole host (``Retry-After`` is a floor); 5xx and network errors delay this request alone,
        and open the circuit when they come in a row.

        Args:
            make_request: sends the request once; raises RequestFailedError where no reply came.
            endpoint: how log lines and errors name the request.
            max_retries: how often it is sent again.
            priority: who goes first when the budget is short.
            weight: what it costs of the budget; one heavier than the whole budget waits for an empty window.
            client: whose turn it takes; clients share what one priority gets evenly.
            still_wanted: asked when its turn has come; what nobody wants any more is not sent and costs nothing.
            on_turn: told each time it is sent how long it had to wait for its turn, seconds.

        Raises:
            CircuitOpenError: the host is left alone for now.
            RequestWithdrawnError: it was not wanted any more.
            RequestFailedError: out of retries.
        """
        attempt = 0
        failure: RequestFailedError | None = None
        while True:
            attempt += 1
            self._refuse_while_open(endpoint, failure)
            joined_at = trio.current_time()
            await self._turn(priority, weight, client)
            waited_s = trio.current_time() - joined_at
            self._refuse_while_open(endpoint, failure)
            if not still_wanted():
                raise RequestWithdrawnError(f"{endpoint}: not sent, what it asks for was answered otherwise")
            on_turn(waited_s)
            self._window.sent(trio.current_time(), weight)
            self.requests_sent += 1
            reply, failure, delay_s = await self._send(make_request, endpoint, attempt)
            if reply is not None:
                return reply
            if failure is not None and attempt > max_retries:
                raise failure
            self.retries += 1
            logger.debug("REST {}: {}; retry {} of {} in {:.2f} s", endpoint, failure, attempt, max_retries, delay_s)
            await trio.sleep(delay_s)

    async def _send(
        self, make_request: Callable[[], Awaitable[_ReplyT]], endpoint: str, attempt: int
    ) -> tuple[_ReplyT | None, RequestFailedError | None, float]:
        """Send once: the reply, or why there is none of use and how long to wait before the next try."""
        sent_at = trio.current_time()
        with self._watched(endpoint) as report:
            try:
                reply = await make_request()
            except RequestFailedError as error:
                report(alive=False)
                return None, error, self._window.retry_delay_s(attempt)
            report(alive=reply.status < _SERVER_ERROR)
        if reply.status in _TOO_MANY_REQUESTS:
            delay_s = self._limited(reply, sent_at, endpoint)
        elif reply.status >= _SERVER_ERROR:
            asked_s = asked_wait_s(reply.headers)
            self._window.pause(trio.current_time() + asked_s)
            delay_s = max(self._window.retry_delay_s(attempt), asked_s)
        else:
            self._window.succeeded(sent_at=sent_at)
            return reply, None, 0.0
        return None, RequestFailedError(f"{endpoint}: HTTP {reply.status}", status=reply.status), delay_s

    @contextmanager
    def _watched(self, endpoint: str) -> "Iterator[_Report]":
        """Tell the breaker what becomes of one request; a cancelled probe leaves the next request to be one."""
        probe = self._breaker.begun()
        reported = False
        if probe:
            logger.info("REST {}: probes whether the host is back", endpoint)

        def report(*, alive: bool) -> None:
            nonlocal reported
            reported = True
            if alive and self._breaker.succeeded():
                logger.info("the circuit is closed: the host answers again")
                self._tell(Circuit.CLOSED)
            elif not alive:
                self._failed(probe=probe)
            self._wake_first()

        try:
            yield report
        finally:
            if probe and not reported:
                self._breaker.abandoned()

    def _failed(self, *, probe: bool) -> None:
        was_closed = self._breaker.circuit is Circuit.CLOSED
        if self._breaker.failed(trio.current_time(), probe=probe):
            self.circuit_opened += 1
            logger.warning("the circuit is open: requests fail, a probe is due in {} s", self._breaker.pause_s)
            if was_closed:
                self._tell(Circuit.OPEN)

    def _tell(self, circuit: Circuit) -> None:
        opened = circuit is Circuit.OPEN
        for listener in tuple(self.circuit_listeners):
            listener(circuit, self._breaker.failures, self._breaker.pause_s if opened else None)

    def _refuse_while_open(self, endpoint: str, failure: RequestFailedError | None) -> None:
        wait_s = self._breaker.refuses_for_s(trio.current_time())
        if wait_s is None:
            return
        if failure is not None:
            # It failed, and is not tried again while the host is left alone.
            raise failure
        raise CircuitOpenError(f"{endpoint}: not sent, the host failed too often; it is probed in {wait_s:.1f} s")

    def _limited(self, reply: Reply, sent_at: float, endpoint: str) -> float:
        asked_s = asked_wait_s(reply.headers)
        pause_s = self._window.limited(trio.current_time(), sent_at=sent_at, asked_s=asked_s)
        self.replies_limited += 1
        logger.warning("REST {}: HTTP {}, everyone pauses {:.2f} s", endpoint, reply.status, pause_s)
        self._wake_first()
        return pause_s

    async def _turn(self, priority: Priority, weight: int, client: Hashable) -> None:
        """Wait until this request is the first in line and the budget has room."""
        with self._in_line(priority, weight, client) as (ticket, woken):
            while True:
                is_first = self._line.first is ticket
                wait_s = self._window.wait_s(trio.current_time(), weight)
                if is_first and wait_s == 0.0:
                    self._line.served(ticket)
                    return
                with trio.move_on_after(wait_s if is_first else float("inf")):
                    await woken.wait()

    @contextmanager
    def _in_line(self, priority: Priority, weight: int, client: Hashable) -> Iterator[tuple[Ticket, Wakeup]]:
        ticket = self._line.join(client, priority, weight)
        woken = self._sleepers[ticket.number] = Wakeup()
        try:
            yield ticket, woken
        finally:
            self._line.leave(ticket)
            del self._sleepers[ticket.number]
            self._wake_first()

    def _wake_first(self) -> None:
        """Something changed: only who is the first in line has anything to decide, however many wait."""
        if (first := self._line.first) is not None:
            self._sleepers[first.number].notify()


class _Report(Protocol):
    def __call__(self, *, alive: bool) -> None: ...
