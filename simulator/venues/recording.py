"""Recorded trades: read from captures, and let happen again with the spacing they were received with.

What a line of a capture is, a venue knows; what holds for every capture is checked here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import trio
from loguru import logger

from gapless.simulator.capture_file import CaptureError, capture_lines
from gapless.simulator.venues.trade import VenueTrade, is_amount


class RecordedTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A trade and when it was received, unix nanoseconds by the recorder's clock."""

    trade: VenueTrade
    received_ns: int


class CaptureReader(ABC):
    """Reads the lines of one recording, in order; a venue's own."""

    line_format: ClassVar[str]
    """What a line looks like, for people."""

    @abstractmethod
    def read(self, line: bytes) -> RecordedTrade | None:
        """The trade on this line; None: it holds none.

        Raises:
            ValueError: it is no line of a recording.
        """


def read_capture(reader: CaptureReader, path: str | Path, *more: str | Path) -> tuple[RecordedTrade, ...]:
    """The trades of a capture, in the order received. ``more`` files continue the first, as if they were one.

    Raises:
        CaptureError: a file is missing, empty, truncated or broken, or there is no trade.
    """
    trades: list[RecordedTrade] = []
    last: dict[str, RecordedTrade] = {}
    for file in (path, *more):
        for number, line in capture_lines(Path(file)):
            try:
                found = reader.read(line)
                if found is not None:
                    _check(found, trades[-1] if trades else None, last.get(found.trade.symbol))
                    trades.append(found)
                    last[found.trade.symbol] = found
            except (ValueError, RecursionError) as error:
                raise CaptureError(
                    f"{file}, line {number}: expected {reader.line_format}, got {line[:80]!r}: {error}"
                ) from None
    if not trades:
        raise CaptureError(f"{path}: expected at least one trade, a line such as {reader.line_format}; found none")
    return tuple(trades)


def _check(found: RecordedTrade, before: RecordedTrade | None, same: RecordedTrade | None) -> None:
    trade = found.trade
    if not (is_amount(trade.price) and is_amount(trade.amount)):
        raise ValueError(f"price {trade.price[:40]!r} and amount {trade.amount[:40]!r} are to be decimals above zero")
    if before is not None and found.received_ns < before.received_ns:
        raise ValueError("the trades are to be in the order received; this one came too early")
    if same is not None and trade.trade_id <= same.trade.trade_id:
        raise ValueError(f"the ids of {trade.symbol} are to rise; {trade.trade_id} follows {same.trade.trade_id}")
    if same is not None and trade.time_ns < same.trade.time_ns:
        raise ValueError(f"the times of {trade.symbol} are not to fall; this one lies before its predecessor's")


def duration_s(trades: Sequence[RecordedTrade], speed: float = 1.0) -> float:
    """How long these take."""
    return (trades[-1].received_ns - trades[0].received_ns) / 1e9 / speed if trades else 0.0


async def paced(trades: Sequence[RecordedTrade], speed: float, issue: Callable[[VenueTrade], object]) -> None:
    """Issue every trade when it is due, the first at once; returns after the last.

    Raises:
        ValueError: there is no trade, or ``speed`` is not a positive number.
    """
    if not trades:
        raise ValueError("expected at least one trade to replay, got none")
    if not (speed > 0.0 and math.isfinite(speed)):
        raise ValueError(f"speed = {speed!r}: expected a positive number; 1.0 is as recorded")
    logger.info("replaying {} trades in {:.1f} s", len(trades), duration_s(trades, speed))
    begin_s, begin_ns = trio.current_time(), trades[0].received_ns
    for each in trades:
        await trio.sleep_until(begin_s + (each.received_ns - begin_ns) / 1e9 / speed)
        issue(each.trade)
