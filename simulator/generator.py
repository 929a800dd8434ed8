"""The market data generator: seeded random walks, issued at a steady rate.

One walk per symbol, shared by its channels, so that a ticker and a trade agree. The streams take turns evenly: with
rate r and n streams one id is issued every 1 / (r * n) seconds. A steady rate, rather than random arrivals, lets a test
say exactly which id is out at which time.
"""

import math
from collections.abc import Awaitable, Callable
from random import Random

import trio

from gapless.simulator.market import Tick

START_PRICES = {"BTC/USD": 50_000.0, "ETH/USD": 3_000.0}
"""Where the walks of the usual symbols begin; any other begins between 10 and 1,000, by the seed."""
STEP = 0.0002
"""Standard deviation of one step, as a fraction of the price: lively, and far from zero for years."""
HALF_SPREAD = 0.00002
"""Half the distance between bid and ask, as a fraction of the price: the 1 in 50,000 of `protocol.md`."""
BURST_MAX = 1_000
"""Calls in a row before others get a turn."""
LAG_MAX_S = 1.0
"""A generator further behind than this (a stopped process) skips what it missed instead of bursting."""


class RandomWalk:
    """The price of one symbol."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._rng = Random(f"{seed}/market/{symbol}")  # noqa: S311 (a run must be repeatable)
        self._price = START_PRICES.get(symbol) or round(self._rng.uniform(10.0, 1_000.0), 2)
        self._volume_24h = 1_000.0

    def step(self) -> Tick:
        """The next step of the walk."""
        self._price *= 1.0 + self._rng.gauss(0.0, STEP)
        self._volume_24h += self._rng.random()
        return self.at(_rounded(self._price))

    def at(self, price: float) -> Tick:
        """A tick at ``price``; the walk goes on from there."""
        self._price = price
        return Tick(
            price=price,
            bid=_rounded(price * (1.0 - HALF_SPREAD)),
            ask=_rounded(price * (1.0 + HALF_SPREAD)),
            volume_24h=round(self._volume_24h, 3),
        )


def _rounded(price: float) -> float:
    """To cents where that is fine enough, to six digits below: a walk must not get stuck on zero."""
    return round(price, 2 if price >= 10.0 else 6 - math.floor(math.log10(price)))


async def steadily(per_s: float, act: Callable[[int], object], wait_up: Callable[[], Awaitable[None]]) -> None:
    """Call ``act(0)``, ``act(1)``, ... at a steady rate, for ever; ``wait_up`` holds it while the exchange is down."""
    period_s = 1.0 / per_s
    turn, first, start = 0, 0, trio.current_time() + period_s
    while True:
        await trio.sleep_until(start + (turn - first) * period_s)
        await wait_up()
        now = trio.current_time()
        if now - start - (turn - first) * period_s > LAG_MAX_S:
            first, start = turn, now
        for _ in range(BURST_MAX):
            if start + (turn - first) * period_s > now:
                break
            act(turn)
            turn += 1
