"""Coinbase Exchange's limits, and where its documentation leaves a choice."""

from typing import Annotated, Literal

from msgspec import Meta

from gapless.simulator.settings import Positive, Settings

PerSecond = Annotated[float, Meta(gt=0.0, le=1_000_000.0)]


class CoinbaseLimits(Settings, frozen=True, kw_only=True):
    """What one address, or one connection, may do. The defaults are the documented ones of the public side.

    The documentation of the feed speaks of 8 requests a second, 20 in bursts, and of 100 messages a second, without
    saying what a request is. Here connects and messages both are: the stricter reading.
    """

    requests_per_s: PerSecond = 10.0
    requests_burst: Positive = 15
    """REST requests of one address."""
    messages_per_s: PerSecond = 8.0
    messages_burst: Positive = 20
    """Incoming messages of one connection."""
    connects_per_s: PerSecond = 8.0
    connects_burst: Positive = 20
    """Connections opened by one address."""
    subscribe_within_s: PerSecond = 5.0
    """Who has not subscribed by then is cut."""


class CoinbaseOptions(Settings, frozen=True, kw_only=True):
    """Where the venue's behaviour is not what its documentation leads one to expect."""

    acknowledge: Literal["first", "among"] = "first"
    """Where ``subscriptions`` comes: before the ``last_match`` of each product, or, as recorded, among them."""
    rest_decimals: Annotated[int, Meta(ge=0, le=18)] | None = 8
    """REST pads prices and sizes to so many decimals, as in the documentation, while the feed does not; None: REST
    writes the text of the feed."""
