"""Snapshots of orders and balances that REST answers, entered into the books. Synchronous and free of I/O.

A snapshot covers every update up to its id, so it heals gaps; but an update may have overtaken it. What the app hears
last of an order or asset must be the newest, so such a snapshot is read again; and where updates come faster than
snapshots, the rows that an update has made old are left out.
"""

from gapless.controller.answer import Entry, is_stale
from gapless.controller.books import Books
from gapless.controller.events import Source
from gapless.controller.exchange import Snapshot
from gapless.controller.subscription import Asked, Subscription


def enter_snapshot(
    books: Books,
    subscription: Subscription,
    snapshot: Snapshot,
    *,
    asked: Asked,
    source: Source,
    received_at: float,
    take_overtaken: bool = False,
) -> Entry:
    """Enter a snapshot; one that was overtaken only if the caller says so."""
    ledger = subscription.ledger
    covers = snapshot.sequence_id
    if asked.resets != subscription.resets or is_stale(covers, asked.highest_issued):
        books.stats.stale_replies += 1
        return Entry.STALE
    if not take_overtaken and _is_overtaken(subscription, covers, asked):
        return Entry.OVERTAKEN
    books.announce_skipped_of(subscription)
    known = ledger.highest_issued
    closed: list[tuple[int, int]] = []
    if covers is None:
        books.lose(subscription, ledger.lose_all(), "unverifiable")
    else:
        if ledger.is_far(covers) and (asked.suspect is None or covers < asked.suspect):
            # Believed when it is said twice.
            books.stats.suspects += 1
            ledger.suspect = covers
            return Entry.STALE
        gap = ledger.resolve_suspect(covers) if asked.suspect == ledger.suspect else None
        if gap is not None:
            books.open_gap(subscription, *gap, "confirmed_jump")
        closed = ledger.cover(covers)
    if covers is None:
        is_news = snapshot.contents != subscription.snapshot
        subscription.snapshot = snapshot.contents
    else:
        is_news = known is None or covers > known or bool(closed) or subscription.snapshot_missed
    subscription.snapshot_missed = False
    if is_news or source is Source.BACKFILL:
        are_newer = subscription.updates.are_newer
        rows = [each for each in snapshot.contents if not are_newer(each, covers=covers, count=asked.updates)]
        if rows or not snapshot.contents:
            # Where every row was left out, an empty one would say that all is gone.
            books.deliver_snapshot(subscription, rows, covers, source=source, at=received_at)
    books.filled(subscription, closed, "snapshot")
    return Entry.ENTERED


def _is_overtaken(subscription: Subscription, covers: int | None, asked: Asked) -> bool:
    """Whether an update came while it was on its way that it does not know."""
    if covers is None:
        return subscription.updates.count > asked.updates
    highest = subscription.ledger.highest_issued
    return highest is not None and covers < highest
