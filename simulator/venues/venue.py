"""The seam of a venue: its language, its REST, its limits. A subclass per venue, an instance per simulator."""

from abc import ABC, abstractmethod
from typing import ClassVar

import trio
from starlette.types import ASGIApp, Scope

from gapless.simulator.capture_file import CaptureError
from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.served import Caller, Conversation, Metered, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.recording import CaptureReader
from gapless.simulator.venues.trade import VenueTrade
from gapless.simulator.venues.walk import AMOUNT_TICK_DECIMALS, PRICE_TICK_DECIMALS, decimal_text


class Venue(ABC):
    """What tells one venue from another.

    A venue is opened once, with its market. From then on it is told of each trade, writes to whoever listens, and
    answers whoever asks. Everything but :meth:`run` is synchronous.
    """

    name: ClassVar[str]
    ws_path: ClassVar[str]
    """Where clients usually dial; what ``ws_url`` ends with."""
    usual_symbols: ClassVar[tuple[str, ...]]
    first_trade_id: ClassVar[int]
    price_decimals: ClassVar[int]
    """Digits behind the point of a generated price."""
    amount_decimals: ClassVar[int]
    time_step_ns: ClassVar[int] = 0
    """How far the times of a symbol's trades lie apart at least; 0: several may share one."""
    rest_form: ClassVar[RestForm]
    """How it writes what failures answer in its place."""

    _market: VenueMarket | None = None

    @property
    def market(self) -> VenueMarket:
        """Its trades and its listeners.

        Raises:
            RuntimeError: it has not been opened.
        """
        if self._market is None:
            raise RuntimeError(f"{type(self).__name__} belongs to no simulator yet: hand it to VenueSimulator(...)")
        return self._market

    def open(self, market: VenueMarket) -> None:
        """Begin, with an empty market.

        Raises:
            RuntimeError: it belongs to a simulator already.
        """
        if self._market is not None:
            raise RuntimeError(f"this {type(self).__name__} belongs to a simulator already; make one for each")
        self._market = market

    @abstractmethod
    def admit(self, caller: Caller, session_id: str) -> Visit:
        """Whether this caller may have a WebSocket."""

    @abstractmethod
    def converse(self, session: Session, caller: Caller) -> Conversation:
        """Talk to a client that was let in."""

    @abstractmethod
    def rest_app(self) -> ASGIApp:
        """The venue's endpoints. What they show of a symbol is what ``market.asked(request, symbol)`` says."""

    @abstractmethod
    def traded(self, trade: VenueTrade) -> None:
        """A trade happened; it is in the market's history already. Tell whoever listens."""

    def price_text(self, ticks: int) -> str:
        """A generated price, as the venue writes it; ``ticks`` are the walk's, cents."""
        return decimal_text(ticks, PRICE_TICK_DECIMALS, self.price_decimals)

    def amount_text(self, ticks: int) -> str:
        """Likewise an amount."""
        return decimal_text(ticks, AMOUNT_TICK_DECIMALS, self.amount_decimals)

    def capture_reader(self) -> CaptureReader:
        """Reads recordings of this venue.

        Raises:
            CaptureError: there are none that could be read.
        """
        raise CaptureError(f"{self.name}: expected no capture, there is no format of recordings to read")

    def meter(self, call: RestCall, address: str, scope: Scope) -> Metered | None:  # noqa: ARG002
        """Count a REST request against the venue's limits; None: it has none."""
        return None

    def goodbye(self, session: Session) -> bool:  # noqa: ARG002
        """Announce a planned close to a session; whether the venue has a word for it."""
        return False

    async def run(self) -> None:
        """What the venue does by the clock, beside its conversations."""
        await trio.sleep_forever()
