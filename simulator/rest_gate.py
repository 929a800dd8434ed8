"""What stands before the endpoints: the log of requests, and the REST failures of the session that asks."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

from loguru import logger
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapless.simulator.failures import FailureControl
from gapless.simulator.records import RequestRecord
from gapless.simulator.registry import REST_STRATEGIES
from gapless.simulator.seams import HINTS, SESSION, RestCall, RestStrategy
from gapless.simulator.served import Metered, Served

SESSIONS_MAX = 10_000
"""Sessions whose strategies are kept; the one longest unheard of starts with new ones."""

CONTROL_PREFIX = "/api/v1/simulator/"
"""Paths below it are the simulator's own; no failure touches them, or it could not be switched off."""

Proceed: TypeAlias = Callable[[], Awaitable[Response]]


class RestFaults:
    """The REST strategies of every session. They live with the session id: REST has no connection."""

    def __init__(self, control: FailureControl, seed: int) -> None:
        self._control = control
        self._seed = seed
        self._strategies: OrderedDict[str, list[RestStrategy]] = OrderedDict()

    def of(self, session_id: str) -> list[RestStrategy]:
        """What holds for this session now; a strategy stays, with its counters, while its rule does."""
        kept = {strategy.rule: strategy for strategy in self._strategies.get(session_id, ())}
        strategies: list[RestStrategy] = []
        for kind in REST_STRATEGIES:
            rule = self._control.rule(kind.kind, session_id)
            if rule is not None and rule.enabled:
                rng = Random(f"{self._seed}/{session_id}/{kind.kind}")  # noqa: S311 (a run must be repeatable)
                strategies.append(kept.get(rule) or kind(rule, session_id, rng))
        self._strategies[session_id] = strategies
        self._strategies.move_to_end(session_id)
        if len(self._strategies) > SESSIONS_MAX:
            self._strategies.popitem(last=False)
        return strategies


class RestGate:
    """An ASGI app around the endpoints."""

    def __init__(self, exchange: Served, endpoints: ASGIApp) -> None:
        self._exchange = exchange
        self._endpoints = endpoints
        self._faults = RestFaults(exchange.failures, exchange.config.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as the failures have it, and log it."""
        path: str = scope["path"]
        session_id = self._exchange.session_of(scope)
        is_control = path.startswith(CONTROL_PREFIX)
        strategies = [] if is_control else self._faults.of(session_id)
        call = RestCall(method=scope["method"], path=path, session_id=session_id, form=self._exchange.rest_form)
        scope[HINTS], scope[SESSION] = call.hints, session_id
        metered = None if is_control else self._exchange.meter(call, scope)

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._log(call, scope, message["status"])
                if metered is not None:
                    message = _with_headers(message, metered)
            await send(message)

        if metered is not None and metered.reply is not None:
            await metered.reply(scope, receive, send_and_log)
            return
        if not strategies:
            await self._endpoints(scope, receive, send_and_log)
            return

        async def endpoint() -> Response:
            return await _answered(self._endpoints, scope, receive)

        proceed: Proceed = endpoint
        for strategy in reversed(strategies):
            proceed = _around(strategy, call, proceed)
        reply = await proceed()
        await reply(scope, receive, send_and_log)

    def _log(self, call: RestCall, scope: Scope, status: int) -> None:
        record = RequestRecord(
            time_s=self._exchange.now(),
            method=call.method,
            path=call.path,
            query=scope["query_string"].decode("ascii", "replace"),
            session_id=call.session_id,
            status=status,
        )
        self._exchange.requests.append(record)
        logger.debug("REST: {}", record)


def _with_headers(message: Message, metered: Metered) -> Message:
    added = [(name.lower().encode(), value.encode()) for name, value in metered.headers.items()]
    return {**message, "headers": [*message["headers"], *added]}


def _around(strategy: RestStrategy, call: RestCall, inner: Proceed) -> Proceed:
    async def proceed() -> Response:
        return await strategy.around(call, inner)

    return proceed


async def _answered(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """What ``app`` answers, as a value that a strategy can look at and replace."""
    reply = Response()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status_code = message["status"]
            reply.raw_headers = list(message["headers"])
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, keep)
    return reply
