"""Binance spot, simulated from its public documentation."""

from gapless.simulator.venues.binance.limits import BinanceLimits, BinanceOptions
from gapless.simulator.venues.binance.venue import BinanceSpot

__all__ = ["BinanceLimits", "BinanceOptions", "BinanceSpot"]
