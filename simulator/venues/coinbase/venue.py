"""Coinbase Exchange: matches and heartbeats on one feed, trades by cursor over REST."""

from typing import ClassVar

import trio
from starlette.types import ASGIApp, Scope

from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.served import Caller, Metered, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.coinbase.capture import CoinbaseCaptureReader
from gapless.simulator.venues.coinbase.conversation import CoinbaseConversation
from gapless.simulator.venues.coinbase.limits import CoinbaseLimits, CoinbaseOptions
from gapless.simulator.venues.coinbase.rest import COINBASE_FORM, TOO_MANY, coinbase_app, coinbase_error
from gapless.simulator.venues.coinbase.wire import heartbeat_frame, match_frame
from gapless.simulator.venues.limits import TokenBucket, WeightRecord
from gapless.simulator.venues.trade import VenueTrade
from gapless.simulator.venues.venue import Venue

HEARTBEAT_EVERY_S = 1.0
"""Documented."""


class CoinbaseExchange(Venue):
    """The venue.

    Args:
        limits: the default are the venue's own; a test of limits sets smaller ones.
        options: where the documentation leaves a choice.
    """

    name: ClassVar[str] = "coinbase"
    ws_path: ClassVar[str] = "/"
    usual_symbols: ClassVar[tuple[str, ...]] = ("BTC-USD", "ETH-USD")
    first_trade_id: ClassVar[int] = 881_614
    price_decimals: ClassVar[int] = 2
    amount_decimals: ClassVar[int] = 8
    rest_form: ClassVar[RestForm] = COINBASE_FORM

    def __init__(self, limits: CoinbaseLimits | None = None, options: CoinbaseOptions | None = None) -> None:
        self.limits = limits or CoinbaseLimits()
        self.options = options or CoinbaseOptions()
        self._requests = TokenBucket(self.limits.requests_per_s, self.limits.requests_burst)
        self._connects = TokenBucket(self.limits.connects_per_s, self.limits.connects_burst)

    def admit(self, caller: Caller, session_id: str) -> Visit:
        """On the one path, within the limit of connections."""
        if self._connects.take(caller.address, self.market.now_s()):
            self.market.violated(caller.address, "connects", f"more than {self._connects.per_s:g} a second")
            return Visit(session_id=session_id, status=429, message="too many connections")
        if caller.path not in {"", "/"}:
            return Visit(session_id=session_id, status=404, message="expected /")
        return Visit(session_id=session_id)

    def converse(self, session: Session, caller: Caller) -> CoinbaseConversation:
        """Subscribe, or be cut."""
        return CoinbaseConversation(self.market, session, caller, self.limits, self.options)

    def traded(self, trade: VenueTrade) -> None:
        """A match for whoever listens."""
        listeners = self.market.listeners("matches", trade.symbol)
        if listeners:
            frame = match_frame(trade)
            for session in listeners:
                session.send(frame)

    async def run(self) -> None:
        """Heartbeats, once a second for every product that was traded.

        One that was not has none, unlike the venue's: a mark of 0 would make the first trade a gap of all ids below.
        """
        beat_at = trio.current_time()
        while True:
            beat_at += HEARTBEAT_EVERY_S
            await trio.sleep_until(beat_at)
            for symbol in self.market.symbols:
                listeners = self.market.listeners("heartbeat", symbol)
                last = self.market.history(symbol).last
                if listeners and last is not None:
                    frame = heartbeat_frame(symbol, last, self.market.shown_ns())
                    for session in listeners:
                        session.send(frame)

    def rest_app(self) -> ASGIApp:
        """The endpoints."""
        return coinbase_app(self.market, self.options)

    def meter(self, call: RestCall, address: str, scope: Scope) -> Metered:  # noqa: ARG002
        """So many requests a second; 429 beyond, without a word on when to come back."""
        now_s = self.market.now_s()
        refused = self._requests.take(address, now_s) > 0.0
        used, burst = self._requests.used(address), self.limits.requests_burst
        self.market.weight_log.append(
            WeightRecord(
                time_s=now_s,
                address=address,
                path=call.path,
                weight=1,
                used=used + refused,
                limit=burst,
                status=429 if refused else 200,
            )
        )
        if not refused:
            return Metered(headers={})
        self.market.violated(address, "requests", f"more than {self._requests.per_s:g} a second: {call.path}")
        return Metered(headers={}, reply=coinbase_error(429, TOO_MANY))

    def capture_reader(self) -> CoinbaseCaptureReader:
        """Frames as cryptofeed records them."""
        return CoinbaseCaptureReader()
