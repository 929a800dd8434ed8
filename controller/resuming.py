"""Where the app is, taken from the books, and books that go on from there. Pure."""

from collections.abc import Sequence

from gapless.controller.books import Books
from gapless.controller.cursor import Cursor, Rewind, StreamCursor
from gapless.controller.events import AnyEvent, ContinuityLost, MarketData
from gapless.controller.stream import Stream
from gapless.controller.subscription import Subscription


def cursor_of(books: Books, unread: Sequence[AnyEvent] = ()) -> Cursor:
    """Where the app is: as far as the books are, less what it was not given, or has yet to read (oldest first)."""
    streams = [each for each in books.subscriptions if not each.is_account]
    rewinds = {
        each.stream: Rewind(
            books.epoch,
            each.ledger.next_id if each.sequenced else None,
            [*each.ledger.gaps, *each.ledger.tentative],
        )
        for each in streams
    }
    for event in reversed([*unread, *books.delivery.held()]):
        if isinstance(event, MarketData | ContinuityLost):
            rewind = rewinds.get(Stream(event.channel, event.symbol))
            if rewind is not None:
                rewind.undo(event)
    positions = [
        rewinds[each.stream].position(each.stream.channel, each.stream.symbol, each.last_timestamp) for each in streams
    ]
    return Cursor(streams=positions, epoch=books.epoch)


def resume(books: Books, cursor: Cursor) -> None:
    """Go on where the app left off, in the streams that are desired; before anything else is entered."""
    over = dict.fromkeys(each.epoch for each in cursor.streams if each.epoch != cursor.epoch)
    for epoch in (*over, cursor.epoch):
        if epoch is not None:
            books.epochs.enter(epoch, confirmed=True)
            books.epochs.current = epoch
    for position in cursor.streams:
        subscription = books.find(position.channel, position.symbol)
        if subscription is not None and not subscription.is_account:
            _resume(books, subscription, position)


def _resume(books: Books, subscription: Subscription, position: StreamCursor) -> None:
    subscription.last_timestamp = subscription.numbered_at = position.timestamp
    if position.next_id is None or not subscription.sequenced:
        return
    subscription.owed = True
    subscription.ledger.resume(position.next_id, position.holes)
    if position.epoch != books.epoch:
        # The app was not told yet that this epoch is over.
        now, books.epochs.current = books.epochs.current, position.epoch
        books.restart(subscription, position.epoch, now)
        books.epochs.current = now
        return
    for start, end in position.holes:
        books.open_gap(subscription, start, end, "resumed")
