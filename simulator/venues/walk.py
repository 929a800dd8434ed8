"""The generated market: seeded taker orders, each of which fills one to four makers.

Prices and amounts are whole numbers of ticks, so their texts are exact.
"""

from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from gapless.simulator.venues.trade import Side

PRICE_TICK_DECIMALS: Final = 2
"""Prices move in cents."""
AMOUNT_TICK_DECIMALS: Final = 5
"""Amounts are multiples of 0.00001: the lot of the large Bitcoin markets."""
START_TICKS: Final = {"BTC": 6_000_000, "ETH": 300_000}
"""Where the usual bases begin; any other begins between 10 and 1,000, by the seed."""
FILLS_MAX: Final = 4
"""Makers that one taker order fills at most."""
SWEEPS: Final = 0.3
"""How often an order fills more than one. In the recorded Binance session 43 % of the trades continue an order."""
STEP_TICKS_MAX: Final = 300
"""How far the price moves between two orders."""


class Fill(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One trade of an order, before the venue has numbered it. Everything in ticks."""

    price: int
    amount: int
    side: Side


class MarketWalk:
    """The taker orders of one symbol."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._rng = Random(f"{seed}/venue/{symbol}")  # noqa: S311 (a run must be repeatable)
        start = next((ticks for base, ticks in START_TICKS.items() if symbol.upper().startswith(base)), None)
        self._price = start or self._rng.randint(1_000, 100_000)

    def order(self) -> list[Fill]:
        """The next order: its fills share the side; a few of them lie one tick deeper."""
        side: Side = self._rng.choice(("buy", "sell"))
        self._price = max(100, self._price + self._rng.randint(-STEP_TICKS_MAX, STEP_TICKS_MAX))
        fills = self._rng.randint(2, FILLS_MAX) if self._rng.random() < SWEEPS else 1
        out: list[Fill] = []
        for _ in range(fills):
            if out and self._rng.random() < 0.25:  # the level is eaten up
                self._price += 1 if side == "buy" else -1
            out.append(Fill(price=self._price, amount=self._rng.randint(1, 100_000), side=side))
        return out

    def fill(self) -> Fill:
        """A single trade."""
        return self.order()[0]


def decimal_text(ticks: int, tick_decimals: int, decimals: int) -> str:
    """So many ticks of ``10 ** -tick_decimals``, written with ``decimals`` digits behind the point."""
    return format(Decimal(ticks).scaleb(-tick_decimals), f".{decimals}f")
