"""Kraken spot: trades on WebSocket v2, some of them left out there, and all of them by time over REST."""

import zlib
from collections.abc import Sequence
from math import ceil
from typing import ClassVar, Final

import trio
from starlette.types import ASGIApp, Scope

from gapless.simulator.messages import StreamKey
from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.served import Caller, Metered, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.batches import Batches, owed
from gapless.simulator.venues.kraken.conversation import KrakenConversation
from gapless.simulator.venues.kraken.limits import KrakenLimits, KrakenOptions
from gapless.simulator.venues.kraken.rest import KRAKEN_FORM, TOO_MUCH, kraken_app, kraken_error
from gapless.simulator.venues.kraken.wire import TRADE, status_frame, trades_frame
from gapless.simulator.venues.limits import SlidingWindow, TokenBucket, WeightRecord
from gapless.simulator.venues.trade import VenueTrade
from gapless.simulator.venues.venue import Venue

BATCH_MAX: Final = 100
"""Trades of a frame: more than one moment brings, and a bound."""
FIRST_CONNECTION: Final = 12_393_906_104_898_154_338
"""Connection ids are beyond what a signed 64-bit integer holds, as the documented example is."""


class KrakenSpot(Venue):
    """The venue.

    Args:
        limits: the default are the venue's own; a test of limits sets smaller ones.
        options: where the documentation leaves a choice.
    """

    name: ClassVar[str] = "kraken"
    ws_path: ClassVar[str] = "/v2"
    usual_symbols: ClassVar[tuple[str, ...]] = ("BTC/USD", "ETH/USD")
    first_trade_id: ClassVar[int] = 61_044_952
    price_decimals: ClassVar[int] = 2
    amount_decimals: ClassVar[int] = 8
    time_step_ns: ClassVar[int] = 1
    """Or the cursor, which is exclusive, would lose what one page has no room for of a moment."""
    rest_form: ClassVar[RestForm] = KRAKEN_FORM

    def __init__(self, limits: KrakenLimits | None = None, options: KrakenOptions | None = None) -> None:
        self.limits = limits or KrakenLimits()
        self.options = options or KrakenOptions()
        self._requests = TokenBucket(self.limits.requests_per_s, self.limits.requests_burst)
        self._connects = SlidingWindow(self.limits.connects_per_10_minutes, 600.0)
        self._batches = Batches(self._tell, BATCH_MAX)
        self._conversations: dict[Session, KrakenConversation] = {}
        self._connection_id = FIRST_CONNECTION

    def on_socket(self, trade: VenueTrade) -> bool:
        """Whether the socket shows a trade; decided by the seed and the trade's id."""
        drawn = zlib.crc32(f"{self.market.config.seed}/{trade.symbol}/{trade.trade_id}".encode())
        return drawn >= self.options.absent_share * 2**32

    # --- WebSocket --------------------------------------------------------------------------------------------------

    def admit(self, caller: Caller, session_id: str) -> Visit:
        """On the one path, within the limit of connections."""
        wait_s = self._connects.take(caller.address, self.market.now_s())
        if wait_s:
            self.market.violated(caller.address, "connects", f"more than {self._connects.limit} in 10 minutes")
            return Visit(session_id=session_id, status=429, message="too many connects", retry_after_s=ceil(wait_s))
        if caller.path != self.ws_path:
            return Visit(session_id=session_id, status=404, message="expected /v2")
        return Visit(session_id=session_id)

    def converse(self, session: Session, caller: Caller) -> KrakenConversation:  # noqa: ARG002
        """A status, then answers."""
        self._connection_id += 1
        conversation = KrakenConversation(
            self.market,
            session,
            self._connection_id,
            self.options,
            on_socket=self.on_socket,
            ended=lambda ended: self._conversations.pop(ended, None),
        )
        self._conversations[session] = conversation
        return conversation

    def goodbye(self, session: Session) -> bool:
        """The status ``maintenance``: the venue's only word before it closes."""
        conversation = self._conversations.get(session)
        if conversation is not None:
            conversation.say(status_frame("GOODBYE", "maintenance", conversation.connection_id))
        return True

    def traded(self, trade: VenueTrade) -> None:
        """Wait for the other trades of the moment, unless the socket leaves it out."""
        if self.on_socket(trade):
            self._batches.add(trade)

    async def run(self) -> None:
        """Say what a moment brought, when it is over: as soon as nothing more happens in it."""
        while True:
            await self._batches.wait()
            await trio.lowlevel.checkpoint()
            self._batches.flush()

    def _tell(self, batch: Sequence[VenueTrade]) -> None:
        for session, frame in owed(self.market, StreamKey(TRADE, batch[0].symbol), batch, trades_frame):
            conversation = self._conversations.get(session)
            if conversation is not None:
                conversation.say(frame)

    # --- REST -------------------------------------------------------------------------------------------------------

    def rest_app(self) -> ASGIApp:
        """The endpoints."""
        return kraken_app(self.market, self.options)

    def meter(self, call: RestCall, address: str, scope: Scope) -> Metered:  # noqa: ARG002
        """About one request a second; an error with status 200 beyond."""
        now_s = self.market.now_s()
        refused = self._requests.take(address, now_s) > 0.0
        self.market.weight_log.append(
            WeightRecord(
                time_s=now_s,
                address=address,
                path=call.path,
                weight=1,
                used=self._requests.used(address) + refused,
                limit=self.limits.requests_burst,
                status=429 if refused else 200,
            )
        )
        if not refused:
            return Metered(headers={})
        self.market.violated(address, "requests", f"more than {self._requests.per_s:g} a second: {call.path}")
        return Metered(headers={}, reply=kraken_error(TOO_MUCH))
