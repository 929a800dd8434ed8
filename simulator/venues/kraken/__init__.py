"""Kraken spot, WebSocket v2 and REST, simulated from its public documentation."""

from gapless.simulator.venues.kraken.limits import KrakenLimits, KrakenOptions
from gapless.simulator.venues.kraken.venue import KrakenSpot

__all__ = ["KrakenLimits", "KrakenOptions", "KrakenSpot"]
