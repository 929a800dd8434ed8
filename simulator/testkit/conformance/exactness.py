"""Whether money is kept digit for digit: a trade's texts stand in the frame, and longer ones survive, too. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from gapless.controller import PeerError
from gapless.controller.exchange import TradeUpdate

Again: TypeAlias = Callable[[str], Sequence[TradeUpdate]]
"""Decodes another text to the trades in it; raises PeerError where that is none."""

_LONG: Final = "1234567890123.000000000100000001"
"""A decimal that no float can hold: a price in one currency, an amount in another, and more digits than either."""
_OCCURRENCES_MAX: Final = 40
"""Of one text in a frame: of a page of a thousand trades at one price the first are enough."""


def inexact(text: str, trades: Sequence[TradeUpdate], again: Again) -> Iterator[str]:
    """Where digits were lost, in words.

    Args:
        text: of the frame or reply.
        trades: what it was decoded to.
        again: decodes another text.
    """
    for trade in trades:
        for name in ("price_text", "amount_text"):
            decimal = getattr(trade, name)
            if not list(_found(decimal, text)):
                yield f"expected {name} as its digits stand there, got {decimal!r}, which does not"
    for trade in trades[:2]:
        yield from _lengthened(trade, text, again)


def _found(decimal: str, text: str) -> Iterator[re.Match[str]]:
    return re.finditer(rf"(?<![\w.+-]){re.escape(decimal)}(?![\w.+-])", text)


def _lengthened(trade: TradeUpdate, text: str, again: Again) -> Iterator[str]:
    """A long decimal in the place of a price or amount comes out as it went in."""
    for name in ("price_text", "amount_text"):
        decimal = getattr(trade, name)
        for place in list(_found(decimal, text))[:_OCCURRENCES_MAX]:
            longer = f"{text[: place.start()]}{_LONG}{text[place.end() :]}"
            try:
                others = again(longer)
            except PeerError:
                # An id or a time stood there, or the venue's decimals are shorter than that.
                continue
            texts = {getattr(other, name) for other in others}
            if _LONG not in texts and any(_came_of(each) for each in texts):
                yield f"expected {name} {_LONG!r} where that stands, got {sorted(texts)[:2]}"


def _came_of(decimal: str) -> bool:
    """Whether a text may be what is left of the long decimal."""
    return decimal.startswith((_LONG[:8], "1.2345678"))
