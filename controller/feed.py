"""The live side of the data plane: frames of the current socket, entered into the books. Synchronous and free of I/O.

Frames never pass through the state machine. Only changes become triggers: data that was awaited, a gap that was found.
"""

from collections.abc import Callable, Iterable
from typing import Final

from gapless.controller.books import Books
from gapless.controller.errors import LinkError
from gapless.controller.events import Order, Source
from gapless.controller.exchange import AccountUpdate, MarketUpdate
from gapless.controller.instants import instant
from gapless.controller.signal import Signal
from gapless.controller.stream import Stream
from gapless.controller.subscription import Subscription
from gapless.controller.verdict import DELIVERED, Verdict


def _nobody_waits() -> None:
    """No link has asked to be told yet."""


class LiveFeed:
    """What the current generation's socket says.

    Args:
        books: where it is entered.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self.on_data: Callable[[], None] = _nobody_waits
        """Called when market data arrives while ``data_awaited`` is set; the call clears it."""
        self.jumped: Final = Signal()
        """Notified when there is a new tentative jump."""
        self.data_awaited = True
        self.first_data_at: float | None = None
        """Monotonic seconds of this generation's first market data."""
        self.last_data_at = float("-inf")
        """Monotonic seconds of the last market data of any generation."""

    def start_generation(self, generation: int) -> None:
        """A new socket is about to be dialled."""
        self._books.start_generation(generation)
        self.first_data_at = None

    def rotate(self, generation: int) -> None:
        """A successor's socket speaks from now on. What was answered and owed stays; it has shown nothing yet."""
        self._books.generation = generation
        for subscription in self._books.subscriptions:
            # A venue that restarted has ended both sockets: what the new one repeats of an account is no new beginning.
            subscription.live_seen = subscription.is_account
            subscription.ledger.interrupt()

    def socket_closed(self) -> None:
        """This generation's socket is gone: nothing that was skipped will come by it any more."""
        self._books.socket_open = False
        self.settle(float("inf"))

    def welcome(self, epoch: str | None) -> None:
        """The socket belongs to this epoch.

        Raises:
            LinkError: the epoch was left before; its ids were reported lost and must not come back.
        """
        books = self._books
        if epoch is not None and books.epochs.turns_away(epoch):
            raise LinkError(f"the server speaks of epoch {epoch}, which was left for {books.epoch}")
        books.socket_open = True
        if epoch is not None:
            books.enter_epoch(epoch, confirmed=True)

    def acknowledge(self, stream: Stream, mark: int | None) -> None:
        """The venue took the subscription; ``mark`` is the last id issued before it."""
        subscription = self._books.find(stream.channel, stream.symbol)
        if subscription is None:
            return
        self._books.venue_ended(stream, all_wishes=True)
        # Of a venue that says no WELCOME, this is the first that is heard.
        self._books.socket_open = True
        # Where REST has said that there is no such stream, a socket that takes it all the same will say nothing.
        subscription.answered, subscription.rejected = True, subscription.refused_in == self._books.generation
        if subscription.by_time:
            subscription.need_not_show(subscription.last_timestamp)
        if mark is not None and subscription.sequenced:
            self._owe_after(subscription, mark)
        self._books.changed.notify()

    def high_water(self, stream: Stream, mark: int, now: float) -> None:
        """The venue says that it has issued ids up to ``mark``: what of them has not come is missing."""
        subscription = self._books.find(stream.channel, stream.symbol)
        if subscription is None or subscription.barred or not subscription.sequenced:
            return
        subscription.ledger.start_at(mark + 1)
        if not subscription.ledger.is_far(mark):
            # Having said so, the socket is no further behind than this.
            subscription.live_head = max(subscription.live_head or 0, mark)
            self._books.compare_with_cursor(subscription, now)
        if (gap := subscription.ledger.issued(mark)) is not None:
            self._hesitate_or_open(subscription, gap, "high_water", now)
        elif subscription.ledger.suspect == mark:
            self._books.doubt(subscription, mark)

    def unreadable(self) -> None:
        """A frame could not be read. Where ids do not tell what was in it, it may have held anything: REST is asked."""
        for subscription in self._books.sparse:
            subscription.ledger.interrupt()

    def _owe_after(self, subscription: Subscription, mark: int) -> None:
        ledger = subscription.ledger
        first, subscription.owed = not subscription.owed, True
        if ledger.contradict(mark):
            self._return(subscription, mark)
        subscription.live_head = max(subscription.live_head or 0, mark)
        self._books.compare_with_cursor(subscription)
        ledger.start_at(mark + 1)
        if (gap := ledger.issued(mark)) is not None:
            self._books.open_gap(subscription, *gap, "subscription_mark")
        elif ledger.suspect == mark:
            self._books.doubt(subscription, mark)
        if first and (gap := ledger.owe_from(mark + 1)) is not None:
            self._books.open_gap(subscription, *gap, "subscription_mark")

    def unsubscribed(self, streams: Iterable[Stream]) -> None:
        """The venue has ended streams that were given up: what comes of them now was asked for later."""
        for stream in streams:
            self._books.venue_ended(stream, all_wishes=False)

    def reject(self, stream: Stream, code: str, message: str) -> None:
        """The venue refused the subscription."""
        subscription = self._books.find(stream.channel, stream.symbol)
        if subscription is None or subscription.rejected:
            return
        self._books.venue_ended(stream, all_wishes=True)
        subscription.answered = subscription.rejected = True
        self._books.rejected(subscription, code, message)

    def market(self, update: MarketUpdate, *, now: float, received_at: float) -> None:
        """One piece of live market data. The hot path: no await, no log line, no scope."""
        subscription = self._books.find(update.channel, update.symbol)
        if subscription is None or subscription.barred:
            self._books.stats.unexpected += 1
            return
        sequence_id = update.sequence_id
        is_new = sequence_id is None or not subscription.has_shown(sequence_id)
        if is_new:
            self._has_come(subscription, update, now)
        if sequence_id is None or not subscription.sequenced:
            self._unsequenced(subscription, update, received_at)
            return
        if self._books.epoch is None and self._books.ids_restart:
            self._without_epochs(subscription, update, sequence_id)
        if self._books.delivery.overflowing and self._books.turns.is_full_for(subscription, sequence_id):
            self._skip(subscription, sequence_id)
            return
        verdict = self._admit(subscription, sequence_id, update.prev_sequence_id, now)
        if verdict is Verdict.SUSPECT:
            return
        if verdict in DELIVERED:
            if not is_new:
                self._has_come(subscription, update, now)
            self._books.stats.live += 1
            self._books.deliver(subscription, update, Source.LIVE, received_at)
        if verdict is not Verdict.NEXT:
            self._close(subscription, sequence_id, verdict)
        if subscription.live_head is None or sequence_id > subscription.live_head:
            subscription.live_head = sequence_id
        subscription.live_seen = True
        if subscription.resumed is not None:
            self._books.compare_with_cursor(subscription, now)

    def _has_come(self, subscription: Subscription, update: MarketUpdate, now: float) -> None:
        """The market speaks, and not to repeat itself: a stuck server may send its last message for ever."""
        self.last_data_at = max(self.last_data_at, now)
        if self.data_awaited or self.first_data_at is None:
            self._data_flows(now)
        if now >= subscription.last_data_at:
            # Else a successor's socket, whose data was kept until now, only says what the one before it said.
            subscription.last_data_at = now
            subscription.live_count += 1
            subscription.last_live_timestamp = update.timestamp

    def account(self, update: AccountUpdate, *, now: float, received_at: float) -> None:
        """One live order or balance update."""
        subscription = self._books.find(update.stream.channel, update.stream.symbol)
        if subscription is None or subscription.barred:
            self._books.stats.unexpected += 1
            return
        subscription.last_data_at = max(subscription.last_data_at, now)
        subscription.snapshot = None
        if self._books.epoch is None and self._books.ids_restart and update.sequence_id is not None:
            self._account_without_epochs(subscription, update, update.sequence_id)
        if self._books.delivery.overflowing and self._books.turns.is_full_for(subscription, update.sequence_id):
            if update.sequence_id is None:
                if not self._drop(subscription, None):
                    self._books.outdated(subscription)
            else:
                self._skip(subscription, update.sequence_id)
            return
        sequence_id = update.sequence_id
        verdict = Verdict.NEXT if sequence_id is None else self._admit(subscription, sequence_id, None, now)
        if verdict not in DELIVERED:
            return
        subscription.updates.note(update.content, sequence_id)
        self._books.deliver_account(
            subscription, update.content, sequence_id, source=Source.LIVE, snapshot=False, at=received_at
        )
        if sequence_id is not None:
            self._close(subscription, sequence_id, verdict)

    def _admit(self, subscription: Subscription, sequence_id: int, prev: int | None, now: float) -> Verdict:
        """Enter an id, and see to what its verdict entails besides the delivery."""
        ledger = subscription.ledger
        verdict = ledger.accept(sequence_id, prev)
        if verdict is Verdict.NEXT:
            return verdict
        self._return(subscription, sequence_id)
        if verdict is Verdict.DUPLICATE:
            self._books.stats.duplicates += 1
        elif verdict is Verdict.REORDERED:
            self._books.stats.reordered += 1
            # It may have split an interval in two.
            self._books.trim(subscription)
            self._settle(subscription, now)
        elif verdict is Verdict.SUSPECT:
            self._books.doubt(subscription, sequence_id)
        elif verdict is Verdict.JUMPED and ledger.last_gap is not None:
            self._hesitate_or_open(subscription, ledger.last_gap, "sequence_jump", now)
        return verdict

    def _hesitate_or_open(self, subscription: Subscription, gap: tuple[int, int], reason: str, now: float) -> None:
        """What the ledger has just found missing may still come, within the reorder window."""
        if not self._books.reorder_window_s:
            self._books.open_gap(subscription, *gap, reason)
            return
        self._books.hole_opens(subscription)
        subscription.ledger.hesitate(now + self._books.reorder_window_s)
        self._books.trim(subscription)
        self._settle(subscription, now)
        self.jumped.notify()

    def _return(self, subscription: Subscription, highest: int) -> None:
        """Where the ledger has returned from corrupt ids, to ``highest``: say so."""
        ledger = subscription.ledger
        claimed, ledger.refuted = ledger.refuted, None
        if claimed is not None:
            self._books.refuted(subscription, claimed, highest)
        dropped, ledger.reopened = ledger.reopened, None
        if dropped is not None:
            self._books.open_gap(subscription, *dropped, "sequence_jump")

    def _close(self, subscription: Subscription, sequence_id: int, verdict: Verdict) -> None:
        """An id was delivered; where it closed a hole, what waited behind it alone goes to the app."""
        if verdict is Verdict.LATE:
            self._books.filled(subscription, [(sequence_id, sequence_id)], "live")
            self._books.trim(subscription)
        elif verdict is Verdict.REORDERED:
            self._books.hole_closed(subscription)

    @property
    def settle_at(self) -> float:
        """When the oldest tentative jump is to be settled; infinity where there is none."""
        return min((each.ledger.tentative.due_at for each in self._books.subscriptions), default=float("inf"))

    def settle(self, now: float) -> None:
        """What was skipped and has not come within the reorder window is missing."""
        for subscription in self._books.subscriptions:
            self._settle(subscription, now)

    def _settle(self, subscription: Subscription, now: float) -> None:
        for low, high in subscription.ledger.settle_due(now):
            self._books.open_gap(subscription, low, high, "sequence_jump")

    def _data_flows(self, now: float) -> None:
        if self.first_data_at is None:
            self.first_data_at = now
        if self.data_awaited:
            self.data_awaited = False
            self.on_data()

    def _skip(self, subscription: Subscription, sequence_id: int) -> None:
        """The app's buffer is full: the frame becomes part of one gap, announced at its beginning and its end."""
        if self._drop(subscription, sequence_id):
            return
        subscription.ledger.start_at(sequence_id)
        gap = subscription.ledger.issued(sequence_id)
        if gap is None and subscription.ledger.suspect == sequence_id:
            self._books.doubt(subscription, sequence_id)
            return
        # Taken or not, the socket has shown it.
        subscription.live_head = max(subscription.live_head or 0, sequence_id)
        subscription.live_seen = True
        if gap is None:
            return
        subscription.skipped_to = sequence_id
        if subscription.skipped_from is None:
            self._books.open_gap(subscription, *gap, "overflow")
            subscription.skipped_from = sequence_id + 1

    def _unsequenced(self, subscription: Subscription, update: MarketUpdate, received_at: float) -> None:
        subscription.live_seen = True
        if self._books.delivery.overflowing and self._books.turns.is_full_for(subscription, None):
            self._drop(subscription, None)
            return
        if subscription.by_time and subscription.came_over_rest(update):
            self._books.stats.duplicates += 1
            return
        self._books.stats.live += 1
        self._books.deliver(subscription, update, Source.LIVE, received_at)

    def _drop(self, subscription: Subscription, sequence_id: int | None) -> bool:
        """A frame that does not fit is not taken; whether nothing is taken any more."""
        self._books.stats.skipped += 1
        return self._books.delivery.overflowed(f"{subscription.stream} id {sequence_id}")

    def _without_epochs(self, subscription: Subscription, update: MarketUpdate, sequence_id: int) -> None:
        """A venue without epochs: a socket that begins below the cursor with something newer has restarted.

        Newer than the newest datum with an id: rows without ids may have shown the market after the restart already.
        """
        next_id = subscription.ledger.next_id
        if subscription.live_seen or next_id is None or sequence_id >= next_id:
            return
        if instant(update.timestamp) > instant(subscription.numbered_at):
            self._books.restart(subscription, None, None)
            for each in self._books.subscriptions:
                # They count anew as well, and may have nothing that tells it.
                if each.is_account and not each.live_seen and each.ledger.next_id is not None:
                    self._books.restart(each, None, None)
                    each.live_seen = True

    def _account_without_epochs(self, subscription: Subscription, update: AccountUpdate, sequence_id: int) -> None:
        """The same for accounts. Their updates need not have a time: one that repeats the newest says the same."""
        next_id, before = subscription.ledger.next_id, subscription.updates.newest
        is_first, subscription.live_seen = not subscription.live_seen, True
        if not is_first or next_id is None or sequence_id >= next_id:
            return
        if isinstance(update.content, Order) and isinstance(before, Order) and update.content.updated_at:
            has_restarted = instant(update.content.updated_at) > instant(before.updated_at)
        else:
            has_restarted = sequence_id < next_id - 1 or update.content != before
        if has_restarted:
            self._books.restart(subscription, None, None)
