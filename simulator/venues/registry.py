"""Every venue by its name, for command lines."""

from collections.abc import Mapping
from typing import Final

from gapless.simulator.venues.binance import BinanceSpot
from gapless.simulator.venues.coinbase import CoinbaseExchange
from gapless.simulator.venues.deribit import Deribit
from gapless.simulator.venues.kraken import KrakenSpot
from gapless.simulator.venues.venue import Venue

VENUES: Final[Mapping[str, type[Venue]]] = {
    each.name: each for each in (BinanceSpot, CoinbaseExchange, KrakenSpot, Deribit)
}
