"""Deribit over HTTP: the same JSON-RPC methods as paths, of which the trades of an instrument matter."""

import re
from collections.abc import Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from gapless.simulator.seams import RestForm
from gapless.simulator.venues.deribit.conversation import VERSION
from gapless.simulator.venues.deribit.requests import invalid
from gapless.simulator.venues.deribit.wire import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    NOT_FOUND,
    TOO_MANY,
    Answer,
    RpcError,
    TradesPage,
    answered,
    encoded,
    microseconds,
    refused,
    trade_of,
)
from gapless.simulator.venues.history import Shown
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade

PREFIX: Final = "/api/v2/"
COUNT_DEFAULT: Final = 10
COUNT_MAX: Final = 1_000
"""Trades of a page; both documented."""
SORTINGS: Final = ("default", "asc", "desc")
US_IN: Final = "gapless.deribit.us_in"

_WHOLE: Final = re.compile(r"[0-9]{1,18}")


class RpcFailure(Exception):  # noqa: N818 (JSON-RPC calls it an error; this carries one)
    """A request is answered with an error of the venue's form."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.message)
        self.error = error


def rpc_reply(answer: Answer, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON-RPC answer as a reply."""
    return Response(encoded(answer), status, headers, media_type="application/json")


def _failure(status: int, _code: str, _said: str, headers: Mapping[str, str]) -> Response:
    """What a failure of the simulator answers."""
    if status in {429, 418}:
        return rpc_reply(Answer(error=TOO_MANY), status, headers)
    return rpc_reply(Answer(error=RpcError(code=INTERNAL_ERROR, message="Internal error")), status, headers)


DERIBIT_FORM: Final = RestForm(
    error=_failure,
    wrong={
        "html": "<html><body>Just a moment...</body></html>",
        "empty": "",
        "truncated": '{"jsonrpc":"2.0","result":{"trades":[{"trade_seq":30289730,"trade_id":"48079269","pri',
        "array": "[[]]",
        "no_rows": '{"jsonrpc":"2.0","result":{}}',
        "rows_null": '{"jsonrpc":"2.0","result":{"trades":null,"has_more":null}}',
        "row_types": '{"jsonrpc":"2.0","result":{"trades":[{"trade_seq":"74","price":{},"timestamp":"soon",'
        '"direction":7,"amount":null}],"has_more":"perhaps"}}',
    },
    lags=True,
)


def deribit_app(market: VenueMarket) -> Starlette:
    """The endpoints, without the limits and without failures."""
    rest = _Rest(market)

    async def on_error(request: Request, error: Exception) -> Response:
        fault = (
            error.error
            if isinstance(error, RpcFailure)
            else RpcError(code=METHOD_NOT_FOUND, message="Method not found")
        )
        return rpc_reply(refused(market, _us_in(request.scope, market), None, fault), 400)

    app = Starlette(
        routes=[
            Route(f"{PREFIX}public/test", rest.test),
            Route(f"{PREFIX}public/get_time", rest.time),
            Route(f"{PREFIX}public/get_last_trades_by_instrument", rest.trades),
        ],
        exception_handlers={RpcFailure: on_error, HTTPException: on_error},
    )
    app.router.redirect_slashes = False
    return app


class _Rest:
    def __init__(self, market: VenueMarket) -> None:
        self._market = market

    async def test(self, request: Request) -> Response:
        return self._answer(request, {"version": VERSION})

    async def time(self, request: Request) -> Response:
        return self._answer(request, self._market.shown_ns() // 1_000_000)

    async def trades(self, request: Request) -> Response:
        instrument = request.query_params.get("instrument_name")
        if not instrument:
            raise RpcFailure(invalid("instrument_name", "is required"))
        first, last = _whole(request, "start_seq"), _whole(request, "end_seq")
        count = _whole(request, "count")
        count = COUNT_DEFAULT if count is None else count
        if not 1 <= count <= COUNT_MAX:
            raise RpcFailure(invalid("count", f"must be between 1 and {COUNT_MAX}"))
        sorting = request.query_params.get("sorting", "default")
        if sorting not in SORTINGS:
            raise RpcFailure(invalid("sorting", f"must be one of {', '.join(SORTINGS)}"))
        if not self._market.has(instrument):
            raise RpcFailure(RpcError(code=NOT_FOUND, message="not_found"))
        shown = self._market.asked(request, instrument)
        rows = _oldest(shown, first, last, count + 1) if sorting == "asc" else _newest(shown, first, last, count + 1)
        page = TradesPage(trades=[trade_of(row) for row in rows[:count]], has_more=len(rows) > count)
        return self._answer(request, page)

    def _answer(self, request: Request, result: object) -> Response:
        return rpc_reply(answered(self._market, _us_in(request.scope, self._market), None, result))


def _oldest(shown: Shown[VenueTrade], first: int | None, last: int | None, count: int) -> list[VenueTrade]:
    rows = shown.from_number(first or 0, count)
    return [row for row in rows if last is None or row.number <= last]


def _newest(shown: Shown[VenueTrade], first: int | None, last: int | None, count: int) -> list[VenueTrade]:
    rows = shown.latest(count) if last is None else shown.below_number(last + 1, count)
    return [row for row in reversed(rows) if first is None or row.number >= first]


def _us_in(scope: Scope, market: VenueMarket) -> int:
    """When the request came: noted where its credits were spent."""
    us_in: int = scope.get(US_IN, microseconds(market))
    return us_in


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None:
        raise RpcFailure(invalid(name, "must be integer"))
    return int(text)
