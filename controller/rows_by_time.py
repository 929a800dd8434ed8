"""Rows that only their times tell apart, entered into the books. Synchronous and free of I/O.

So it is with the oldest form of the wire format, whose rows have no ids, and with unsequenced streams, whose ids tell
nothing. What the socket or an earlier page delivered is not repeated: an exact repeat of a row is dropped. Nothing can
tell whether such rows are whole, so a hole they were asked for is reported as ``unverifiable``.
"""

from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.instants import instant
from gapless.controller.subscription import Subscription


def enter_rows_by_time(books: Books, subscription: Subscription, answer: Answer) -> Entry:
    """Deliver what was not delivered before.

    A page that is not full, or that goes beyond what revealed the hole it was asked for, ends that hole.
    """
    query, page = answer.query, answer.page
    is_last = len(page.rows) < query.limit
    # Where a hole was asked for, its rows are older than the datum that revealed it.
    of_hole = subscription.hole_since if query.end_seq is not None else ""
    since = instant(of_hole or books.last_before(subscription))
    until = instant(subscription.hole_until) if of_hole else float("-inf")
    if until <= since:
        until = float("inf")
    # With epochs nobody kept a list of what was delivered before the first page: only what is newer is surely new.
    unlisted = books.epoch is not None and not subscription.by_time
    latest = instant(subscription.last_timestamp)
    subscription.by_time = True
    for row in page.rows:
        key = subscription.row_key(row)
        if not since <= key[0] <= until or (unlisted and key[0] <= latest) or key in subscription.repeats:
            continue
        if books.delivery.room <= 0:
            return Entry.FULL
        books.stats.count_row(answer.source)
        subscription.rest_count += 1
        books.deliver(subscription, row, answer.source, answer.received_at)
    if not subscription.live_seen and not subscription.rest_caught_up:
        # No mark tells what was issued before the subscription: whatever REST tells until it has caught up.
        if page.rows:
            subscription.need_not_show(page.rows[-1].timestamp)
        subscription.rest_caught_up = is_last and subscription.was_subscribed_by(answer.asked)
    if query.start_seq is None or query.end_seq is None:
        return Entry.ENTERED
    if is_last or instant(page.rows[-1].timestamp) > until:
        books.lose(subscription, subscription.ledger.lose(query.start_seq, query.end_seq), "unverifiable")
    elif instant(page.rows[-1].timestamp) > since:
        # Should the next page not come, nobody need ask for this one again.
        subscription.hole_since = page.rows[-1].timestamp
    return Entry.ENTERED
