"""Recorded trades, and letting them happen again with the spacing they were received with."""

import math
from collections.abc import Callable, Sequence

import msgspec
import trio
from loguru import logger

from gapless.simulator.venues.trade import VenueTrade


class RecordedTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A trade and when it was received, unix nanoseconds by the recorder's clock."""

    trade: VenueTrade
    received_ns: int


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
