"""Staying inside a host's REST budget.

:class:`RequestWindow` is the pure part: it takes ``now`` and says how long to wait. :class:`RestRateLimiter` puts the
waiting round it: one for each host, shared by everything that talks to that host.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum, unique
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final, Protocol, TypeVar

import trio
from loguru import logger

from gapless.controller.errors import ConfigurationError, RequestFailedError
from gapless.controller.signal import Signal
from gapless.controller.waiting import retry_after_s

WINDOW_GUARD_S: Final = 0.1
"""Seconds added to the window. The host counts arrivals, we count departures; without a guard, latency that shrinks
by a few milliseconds would put an eleventh request into the host's second. Costs 9 % of the rate."""

_RESOLUTION_S: Final = 1e-6
"""Seconds. Sums of floats differ in the last bits; a microsecond is far above that and far below a round trip."""

_TOO_MANY_REQUESTS: Final = frozenset({418, 429})
"""429, and 418, with which Binance answers who did not heed 429."""
_SERVER_ERROR: Final = 500


@unique
class Priority(IntEnum):
    """Who goes first when the budget is short."""

    VERIFY = 0
    GAP_FILL = 1
    SNAPSHOT = 2
    POLL = 3


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


_ReplyT = TypeVar("_ReplyT", bound=Reply)


class RequestWindow:
    """A sliding window of requests, and the pause a host asked for. Pure."""

    def __init__(
        self,
        *,
        requests: int = 10,
        window_s: float = 1.0,
        proactive: bool = True,
        initial_backoff: float = 1.0,
        max_backoff: float = 60.0,
        backoff_multiplier: float = 2.0,
    ) -> None:
        if requests < 1 or not 0 < window_s < inf:
            raise ConfigurationError(
                f"expected at least 1 request in a finite time above 0 s, got {requests} in {window_s} s"
            )
        if not 0 < initial_backoff <= max_backoff or not 1 <= backoff_multiplier < inf:
            raise ConfigurationError(
                "expected 0 < initial_backoff <= max_backoff and backoff_multiplier >= 1, "
                f"got {initial_backoff}, {max_backoff}, {backoff_multiplier}"
            )
        self.requests: Final = requests
        self.window_s: Final = window_s
        self._proactive = proactive
        self._initial_backoff_s = initial_backoff
        self._max_backoff_s = max_backoff
        self._multiplier = backoff_multiplier
        self._sent: deque[float] = deque()
        self._paused_until = float("-inf")
        self._limited_at = float("-inf")
        self.current_backoff_s = 0.0
        """The pause the last 429 caused, seconds; 0.0 after a success."""

    def used(self, now: float) -> int:
        """Requests sent within the last window."""
        return sum(1 for sent_at in self._sent if sent_at > now - self.window_s)

    def wait_s(self, now: float) -> float:
        """How long until one more request may be sent; 0.0: now."""
        wait_s = self._paused_until - now
        if self._proactive:
            span_s = self.window_s + WINDOW_GUARD_S
            if len(self._sent) >= self.requests:
                wait_s = max(wait_s, self._sent[-self.requests] + span_s - now)
        # A wait below the clock's resolution would end before it began, again and again.
        return wait_s if wait_s > _RESOLUTION_S else 0.0

    def sent(self, now: float) -> None:
        """A request leaves now."""
        self._sent.append(now)
        while self._sent[0] <= now - self.window_s - WINDOW_GUARD_S:
            self._sent.popleft()

    def limited(self, now: float, *, sent_at: float, asked_s: float) -> float:
        """A 429 came for a request sent at ``sent_at``: the pause, at least ``asked_s``, that everyone now keeps.

        A burst of requests in flight together may be answered by as many 429s; they double the backoff once.
        """
        if sent_at >= self._limited_at:
            grown_s = self.current_backoff_s * self._multiplier or self._initial_backoff_s
            self.current_backoff_s = min(grown_s, self._max_backoff_s)
            self._limited_at = now
        pause_s = max(self.current_backoff_s, asked_s)
        self.pause(now + pause_s)
        return pause_s

    def pause(self, until: float) -> None:
        """The host asked everyone not to send before ``until``."""
        self._paused_until = max(self._paused_until, until)

    def succeeded(self, *, sent_at: float) -> None:
        """A reply that is not a 429 came: the next 429 starts from the initial backoff again."""
        if sent_at >= self._limited_at:
            self.current_backoff_s = 0.0

    def retry_delay_s(self, attempt: int) -> float:
        """How long one request waits before its retry number ``attempt`` (from 1) after a 5xx or a network error."""
        try:
            return min(self._initial_backoff_s * self._multiplier ** (attempt - 1), self._max_backoff_s)
        except OverflowError:
            return self._max_backoff_s


