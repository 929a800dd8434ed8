"""Deribit's limits: credits of an address, which every request spends, on WebSocket and HTTP alike."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from gapless.simulator.settings import Positive, Settings
from gapless.simulator.venues.limits import TokenBucket, WeightRecord
from gapless.simulator.venues.market import VenueMarket

PerSecond = Annotated[float, Meta(gt=0.0, le=1_000_000.0)]

DEAR: Final[Mapping[str, int]] = {"public/subscribe": 3_000}
"""Credits of the requests that do not cost the usual; documented."""


class DeribitLimits(Settings, frozen=True, kw_only=True):
    """What one address may do. The defaults are the documented ones of requests that do not trade."""

    credits_max: Positive = 50_000
    """The pool: a hundred usual requests at once."""
    credits_per_s: PerSecond = 10_000.0
    """How it fills again: twenty usual requests a second."""
    credits_per_request: Positive = 500
    connections_max: Positive = 32
    """Open WebSockets; the venue counts HTTP requests under way, too."""


class Credits:
    """The pools of all addresses, and the book of what was spent."""

    def __init__(self, limits: DeribitLimits) -> None:
        self._limits = limits
        self._pool = TokenBucket(limits.credits_per_s, limits.credits_max)

    def spend(self, market: VenueMarket, address: str, method: str, path: str) -> bool:
        """Pay for a request; whether there was enough. One that cannot be paid costs nothing."""
        now_s, cost = market.now_s(), DEAR.get(method, self._limits.credits_per_request)
        paid = self._pool.take(address, now_s, cost) == 0.0
        market.weight_log.append(
            WeightRecord(
                time_s=now_s,
                address=address,
                path=path,
                weight=cost,
                used=self._pool.used(address) + (0 if paid else cost),
                limit=self._limits.credits_max,
                status=200 if paid else 429,
            )
        )
        if not paid:
            market.violated(address, "requests", f"more than {self._limits.credits_max} credits: {path}")
        return paid
