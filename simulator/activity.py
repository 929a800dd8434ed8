"""A little account activity by itself: orders placed, filled in two steps or cancelled, balances moved along."""

from random import Random
from typing import Literal

from gapless.simulator.accounts import DONE, Accounts
from gapless.simulator.messages import Order

QUANTITIES = (0.1, 0.25, 0.5, 1.0)
"""What is ordered; halves of these are exact."""


class AccountActivity:
    """Places an order, fills half, fills the rest or cancels, moves a balance, and so on.

    It looks at its order first, which someone else may have filled or cancelled meanwhile.
    """

    def __init__(self, seed: int, symbols: tuple[str, ...], accounts: Accounts) -> None:
        self._rng = Random(f"{seed}/accounts")  # noqa: S311 (a run must be repeatable)
        self._symbols = symbols
        self._accounts = accounts
        self._order_id = ""
        self._usd = 100_000.0

    def act(self, turn: int) -> None:
        """One change: the ``turn``-th."""
        order = self._accounts.find_order(self._order_id)
        if turn % 4 == 3:
            self._usd = round(self._usd + self._rng.uniform(-500.0, 500.0), 2)
            self._accounts.set_balance("USD", self._usd, 0.0)
        elif order is None or order.status in DONE:
            self._order_id = self._place().order_id
        elif order.status == "open":
            self._accounts.fill_order(self._order_id, order.quantity / 2)
        elif self._rng.random() < 0.25:
            self._accounts.cancel_order(self._order_id)
        else:
            self._accounts.fill_order(self._order_id, None)

    def _place(self) -> Order:
        symbol = self._rng.choice(self._symbols)
        side: Literal["buy", "sell"] = "buy" if self._rng.random() < 0.5 else "sell"
        price = round(self._rng.uniform(100.0, 1_000.0), 2)
        return self._accounts.place_order(symbol, side, self._rng.choice(QUANTITIES), price, "limit")
