"""Recorded Coinbase traffic, as cryptofeed writes it. Texts, ids, sequences and times are kept as they are.

A line is ``<receive time, unix seconds>: <JSON frame>`` for what was received; what was sent, and the connection
itself, are lines that begin with the URL and are skipped, like every frame that is no ``match``.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from gapless.simulator.capture_file import TIME_NS_MAX
from gapless.simulator.venues.recording import CaptureReader, RecordedTrade
from gapless.simulator.venues.trade import Side, VenueTrade

_TIME: Final = re.compile(rb"[0-9]{1,10}(\.[0-9]{1,9})?")
_TAKER: Final[dict[str, Side]] = {"buy": "sell", "sell": "buy"}


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _Match(msgspec.Struct, frozen=True):
    trade_id: int
    side: Side
    size: str
    price: str
    product_id: str
    sequence: int
    time: str


_kinds = msgspec.json.Decoder(_Kind)
_matches = msgspec.json.Decoder(_Match)


class CoinbaseCaptureReader(CaptureReader):
    """Takes matches. ``last_match`` is the trade before the recording, and no trade of it."""

    line_format: ClassVar[str] = '<receive time in s>: {"type":"match",...}'

    def read(self, line: bytes) -> RecordedTrade | None:
        """The trade on this line."""
        if not line.strip() or line.startswith((b"wss://", b"ws://")):
            return None
        received, _, text = line.partition(b": ")
        if _TIME.fullmatch(received) is None:
            raise ValueError("the line begins neither with a time nor with a URL")
        if _kinds.decode(text).type != "match":
            return None
        match = _matches.decode(text)
        received_ns = int(Decimal(received.decode()) * 1_000_000_000)
        return RecordedTrade(
            received_ns=min(received_ns, TIME_NS_MAX),
            trade=VenueTrade(
                symbol=match.product_id,
                trade_id=match.trade_id,
                price=match.price,
                amount=match.size,
                side=_TAKER[match.side],
                time_ns=nanoseconds(match.time),
                sequence=match.sequence,
            ),
        )


def nanoseconds(text: str) -> int:
    """RFC 3339 to the microsecond as unix nanoseconds, exactly.

    Raises:
        ValueError: it is no such time.
    """
    instant = datetime.fromisoformat(text).astimezone(UTC)
    whole = int(instant.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + instant.microsecond * 1_000
