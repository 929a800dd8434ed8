"""Collecting over REST: gaps, polls and snapshots of one stream at a time."""

from collections.abc import Callable

import httpx
import trio
from loguru import logger

from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.errors import CircuitOpenError, InvalidReplyError, RequestFailedError, RequestWithdrawnError
from gapless.controller.events import SnapshotMissed, Source
from gapless.controller.exchange import Exchange, HistoryPage, HistoryQuery, RestReply, Snapshot
from gapless.controller.instants import instant
from gapless.controller.paging import next_query
from gapless.controller.priority import Priority
from gapless.controller.rest import RestClient
from gapless.controller.rest_entry import enter_page
from gapless.controller.signal import Signal
from gapless.controller.snapshot_entry import enter_snapshot
from gapless.controller.subscription import Subscription

SNAPSHOT_TRIES = 3
"""Failed readings of a snapshot, each retried by the limiter, after which it is SnapshotMissed in this generation; and
readings overtaken by updates, one right after the other, after which the one in hand is taken as far as it is new."""


class Collector:
    """Asks REST and enters what it answers.

    Every method returns whether it came to an end; False: give it another round later.

    Args:
        page_rows: rows asked for in one page.
        evidence: notified after each answer, for whoever judges a silence.
    """

    def __init__(
        self,
        *,
        books: Books,
        exchange: Exchange,
        rest: RestClient,
        page_rows: int,
        evidence: Signal,
        wall_clock: Callable[[], float],
    ) -> None:
        self._books = books
        self._exchange = exchange
        self._rest = rest
        self._page_rows = min(page_rows, exchange.page_rows_max)
        self._evidence = evidence
        self._wall_clock = wall_clock

    def once(self, charge: Callable[[int], None], still_wanted: Callable[[], bool]) -> "Collector":
        """One that sends each request once, if ``still_wanted`` then, and tells ``charge`` what it weighs."""
        return Collector(
            books=self._books,
            exchange=self._exchange,
            rest=self._rest.once(charge, still_wanted),
            page_rows=self._page_rows,
            evidence=self._evidence,
            wall_clock=self._wall_clock,
        )

    async def fill(self, subscription: Subscription) -> bool:
        """Ask for the open gaps, oldest first, until none is left or REST has no more to say now."""
        if subscription.is_account:
            return not subscription.has_gap or await self.read_snapshot(subscription, Source.BACKFILL)
        cursor: str | None = None
        while subscription.has_gap:
            if subscription.by_time:
                if not await self._fill_by_time(subscription):
                    return False
                continue
            before = (list(subscription.ledger.gaps), subscription.ledger.suspect, cursor)
            query = self._gap_query(subscription, cursor)
            entry, page = await self._ask(subscription, query, Source.BACKFILL, Priority.GAP_FILL)
            if entry not in {Entry.ENTERED, Entry.FULL, Entry.NEW_EPOCH}:
                return False
            if page is not None and entry is Entry.ENTERED and not _goes_beyond(page, query):
                # Else the page is asked for once more: the buffer was full, or more of it is missing by now.
                cursor = page.cursor
            after = (list(subscription.ledger.gaps), subscription.ledger.suspect, cursor)
            if before == after and not subscription.by_time:
                if page is None or page.cursor is None or query.start_seq is None:
                    # Without ids it was asked how far the stream is, and that was not said.
                    return False
                # The page goes on where it began: more rows of one instant than it holds, and no time leads beyond.
                low, high = next(iter(subscription.ledger.gaps))
                self._books.lose(subscription, subscription.ledger.lose(low, high), "unverifiable")
        return True

    async def _fill_by_time(self, subscription: Subscription) -> bool:
        """Ask for all that lies in the time of the holes: which ids that were, nobody can tell."""
        ledger, resets = subscription.ledger, subscription.resets
        holes = list(ledger.gaps)
        since, until = subscription.hole_since, subscription.hole_until
        query = HistoryQuery(
            stream=subscription.stream,
            limit=self._page_rows,
            start_seq=holes[0][0],
            end_seq=holes[-1][1],
            start=since,
            end=until if instant(until) > instant(since) else None,
        )
        if not await self._collect_by_time(subscription, query, Source.BACKFILL, Priority.GAP_FILL):
            return False
        if subscription.resets == resets:
            # Where no time leads to the end of the holes, nothing has ended them yet.
            self._books.lose(subscription, ledger.lose(holes[0][0], holes[-1][1]), "unverifiable")
        return True

    async def _collect_by_time(
        self, subscription: Subscription, query: HistoryQuery, source: Source, priority: Priority
    ) -> bool:
        """Page after page until one is not full, or no time leads further."""
        following: HistoryQuery | None = query
        while following is not None and not subscription.ended:
            entry, page = await self._ask(subscription, following, source, priority)
            if entry is Entry.NEW_EPOCH or (entry is Entry.FULL and priority is not Priority.VERIFY):
                continue
            if entry is not Entry.ENTERED or page is None:
                return False
            try:
                following = next_query(following, page, page_rows=self._page_rows, by_time=True)
            except InvalidReplyError as error:
                self._complain(subscription, error)
                return True
        return True

    async def poll(self, subscription: Subscription, priority: Priority) -> bool:
        """Ask for what lies beyond the cursor, page by page, until caught up."""
        if subscription.is_account:
            return await self.read_snapshot(subscription, Source.POLL)
        by_ids = not subscription.by_time
        going_on: str | None = None
        while by_ids:
            cursor = subscription.ledger.next_id
            # Without a cursor there is nothing to catch up with: one row tells where the venue stands.
            query = HistoryQuery(
                stream=subscription.stream,
                limit=1 if cursor is None else self._page_rows,
                start_seq=cursor,
                since=self._books.last_before(subscription),
                cursor=going_on,
            )
            entry, page = await self._ask(subscription, query, Source.POLL, priority)
            by_ids = not subscription.by_time
            if entry is Entry.NEW_EPOCH or (entry is Entry.FULL and priority is not Priority.VERIFY):
                continue
            if entry is not Entry.ENTERED or page is None:
                return False
            reached = subscription.ledger.next_id
            if page.more:
                # The newest row that there is stands on a later page.
                caught_up = cursor is None or (reached == cursor and page.cursor == going_on)
            else:
                caught_up = page.last_seq is None or reached is None or reached > page.last_seq or reached == cursor
            going_on = page.cursor
            if by_ids and caught_up:
                return True
        since = self._books.last_before(subscription)
        query = HistoryQuery(stream=subscription.stream, limit=self._page_rows, start=since)
        return await self._collect_by_time(subscription, query, Source.POLL, priority)

    async def read_snapshot(self, subscription: Subscription, source: Source) -> bool:
        """Read the orders or balances. Refused, or failed too often: SnapshotMissed, and that is an end too."""
        asked = subscription.asked(trio.current_time())
        failure, refused = "a stale reply", False
        try:
            entry = Entry.OVERTAKEN
            for tries_left in reversed(range(SNAPSHOT_TRIES)):
                # A snapshot cannot be entered in parts: it is asked for only with room for a page.
                await self._books.delivery.wait_room(self._page_rows)
                if subscription.ended:
                    return True
                asked = subscription.asked(trio.current_time())
                snapshot = await self._snapshot(subscription)
                entry = enter_snapshot(
                    self._books,
                    subscription,
                    snapshot,
                    asked=asked,
                    source=source,
                    received_at=self._wall_clock(),
                    take_overtaken=not tries_left,
                )
                if entry is not Entry.OVERTAKEN:
                    break
        except CircuitOpenError:
            # Nothing was asked: that is no failed reading.
            return False
        except (RequestFailedError, InvalidReplyError) as error:
            failure = self._complain(subscription, error)
            refused = isinstance(error, RequestFailedError) and error.is_refusal
        else:
            if entry is Entry.ENTERED:
                if subscription.is_covered_by(asked):
                    subscription.snapshot_done = True
                    subscription.snapshot_failures = 0
                return True
        if subscription.ended:
            return True
        if source is Source.POLL:
            return False
        subscription.snapshot_failures += 1
        if not refused and subscription.snapshot_failures < SNAPSHOT_TRIES:
            return False
        self._miss(subscription, failure)
        return True

    def poll_weight(self, subscription: Subscription) -> int:
        """What one poll costs of the budget."""
        if subscription.is_account:
            return self._exchange.weight(self._exchange.snapshot_request(subscription.stream))
        query = HistoryQuery(
            stream=subscription.stream,
            limit=self._page_rows,
            start_seq=subscription.ledger.next_id,
            since=self._books.last_before(subscription),
        )
        return self._exchange.weight(self._exchange.history_request(query))

    async def _snapshot(self, subscription: Subscription) -> Snapshot:
        request = self._exchange.snapshot_request(subscription.stream)
        reply = await self._fetch(request, Priority.SNAPSHOT)
        return self._exchange.decode_snapshot(subscription.stream, reply)

    async def _fetch(self, request: httpx.Request, priority: Priority) -> RestReply:
        return await self._rest.fetch(request, priority=priority, weight=self._exchange.weight(request))

    def _miss(self, subscription: Subscription, reason: str) -> None:
        """No snapshot in this generation: say so, and that the ids it would have covered are lost."""
        stream, books = subscription.stream, self._books
        first = not subscription.snapshot_done
        subscription.snapshot_done = subscription.snapshot_missed = True
        # A gap that opens later has its own tries.
        subscription.snapshot_failures = 0
        gaps = subscription.ledger.lose_all()
        books.lose(subscription, gaps, "snapshot_missed")
        if first or gaps:
            books.delivery.put(
                SnapshotMissed(channel=stream.channel, symbol=stream.symbol, reason=reason, at=self._wall_clock())
            )

    async def _ask(
        self, subscription: Subscription, query: HistoryQuery, source: Source, priority: Priority
    ) -> tuple[Entry | None, HistoryPage | None]:
        """One page; (None, None) where no usable reply came."""
        if priority is not Priority.VERIFY:
            await self._books.delivery.wait_room(query.limit)
        if subscription.ended:
            # It may have ended during that wait: a reply asked for now would not look stale.
            return None, None
        asked = subscription.asked(trio.current_time())
        try:
            reply = await self._fetch(self._exchange.history_request(query), priority)
            page = self._exchange.decode_history(query, reply)
        except RequestWithdrawnError:
            return None, None
        except (RequestFailedError, InvalidReplyError) as error:
            self._complain(subscription, error)
            if isinstance(error, RequestFailedError) and error.is_refusal:
                if error.unknown_stream:
                    self._books.refuse(subscription, error.code, error.message)
                if subscription.rejected:
                    self._give_up(subscription)
            return None, None
        answer = Answer(query=query, page=page, asked=asked, source=source, received_at=self._wall_clock())
        entry = enter_page(self._books, subscription, answer)
        self._evidence.notify()
        return entry, page

    def _give_up(self, subscription: Subscription) -> None:
        """The venue knows this stream no more, neither on the socket nor over REST: what is open is lost."""
        self._books.lose(subscription, subscription.ledger.lose_all(), "no_history")

    def _gap_query(self, subscription: Subscription, cursor: str | None) -> HistoryQuery:
        """One request for as many neighbouring gaps as a page can hold; for a suspect id, how far the stream is."""
        ledger = subscription.ledger
        gaps = list(ledger.gaps)
        if not gaps or subscription.is_below_cursor:
            return HistoryQuery(stream=subscription.stream, limit=1)
        start = gaps[0][0]
        last = start + self._page_rows - 1
        end = max(min(gap_end, last) for gap_start, gap_end in gaps if gap_start <= last)
        return HistoryQuery(
            stream=subscription.stream,
            limit=self._page_rows,
            start_seq=start,
            end_seq=end,
            since=subscription.hole_since or self._books.began_at,
            cursor=cursor,
        )

    def _complain(self, subscription: Subscription, error: Exception) -> str:
        if isinstance(error, InvalidReplyError):
            self._books.stats.invalid_replies += 1
        logger.warning("{}: {}", subscription.stream, error)
        return str(error)


def _goes_beyond(page: HistoryPage, query: HistoryQuery) -> bool:
    """Whether a page that a cursor would lead on from has rows behind what was asked for: they were left there."""
    last_id = page.rows[-1].sequence_id if page.rows and page.cursor is not None else None
    return last_id is not None and query.end_seq is not None and last_id > query.end_seq
