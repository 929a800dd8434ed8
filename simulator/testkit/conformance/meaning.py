"""Whether a message is what was expected, and whether it can be at all. Pure."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final

from gapless.controller import Stream
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HighWater,
    HistoryRow,
    Ignored,
    Leaving,
    MarketUpdate,
    MustAnswer,
    Notice,
    Pong,
    Rejected,
    Several,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
    Welcome,
)
from gapless.controller.instants import instant
from gapless.simulator.testkit.conformance.examples import Expect
from gapless.simulator.testkit.conformance.findings import shown

ID_MAX: Final = 2**63 - 1
"""What fits a signed 64-bit integer, as every store and language can hold it."""

_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_SINGLE: Final = (
    MarketUpdate | AccountUpdate | Welcome | Subscribed | Unsubscribed | Rejected | Pong | Goodbye | HighWater
) | (MustAnswer | Leaving | Notice | Ignored)
_TEXTS: Final = (
    *("request_id", "reason", "code", "message", "kind", "answer", "epoch"),
    *("channel", "symbol", "timestamp", "trade_id"),
)
_FLOATS: Final = ("price", "amount", "bid", "ask", "volume_24h", "retry_after_s")


def flat(message: object) -> list[object]:
    """The messages in a frame, in order."""
    return list(message.messages) if isinstance(message, Several) else [message]


def differences(expected: Expect, got: object, name: str = "") -> Iterator[str]:
    """Where ``got`` is something else than expected, each in words."""
    if type(got) is not expected.kind and not _is_of_wire(expected.kind, got):
        yield f"expected {name}{expected.kind.__name__}, got {shown(got)}"
        return
    for field, value in expected.fields.items():
        path = f"{name}{expected.kind.__name__}.{field}"
        if not hasattr(got, field):
            yield f"expected {path}, which {type(got).__name__} does not have"
            continue
        yield from _compared(path, value, getattr(got, field))


def _is_of_wire(kind: type, got: object) -> bool:
    """An adapter may decode straight into its own kind of market data or row; a trade is a kind for itself."""
    return isinstance(got, kind) and kind in {MarketUpdate, HistoryRow} and not isinstance(got, TradeUpdate)


def _compared(path: str, value: object, got: object) -> Iterator[str]:
    if isinstance(value, Expect):
        yield from differences(value, got, f"{path} = ")
    elif isinstance(value, list | tuple) and isinstance(got, list | tuple):
        if len(value) != len(got):
            yield f"expected {path} with {len(value)} elements, got {len(got)}: {shown(got)}"
        for at, (each, other) in enumerate(zip(value, got, strict=False)):
            yield from _compared(f"{path}[{at}]", each, other)
    elif value != got:
        yield f"expected {path} = {shown(value)}, got {shown(got)}"


def unsound(message: object) -> Iterator[str]:
    """What in a message can never be right, whatever the frame was: wrong types, no number, an id out of range."""
    for each in flat(message):
        if not isinstance(each, HistoryRow | _SINGLE):
            yield f"expected a message of gapless.controller.exchange, got {shown(each)}"
            continue
        yield from _unsound_fields(each)
        if isinstance(each, Subscribed | HighWater):
            yield from _unsound_marks(each.marks)
        if isinstance(each, Rejected | Unsubscribed) and each.streams is not None:
            yield from (f"expected a Stream, got {shown(one)}" for one in each.streams if not isinstance(one, Stream))
        if isinstance(each, TradeUpdate):
            yield from _unsound_trade(each)


def _unsound_fields(message: object) -> Iterator[str]:
    kind = type(message).__name__
    for name in _TEXTS:
        text = getattr(message, name, None)
        if text is not None and not isinstance(text, str):
            yield f"expected {kind}.{name} as a text, got {shown(text)}"
    for name in _FLOATS:
        number = getattr(message, name, None)
        if number is not None and not (isinstance(number, float) and isfinite(number)):
            yield f"expected {kind}.{name} as a finite float, got {shown(number)}"
    for name in ("sequence_id", "prev_sequence_id"):
        number = getattr(message, name, None)
        if number is not None and not is_id(number):
            yield f"expected {kind}.{name} as an integer of 0..2**63 - 1, got {shown(number)}"


def is_id(number: object) -> bool:
    """Whether it can be a sequence id."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= ID_MAX


def _unsound_marks(marks: object) -> Iterator[str]:
    for stream, mark in marks.items() if isinstance(marks, Mapping) else ():
        if not isinstance(stream, Stream):
            yield f"expected marks by Stream, got {shown(stream)}"
        if mark is not None and not is_id(mark):
            yield f"expected a mark as an integer of 0..2**63 - 1, got {shown(mark)}"


def _unsound_trade(trade: TradeUpdate) -> Iterator[str]:
    for name, number, text in (("price", trade.price, trade.price_text), ("amount", trade.amount, trade.amount_text)):
        try:
            exact = Decimal(text)
        except (InvalidOperation, TypeError, ValueError):
            yield f"expected {name}_text as a decimal number, got {shown(text)}"
            continue
        if not exact.is_finite() or number != float(text):
            yield f"expected {name} as the float nearest to {name}_text {shown(text)}, got {number!r}"
    if trade.side not in {"buy", "sell", None}:
        yield f"expected side 'buy', 'sell' or None, got {shown(trade.side)}"


def timeless(row: HistoryRow) -> Iterator[str]:
    """What is wrong with the time of a datum. Only what is no trade may have none: an empty text."""
    if not row.timestamp and not isinstance(row, TradeUpdate):
        return
    if not _UTC.fullmatch(row.timestamp) or instant(row.timestamp) == float("-inf"):
        yield f"expected timestamp as RFC 3339 in UTC, got {shown(row.timestamp)}"
