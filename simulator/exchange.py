"""The exchange: its market, its accounts, its sessions, and what a test may do to it.

Methods by kind: what it is, the market, accounts, operations, and what its servers call. All but
:meth:`ExchangeSimulator.run` and the ``wait_...`` methods are synchronous: they decide without a checkpoint.
"""

import math
import time
from collections.abc import Callable
from itertools import product
from typing import Literal, cast

import msgspec
import trio
from loguru import logger
from starlette.types import ASGIApp

from gapless.simulator.accounts import Accounts
from gapless.simulator.activity import AccountActivity
from gapless.simulator.config import SimulatorConfig
from gapless.simulator.dialog import Dialog
from gapless.simulator.failure_modes import EvictedMode
from gapless.simulator.generator import RandomWalk, steadily
from gapless.simulator.market import LIMIT_MAX, Market, Page, Query
from gapless.simulator.messages import (
    Balance,
    Frame,
    Goodbye,
    Order,
    PricePoint,
    StreamKey,
    encode,
    rfc3339,
)
from gapless.simulator.records import IssuedLog
from gapless.simulator.reference import ReferenceExchange
from gapless.simulator.rest import REFERENCE_FORM, rest_app
from gapless.simulator.scheduled_restart import restart_as_configured
from gapless.simulator.seams import Cut, RestForm
from gapless.simulator.served import Caller, Conversation, Visit
from gapless.simulator.session import Session

PATH = "/ws"
GOODBYE_MAX_S = 1.0
"""How long a session has to take its GOODBYE before it is cut off."""


