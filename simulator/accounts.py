"""Orders and balances: state that REST shows, and updates with ids of their own.

The simulator tests feeds, not matching: an order does not move balances. Whoever drives the exchange says what changes.
"""

from collections.abc import Callable
from typing import Literal

from gapless.simulator.messages import (
    ACCOUNT_SYMBOL,
    BALANCE,
    ORDERS,
    Balance,
    BalanceUpdate,
    Frame,
    Order,
    OrderUpdate,
    StreamKey,
    encode,
)

ORDERS_KEY = StreamKey(ORDERS, ACCOUNT_SYMBOL)
BALANCE_KEY = StreamKey(BALANCE, ACCOUNT_SYMBOL)
DONE = frozenset({"filled", "cancelled"})
"""Statuses an order never leaves."""
ORDERS_MAX = 1_000
"""Orders kept; beyond it the oldest that is done is forgotten, so that a snapshot stays one page."""


class Accounts:
    """One account, shared by all sessions. Each change gets an id and is handed to ``push`` as a frame."""

    def __init__(self, now: Callable[[], str], push: Callable[[StreamKey, Frame], None]) -> None:
        self._now = now
        self._push = push
        self._orders: dict[str, Order] = {}
        self._balances: dict[str, Balance] = {}
        self._orders_placed = 0
        self.last_ids: dict[StreamKey, int] = {ORDERS_KEY: 0, BALANCE_KEY: 0}

    @property
    def orders(self) -> list[Order]:
        """Every order kept, oldest first."""
        return list(self._orders.values())

    @property
    def balances(self) -> list[Balance]:
        """Every balance, in the order the assets appeared."""
        return list(self._balances.values())

    def restart(self) -> None:
        """Count ids from 1 again; orders and balances outlive a restart, as a venue's do."""
        for key in self.last_ids:
            self.last_ids[key] = 0

    def place_order(
        self,
        symbol: str,
        side: Literal["buy", "sell"],
        quantity: float,
        price: float,
        kind: Literal["limit", "market"],
    ) -> Order:
        """Open an order and push it."""
        if quantity <= 0 or price <= 0:
            raise ValueError(f"expected a positive quantity and price, got {quantity} at {price}")
        self._orders_placed += 1
        order = Order(
            order_id=f"o-{self._orders_placed}",
            symbol=symbol,
            side=side,
            type=kind,
            quantity=quantity,
            price=price,
            filled=0.0,
            status="open",
            updated_at=self._now(),
        )
        return self._change_order(order)

    def fill_order(self, order_id: str, quantity: float | None) -> Order:
        """Fill an open order by ``quantity``, or all that is left, and push it."""
        order = self._open_order(order_id)
        left = order.quantity - order.filled
        filled = left if quantity is None else quantity
        if not 0 < filled <= left:
            raise ValueError(f"{order_id} has {left} left to fill; expected 0 < quantity <= {left}, got {filled}")
        done = filled == left
        return self._change_order(
            _replaced(
                order,
                filled=order.quantity if done else order.filled + filled,
                status="filled" if done else "partially_filled",
                updated_at=self._now(),
            )
        )

    def cancel_order(self, order_id: str) -> Order:
        """Cancel an open order and push it."""
        order = self._open_order(order_id)
        return self._change_order(_replaced(order, filled=order.filled, status="cancelled", updated_at=self._now()))

    def set_balance(self, asset: str, free: float, locked: float) -> Balance:
        """Say what one asset's balance is now and push it."""
        balance = Balance(asset=asset, free=free, locked=locked)
        self._balances[asset] = balance
        sequence_id = self._next_id(BALANCE_KEY)
        update = BalanceUpdate(sequence_id=sequence_id, balance=balance)
        self._push(BALANCE_KEY, encode(update, BALANCE_KEY, sequence_id))
        return balance

    def find_order(self, order_id: str) -> Order | None:
        """One order, None where it is not kept."""
        return self._orders.get(order_id)

    def _open_order(self, order_id: str) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise LookupError(f"there is no order {order_id!r}")
        if order.status in DONE:
            raise ValueError(f"{order_id} is {order.status}; expected an open order")
        return order

    def _change_order(self, order: Order) -> Order:
        self._orders[order.order_id] = order
        if len(self._orders) > ORDERS_MAX:
            done = (o.order_id for o in self._orders.values() if o.status in DONE)
            del self._orders[next(done, next(iter(self._orders)))]
        sequence_id = self._next_id(ORDERS_KEY)
        self._push(ORDERS_KEY, encode(OrderUpdate(sequence_id=sequence_id, order=order), ORDERS_KEY, sequence_id))
        return order

    def _next_id(self, key: StreamKey) -> int:
        self.last_ids[key] += 1
        return self.last_ids[key]


def _replaced(
    order: Order,
    *,
    filled: float,
    status: Literal["open", "partially_filled", "filled", "cancelled"],
    updated_at: str,
) -> Order:
    return Order(
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        price=order.price,
        filled=filled,
        status=status,
        updated_at=updated_at,
    )
