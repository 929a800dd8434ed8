"""Coinbase Exchange's REST: products, their tickers, and their trades by cursor, newest first."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.simulator.seams import RestForm
from gapless.simulator.venues.coinbase.limits import CoinbaseOptions
from gapless.simulator.venues.coinbase.wire import microseconds, padded, trade_row
from gapless.simulator.venues.history import Shown
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade

LIMIT_MAX: Final = 1_000
"""Rows of a page, maximum and default; documented."""
TOO_MANY: Final = "Public rate limit exceeded"

_encoder: Final = msgspec.json.Encoder()
_WHOLE: Final = re.compile(r"[0-9]{1,18}")


class CoinbaseError(Exception):
    """A request is answered with an error of the venue's form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def coinbase_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    return Response(_encoder.encode(body), status, headers, media_type="application/json; charset=utf-8")


def coinbase_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """``{"message":"NotFound"}``."""
    return coinbase_json({"message": message}, status, headers)


def _failure(status: int, _code: str, _said: str, headers: Mapping[str, str]) -> Response:
    """What a failure of the simulator answers."""
    return coinbase_error(status, TOO_MANY if status == 429 else "Internal server error", headers)


COINBASE_FORM: Final = RestForm(
    error=_failure,
    wrong={
        "html": "<html><body>Just a moment...</body></html>",
        "empty": "",
        "truncated": '[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"pri',
        "array": "[[]]",
        "no_rows": '{"message":"ok"}',
        "rows_null": "null",
        "row_types": '[{"time":7,"trade_id":"74","price":{},"size":null,"side":"buy"}]',
    },
    lags=True,
)


def coinbase_app(market: VenueMarket, options: CoinbaseOptions) -> Starlette:
    """The endpoints, without the limits and without failures."""
    rest = _Rest(market, options)
    app = Starlette(
        routes=[
            Route("/time", rest.time),
            Route("/products", rest.products),
            Route("/products/{product_id}", rest.product),
            Route("/products/{product_id}/ticker", rest.ticker),
            Route("/products/{product_id}/trades", rest.trades),
        ],
        exception_handlers={CoinbaseError: _on_error, HTTPException: _on_error},
    )
    app.router.redirect_slashes = False
    return app


class _Rest:
    def __init__(self, market: VenueMarket, options: CoinbaseOptions) -> None:
        self._market = market
        self._options = options

    async def time(self, _: Request) -> Response:
        now_ns = self._market.shown_ns()
        return coinbase_json({"iso": microseconds(now_ns), "epoch": now_ns // 1_000 / 1e6})

    async def products(self, _: Request) -> Response:
        return coinbase_json([_product(symbol) for symbol in self._market.symbols])

    async def product(self, request: Request) -> Response:
        self._shown(request)
        return coinbase_json(_product(request.path_params["product_id"]))

    async def ticker(self, request: Request) -> Response:
        last = self._shown(request).last
        if last is None:
            raise CoinbaseError(404, "NotFound")
        row = trade_row(last, self._options.rest_decimals)
        best = {"bid": last.bid or last.price, "ask": last.ask or last.price}
        return coinbase_json(
            {name: padded(text, self._options.rest_decimals) for name, text in best.items()}
            | {"trade_id": row.trade_id, "price": row.price, "size": row.size, "time": row.time}
        )

    async def trades(self, request: Request) -> Response:
        shown, limit = self._shown(request), _limit(request)
        after, before = _whole(request, "after"), _whole(request, "before")
        # Both cursors point outside their page: ``after`` at what is newer, ``before`` at what is older than all of it.
        rows = shown.latest(limit) if after is None else shown.below_number(after, limit)
        rows = [row for row in rows if before is None or row.trade_id > before]
        rows.reverse()
        headers = {"CB-BEFORE": str(rows[0].trade_id), "CB-AFTER": str(rows[-1].trade_id)} if rows else {}
        return coinbase_json([trade_row(row, self._options.rest_decimals) for row in rows], headers=headers)

    def _shown(self, request: Request) -> Shown[VenueTrade]:
        product_id: str = request.path_params["product_id"]
        if not self._market.has(product_id):
            raise CoinbaseError(404, "NotFound")
        return self._market.asked(request, product_id)


def _product(symbol: str) -> dict[str, str | bool]:
    base, _, quote = symbol.partition("-")
    return {
        "id": symbol,
        "base_currency": base,
        "quote_currency": quote,
        "quote_increment": "0.01",
        "base_increment": "0.00000001",
        "display_name": f"{base}/{quote}",
        "status": "online",
        "trading_disabled": False,
    }


def _limit(request: Request) -> int:
    limit = _whole(request, "limit")
    if limit is None:
        return LIMIT_MAX
    if not 1 <= limit <= LIMIT_MAX:
        raise CoinbaseError(400, f"limit {limit} is out of range: expected 1 to {LIMIT_MAX}")
    return limit


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None:
        raise CoinbaseError(400, f"Invalid {name}: expected a number")
    return int(text)


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, CoinbaseError):
        return coinbase_error(error.status, str(error))
    status: int = getattr(error, "status_code", 500)
    return coinbase_error(status, "NotFound" if status == 404 else "error")
