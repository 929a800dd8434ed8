"""The configuration of a venue simulator."""

from typing import Annotated

from msgspec import Meta

from gapless.simulator.config import ServingConfig


class VenueConfig(ServingConfig, frozen=True, kw_only=True):
    """Everything about one simulated venue. The same configuration and seed give the same market and failures.

    ``symbols``: as the venue writes them; none: the venue's usual ones. ``rate_per_s``: taker orders per second and
    symbol, evenly spaced, of one to four trades each; 0: only what is published or replayed.

    Raises:
        SettingsError: a value is not allowed; the message names the field, the value and what is.
    """

    record_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    """Trades per symbol remembered for a checker; at least ``history_size``, or REST would show less than it says."""

    def check(self) -> None:
        """Refuse what a single field cannot tell."""
        if self.record_max < self.history_size:
            raise self.not_allowed("record_max", f"at least history_size = {self.history_size}")
        if self.symbols:  # else the venue's own will be checked
            super().check()
