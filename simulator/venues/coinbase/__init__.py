"""Coinbase Exchange, simulated from its public documentation."""

from gapless.simulator.venues.coinbase.limits import CoinbaseLimits, CoinbaseOptions
from gapless.simulator.venues.coinbase.venue import CoinbaseExchange

__all__ = ["CoinbaseExchange", "CoinbaseLimits", "CoinbaseOptions"]
