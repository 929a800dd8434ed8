"""A venue's price history for the app's own use: pages put together, no ledger touched."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from gapless.controller.errors import ConfigurationError, InvalidReplyError
from gapless.controller.exchange import HistoryPage, HistoryQuery, HistoryRow
from gapless.controller.instants import instant
from gapless.controller.paging import next_query
from gapless.controller.stream import Stream

ROWS_MAX: Final = 1_000_000
"""Rows of one call: about 300 MB. Who wants more asks for shorter ranges."""

FetchPage = Callable[[HistoryQuery], Awaitable[HistoryPage]]
Moment = datetime | str | None


async def price_history(
    fetch: FetchPage,
    stream: Stream,
    *,
    start: Moment,
    end: Moment,
    limit: int | None,
    page_rows: int,
    by_time: bool = False,
) -> list[HistoryRow]:
    """The rows of a range, oldest first, at most ``limit`` from its start.

    Args:
        fetch: gets one page.
        stream: whose history.
        start: where the range begins; None: with the oldest row.
        end: where it ends, inclusive; None: with the newest row.
        limit: rows; None: all.
        page_rows: rows of one page.
        by_time: whether the ids of this stream tell nothing, so that pages go on by time though rows have ids.

    Raises:
        ConfigurationError: a bound or the limit cannot be meant.
        InvalidReplyError: the history cannot be paged: more rows of one instant than a page holds, another epoch
            between two pages, or more than :data:`ROWS_MAX` rows without a ``limit``.
        RequestFailedError: the venue refused, or did not answer in time, again and again.
    """
    first, last = _text("start", start), _text("end", end)
    if first is not None and last is not None and instant(first) > instant(last):
        raise ConfigurationError(f"start = {start} lies after end = {end}")
    if limit is not None and not 1 <= limit <= ROWS_MAX:
        raise ConfigurationError(f"limit = {limit} is not allowed: expected 1 to {ROWS_MAX} rows, or None for all")
    rows: list[HistoryRow] = []
    wanted = ROWS_MAX + 1 if limit is None else limit
    query: HistoryQuery | None = HistoryQuery(stream=stream, limit=min(page_rows, wanted), start=first, end=last)
    epoch: str | None = None
    while query is not None:
        page = await fetch(query)
        if rows and page.epoch != epoch:
            raise InvalidReplyError(f"{stream}: the venue went from epoch {epoch} to {page.epoch} between two pages")
        epoch = page.epoch
        rows += _fresh(rows, page, by_time=by_time)[: wanted - len(rows)]
        if len(rows) > ROWS_MAX:
            raise InvalidReplyError(
                f"{stream}: more than {ROWS_MAX} rows lie in the range; ask for less, or set a limit"
            )
        if len(rows) >= wanted:
            break
        query = next_query(query, page, page_rows=page_rows, by_time=by_time)
    return rows


def _fresh(rows: list[HistoryRow], page: HistoryPage, *, by_time: bool) -> list[HistoryRow]:
    """What of a page was not there already."""
    if not rows or not page.rows or (page.rows[0].sequence_id is not None and not by_time):
        return list(page.rows)
    at = instant(rows[-1].timestamp)
    have: list[HistoryRow] = []
    for row in reversed(rows):
        if instant(row.timestamp) != at:
            break
        have.append(row)
    fresh: list[HistoryRow] = []
    for row in page.rows:
        if row in have:
            # Each repeat accounts for one: two equal trades of one instant are two.
            have.remove(row)
        elif instant(row.timestamp) >= at:
            fresh.append(row)
    return fresh


def _text(name: str, moment: Moment) -> str | None:
    if moment is None:
        return None
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ConfigurationError(f"{name} = {moment!r} is not allowed: expected a datetime with a time zone")
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if instant(moment) == float("-inf"):
        raise ConfigurationError(f"{name} = {moment!r} is not allowed: expected RFC 3339, such as 2026-01-01T00:00:00Z")
    return moment
