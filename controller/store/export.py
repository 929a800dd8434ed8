"""The market data of a recording, stream by stream and in the order of ids; some at a time, whatever the size."""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Final

from gapless.controller.events import MarketData, Source, Trade
from gapless.controller.instants import instant
from gapless.controller.store.reading import Series, series_in
from gapless.controller.store.schema import SOURCES
from gapless.controller.stream import Stream

_ROWS_AT_ONCE: Final = 10_000
_SOURCE: Final = tuple(Source(name) for name in SOURCES)
_ROWS: Final = """
SELECT
    coalesce(sequence_id, mark), source, timestamp, price, bid, ask, volume_24h, received_at, generation,
    amount, price_text, amount_text, side, trade_id
FROM data WHERE series = ? ORDER BY sequence_id, id
"""
_FIGURES_END: Final = 9
"""Columns before those of a trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to export.

    Attributes:
        streams: which; none: all.
        begin: the venue's time, Unix s, inclusive.
        end: alike. Data without a time that can be read is left out where either is given.
    """

    streams: Collection[Stream] = ()
    begin: float = -inf
    end: float = inf

    def takes(self, event: MarketData) -> bool:
        """Whether a datum lies in the time."""
        if self.begin == -inf and self.end == inf:
            return True
        at = instant(event.timestamp)
        return at != -inf and self.begin <= at <= self.end


def exported(
    connection: sqlite3.Connection,
    selection: Selection,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Iterator[list[MarketData]]:
    """What was selected, some thousands at a time, each equal to what the controller handed over.

    Raises:
        LookupError: a stream that is not in the file; names those that are.
    """
    series = series_in(connection)
    known = dict.fromkeys(each.stream for each in series)
    for stream in selection.streams:
        if stream not in known:
            raise LookupError(f"no stream {stream} was recorded; there are: {', '.join(map(str, known)) or 'none'}")
    wanted = [each for each in series if not selection.streams or each.stream in selection.streams]
    total, done = sum(_size(connection, each) for each in wanted), 0
    for each in wanted:
        cursor = connection.execute(_ROWS, (each.number,))
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield [event for row in rows if selection.takes(event := _event(each, row))]
            done += len(rows)
            tell(done, total)


def _event(series: Series, row: tuple[Any, ...]) -> MarketData:
    number, source, timestamp, price, *figures = row[:_FIGURES_END]
    of_trade = row[_FIGURES_END:]
    kind = MarketData if of_trade[-1] is None else Trade
    stream = series.stream
    # SQLite keeps what is no number as NULL.
    head = (stream.channel, stream.symbol, number, series.epoch, _SOURCE[source], timestamp)
    return kind(*head, nan if price is None else price, *figures, *(of_trade if kind is Trade else ()))


def _size(connection: sqlite3.Connection, series: Series) -> int:
    (rows,) = connection.execute("SELECT count(*) FROM data WHERE series = ?", (series.number,)).fetchone()
    return int(rows)
