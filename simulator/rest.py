"""The REST side: prices, orders, balance, and the control API, as a starlette app."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.simulator.control import control_routes, json_app
from gapless.simulator.hub import SESSION_ID_MAX
from gapless.simulator.ledger_of_record import issued_by
from gapless.simulator.market import LIMIT_MAX, Query
from gapless.simulator.messages import ACCOUNT_CHANNELS, Balance, Order, PricePoint, StreamKey
from gapless.simulator.reference import ReferenceExchange
from gapless.simulator.replies import ReplyError, error_reply, json_reply
from gapless.simulator.rest_garble import WRONG_REPLIES
from gapless.simulator.rest_gate import CONTROL_PREFIX
from gapless.simulator.seams import RestForm

REFERENCE_FORM = RestForm(error=error_reply, wrong=WRONG_REPLIES)
"""Failures answer in the protocol's own form."""


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


def rest_app(exchange: ReferenceExchange) -> Starlette:
    """The endpoints of one exchange, without its failures."""
    data = _Data(exchange)
    return json_app(
        [
            Route("/api/v1/prices", data.prices),
            Route("/api/v1/orders", data.orders),
            Route("/api/v1/balance", data.balance),
            *control_routes(exchange),
            Route(f"{CONTROL_PREFIX}issued", data.issued),
        ]
    )


class _Data:
    def __init__(self, exchange: ReferenceExchange) -> None:
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

    async def issued(self, _: Request) -> Response:
        return json_reply(issued_by(self._exchange))

    def _covers(self, channel: str) -> int | UnsetType:
        return UNSET if self._literal else self._exchange.last_id(channel, "*")


def _session_of(request: Request) -> str:
    return request.headers.get("x-session-id", "")[:SESSION_ID_MAX]


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
