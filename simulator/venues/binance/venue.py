"""Binance spot: trades, aggregates and best prices on streams, the same and the past over REST."""

import re
from collections.abc import Callable
from math import ceil
from typing import ClassVar, Final

import trio
from starlette.types import ASGIApp, Scope

from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.served import Caller, Metered, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.binance.aggregates import Aggregate, Aggregator
from gapless.simulator.venues.binance.capture import BinanceCaptureReader
from gapless.simulator.venues.binance.conversation import COMBINED, BinanceConversation, streams_of
from gapless.simulator.venues.binance.limits import BinanceLimits, BinanceOptions, WeightMeter
from gapless.simulator.venues.binance.requests import named_stream
from gapless.simulator.venues.binance.rest import BINANCE_FORM, TOO_MUCH, WEIGHTS, binance_app, binance_error
from gapless.simulator.venues.binance.wire import (
    BookTickerEvent,
    ShutdownEvent,
    StreamEvent,
    aggregate_event,
    data_frame,
    milliseconds,
    spoken,
    trade_event,
)
from gapless.simulator.venues.limits import SlidingWindow, WeightRecord
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade
from gapless.simulator.venues.venue import Venue

FIRST_UPDATE: Final = 50_000_000_001
"""Where the update ids of the book begin."""
BEST_AMOUNT: Final = "1.00000000"
"""How much is offered at the best prices: there is no book behind them."""
_PATH: Final = re.compile(r"/ws(/[^/]+)*|/stream")


