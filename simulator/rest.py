"""The REST side: prices, orders, balance, and the control API, as a starlette app."""

import re
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.failure_modes import FailuresConfig
from gapless.simulator.hub import SESSION_ID_MAX
from gapless.simulator.ledger_of_record import issued_by
from gapless.simulator.market import LIMIT_MAX, Query
from gapless.simulator.messages import ACCOUNT_CHANNELS, Balance, Order, PricePoint, StreamKey
from gapless.simulator.replies import ReplyError, error_reply, json_reply
from gapless.simulator.settings import Seconds, Settings, SettingsError, decoded

CONTROL_PREFIX = "/api/v1/simulator/"
"""Paths below it are the simulator's own; no failure touches them, or it could not be switched off."""

SettingsT = TypeVar("SettingsT", bound=Settings)


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of all orders; covers every update up to ``sequence_id``."""

    orders: list[Order]
    sequence_id: int | UnsetType


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of all balances; covers every update up to ``sequence_id``."""

    balances: list[Balance]
    sequence_id: int | UnsetType


class _LiteralPage(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in the literal form: rows, and nothing about them."""

    prices: list[PricePoint]


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
    """What it answers."""

    epoch: str
    downtime_s: float


def rest_app(exchange: ExchangeSimulator) -> Starlette:
    """The endpoints of one exchange, without its failures."""
    data, control = _Data(exchange), _Control(exchange)
    sessions = f"{CONTROL_PREFIX}sessions/{{session_id:path}}/failures"
    app = Starlette(
        routes=[
            Route("/api/v1/prices", data.prices),
            Route("/api/v1/orders", data.orders),
            Route("/api/v1/balance", data.balance),
            Route(f"{CONTROL_PREFIX}failures", control.failures, methods=["GET", "PUT"]),
            Route(sessions, control.failures, methods=["GET", "PUT"]),
            Route(f"{CONTROL_PREFIX}restart", control.restart, methods=["POST"]),
            Route(f"{CONTROL_PREFIX}goodbye", control.goodbye, methods=["POST"]),
            Route(f"{CONTROL_PREFIX}issued", control.issued),
        ],
        exception_handlers={ReplyError: _on_error, HTTPException: _on_error},
    )
    # A path with a slash too many is a 404 in the error form, not an empty redirect.
    app.router.redirect_slashes = False
    return app


class _Data:
    """What every exchange has."""

    def __init__(self, exchange: ExchangeSimulator) -> None:
        self._exchange = exchange
        self._literal = exchange.config.literal

    async def prices(self, request: Request) -> Response:
        asked = request.query_params
        symbol = asked.get("symbol")
        if not symbol:
            raise ReplyError(400, "missing_parameter", "expected a symbol, such as symbol=BTC/USD")
        key = StreamKey(asked.get("channel") or "ticker", symbol)
        limit = _integer(asked, "limit")
        query = Query(
            start=_instant(asked, "start", round_up=True),
            end=_instant(asked, "end", round_up=False),
            start_seq=None if self._literal else _integer(asked, "start_seq"),
            end_seq=None if self._literal else _integer(asked, "end_seq"),
            limit=LIMIT_MAX if limit is None else limit,
        )
        if key.channel in ACCOUNT_CHANNELS:
            raise ReplyError(404, "unknown_channel", f"channel {key.channel!r} has no prices")
        refusal = self._exchange.refusal(key)
        if refusal is not None:
            raise ReplyError(404, *refusal)
        page = self._exchange.page(key, query, _session_of(request))
        if not self._literal:
            return json_reply(page)
        return json_reply(_LiteralPage(prices=[replace(row, sequence_id=UNSET) for row in page.prices]))

    async def orders(self, _: Request) -> Response:
        return json_reply(Orders(orders=self._exchange.orders, sequence_id=self._covers("orders")))

    async def balance(self, _: Request) -> Response:
        return json_reply(Balances(balances=self._exchange.balances, sequence_id=self._covers("balance")))

    def _covers(self, channel: str) -> int | UnsetType:
        return UNSET if self._literal else self._exchange.last_id(channel, "*")


class _Control:
    """What only a simulator has."""

    def __init__(self, exchange: ExchangeSimulator) -> None:
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
        return json_reply(Restarted(epoch=self._exchange.restart(order.downtime_s), downtime_s=order.downtime_s))

    async def goodbye(self, request: Request) -> Response:
        try:
            order = _decode(GoodbyeOrder, await request.body() or b"{}")
        except SettingsError as error:
            raise ReplyError(400, "bad_goodbye", str(error)) from None
        return json_reply(Dismissed(sessions=self._exchange.goodbye(order.reason, order.retry_after_s)))

    async def issued(self, _: Request) -> Response:
        return json_reply(issued_by(self._exchange))


def _session_of(request: Request) -> str:
    return request.headers.get("x-session-id", "")[:SESSION_ID_MAX]


def _decode(kind: type[SettingsT], body: bytes) -> SettingsT:
    return decoded(kind, lambda: msgspec.json.decode(body))


def _integer(asked: QueryParams, name: str) -> int | None:
    text = asked.get(name)
    if not text:
        return None
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        raise ReplyError(400, "bad_parameter", f"{name} = {text!r}: expected an integer")
    return int(text)


def _instant(asked: QueryParams, name: str, *, round_up: bool) -> str | None:
    """A time as the rows show theirs; finer than a millisecond is rounded into the range."""
    text = asked.get(name)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
        instant = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
        if round_up:
            instant += timedelta(microseconds=-instant.microsecond % 1000)
    except (ValueError, OverflowError):
        raise ReplyError(
            400, "bad_parameter", f"{name} = {text!r}: expected RFC 3339, such as 2026-01-01T00:00:00.000Z"
        ) from None
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        codes = {404: "not_found", 405: "method_not_allowed"}
        return error_reply(error.status_code, codes.get(error.status_code, "error"), error.detail, error.headers)
    if isinstance(error, ReplyError):
        return error_reply(error.status, error.code, str(error))
    raise error
