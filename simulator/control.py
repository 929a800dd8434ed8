"""The control API, the same for every exchange: failures, restart, goodbye."""

from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gapless.simulator.failure_modes import FailuresConfig
from gapless.simulator.replies import ERROR_HANDLERS, ReplyError, json_reply
from gapless.simulator.rest_gate import CONTROL_PREFIX
from gapless.simulator.served import Served
from gapless.simulator.settings import Seconds, Settings, SettingsError, decoded

SettingsT = TypeVar("SettingsT", bound=Settings)


class GoodbyeOrder(Settings, frozen=True, kw_only=True):
    """What ``POST .../goodbye`` takes."""

    reason: str = "maintenance"
    retry_after_s: Seconds = 0.0


class Dismissed(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers: to how many sessions goodbye was said."""

    sessions: int


class RestartOrder(Settings, frozen=True, kw_only=True):
    """What ``POST .../restart`` takes; no body at all is the default."""

    downtime_s: Seconds = 0.0


class Restarted(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers; a venue has no epochs."""

    epoch: str | UnsetType
    downtime_s: float


def control_routes(exchange: Served) -> list[BaseRoute]:
    """What only a simulator has."""
    control = _Control(exchange)
    sessions = f"{CONTROL_PREFIX}sessions/{{session_id:path}}/failures"
    return [
        Route(f"{CONTROL_PREFIX}failures", control.failures, methods=["GET", "PUT"]),
        Route(sessions, control.failures, methods=["GET", "PUT"]),
        Route(f"{CONTROL_PREFIX}restart", control.restart, methods=["POST"]),
        Route(f"{CONTROL_PREFIX}goodbye", control.goodbye, methods=["POST"]),
    ]


def json_app(routes: list[BaseRoute]) -> Starlette:
    """An app that answers errors in the reference form."""
    app = Starlette(routes=routes, exception_handlers=ERROR_HANDLERS)
    # A path with a slash too many is a 404 in the error form, not an empty redirect.
    app.router.redirect_slashes = False
    return app


class _Control:
    def __init__(self, exchange: Served) -> None:
        self._exchange = exchange

    async def failures(self, request: Request) -> Response:
        session_id: str | None = request.path_params.get("session_id")
        if request.method == "PUT":
            try:
                failures = _decode(FailuresConfig, await request.body())
                self._exchange.config.check_symbols(failures)
                self._exchange.failures.set(failures, session_id)
            except SettingsError as error:
                raise ReplyError(400, "bad_failures", str(error)) from None
        return json_reply(self._exchange.failures.get(session_id))

    async def restart(self, request: Request) -> Response:
        try:
            order = _decode(RestartOrder, await request.body() or b"{}")
        except SettingsError as error:
            raise ReplyError(400, "bad_restart", str(error)) from None
        epoch = self._exchange.restart(order.downtime_s)
        return json_reply(Restarted(epoch=UNSET if epoch is None else epoch, downtime_s=order.downtime_s))

    async def goodbye(self, request: Request) -> Response:
        try:
            order = _decode(GoodbyeOrder, await request.body() or b"{}")
        except SettingsError as error:
            raise ReplyError(400, "bad_goodbye", str(error)) from None
        return json_reply(Dismissed(sessions=self._exchange.goodbye(order.reason, order.retry_after_s)))


def _decode(kind: type[SettingsT], body: bytes) -> SettingsT:
    return decoded(kind, lambda: msgspec.json.decode(body))
