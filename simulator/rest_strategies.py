"""What goes wrong with REST requests: a class per failure."""

from collections.abc import Awaitable, Callable
from math import ceil
from random import Random
from typing import ClassVar

import trio
from starlette.responses import Response

from gapless.simulator.failure_modes import RateLimitMode, RestMode, ServerErrorMode
from gapless.simulator.failures import Rule
from gapless.simulator.seams import RestCall, RestStrategy


class _Answering(RestStrategy):
    """Answers some requests in the exchange's place."""

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(RestMode)

    async def around(self, call: RestCall, proceed: Callable[[], Awaitable[Response]]) -> Response:
        """The failure's answer where it acts on this request."""
        now = trio.current_time()
        concerned = not self._mode.paths or call.path.startswith(self._mode.paths)
        if not concerned or not self.rule.may_act(self.session_id, now) or not self.strikes(now):
            return await proceed()
        self.rule.act(self.session_id, f"{call.method} {call.path}")
        return self.answer(call, now)

    def strikes(self, now: float) -> bool:  # noqa: ARG002
        """Whether this request is hit."""
        return self.rng.random() < self._mode.probability

    def answer(self, call: RestCall, now: float) -> Response:
        """What is answered."""
        raise NotImplementedError


class RateLimited(_Answering):
    """429 or 418: for every request, or for what exceeds so many per second."""

    kind: ClassVar[str] = "rate_limited"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._limit = rule.mode(RateLimitMode)
        self._window_began = -1.0
        self._requests = 0

    def strikes(self, now: float) -> bool:
        """Whether the window is full, or there is no window."""
        if self._limit.rate_limit_per_s is None:
            return super().strikes(now)
        if now >= self._window_began + 1.0:
            self._window_began, self._requests = now, 0
        self._requests += 1
        return self._requests > self._limit.rate_limit_per_s

    def answer(self, call: RestCall, now: float) -> Response:
        """The status the mode says, with the seconds to wait unless it keeps them back."""
        retry_after_s = self._limit.retry_after_s
        if retry_after_s is not None and self._limit.rate_limit_per_s is not None:
            retry_after_s = max(retry_after_s, ceil(self._window_began + 1.0 - now))
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        code = "rate_limited" if self._limit.status == 429 else "banned"
        return call.form.error(self._limit.status, code, "too many requests", headers)


class ServerError(_Answering):
    """A 5xx."""

    kind: ClassVar[str] = "server_error"

    def answer(self, call: RestCall, now: float) -> Response:  # noqa: ARG002
        """The status the mode says."""
        status = self.rule.mode(ServerErrorMode).status
        return call.form.error(status, "server_error", "the exchange has a problem", {})
