"""Rows without sequence ids, as the oldest form of the wire format has them. Synchronous and free of I/O.

They are delivered with ``sequence_id`` None. Nothing can tell whether they are whole. What the socket or an earlier
page delivered is not repeated, and a hole they were asked for is reported as ``unverifiable``.
"""

from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.instants import instant
from gapless.controller.subscription import Subscription


def enter_rows_without_ids(books: Books, subscription: Subscription, answer: Answer) -> Entry:
    """Deliver what was not delivered before, and say that the hole cannot be verified."""
    query = answer.query
    first_time, subscription.literal = not subscription.literal, True
    # Where a hole was asked for, its rows are older than the datum that revealed it.
    of_hole = query.end_seq is not None and subscription.hole_since
    since = instant(of_hole or subscription.last_timestamp or books.began_at)
    unlisted = first_time and books.epoch is not None
    latest = instant(subscription.last_timestamp)
    for row in answer.page.rows:
        key = (instant(row.timestamp), row.price, row.bid, row.ask)
        # With epochs nobody kept a list of what was delivered before the first page: only what is newer is surely new.
        if key[0] < since or (unlisted and key[0] <= latest) or key in subscription.repeats:
            continue
        if books.delivery.room <= 0:
            return Entry.FULL
        books.stats.count_row(answer.source)
        books.deliver(subscription, row, answer.source, answer.received_at)
    if query.start_seq is not None and query.end_seq is not None:
        books.lose(subscription, subscription.ledger.lose(query.start_seq, query.end_seq), "unverifiable")
    return Entry.ENTERED
