"""Pages of history that REST answers, entered into the books. Synchronous and free of I/O.

A reply may be late, stale, of another epoch, or partial; it may answer that ids are gone. Nothing is believed that the
books know better:

* a reply of another epoch is discarded while a socket is open; without one it may announce a new epoch, never one left,
  and not a second one before a socket has confirmed the first: of two, a lagging replica may have named the later;
* a reply whose ``last_seq`` lies below an id that was already known when the request left is stale; but where a cursor
  alone has told of that id, and the socket knows less, too, many such replies end the count (:mod:`resumed_count`);
* a verdict (absent, evicted) is passed only on what the reply covers: up to its last row, or, where it has no rows, to
  the end of what was asked for. A venue that gives shorter pages than asked for thereby loses nothing.
"""

from loguru import logger

from gapless.controller.answer import Answer, Entry, is_stale
from gapless.controller.books import Books
from gapless.controller.exchange import HistoryPage, HistoryQuery, HistoryRow
from gapless.controller.rows_by_time import enter_rows_by_time
from gapless.controller.subscription import Subscription
from gapless.controller.verdict import DELIVERED, Verdict


def enter_page(books: Books, subscription: Subscription, answer: Answer) -> Entry:
    """Enter a page of history."""
    page, asked = answer.page, answer.asked
    ledger = subscription.ledger
    without_epochs = books.epoch is None and books.socket_open
    if page.epoch is not None and page.epoch != books.epoch and not without_epochs:
        return _other_epoch(books, subscription, answer, page.epoch)
    if _denies_the_cursor(books, subscription, answer):
        return Entry.NEW_EPOCH
    if asked.resets != subscription.resets or is_stale(page.last_seq, asked.highest_issued):
        books.stats.stale_replies += 1
        return Entry.STALE
    is_by_time = not subscription.sequenced or (bool(page.rows) and all(row.sequence_id is None for row in page.rows))
    if not is_by_time or answer.query.start is not None or len(page.rows) < answer.query.limit:
        # Else it may be the oldest page: asked by id, a venue without ids begins at its beginning.
        subscription.heard(page, asked)
    books.announce_skipped_of(subscription)
    last_seq = _known_last(answer)
    if last_seq is not None:
        ledger.vouch(last_seq)
    is_newest = page.last_seq is not None or answer.query.start_seq is None
    if last_seq is not None and is_newest and asked.suspect is not None and asked.suspect == ledger.suspect:
        gap = ledger.resolve_suspect(last_seq)
        if gap is not None:
            books.open_gap(subscription, *gap, "confirmed_jump")
    if is_by_time:
        return enter_rows_by_time(books, subscription, answer)
    if ledger.next_id is None:
        if (last_seq := _known_last(answer)) is not None:
            ledger.start_at(last_seq + 1)
            subscription.begun_at = page.rows[-1].timestamp if page.rows else ""
        return Entry.ENTERED
    if ledger.is_sparse and answer.query.start_seq is None:
        # The newest row tells how far the stream is; what lies before it was not asked for, and is not passed over.
        return Entry.ENTERED
    stopped_at = _enter_rows(books, subscription, answer)
    _judge(books, subscription, answer, _covered_to(answer) if stopped_at is None else stopped_at)
    return Entry.ENTERED if stopped_at is None else Entry.FULL


def _other_epoch(books: Books, subscription: Subscription, answer: Answer, epoch: str) -> Entry:
    if books.epochs.was_left(epoch):
        books.stats.stale_replies += 1
        return Entry.OTHER_EPOCH
    subscription.heard(answer.page, answer.asked)
    if books.socket_open or (books.epoch is not None and not books.epochs.confirmed):
        # The socket knows better; and of two epochs that REST alone names, nobody can tell which is the later one.
        books.stats.stale_replies += 1
        logger.debug("{}: a reply of epoch {} is discarded in {}", subscription.stream, epoch, books.epoch)
        return Entry.OTHER_EPOCH
    books.enter_epoch(epoch, confirmed=False)
    return Entry.NEW_EPOCH


def _denies_the_cursor(books: Books, subscription: Subscription, answer: Answer) -> bool:
    """Whether this was the last word on a count that a cursor alone has told of; see :mod:`resumed_count`."""
    resumed, asked, query = subscription.resumed, answer.asked, answer.query
    if resumed is None or asked.resets != subscription.resets or query.start_seq is not None or query.start is not None:
        # Asked for what follows an id, a venue that does not say how far it is says no more than that.
        return False
    last_seq = _last_of_rows(answer.page) if _is_newest_row(query) else _known_last(answer)
    if last_seq is None:
        return False
    if resumed.is_confirmed(subscription.ledger.next_id, last_seq):
        subscription.resumed = None
        return False
    if asked.live_head is None or asked.generation != subscription.generation:
        return False
    first_id = resumed.is_denied(last_seq=last_seq, live_head=asked.live_head, at=asked.at)
    if first_id is not None:
        books.deny(subscription, first_id)
    return first_id is not None


