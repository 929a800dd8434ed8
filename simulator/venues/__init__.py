"""Simulated venues: real exchanges' wire formats, limits and quirks, with every failure of the simulator on top.

>>> import trio
>>> from gapless.simulator import serve_exchange
>>> async def main() -> str:
...     venue = VenueSimulator(BinanceSpot(), VenueConfig(rate_per_s=0))
...     async with serve_exchange(venue) as endpoints:
...         assert endpoints.ws_url.endswith("/ws")
...         return venue.publish("BTCUSDT", price="61837.63000000").price
>>> trio.run(main)
'61837.63000000'
"""

from gapless.simulator.venues.binance import BinanceLimits, BinanceOptions, BinanceSpot
from gapless.simulator.venues.coinbase import CoinbaseExchange, CoinbaseLimits, CoinbaseOptions
from gapless.simulator.venues.config import VenueConfig
from gapless.simulator.venues.deribit import Deribit, DeribitLimits
from gapless.simulator.venues.kraken import KrakenLimits, KrakenOptions, KrakenSpot
from gapless.simulator.venues.limits import Violation, WeightRecord
from gapless.simulator.venues.recording import CaptureReader, RecordedTrade, read_capture
from gapless.simulator.venues.registry import VENUES
from gapless.simulator.venues.simulator import VenueSimulator
from gapless.simulator.venues.trade import Side, VenueTrade
from gapless.simulator.venues.venue import Venue

__all__ = [
    "VENUES",
    "BinanceLimits",
    "BinanceOptions",
    "BinanceSpot",
    "CaptureReader",
    "CoinbaseExchange",
    "CoinbaseLimits",
    "CoinbaseOptions",
    "Deribit",
    "DeribitLimits",
    "KrakenLimits",
    "KrakenOptions",
    "KrakenSpot",
    "RecordedTrade",
    "Side",
    "Venue",
    "VenueConfig",
    "VenueSimulator",
    "VenueTrade",
    "Violation",
    "WeightRecord",
    "read_capture",
]
