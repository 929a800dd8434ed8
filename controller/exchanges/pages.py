"""Pages of venues that give rows from an id on, oldest first, and do not say how far they are. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from gapless.controller.errors import InvalidReplyError
from gapless.controller.exchange import HistoryPage, HistoryQuery, HistoryRow


def rows_wanted(query: HistoryQuery) -> int:
    """How many rows answer a query: as many as its range has ids, its limit at most."""
    if query.start_seq is None or query.end_seq is None:
        return query.limit
    return max(1, min(query.limit, query.end_seq - query.start_seq + 1))


def page_from(query: HistoryQuery, rows: Sequence[HistoryRow]) -> HistoryPage:
    """The page that holds these rows, asked for with ``limit`` :func:`rows_wanted`.

    One that is full says nothing of what is newer; in any other there is nothing newer than its last row.

    Raises:
        InvalidReplyError: a row has no id, or the ids do not grow.
    """
    ids = [row.sequence_id for row in rows if row.sequence_id is not None]
    if len(ids) < len(rows) or any(later <= earlier for earlier, later in pairwise(ids)):
        raise InvalidReplyError(f"{query.stream}: expected rows whose ids grow, got {ids[:5]}...")
    newest = ids[-1] if ids else None
    if query.start_seq is None:
        return HistoryPage(rows=rows, last_seq=newest)
    if len(rows) >= rows_wanted(query):
        return HistoryPage(rows=rows, more=True)
    return HistoryPage(rows=rows, last_seq=query.start_seq - 1 if newest is None else newest)