class ExchangeSimulator(ReferenceExchange):
    """One exchange. Serve it with :func:`serve_exchange`; drive it from the same trio run.

    Args:
        config: what kind of exchange; the default is a small lively one without failures.
        wall_clock: unix seconds; every timestamp and epoch name comes from it. A test on virtual time gives its own.
    """

    def __init__(self, config: SimulatorConfig | None = None, wall_clock: Callable[[], float] | None = None) -> None:
        super().__init__(config or SimulatorConfig(), wall_clock or time.time)
        self.issued = IssuedLog(record=self.config.record)
        """Which ids were issued, per epoch and stream."""
        self._walks = {symbol: RandomWalk(self.config.seed, symbol) for symbol in self.config.symbols}
        self._keys = tuple(StreamKey(*pair) for pair in product(self.config.channels, self.config.symbols))
        self._accounts = Accounts(now=self.server_time, push=self._push)
        self._epochs_begun = 0
        self._market = self._begin_epoch()

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def config(self) -> SimulatorConfig:
        """Everything about it."""
        return cast("SimulatorConfig", self._settings)

    @property
    def epoch(self) -> str:
        """The name of the current epoch; ids count from 1 within it."""
        return self._market.epoch

    @property
    def rest_form(self) -> RestForm:
        """The protocol's."""
        return REFERENCE_FORM

    @property
    def ws_path(self) -> str:
        """The protocol's."""
        return PATH

    def server_time(self) -> str:
        """What the exchange takes for the time, RFC 3339."""
        return rfc3339(self.clock.shown_s())

    # --- the market -------------------------------------------------------------------------------------------------

    def publish(
        self,
        channel: str,
        symbol: str,
        *,
        price: float | None = None,
        bid: float | None = None,
        ask: float | None = None,
        volume_24h: float | None = None,
        quantity: float | None = None,
        trade_id: int | None = None,
    ) -> int:
        """Issue the next id of a stream and send it to whoever listens. What is not given, the random walk fills in.

        Returns:
            The id issued.

        Raises:
            KeyError: there is no such market stream.
            ValueError: ``price`` is not a positive number.
        """
        key = StreamKey(channel, symbol)
        stream = self._market.stream(key)
        if price is not None and not 0.0 < price < math.inf:
            raise ValueError(f"price = {price}: expected a positive number")
        walk = self._walks[symbol]
        tick = walk.step() if price is None else walk.at(price)
        given = {"bid": bid, "ask": ask, "volume_24h": volume_24h, "quantity": quantity, "trade_id": trade_id}
        chosen = {name: value for name, value in given.items() if value is not None}
        frame = stream.issue(msgspec.structs.replace(tick, **chosen) if chosen else tick, self.server_time())
        self._push(key, frame)
        return frame.sequence_id

    def get_price_history(
        self,
        symbol: str,
        start: float | None = None,
        end: float | None = None,
        limit: int = LIMIT_MAX,
        *,
        channel: str = "ticker",
        start_seq: int | None = None,
        end_seq: int | None = None,
    ) -> list[PricePoint]:
        """What REST shows of a stream: filters intersect, ends are inclusive, oldest first. Times in unix seconds.

        Raises:
            KeyError: there is no such market stream.
        """
        query = Query(
            start=None if start is None else rfc3339(start),
            end=None if end is None else rfc3339(end),
            start_seq=start_seq,
            end_seq=end_seq,
            limit=limit,
        )
        return self.page(StreamKey(channel, symbol), query).prices

    def page(self, key: StreamKey, query: Query, session_id: str | None = None) -> Page:
        """One page of a stream's history with the ends of what is kept, as this session is shown it.

        Raises:
            KeyError: there is no such market stream.
        """
        rule = self.failures.rule("evicted_history", session_id)
        if rule is None or not rule.may_act(session_id or "", trio.current_time()):
            return self._market.page(key, query)
        rule.act(session_id or "", str(key))
        return self._market.page(key, query, rule.mode(EvictedMode).keep)

    def last_id(self, channel: str, symbol: str) -> int:
        """The last id issued in this epoch, 0 if none was; of ``orders`` and ``balance`` (symbol ``*``) too."""
        return self.issued.last_id(self.epoch, channel, symbol)

    def refusal(self, key: StreamKey) -> tuple[str, str] | None:
        """Why there is no such stream, as code and message; None if there is."""
        if key in self._keys or key in self._accounts.last_ids:
            return None
        if key.channel in self.config.channels:
            return ("unknown_symbol", f"there is no symbol {key.symbol!r} in channel {key.channel!r}")
        if any(key.channel == account.channel for account in self._accounts.last_ids):
            return ("unknown_symbol", f"channel {key.channel!r} has one stream, its symbol is '*'")
        return ("unknown_channel", f"there is no channel {key.channel!r}")

    # --- accounts ---------------------------------------------------------------------------------------------------

    @property
    def orders(self) -> list[Order]:
        """Every order kept, oldest first."""
        return self._accounts.orders

    @property
    def balances(self) -> list[Balance]:
        """Every balance, in the order the assets appeared."""
        return self._accounts.balances

    def place_order(
        self,
        symbol: str,
        side: Literal["buy", "sell"],
        quantity: float,
        price: float,
        kind: Literal["limit", "market"] = "limit",
    ) -> Order:
        """Open an order; pushes an ORDER_UPDATE."""
        return self._accounts.place_order(symbol, side, quantity, price, kind)

    def fill_order(self, order_id: str, quantity: float | None = None) -> Order:
        """Fill an open order by ``quantity``, or all that is left; pushes an ORDER_UPDATE."""
        return self._accounts.fill_order(order_id, quantity)

    def cancel_order(self, order_id: str) -> Order:
        """Cancel an open order; pushes an ORDER_UPDATE."""
        return self._accounts.cancel_order(order_id)

    def set_balance(self, asset: str, free: float, locked: float = 0.0) -> Balance:
        """Say what a balance is now; pushes a BALANCE_UPDATE."""
        return self._accounts.set_balance(asset, free, locked)

    # --- operations -------------------------------------------------------------------------------------------------

    def restart(self, downtime_s: float = 0.0) -> str:
        """Restart: a new epoch with ids from 1, an empty history, every socket dropped.

        For ``downtime_s`` connections are refused, WebSocket and REST. Orders and balances survive, their ids do not.

        Returns:
            The name of the new epoch.
        """
        left = self.epoch
        self._market = self._begin_epoch()
        self._accounts.restart()
        logger.info("restart: {} is over, {} begins, {} sockets drop", left, self.epoch, self.hub.sockets)
        self.drop_for(downtime_s)
        return self.epoch

    def goodbye(self, reason: str, retry_after_s: float = 0.0, session_id: str | None = None) -> int:
        """Announce a planned close to all sessions, or one, and close them behind it. Returns to how many."""
        frame = encode(Goodbye(reason=reason, retry_after_s=retry_after_s))
        sessions = self.hub.of(session_id)
        for session in sessions:
            session.send(frame)
            session.send(Cut(f"goodbye: {reason}"))
            session.cut_by(trio.current_time() + GOODBYE_MAX_S)
        return len(sessions)

    # --- what its servers call --------------------------------------------------------------------------------------

    def admit(self, caller: Caller) -> Visit:
        """Whoever asks for the right path; a client that brings no session id is given one."""
        session_id = caller.asked("session_id") or self.hub.name_session()
        if caller.path != PATH:
            return Visit(session_id=session_id, status=404, message=f"expected {PATH}, got {caller.path}")
        return Visit(session_id=session_id)

    def converse(self, session: Session, caller: Caller) -> Conversation:  # noqa: ARG002
        """In the reference protocol."""
        return Dialog(self, session)

    def rest_app(self) -> ASGIApp:
        """Prices, orders, balance, and the control API."""
        return rest_app(self)

    async def run(self) -> None:
        """Generate market data and account activity, and restart as the failures say, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart_as_configured, self.failures, self.restart)
            if self.config.rate_per_s:
                rate_per_s = self.config.rate_per_s * len(self._keys)
                nursery.start_soon(steadily, rate_per_s, self._generate, self.wait_up)
            if self.config.account_rate_per_s:
                activity = AccountActivity(self.config.seed, self.config.symbols, self._accounts)
                nursery.start_soon(steadily, self.config.account_rate_per_s, activity.act, self.wait_up)

    def _begin_epoch(self) -> Market:
        self._epochs_begun += 1
        epoch = f"e-{round(self.now() * 1000)}-{self._epochs_begun}"
        self.issued.begin(epoch)
        return Market(epoch, self._keys, self.config.history_size)

    def _push(self, key: StreamKey, frame: Frame) -> None:
        self.issued.add(self.epoch, key, frame)
        self.hub.broadcast(key, frame)

    def _generate(self, turn: int) -> None:
        key = self._keys[turn % len(self._keys)]
        self.publish(key.channel, key.symbol)
