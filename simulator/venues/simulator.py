"""A venue as an exchange: its market, what a test may do to it, and what its servers call."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import trio
from loguru import logger
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gapless.simulator.control import control_routes, json_app
from gapless.simulator.generator import steadily
from gapless.simulator.hub import SESSION_ID_MAX
from gapless.simulator.rest_gate import CONTROL_PREFIX
from gapless.simulator.scheduled_restart import restart_as_configured
from gapless.simulator.seams import Cut, RestCall, RestForm
from gapless.simulator.served import Caller, Conversation, Metered, Served, Visit
from gapless.simulator.session import Session
from gapless.simulator.venues.config import VenueConfig
from gapless.simulator.venues.limits import Violation, WeightRecord
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.recording import RecordedTrade, paced
from gapless.simulator.venues.trade import Side, VenueTrade, is_amount
from gapless.simulator.venues.venue import Venue
from gapless.simulator.venues.walk import Fill, MarketWalk

GOODBYE_MAX_S = 1.0
"""How long a session has to take a goodbye before it is cut off, unless more notice is given."""


class VenueSimulator(Served):
    """One simulated venue. Serve it with :func:`serve_exchange`; drive it from the same trio run.

    A client is known by its address, as venues know theirs: rules and limits follow it over reconnects, on WebSocket
    and REST alike. A client that wants to be told apart sends ``?session_id=`` and ``X-Session-Id``; limits stay with
    the address.

    Methods by kind: what it is, the market, operations, and what its servers call.

    Args:
        venue: whose language it speaks; an instance of its own.
        config: the default is a small lively market without failures.
        wall_clock: unix seconds; every time comes from it. A test on virtual time gives its own.

    Raises:
        SettingsError: a failure names a symbol that is not traded.
        RuntimeError: the venue belongs to another simulator.
    """

    def __init__(
        self, venue: Venue, config: VenueConfig | None = None, wall_clock: Callable[[], float] | None = None
    ) -> None:
        settings = config or VenueConfig()
        settings = msgspec.structs.replace(settings, symbols=settings.symbols or venue.usual_symbols)
        super().__init__(settings, wall_clock or time.time)
        self.venue = venue
        self._market = VenueMarket(
            settings, failures=self.failures, clock=self.clock, hub=self.hub, subscriptions=self.subscriptions
        )
        self._walks = {symbol: MarketWalk(settings.seed, symbol) for symbol in settings.symbols}
        venue.open(self._market)

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def config(self) -> VenueConfig:
        """Everything about it; ``symbols`` are never empty here."""
        return cast("VenueConfig", self._settings)

    @property
    def ws_path(self) -> str:
        """Where clients usually dial."""
        return self.venue.ws_path

    @property
    def rest_form(self) -> RestForm:
        """The venue's."""
        return self.venue.rest_form

    @property
    def weight_log(self) -> deque[WeightRecord]:
        """What each REST request cost and what the window held after it, oldest first, bounded."""
        return self._market.weight_log

    @property
    def violations(self) -> deque[Violation]:
        """Each time a client went beyond one of the venue's limits, oldest first, bounded."""
        return self._market.violations

    # --- the market -------------------------------------------------------------------------------------------------

    def trades(self, symbol: str) -> tuple[VenueTrade, ...]:
        """What was issued, oldest first: the last ``record_max`` trades of a symbol.

        Raises:
            KeyError: it is not traded here.
        """
        return self._market.history(symbol).rows

    def publish(
        self, symbol: str, price: str | None = None, amount: str | None = None, side: Side | None = None
    ) -> VenueTrade:
        """Let a trade happen now and tell whoever listens. What is not given, the random walk fills in.

        Raises:
            KeyError: the symbol is not traded here.
            ValueError: a price or an amount is not exact decimal text above zero.
        """
        for name, text in (("price", price), ("amount", amount)):
            if text is not None and not is_amount(text):
                raise ValueError(f"{name} = {text!r}: expected decimal text above zero, such as '61837.63000000'")
        return self.issue(self._numbered(symbol, self._walks[symbol].fill(), price, amount, side))

    def issue(self, trade: VenueTrade) -> VenueTrade:
        """Let a trade happen as it is, with the number and the times it has, and tell whoever listens.

        Raises:
            KeyError: the symbol is not traded here.
            ValueError: its number or its time does not continue the symbol's last.
        """
        self._market.history(trade.symbol).add(trade)
        self.venue.traded(trade)
        return trade

    async def replay(self, trades: Sequence[RecordedTrade], speed: float = 1.0) -> None:
        """Let recorded trades happen with their spacing divided by ``speed``; returns after the last.

        The market's own generator must be off (``rate_per_s=0``), or its numbers mix with these. A downtime does not
        hold it: what is traded meanwhile is in the history afterwards.

        Raises:
            KeyError: a symbol is not traded here.
            ValueError: there is no trade, ``speed`` is not a positive number, or numbers do not rise.
        """
        for symbol in {each.trade.symbol: None for each in trades}:
            self._market.history(symbol)  # all of them exist, or nothing happens
        await paced(trades, speed, self.issue)

    def _numbered(
        self, symbol: str, fill: Fill, price: str | None = None, amount: str | None = None, side: Side | None = None
    ) -> VenueTrade:
        venue, market = self.venue, self._market
        return VenueTrade(
            symbol=symbol,
            trade_id=market.next_number(symbol, venue.first_trade_id),
            price=price or venue.price_text(fill.price),
            amount=amount or venue.amount_text(fill.amount),
            side=side or fill.side,
            time_ns=market.time_of_next(symbol, venue.time_step_ns),
            sequence=market.next_sequence(symbol),
            bid=venue.price_text(fill.price - (fill.side == "buy")),
            ask=venue.price_text(fill.price + (fill.side == "sell")),
        )

    def _generate(self, turn: int) -> None:
        symbol = self.config.symbols[turn % len(self.config.symbols)]
        for fill in self._walks[symbol].order():
            self.issue(self._numbered(symbol, fill))

    # --- operations -------------------------------------------------------------------------------------------------

    def restart(self, downtime_s: float = 0.0) -> None:
        """Drop every socket; for ``downtime_s`` connections are refused, WebSocket and REST.

        As at a real venue numbers go on and the history stays; what is published or replayed meanwhile is in it.
        """
        logger.info("restart of {}: {} sockets drop", self.venue.name, self.hub.sockets)
        self.drop_for(downtime_s)

    def goodbye(
        self,
        reason: str = "maintenance",
        retry_after_s: float = 0.0,
        session_id: str | None = None,
        *,
        notice_s: float = 0,
    ) -> int:
        """Announce a planned close where the venue has a word for it, and close behind it. Returns to how many.

        Args:
            reason: for the log; no venue says one.
            retry_after_s: no venue says it; ignored.
            session_id: whose; None: everybody's.
            notice_s: how long the connections go on after the word; 0: they end behind it.
        """
        del retry_after_s
        sessions = self.hub.of(session_id)
        for session in sessions:
            said = self.venue.goodbye(session)
            logger.info("goodbye to {}, {}: {}", session, "announced" if said else "unannounced", reason)
            if not notice_s:
                session.send(Cut(f"goodbye: {reason}"))
            session.cut_by(trio.current_time() + (notice_s or GOODBYE_MAX_S))
        return len(sessions)

    # --- what its servers call --------------------------------------------------------------------------------------

    def admit(self, caller: Caller) -> Visit:
        """As the venue has it; who brings no session id is known by the address."""
        return self.venue.admit(caller, caller.asked("session_id") or caller.address)

    def converse(self, session: Session, caller: Caller) -> Conversation:
        """In the venue's language."""
        return self.venue.converse(session, caller)

    def session_of(self, scope: Scope) -> str:
        """Who brings no session id is known by the address."""
        return Headers(scope=scope).get("x-session-id", "")[:SESSION_ID_MAX] or _address(scope)

    def meter(self, call: RestCall, scope: Scope) -> Metered | None:
        """The venue's limits."""
        return self.venue.meter(call, _address(scope), scope)

    def rest_app(self) -> ASGIApp:
        """The venue's endpoints, and beside them the control API."""
        control, endpoints = json_app(control_routes(self)), self.venue.rest_app()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (control if scope["path"].startswith(CONTROL_PREFIX) else endpoints)(scope, receive, send)

        return app

    async def run(self) -> None:
        """Generate trades, restart as the failures say, and do what the venue does by the clock, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart_as_configured, self.failures, self.restart)
            nursery.start_soon(self.venue.run)
            if self.config.rate_per_s:
                rate_per_s = self.config.rate_per_s * len(self.config.symbols)
                nursery.start_soon(steadily, rate_per_s, self._generate, self.wait_up)


def _address(scope: Scope) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""