class BinanceSpot(Venue):
    """The venue.

    Args:
        limits: the default are the venue's own; a test of limits sets smaller ones.
        options: where the documentation leaves a choice.
    """

    name: ClassVar[str] = "binance"
    ws_path: ClassVar[str] = "/ws"
    usual_symbols: ClassVar[tuple[str, ...]] = ("BTCUSDT", "ETHUSDT")
    first_trade_id: ClassVar[int] = 3_735_683_259
    price_decimals: ClassVar[int] = 8
    amount_decimals: ClassVar[int] = 8
    rest_form: ClassVar[RestForm] = BINANCE_FORM

    def __init__(self, limits: BinanceLimits | None = None, options: BinanceOptions | None = None) -> None:
        self.limits = limits or BinanceLimits()
        self.options = options or BinanceOptions()
        self._weights = WeightMeter(self.limits)
        self._connects = SlidingWindow(self.limits.connects_per_5_minutes, 300.0)
        self._aggregators: dict[str, Aggregator] = {}
        self._best: dict[str, tuple[str, str]] = {}
        self._updates = FIRST_UPDATE
        self._opened = trio.Event()

    def open(self, market: VenueMarket) -> None:
        """Begin with an empty market."""
        super().open(market)
        self._aggregators = {symbol: Aggregator(market.config.record_max) for symbol in market.symbols}

    def aggregates(self, symbol: str) -> tuple[Aggregate, ...]:
        """Every closed aggregate that is remembered, oldest first.

        Raises:
            KeyError: it is not traded here.
        """
        return self._aggregators[symbol].history.rows

    # --- WebSocket --------------------------------------------------------------------------------------------------

    def admit(self, caller: Caller, session_id: str) -> Visit:
        """On a path that there is, within the limit of connections."""
        wait_s = self._connects.take(caller.address, self.market.now_s())
        if wait_s:
            self.market.violated(caller.address, "connects", f"more than {self._connects.limit} in 5 minutes")
            return Visit(session_id=session_id, status=429, message="too many connects", retry_after_s=ceil(wait_s))
        if _PATH.fullmatch(caller.path) is None:
            return Visit(session_id=session_id, status=404, message="expected /ws, /ws/<stream> or /stream?streams=...")
        names = streams_of(caller)
        if len(names) > self.limits.streams_max or not all(named_stream(name) for name in names):
            return Visit(session_id=session_id, status=400, message="expected streams such as btcusdt@trade")
        return Visit(session_id=session_id)

    def converse(self, session: Session, caller: Caller) -> BinanceConversation:
        """Requests and acknowledgements."""
        return BinanceConversation(self.market, session, caller, self.limits, self.options)

    def goodbye(self, session: Session) -> bool:
        """The ``serverShutdown`` event. It belongs to no stream, so it is not wrapped on ``/stream`` either."""
        session.send(spoken("GOODBYE", ShutdownEvent(E=milliseconds(self.market.shown_ns()))))
        return True

    def traded(self, trade: VenueTrade) -> None:
        """The trade, the aggregate that it closes, and the best prices where they moved."""
        closed = self._aggregators[trade.symbol].add(trade, trio.current_time())
        self._opened.set()
        if closed is not None:
            self._tell_aggregate(trade.symbol, closed)
        self._tell(StreamKey("trade", trade.symbol), trade.trade_id, lambda: trade_event(trade, self.market.shown_ns()))
        best = (trade.bid, trade.ask)
        if trade.bid is not None and trade.ask is not None and self._best.get(trade.symbol) != best:
            self._best[trade.symbol] = (trade.bid, trade.ask)
            self._updates += 1
            number, bid, ask = self._updates, trade.bid, trade.ask
            self._tell(
                StreamKey("bookTicker", trade.symbol),
                number,
                lambda: BookTickerEvent(u=number, s=trade.symbol, b=bid, B=BEST_AMOUNT, a=ask, A=BEST_AMOUNT),
            )

    def capture_reader(self) -> BinanceCaptureReader:
        """Combined streams, a line each."""
        return BinanceCaptureReader()

    async def run(self) -> None:
        """Close the aggregates that nothing joins."""
        while True:
            due = [each.due_at for each in self._aggregators.values() if each.due_at is not None]
            if not due:
                self._opened = trio.Event()
                await self._opened.wait()
                continue
            await trio.sleep_until(min(due))
            for symbol, aggregator in self._aggregators.items():
                closed = aggregator.close_due(trio.current_time())
                if closed is not None:
                    self._tell_aggregate(symbol, closed)

    def _tell_aggregate(self, symbol: str, closed: Aggregate) -> None:
        key = StreamKey("aggTrade", symbol)
        self._tell(key, closed.number, lambda: aggregate_event(symbol, closed, self.market.shown_ns()))

    def _tell(self, key: StreamKey, number: int, event: Callable[[], StreamEvent]) -> None:
        """Nothing is made for nobody, and each form is encoded once."""
        listeners = self.market.listeners(key.channel, key.symbol)
        if not listeners:
            return
        made, forms = event(), dict[str, Frame]()
        for session in listeners:
            if session.accent not in forms:
                forms[session.accent] = data_frame(made, key, number, combined=session.accent == COMBINED)
            session.send(forms[session.accent])

    # --- REST -------------------------------------------------------------------------------------------------------

    def rest_app(self) -> ASGIApp:
        """The endpoints."""
        return binance_app(self.market, self._aggregators, self.limits)

    def meter(self, call: RestCall, address: str, scope: Scope) -> Metered:  # noqa: ARG002
        """The weight of the minute, on every reply; 429 and 418 beyond it."""
        weight, now_s = WEIGHTS.get(call.path, 1), self.market.now_s()
        charge = self._weights.charge(address, weight, now_s)
        self.market.weight_log.append(
            WeightRecord(
                time_s=now_s,
                address=address,
                path=call.path,
                weight=weight,
                used=charge.used,
                limit=self.limits.weight_per_minute,
                status=charge.status,
            )
        )
        headers = {"X-MBX-USED-WEIGHT": str(charge.used), "X-MBX-USED-WEIGHT-1M": str(charge.used)}
        if charge.status == 200:
            return Metered(headers=headers)
        self.market.violated(address, "requests", f"{charge.status} at weight {charge.used}: {call.path}")
        wait = {"Retry-After": str(charge.retry_after_s)}
        return Metered(headers=headers, reply=binance_error(charge.status, -1003, TOO_MUCH[charge.status], wait))
