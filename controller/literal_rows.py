"""Rows without sequence ids, as the seed's literal REST form has them. Synchronous and free of I/O.

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
    since = instant(subscription.last_timestamp or books.began_at)
    for row in answer.page.rows:
        key = (instant(row.timestamp), row.price, row.bid, row.ask)
        # Before the first page nobody kept a list of what was delivered: only what is newer is certainly new.
        if key[0] < since or (first_time and key[0] == since) or key in subscription.repeats:
            continue
        if books.delivery.room <= 0:
            return Entry.FULL
        books.stats.count_row(answer.source)
        books.deliver(subscription, row, answer.source, answer.received_at)
    if query.start_seq is not None and query.end_seq is not None:
        books.lose(subscription, subscription.ledger.lose(query.start_seq, query.end_seq), "unverifiable")
    return Entry.ENTERED