def _is_newest_row(query: HistoryQuery) -> bool:
    """Whether it was asked where the stream stands: the newest row says it, where the page does not."""
    return query.limit == 1 and query.start_seq is None and query.start is None


def _known_last(answer: Answer) -> int | None:
    """How far the stream is, at least: as the reply says, or, of a page that goes on, as its rows show."""
    page = answer.page
    return _last_of_rows(page) if page.more else page.last_seq


def _last_of_rows(page: HistoryPage) -> int | None:
    """How far a page is: as it says, or as its rows show."""
    if page.last_seq is not None:
        return page.last_seq
    return max((row.sequence_id for row in page.rows if row.sequence_id is not None), default=None)


def _wanted(answer: Answer) -> list[tuple[int, HistoryRow]]:
    """The rows that lie in what was asked for and in what the venue says it has, in ascending order."""
    query, page = answer.query, answer.page
    low = query.start_seq if query.start_seq is not None else 0
    high = min((end for end in (query.end_seq, page.last_seq) if end is not None), default=None)
    rows = [(row.sequence_id, row) for row in page.rows if row.sequence_id is not None]
    return sorted(
        ((number, row) for number, row in rows if number >= low and (high is None or number <= high)),
        key=lambda numbered: numbered[0],
    )


def _enter_rows(books: Books, subscription: Subscription, answer: Answer) -> int | None:
    """Deliver what the ledger does not have yet; the last id entered if the buffer filled up, else None."""
    ledger = subscription.ledger
    filled: list[tuple[int, int]] = []
    stopped_at: int | None = None
    if ledger.is_sparse and answer.page.first_seq is not None:
        books.lose(subscription, ledger.lose(0, answer.page.first_seq - 1), "evicted")
    for number, row in _wanted(answer):
        if books.turns.room_for(subscription, number) <= 0:
            stopped_at = number - 1
            break
        if ledger.is_sparse:
            # Rows come in order and cover the range: what lies between them does not exist.
            filled.extend(ledger.pass_over(answer.query.start_seq or 0, number))
        elif (answer.page.last_seq is not None or answer.page.more) and (
            gap := ledger.issued(number - 1, trusted=True)
        ) is not None:
            # The venue vouches for every id up to last_seq: however far the jump, it is real.
            books.open_gap(subscription, *gap, "history_jump")
        verdict = ledger.accept(number, live=False)
        if verdict not in DELIVERED:
            continue
        if verdict is Verdict.JUMPED and ledger.last_gap is not None:
            books.open_gap(subscription, *ledger.last_gap, "history_jump")
        elif verdict is Verdict.REORDERED:
            books.stats.reordered += 1
        elif verdict is Verdict.LATE:
            if filled and filled[-1][1] == number - 1:
                filled[-1] = (filled[-1][0], number)
            else:
                filled.append((number, number))
        books.stats.count_row(answer.source)
        subscription.rest_count += 1
        books.deliver(subscription, row, answer.source, answer.received_at)
    books.filled(subscription, filled, "rest")
    books.trim(subscription)
    return stopped_at


def _covered_to(answer: Answer) -> int | None:
    """The highest id the reply says something about; None where it says nothing.

    Rows come oldest first from the start of the range, so they cover it up to the last of them, even where a venue
    gives more than it was asked for.
    """
    query, page = answer.query, answer.page
    ends = [end for end in (query.end_seq, page.last_seq) if end is not None]
    if page.rows:
        numbers = [row.sequence_id for row in page.rows if row.sequence_id is not None]
        known = [number for number in numbers if page.last_seq is None or number <= page.last_seq]
        return min(max(known), *ends) if known and ends else max(known, default=None)
    # A page without rows that goes on says nothing of what was asked for: that stands on a later one.
    return None if page.more else min(ends, default=None)


def _judge(books: Books, subscription: Subscription, answer: Answer, covered_to: int | None) -> None:
    """Report what the reply covers and does not hold."""
    query, page = answer.query, answer.page
    ledger = subscription.ledger
    if covered_to is None or query.start_seq is None or covered_to < query.start_seq:
        return
    if ledger.is_sparse:
        ledger.pass_to(covered_to)
    elif ledger.next_id is not None and covered_to >= ledger.next_id:
        gap = ledger.issued(covered_to, trusted=True)
        if gap is not None:
            books.open_gap(subscription, *gap, "history_jump")
    if page.last_seq is None and not page.more:
        books.lose(subscription, ledger.lose(query.start_seq, covered_to), "unverifiable")
        return
    if page.first_seq is not None and (page.last_seq is None or page.first_seq <= page.last_seq + 1):
        # Whatever was asked for: what lies below the first id kept is gone.
        books.lose(subscription, ledger.lose(0, page.first_seq - 1), "evicted")
    closed = ledger.lose(query.start_seq, covered_to)
    if ledger.is_sparse:
        # Whatever existed there was delivered.
        books.filled(subscription, closed, "rest")
    else:
        books.lose(subscription, closed, "absent")
