"""Binance's REST: recent and historical trades, aggregates, and the little that a client asks before it begins."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gapless.simulator.seams import RestForm
from gapless.simulator.venues.binance.aggregates import Aggregate, Aggregator
from gapless.simulator.venues.binance.limits import BinanceLimits
from gapless.simulator.venues.binance.wire import ErrorDetail, aggregate_row, milliseconds, trade_row
from gapless.simulator.venues.history import Shown
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade

LIMIT_DEFAULT: Final = 500
LIMIT_MAX: Final = 1_000
"""Rows of a page; both documented."""

WEIGHTS: Final[Mapping[str, int]] = {
    "/api/v3/ping": 1,
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
    "/api/v3/aggTrades": 4,
    "/api/v3/ticker/bookTicker": 2,
}
"""What a request costs, as documented; a path that does not exist costs 1."""

_encoder: Final = msgspec.json.Encoder()
_WHOLE: Final = re.compile(r"[0-9]{1,19}")


class BinanceError(Exception):
    """A request is answered with an error of the venue's form."""

    def __init__(self, code: int, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.code = code
        self.status = status


def binance_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    return Response(_encoder.encode(body), status, headers, media_type="application/json;charset=UTF-8")


def binance_error(status: int, code: int, said: str, headers: Mapping[str, str] | None = None) -> Response:
    """``{"code":-1121,"msg":"Invalid symbol."}``."""
    return binance_json(ErrorDetail(code, said), status, headers)


def _failure(status: int, code: str, said: str, headers: Mapping[str, str]) -> Response:
    """What a failure of the simulator answers: the reference code in the venue's own."""
    if status in {429, 418}:
        return binance_error(status, -1003, TOO_MUCH[status], headers)
    return binance_error(
        status, -1000, f"An unknown error occurred while processing the request ({code}: {said}).", headers
    )


TOO_MUCH: Final[Mapping[int, str]] = {
    429: "Too much request weight used; current limit is exceeded. Use WebSocket Streams for live updates.",
    418: "Way too much request weight used; IP banned. Use WebSocket Streams for live updates to avoid bans.",
}

BINANCE_FORM: Final = RestForm(
    error=_failure,
    wrong={
        "html": "<html><body>Just a moment...</body></html>",
        "empty": "",
        "truncated": '[{"id":28457,"price":"4.000',
        "array": "[[]]",
        "no_rows": '{"msg":"ok"}',
        "rows_null": "null",
        "row_types": '[{"id":"28457","price":{},"a":"26129","p":[],"T":"soon"}]',
    },
    lags=True,
)


def binance_app(market: VenueMarket, aggregators: Mapping[str, Aggregator], limits: BinanceLimits) -> Starlette:
    """The endpoints, without the limits and without failures."""
    rest = _Rest(market, aggregators, limits)
    app = Starlette(
        routes=[
            Route("/api/v3/ping", rest.ping),
            Route("/api/v3/time", rest.time),
            Route("/api/v3/exchangeInfo", rest.exchange_info),
            Route("/api/v3/trades", rest.trades),
            Route("/api/v3/historicalTrades", rest.historical_trades),
            Route("/api/v3/aggTrades", rest.aggregates),
            Route("/api/v3/ticker/bookTicker", rest.book_ticker),
        ],
        exception_handlers={BinanceError: _on_error, HTTPException: _on_error},
    )
    app.router.redirect_slashes = False
    return app


class _Rest:
    def __init__(self, market: VenueMarket, aggregators: Mapping[str, Aggregator], limits: BinanceLimits) -> None:
        self._market = market
        self._aggregators = aggregators
        self._limits = limits

    async def ping(self, _: Request) -> Response:
        return binance_json({})

    async def time(self, _: Request) -> Response:
        return binance_json({"serverTime": milliseconds(self._market.shown_ns())})

    async def exchange_info(self, _: Request) -> Response:
        return binance_json(
            {
                "timezone": "UTC",
                "serverTime": milliseconds(self._market.shown_ns()),
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": self._limits.weight_per_minute,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [{"symbol": symbol, "status": "TRADING"} for symbol in self._market.symbols],
            }
        )

    async def trades(self, request: Request) -> Response:
        shown = self._shown(request)
        return binance_json([trade_row(each) for each in shown.latest(_limit(request))])

    async def historical_trades(self, request: Request) -> Response:
        shown, limit, first = self._shown(request), _limit(request), _whole(request, "fromId")
        rows = shown.latest(limit) if first is None else shown.from_number(first, limit)
        return binance_json([trade_row(each) for each in rows])

    async def aggregates(self, request: Request) -> Response:
        shown, limit = self._shown_aggregates(request), _limit(request)
        first, start, end = (_whole(request, name) for name in ("fromId", "startTime", "endTime"))
        if first is not None:
            if start is not None or end is not None:
                raise BinanceError(-1128, "Combination of optional parameters invalid.")
            rows = shown.from_number(first, limit)
        elif start is None and end is None:
            rows = shown.latest(limit)
        else:
            start_ns = None if start is None else start * 1_000_000
            rows = shown.between(start_ns, None if end is None else end * 1_000_000 + 999_999, limit)
        return binance_json([aggregate_row(each) for each in rows])

    async def book_ticker(self, request: Request) -> Response:
        last = self._shown(request).last
        if last is None or last.bid is None or last.ask is None:
            raise BinanceError(-1000, "The book of this symbol is empty.")
        amount = "1.00000000"
        return binance_json(
            {"symbol": last.symbol, "bidPrice": last.bid, "bidQty": amount, "askPrice": last.ask, "askQty": amount}
        )

    def _shown(self, request: Request) -> Shown[VenueTrade]:
        """What this client is shown of the symbol it asks for."""
        symbol = request.query_params.get("symbol")
        if not symbol:
            raise BinanceError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if not self._market.has(symbol):
            raise BinanceError(-1121, "Invalid symbol.")
        return self._market.asked(request, symbol)

    def _shown_aggregates(self, request: Request) -> Shown[Aggregate]:
        """Those that consist of trades that are shown."""
        trades = self._shown(request)
        aggregator = self._aggregators[request.query_params["symbol"]]
        first, last = trades.first, trades.last
        if first is None or last is None:
            return aggregator.history.shown(0)
        return aggregator.made_of(first.number, last.number)


def _limit(request: Request) -> int:
    limit = _whole(request, "limit")
    if limit is None:
        return LIMIT_DEFAULT
    if not 1 <= limit <= LIMIT_MAX:
        raise BinanceError(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None:
        raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, BinanceError):
        return binance_error(error.status, error.code, str(error))
    status: int = getattr(error, "status_code", 500)
    return HTMLResponse(f"<html><body><h1>{status}</h1></body></html>", status)
