"""Kraken's limits, and where its documentation leaves a choice."""

from typing import Annotated, Literal

from msgspec import Meta

from gapless.simulator.settings import Positive, Settings

PerSecond = Annotated[float, Meta(gt=0.0, le=1_000_000.0)]


class KrakenLimits(Settings, frozen=True, kw_only=True):
    """What one address may do."""

    requests_per_s: PerSecond = 1.0
    """REST requests. The documentation of public endpoints says about one a second and no more."""
    requests_burst: Positive = 3
    """So many at once. A guess: "about" leaves room, and no document says how much."""
    connects_per_10_minutes: Positive = 150
    """Attempts to connect in any 10 minutes; documented as approximate."""


class KrakenOptions(Settings, frozen=True, kw_only=True):
    """Where the venue's behaviour is not documented, or not what its documentation leads one to expect."""

    absent_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.17
    """The share of trades that the socket leaves out and REST has. Observed by clients (krakenfx/api-go, issue 36)."""
    snapshot_by_default: bool = False
    """Whether a subscription that does not say gets the last 50 trades. The documentation of ``trade`` says false; that
    of most other channels says true."""
    repeated: Literal["reject", "acknowledge"] = "reject"
    """What becomes of a subscription to what is subscribed already. Not documented."""
    rest_price_decimals: Annotated[int, Meta(ge=0, le=18)] | None = 5
    """REST pads prices to so many decimals, as recorded, while the socket does not; None: the socket's digits."""
