"""Sans-IO adapters, one module per venue."""

from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.binance import BinanceExchange
from gapless.controller.exchanges.coinbase import CoinbaseExchange
from gapless.controller.exchanges.deribit import DeribitExchange
from gapless.controller.exchanges.kraken import KrakenExchange
from gapless.controller.exchanges.reference import ReferenceExchange
from gapless.controller.exchanges.venues import VENUES, venue

__all__ = [
    "VENUES",
    "BaseExchange",
    "BinanceExchange",
    "CoinbaseExchange",
    "DeribitExchange",
    "KrakenExchange",
    "ReferenceExchange",
    "venue",
]
