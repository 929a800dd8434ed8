"""Which page of a history comes after another. Pure."""

from gapless.controller.errors import InvalidReplyError
from gapless.controller.exchange import HistoryPage, HistoryQuery
from gapless.controller.instants import instant


def next_query(query: HistoryQuery, page: HistoryPage, *, page_rows: int, by_time: bool = False) -> HistoryQuery | None:
    """What to ask for after a page; None: it was not full, so it was the last one.

    Pages go on by id where the rows have ids, else, or where the ids tell nothing, by time: then the last instant comes
    again, takes room, and what was there already must be dropped.

    Raises:
        InvalidReplyError: by time, the page holds one instant alone: no time leads beyond it.
    """
    if not page.rows or len(page.rows) < query.limit:
        return None
    last = page.rows[-1]
    if last.sequence_id is not None and not by_time:
        return HistoryQuery(
            stream=query.stream,
            limit=page_rows,
            start_seq=last.sequence_id + 1,
            end_seq=query.end_seq,
            start=query.start,
            end=query.end,
        )
    if query.start is not None and instant(last.timestamp) <= instant(query.start):
        raise InvalidReplyError(
            f"{query.stream}: a page of {query.limit} rows holds one instant, {last.timestamp}, alone: "
            "no time leads beyond it"
        )
    return HistoryQuery(
        stream=query.stream,
        limit=page_rows,
        start_seq=query.start_seq,
        end_seq=query.end_seq,
        start=last.timestamp,
        end=query.end,
    )
