"""The venues by name."""

from collections.abc import Mapping
from typing import Final

from gapless.controller.errors import ConfigurationError
from gapless.controller.exchanges.base import BaseExchange
from gapless.controller.exchanges.binance import BinanceExchange
from gapless.controller.exchanges.coinbase import CoinbaseExchange
from gapless.controller.exchanges.deribit import DeribitExchange
from gapless.controller.exchanges.kraken import KrakenExchange

VENUES: Final[Mapping[str, type[BinanceExchange | CoinbaseExchange | DeribitExchange | KrakenExchange]]] = {
    "binance": BinanceExchange,
    "coinbase": CoinbaseExchange,
    "deribit": DeribitExchange,
    "kraken": KrakenExchange,
}
"""Their adapters; each can be made without arguments, and then means the venue itself."""


def venue(name: str, *, ws_url: str | None = None, rest_url: str | None = None) -> BaseExchange:
    """The adapter of a venue.

    Args:
        name: one of :data:`VENUES`.
        ws_url: where to dial instead of the venue's own address, such as a simulator's.
        rest_url: alike.

    Raises:
        ConfigurationError: there is no such venue, or an address cannot be one.
    """
    if (kind := VENUES.get(name)) is None:
        raise ConfigurationError(f"there is no venue {name!r}; expected one of {', '.join(VENUES)}")
    return kind(ws_url=ws_url, rest_url=rest_url)
