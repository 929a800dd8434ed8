"""The table of the streams: what came, what is missing, what was lost. Pure.

Rows are made of the events; which streams are shown, how fresh they are and what is missing is sampled.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

from gapless.controller import (
    BalanceUpdate,
    ContinuityLost,
    MarketData,
    OrderUpdate,
    Source,
    Stream,
    StreamRejected,
    StreamReset,
)
from gapless.dashboard.points import is_sane
from gapless.dashboard.texts import NAME_LENGTH_MAX, cut
from gapless.dashboard.wire import StreamWire

STREAMS_MAX: Final = 1_000
"""Rows kept; beyond that the stream that was seen first is forgotten."""
_SHOWN_MAX: Final = 5
"""Ranges of a row that are shown."""


class _Row:
    """One stream."""

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.last_id: int | None = None
        self.last_price: float | None = None
        self.last_at: float | None = None
        self.last_source: Source | None = None
        self.counts = dict.fromkeys(Source, 0)
        self.lost: deque[tuple[int, int | None, str]] = deque(maxlen=_SHOWN_MAX)
        self.lost_ids = 0
        self.rejected: str | None = None

    def came(self, event: MarketData | OrderUpdate | BalanceUpdate) -> None:
        """Something was delivered."""
        if event.epoch != self.epoch:
            self.epoch, self.last_id = event.epoch, None
        if event.sequence_id is not None:
            self.last_id = max(self.last_id or 0, event.sequence_id)
        self.last_at, self.last_source, self.rejected = event.received_at, event.source, None
        self.counts[event.source] += 1

    def priced(self, datum: MarketData) -> None:
        """A price came: shown is that of the highest id, not what a backfill tells of the past."""
        if datum.sequence_id in {None, self.last_id} and is_sane(datum.price):
            self.last_price = datum.price

    def wire(self, key: tuple[str, str], freshness_s: float | None, gaps: Sequence[tuple[int, int]]) -> StreamWire:
        """As the page gets it."""
        return StreamWire(
            channel=key[0],
            symbol=key[1],
            epoch=None if self.epoch is None else cut(self.epoch, NAME_LENGTH_MAX),
            last_id=self.last_id,
            last_price=self.last_price,
            last_at=self.last_at,
            last_source=self.last_source,
            freshness_s=freshness_s,
            open_gaps=list(gaps[:_SHOWN_MAX]),
            missing=sum(end - start + 1 for start, end in gaps),
            lost=list(self.lost),
            lost_ids=self.lost_ids,
            live=self.counts[Source.LIVE],
            backfilled=self.counts[Source.BACKFILL],
            polled=self.counts[Source.POLL],
            rejected=self.rejected,
        )


class LedgerView:
    """The rows of all streams."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._freshness: Mapping[Stream, float] | None = None
        self._open_gaps: Mapping[Stream, Sequence[tuple[int, int]]] = {}

    def enter(
        self, event: MarketData | OrderUpdate | BalanceUpdate | ContinuityLost | StreamReset | StreamRejected
    ) -> None:
        """Enter what an event says about its stream."""
        row = self._row((event.channel, event.symbol))
        match event:
            case MarketData():
                row.came(event)
                row.priced(event)
            case OrderUpdate() | BalanceUpdate():
                row.came(event)
            case ContinuityLost():
                row.lost.append((event.start_seq, event.end_seq, event.reason))
                row.lost_ids += 1 if event.end_seq is None else event.end_seq - event.start_seq + 1
            case StreamReset():
                row.epoch, row.last_id = event.new_epoch, None
            case StreamRejected():
                row.rejected = cut(f"{event.code} {event.message}".strip())

    def observe(self, freshness: Mapping[Stream, float], open_gaps: Mapping[Stream, Sequence[tuple[int, int]]]) -> None:
        """Enter what was sampled; the streams of ``freshness`` are those that are shown from now on."""
        self._freshness, self._open_gaps = freshness, open_gaps

    def rows(self) -> list[StreamWire]:
        """The streams that are desired, in the order of the subscriptions; before the first sample all that came."""
        if self._freshness is None:
            return [row.wire(key, None, ()) for key, row in self._rows.items()]
        return [
            self._row((stream.channel, stream.symbol)).wire(
                (stream.channel, stream.symbol), age if isfinite(age) else None, self._open_gaps.get(stream, ())
            )
            for stream, age in self._freshness.items()
        ]

    def _row(self, key: tuple[str, str]) -> _Row:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row()
            if len(self._rows) > STREAMS_MAX:
                del self._rows[next(iter(self._rows))]
        return row
