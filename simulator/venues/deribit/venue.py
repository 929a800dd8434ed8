"""Deribit: trades in batches of 100 ms, and by number over HTTP."""

from collections import Counter
from collections.abc import Sequence
from math import floor
from typing import ClassVar, Final

import trio
from starlette.types import ASGIApp, Scope

from gapless.simulator.messages import StreamKey
from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.served import Caller, Metered, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.batches import Batches, owed
from gapless.simulator.venues.deribit.conversation import DeribitConversation
from gapless.simulator.venues.deribit.limits import Credits, DeribitLimits
from gapless.simulator.venues.deribit.rest import DERIBIT_FORM, PREFIX, US_IN, deribit_app, rpc_reply
from gapless.simulator.venues.deribit.wire import TOO_MANY, TRADES, Answer, microseconds, trades_frame
from gapless.simulator.venues.trade import VenueTrade
from gapless.simulator.venues.venue import Venue
from gapless.simulator.venues.walk import PRICE_TICK_DECIMALS, decimal_text

BATCH_EVERY_S: Final = 0.1
"""The interval that the channel names."""
BATCH_MAX: Final = 500
"""Trades of a notification: more than 100 ms bring, and a bound."""
TICK_CENTS: Final = 50
"""What generated prices are multiples of: half a dollar, as those of the Bitcoin perpetual are."""
AMOUNT_STEP: Final = 10
"""What amounts are multiples of, in dollars: a contract of Bitcoin."""
AMOUNT_STEPS_MAX: Final = 1_000
"""Generated amounts end at so many steps."""


class Deribit(Venue):
    """The venue.

    Args:
        limits: the default are the venue's own; a test of limits sets smaller ones.
    """

    name: ClassVar[str] = "deribit"
    ws_path: ClassVar[str] = "/ws/api/v2"
    usual_symbols: ClassVar[tuple[str, ...]] = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    first_trade_id: ClassVar[int] = 271_252_854
    """The first ``trade_seq``."""
    price_decimals: ClassVar[int] = 1
    amount_decimals: ClassVar[int] = 1
    rest_form: ClassVar[RestForm] = DERIBIT_FORM

    def __init__(self, limits: DeribitLimits | None = None) -> None:
        self.limits = limits or DeribitLimits()
        self._credits = Credits(self.limits)
        self._batches = Batches(self._tell, BATCH_MAX)
        self._open: Counter[str] = Counter()

    def price_text(self, ticks: int) -> str:
        """A multiple of half a dollar, at least one of them."""
        return decimal_text(max(ticks // TICK_CENTS, 1) * TICK_CENTS, PRICE_TICK_DECIMALS, self.price_decimals)

    def amount_text(self, ticks: int) -> str:
        """An amount is in dollars here, in tens of them."""
        return f"{(ticks % AMOUNT_STEPS_MAX + 1) * AMOUNT_STEP}.0"

    # --- WebSocket --------------------------------------------------------------------------------------------------

    def admit(self, caller: Caller, session_id: str) -> Visit:
        """On the one path, within the limit of open connections."""
        if self._open[caller.address] >= self.limits.connections_max:
            self.market.violated(caller.address, "connects", f"more than {self.limits.connections_max} at a time")
            return Visit(session_id=session_id, status=429, message="too many connections")
        if caller.path != self.ws_path:
            return Visit(session_id=session_id, status=404, message="expected /ws/api/v2")
        return Visit(session_id=session_id)

    def converse(self, session: Session, caller: Caller) -> DeribitConversation:
        """Requests and answers."""
        self._open[caller.address] += 1

        def ended() -> None:
            self._open[caller.address] -= 1
            if not self._open[caller.address]:
                del self._open[caller.address]

        return DeribitConversation(self.market, session, caller, self._credits, ended=ended)

    def traded(self, trade: VenueTrade) -> None:
        """Wait for the end of the interval."""
        self._batches.add(trade)

    async def run(self) -> None:
        """Say what an interval brought, when it is over."""
        while True:
            await self._batches.wait()
            await trio.sleep_until((floor(trio.current_time() / BATCH_EVERY_S) + 1) * BATCH_EVERY_S)
            self._batches.flush()

    def _tell(self, batch: Sequence[VenueTrade]) -> None:
        for session, frame in owed(self.market, StreamKey(TRADES, batch[0].symbol), batch, trades_frame):
            session.send(frame)

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def rest_app(self) -> ASGIApp:
        """The endpoints."""
        return deribit_app(self.market)

    def meter(self, call: RestCall, address: str, scope: Scope) -> Metered:
        """Credits, of the pool that WebSocket requests spend, too."""
        scope[US_IN] = microseconds(self.market)
        if self._credits.spend(self.market, address, call.path.removeprefix(PREFIX), call.path):
            return Metered(headers={})
        return Metered(headers={}, reply=rpc_reply(Answer(error=TOO_MANY), 429))
