"""Deribit, JSON-RPC over WebSocket and HTTP, simulated from its public documentation."""

from gapless.simulator.venues.deribit.limits import DeribitLimits
from gapless.simulator.venues.deribit.venue import Deribit

__all__ = ["Deribit", "DeribitLimits"]
