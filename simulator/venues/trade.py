"""A trade as no venue writes it and every venue can: exact texts, the venue's own number, times in nanoseconds."""

import re
from typing import Final, Literal, TypeAlias

import msgspec

Side: TypeAlias = Literal["buy", "sell"]

DECIMAL: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
"""A price or an amount: plain digits, no sign, no exponent. Every venue's fit, and nothing a peer sends gets longer."""


class VenueTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One trade of a venue, generated or recorded.

    Args:
        symbol: as the venue writes it, ``BTCUSDT`` or ``BTC-USD``.
        trade_id: the venue's number, per symbol and rising.
        price: exact decimal text, as it is sent.
        amount: likewise, in units of the base.
        side: the taker's: ``buy`` lifted an ask, ``sell`` hit a bid.
        time_ns: when it happened, unix nanoseconds.
        event_ns: when the venue says it sent it, unix nanoseconds; 0: whenever it does.
        sequence: the venue's number of the message, where it has one beside the trade's own; else 0.
        bid: the best bid of its moment, where known.
        ask: the best ask.
    """

    symbol: str
    trade_id: int
    price: str
    amount: str
    side: Side
    time_ns: int
    event_ns: int = 0
    sequence: int = 0
    bid: str | None = None
    ask: str | None = None

    @property
    def number(self) -> int:
        """What its history is ordered by."""
        return self.trade_id


def is_amount(text: str) -> bool:
    """Whether this is exact decimal text above zero."""
    return DECIMAL.fullmatch(text) is not None and text.strip("0.") != ""


def json_number(text: str) -> msgspec.Raw:
    """Exact decimal text as a JSON number of the same digits; JSON allows no zeros in front."""
    whole, point, fraction = text.partition(".")
    return msgspec.Raw(((whole.lstrip("0") or "0") + point + fraction).encode())
