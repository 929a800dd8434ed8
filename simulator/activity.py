"""A little account activity by itself: orders placed, filled in two steps or cancelled, balances moved along."""

from random import Random

from gapless.simulator.accounts import Accounts

QUANTITIES = (0.1, 0.25, 0.5, 1.0)
"""What is ordered; halves of these are exact."""


class AccountActivity:
    """A script that repeats: place, fill half, fill the rest or cancel, move a balance."""

    def __init__(self, seed: int, symbols: tuple[str, ...], accounts: Accounts) -> None:
        self._rng = Random(f"{seed}/accounts")  # noqa: S311 (a run must be repeatable)
        self._symbols = symbols
        self._accounts = accounts
        self._order_id = ""
        self._usd = 100_000.0

    def act(self, turn: int) -> None:
        """One change: the ``turn``-th."""
        quantity = self._rng.choice(QUANTITIES)
        match turn % 4:
            case 0:
                symbol = self._rng.choice(self._symbols)
                side = self._rng.choice(("buy", "sell"))
                price = round(self._rng.uniform(100.0, 1_000.0), 2)
                order = self._accounts.place_order(symbol, "buy" if side == "buy" else "sell", quantity, price, "limit")
                self._order_id = order.order_id
            case 1:
                order = self._accounts.open_order(self._order_id)
                self._accounts.fill_order(self._order_id, order.quantity / 2)
            case 2 if self._rng.random() < 0.25:
                self._accounts.cancel_order(self._order_id)
            case 2:
                self._accounts.fill_order(self._order_id, None)
            case _:
                self._usd = round(self._usd + self._rng.uniform(-500.0, 500.0), 2)
                self._accounts.set_balance("USD", self._usd, 0.0)
