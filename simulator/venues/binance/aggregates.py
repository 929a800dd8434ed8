"""Aggregate trades: consecutive trades of one price, one side and one millisecond.

An aggregate is open while the next trade may still belong to it. It is closed, and exists for the stream and for REST
alike, when a trade comes that does not, or ``HOLD_S`` after its last. So what a client hears and what it fetches agree,
whatever the timing, and a closed aggregate never changes.
"""

from decimal import Decimal
from typing import Final

import msgspec

from gapless.simulator.venues.history import History, Shown
from gapless.simulator.venues.trade import Side, VenueTrade

HOLD_S: Final = 0.02
"""The trades of one order come within some milliseconds in the recorded session; a client would not notice more."""
FIRST_NUMBER: Final = 3_100_000_001
"""Where the numbers begin: beyond 2**31, as the venue's are, and below those of the trades."""


class Aggregate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A closed aggregate."""

    number: int
    price: str
    amount: str
    first_id: int
    last_id: int
    time_ns: int
    side: Side


class Aggregator:
    """The aggregates of one symbol."""

    def __init__(self, size_max: int) -> None:
        self.history: History[Aggregate] = History(size_max)
        self._open: list[VenueTrade] = []
        self._due_at = 0.0

    def add(self, trade: VenueTrade, now: float) -> Aggregate | None:
        """Take in the next trade; the aggregate that it closed, if it did."""
        belongs = bool(self._open) and _kind(self._open[-1]) == _kind(trade)
        closed = None if belongs else self._close()
        self._open.append(trade)
        self._due_at = now + HOLD_S
        return closed

    def close_due(self, now: float) -> Aggregate | None:
        """The open aggregate, closed, if nothing has joined it for long enough."""
        return self._close() if self._open and now >= self._due_at else None

    @property
    def due_at(self) -> float | None:
        """When there is something to close; None: nothing is open."""
        return self._due_at if self._open else None

    def made_of(self, first_id: int, last_id: int) -> Shown[Aggregate]:
        """The closed ones that consist of these trades alone."""
        return self.history.between(_first_id, first_id, _last_id, last_id)

    def _close(self) -> Aggregate | None:
        if not self._open:
            return None
        first, last = self._open[0], self._open[-1]
        before = self.history.last
        aggregate = Aggregate(
            number=FIRST_NUMBER if before is None else before.number + 1,
            price=first.price,
            amount=format(sum((Decimal(each.amount) for each in self._open), Decimal(0)), "f"),
            first_id=first.trade_id,
            last_id=last.trade_id,
            time_ns=first.time_ns,
            side=first.side,
        )
        self.history.add(aggregate)
        self._open.clear()
        return aggregate


def _kind(trade: VenueTrade) -> tuple[str, Side, int]:
    return trade.price, trade.side, trade.time_ns // 1_000_000


def _first_id(row: Aggregate) -> int:
    return row.first_id


def _last_id(row: Aggregate) -> int:
    return row.last_id
