"""Kraken's REST: trades by time, the state of the system, and errors with status 200."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.simulator.seams import RestForm
from gapless.simulator.venues.kraken.limits import KrakenOptions
from gapless.simulator.venues.kraken.pairs import rest_key, spellings
from gapless.simulator.venues.kraken.wire import trade_row
from gapless.simulator.venues.market import VenueMarket

COUNT_MAX: Final = 1_000
"""Rows of a page, maximum and default; documented."""
SECONDS_BELOW: Final = 10**12
"""A smaller ``since`` is in seconds, as in an example of the documentation; else in nanoseconds, as ``last`` is."""
TOO_MUCH: Final = "EAPI:Rate limit exceeded"

_encoder: Final = msgspec.json.Encoder()
_WHOLE: Final = re.compile(r"[0-9]{1,19}")


class KrakenError(Exception):
    """A request is answered with an error; the text is the venue's."""


def kraken_result(result: object) -> Response:
    """``{"error":[],"result":...}``."""
    return Response(_encoder.encode({"error": [], "result": result}), media_type="application/json")


def kraken_error(said: str, status: int = 200) -> Response:
    """``{"error":["EQuery:Unknown asset pair"]}``, mostly with status 200."""
    return Response(_encoder.encode({"error": [said]}), status, media_type="application/json")


def _failure(status: int, _code: str, _said: str, _headers: Mapping[str, str]) -> Response:
    """What a failure of the simulator answers. Limits and bans are errors with 200, and nothing says how long."""
    if status == 429:
        return kraken_error(TOO_MUCH)
    if status == 418:
        return kraken_error("EGeneral:Temporary lockout")
    return kraken_error("EService:Unavailable", status)


KRAKEN_FORM: Final = RestForm(
    error=_failure,
    wrong={
        "html": "<html><body>Just a moment...</body></html>",
        "empty": "",
        "truncated": '{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",617',
        "array": "[[]]",
        "no_rows": '{"error":[]}',
        "rows_null": '{"error":[],"result":null}',
        "row_types": '{"error":[],"result":{"XXBTZUSD":[[{},7,"soon",null,"m","","74"]],"last":[]}}',
    },
    lags=True,
)


def kraken_app(market: VenueMarket, options: KrakenOptions) -> Starlette:
    """The endpoints, without the limits and without failures."""
    rest = _Rest(market, options)
    app = Starlette(
        routes=[
            Route("/0/public/Time", rest.time, methods=["GET", "POST"]),
            Route("/0/public/SystemStatus", rest.system_status, methods=["GET", "POST"]),
            Route("/0/public/Trades", rest.trades, methods=["GET"]),
        ],
        exception_handlers={KrakenError: _on_error, HTTPException: _on_error},
    )
    app.router.redirect_slashes = False
    return app


class _Rest:
    def __init__(self, market: VenueMarket, options: KrakenOptions) -> None:
        self._market = market
        self._options = options
        self._pairs = spellings(market.symbols)

    async def time(self, _: Request) -> Response:
        seconds = self._market.shown_ns() // 1_000_000_000
        return kraken_result({"unixtime": seconds, "rfc1123": f"{_utc(seconds):%a, %d %b %y %H:%M:%S} +0000"})

    async def system_status(self, _: Request) -> Response:
        seconds = self._market.shown_ns() // 1_000_000_000
        return kraken_result({"status": "online", "timestamp": f"{_utc(seconds):%Y-%m-%dT%H:%M:%SZ}"})

    async def trades(self, request: Request) -> Response:
        """The oldest rows behind ``since``, or the newest. ``last`` leads on: the time of the page's last row."""
        if not request.query_params.get("pair"):
            raise KrakenError("EGeneral:Invalid arguments")
        symbol = self._pairs.get(request.query_params["pair"])
        if symbol is None:
            raise KrakenError("EQuery:Unknown asset pair")
        since, count = _whole(request, "since"), _whole(request, "count")
        count = COUNT_MAX if count is None else count
        if not 1 <= count <= COUNT_MAX:
            raise KrakenError("EGeneral:Invalid arguments:count")
        shown = self._market.asked(request, symbol)
        since_ns = since if since is None or since >= SECONDS_BELOW else since * 1_000_000_000
        rows = shown.latest(count) if since_ns is None else shown.between(since_ns + 1, None, count)
        last_ns = rows[-1].time_ns if rows else since_ns or 0
        return kraken_result(
            {
                rest_key(symbol): [trade_row(row, self._options.rest_price_decimals) for row in rows],
                "last": str(last_ns),
            }
        )


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None:
        raise KrakenError(f"EGeneral:Invalid arguments:{name}")
    return int(text)


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, KrakenError):
        return kraken_error(str(error))
    status: int = getattr(error, "status_code", 500)
    return kraken_error("EGeneral:Unknown method", status)