class RestRateLimiter:
    """One host's gate: a sliding window, priorities, and the retries the specification asks for.

    Args:
        proactive: keep requests inside the window; off: only react to 429.
        initial_backoff: seconds of the pause after a first 429.
        max_backoff: seconds of the longest pause of our own making; ``Retry-After`` may ask for more.
        backoff_multiplier: growth of the pause with each 429 in a row.
        requests: requests allowed in one window.
        window_s: length of the window, seconds.
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
    ) -> None:
        self._window = RequestWindow(
            requests=requests,
            window_s=window_s,
            proactive=proactive,
            initial_backoff=initial_backoff,
            max_backoff=max_backoff,
            backoff_multiplier=backoff_multiplier,
        )
        self._queue: list[tuple[Priority, int]] = []
        self._tickets = count()
        self._changed = Signal()
        self.requests_sent = 0
        self.replies_limited = 0
        self.retries = 0

    @property
    def budget(self) -> tuple[int, int]:
        """Requests sent in the last window, and how many a window allows."""
        return self._window.used(trio.current_time()), self._window.requests

    async def retry_request(
        self,
        make_request: Callable[[], Awaitable[_ReplyT]],
        endpoint: str,
        max_retries: int = 3,
        *,
        priority: Priority = Priority.POLL,
    ) -> _ReplyT:
        """Send a request inside the budget, and again where that can help.

        429 and 418 pause the whole host (``Retry-After`` is a floor); 5xx and network errors delay this request alone.

        Args:
            make_request: sends the request once; raises RequestFailedError where no reply came.
            endpoint: how log lines and errors name the request.
            max_retries: how often it is sent again.
            priority: who goes first when the budget is short.

        Raises:
            RequestFailedError: out of retries.
        """
        attempt = 0
        while True:
            attempt += 1
            await self._turn(priority)
            sent_at = trio.current_time()
            try:
                reply = await make_request()
            except RequestFailedError as error:
                failure = error
                delay_s = self._window.retry_delay_s(attempt)
            else:
                if reply.status in _TOO_MANY_REQUESTS:
                    delay_s = self._limited(reply, sent_at, endpoint)
                    failure = RequestFailedError(f"{endpoint}: HTTP {reply.status}", status=reply.status)
                elif reply.status >= _SERVER_ERROR:
                    failure = RequestFailedError(f"{endpoint}: HTTP {reply.status}", status=reply.status)
                    asked_s = retry_after_s(reply.headers.get("retry-after"))
                    self._window.pause(trio.current_time() + asked_s)
                    delay_s = max(self._window.retry_delay_s(attempt), asked_s)
                else:
                    self._window.succeeded(sent_at=sent_at)
                    return reply
            if attempt > max_retries:
                raise failure
            self.retries += 1
            logger.debug("REST {}: {}; retry {} of {} in {:.2f} s", endpoint, failure, attempt, max_retries, delay_s)
            await trio.sleep(delay_s)

    def _limited(self, reply: Reply, sent_at: float, endpoint: str) -> float:
        asked_s = retry_after_s(reply.headers.get("retry-after"))
        pause_s = self._window.limited(trio.current_time(), sent_at=sent_at, asked_s=asked_s)
        self.replies_limited += 1
        logger.warning("REST {}: HTTP {}, everyone pauses {:.2f} s", endpoint, reply.status, pause_s)
        self._changed.notify()
        return pause_s

    async def _turn(self, priority: Priority) -> None:
        """Wait until this request is the first in line and the budget has room."""
        with self._in_line(priority) as ticket:
            while True:
                wait_s = self._window.wait_s(trio.current_time())
                if self._queue[0] == ticket and wait_s == 0.0:
                    self._window.sent(trio.current_time())
                    self.requests_sent += 1
                    return
                with trio.move_on_after(wait_s if self._queue[0] == ticket else float("inf")):
                    await self._changed.wait()

    @contextmanager
    def _in_line(self, priority: Priority) -> Iterator[tuple[Priority, int]]:
        ticket = (priority, next(self._tickets))
        heappush(self._queue, ticket)
        if self._queue[0] == ticket:
            self._changed.notify()
        try:
            yield ticket
        finally:
            if self._queue[0] == ticket:
                heappop(self._queue)
            else:
                self._queue.remove(ticket)
                heapify(self._queue)
            self._changed.notify()
