"""What Kraken calls a pair: ``BTC/USD`` on the socket, ``XBTUSD`` or ``XXBTZUSD`` over REST."""

from collections.abc import Iterable, Mapping
from typing import Final

OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""Assets that REST still calls by their former code."""
OLD_COINS: Final = frozenset({"XBT", "ETH", "LTC", "XRP", "XLM", "XMR", "ETC", "REP", "ZEC", "MLN"})
OLD_MONEY: Final = frozenset({"USD", "EUR", "GBP", "CAD", "JPY"})
"""Assets of the first years carry a class letter, X or Z, where both of a pair do."""


def altname(symbol: str) -> str:
    """``BTC/USD`` as ``XBTUSD``."""
    return "".join(_parts(symbol))


def rest_key(symbol: str) -> str:
    """What the rows of a pair stand under: ``XXBTZUSD``, but ``XBTUSDT`` and ``SOLUSD``."""
    base, quote = _parts(symbol)
    if base in OLD_COINS and quote in OLD_MONEY:
        return f"X{base}Z{quote}"
    if base in OLD_COINS and quote in OLD_COINS:
        return f"X{base}X{quote}"
    return base + quote


def spellings(symbols: Iterable[str]) -> Mapping[str, str]:
    """Every way to ask for a pair over REST, with its symbol."""
    return {
        name: symbol
        for symbol in symbols
        for name in (symbol, symbol.replace("/", ""), altname(symbol), rest_key(symbol), "/".join(_parts(symbol)))
    }


def _parts(symbol: str) -> tuple[str, str]:
    base, _, quote = symbol.partition("/")
    return OLD_NAMES.get(base, base), OLD_NAMES.get(quote, quote)
