"""The data of a recording, stream by stream; some at a time, whatever the size.

Market data in the order of ids; orders and balances, which are asked for by name, in the order of arrival.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Final

import msgspec

from gapless.controller.events import MarketData, Source, Trade
from gapless.controller.instants import instant
from gapless.controller.store.forms import Recorded
from gapless.controller.store.reading import Series, account_streams_in, series_in, streams_in
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
_ACCOUNT: Final = """
FROM account JOIN streams ON streams.id = stream WHERE channel = ? AND symbol = ? AND at BETWEEN ? AND ?
"""
_FIGURES_END: Final = 9
"""Columns before those of a trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to export.

    Attributes:
        streams: which; none: all of market data.
        begin: Unix s, inclusive, of the venue's time; of when it was received where the venue says none that can be
            read, and of all events of an account.
        end: alike.
    """

    streams: Collection[Stream] = ()
    begin: float = -inf
    end: float = inf

    def takes(self, event: MarketData) -> bool:
        """Whether a datum lies in the time."""
        if self.begin == -inf and self.end == inf:
            return True
        at = instant(event.timestamp)
        return self.begin <= (event.received_at if at == -inf else at) <= self.end


def exported(
    connection: sqlite3.Connection,
    selection: Selection,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Iterator[Sequence[Recorded]]:
    """What was selected, some thousands at a time; market data equal to what the controller handed over.

    The selection is looked at when this is called, everything else is read when it is asked for.

    Raises:
        LookupError: a stream that is not in the file; names those that are.
    """
    known, accounts = streams_in(connection), account_streams_in(connection)
    for stream in selection.streams:
        if stream not in known:
            raise LookupError(f"no stream {stream} was recorded; there are: {', '.join(map(str, known)) or 'none'}")
    streams = selection.streams or known.keys() - set(accounts)
    series = [each for each in series_in(connection) if each.stream in streams and each.stream not in accounts]
    asked = [stream for stream in accounts if stream in streams]
    return _read(connection, selection, series, asked, tell)


def _read(
    connection: sqlite3.Connection,
    selection: Selection,
    series: Sequence[Series],
    accounts: Sequence[Stream],
    tell: Callable[[int, int], None],
) -> Iterator[Sequence[Recorded]]:
    of_accounts = [(each.channel, each.symbol, selection.begin, selection.end) for each in accounts]
    count = "SELECT count(*)"
    total = sum(_number(connection, f"{count} FROM data WHERE series = ?", (each.number,)) for each in series)
    total += sum(_number(connection, count + _ACCOUNT, each) for each in of_accounts)
    done = 0
    for each in series:
        cursor = connection.execute(_ROWS, (each.number,))
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            if events := [event for row in rows if selection.takes(event := _event(each, row))]:
                yield events
            done += len(rows)
            tell(done, total)
    for stream in of_accounts:
        cursor = connection.execute(f"SELECT content {_ACCOUNT} ORDER BY account.id", stream)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield [msgspec.Raw(content.encode()) for (content,) in rows]
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


def _number(connection: sqlite3.Connection, statement: str, values: tuple[str | int | float, ...]) -> int:
    (number,) = connection.execute(statement, values).fetchone()
    return int(number)
