"""The books: the streams, their ledgers and epochs, and every event about data and continuity. Pure, no I/O.

Every id is written into the ledger before it is delivered, so it is delivered at most once; every id that is owed
lies in an open gap, or ahead of the cursor, until it is delivered or reported: so it is never silently missing.

Two sides enter here: :mod:`gapless.controller.feed` what the socket says, :mod:`gapless.controller.rest_entry` what
REST answers. Methods by kind. Desires: desire, renounce, venue_ended, ask_again,
start_generation. Questions: find, subscriptions, market_desired,
all_answered, whole, has_gap, epoch, last_before. Data: deliver, deliver_account,
deliver_snapshot. Continuity: hole_opens, open_gap, trim,
filled, lose, refuted, hole_closed, announce_skipped, doubt, outdated, rejected. Epochs: enter_epoch, restart.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from loguru import logger

from gapless.controller import notices
from gapless.controller.allowance import Allowance
from gapless.controller.config import NetworkConfig
from gapless.controller.delivery import DeliveryBuffer
from gapless.controller.epochs import Epochs
from gapless.controller.events import Balance, ContinuityLost, MarketData, NoticeKind, Order, Source
from gapless.controller.exchange import Exchange, HistoryRow, MarketUpdate, SequenceRule, venue_name
from gapless.controller.instants import instant, rfc3339
from gapless.controller.sequence_tracker import SequenceTracker
from gapless.controller.signal import Signal
from gapless.controller.stats import FeedStats, LossReason
from gapless.controller.stream import Stream
from gapless.controller.subscription import Subscription
from gapless.controller.turns import Turns

_NOTICES_BURST: Final = 20
_NOTICES_PER_S: Final = 1.0
"""Words of a venue that are passed on; a peer may send any number of them."""


class Books:
    """The streams of one controller.

    Args:
        on_gap: called with the reason when a gap or a suspect id wants the reconciler.
        wall_clock: Unix seconds, for the events.
    """

    def __init__(
        self,
        *,
        config: NetworkConfig,
        exchange: Exchange,
        streams: Sequence[Stream],
        on_gap: Callable[[str], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._on_gap = on_gap
        self._wall_clock = wall_clock
        self.delivery: Final = DeliveryBuffer(
            capacity=config.buffer_size,
            on_relief=self.announce_skipped,
            overflow=config.overflow,
            loss=self._conflated,
            number_of=self._number_of,
        )
        self.turns: Final = Turns(self.delivery, in_sequence=config.ordering == "sequence")
        self.reorder_window_s: Final = config.reorder_window
        self.stats: Final = FeedStats()
        self.changed: Final = Signal()
        """Notified when a gap opens or closes, or a stream is answered: what the reconciler waits for."""
        self.generation = 0
        self.desires_changed: Final = Signal()
        """Notified when a stream is desired, desired no more, or to be asked for again."""
        self._exchange = exchange
        self.ids_restart: Final = exchange.ids_restart
        self._reconciles = config.reconciliation_enabled
        self._tracker = SequenceTracker(
            jump_max=config.sequence_jump_max,
            intervals_max=config.open_intervals_max,
            # What waits for the app, and as much in the batch that it has in hand, or held back.
            runs_max=2 * config.buffer_size,
        )
        self._by_key = {(stream.channel, stream.symbol): self._opened(stream) for stream in streams}
        self.sparse: Final = {each for each in self._by_key.values() if self._is_sparse(each)}
        """Those whose ids do not tell what a frame held that could not be read, and that REST can tell."""
        self.find_by_key: Final[Callable[[tuple[str, str]], Subscription | None]] = self._by_key.get
        """:meth:`find` for the fast path: the names as a pair."""
        self._loss_reason: LossReason = "no_history" if config.reconciliation_enabled else "reconciliation_disabled"
        self._ending: Counter[tuple[str, str]] = Counter()
        """How many given-up wishes for a stream this socket may still answer with data."""
        self._given_up: set[tuple[str, str]] = set()
        """Streams that were given up since the app last had nothing to read."""
        self.began_at: Final = rfc3339(wall_clock())
        """RFC 3339. Of a stream known by its times alone, what is older is not owed."""
        self.epochs: Final = Epochs()
        self.venue: Final = venue_name(exchange)
        self._notices_allowed = Allowance(burst=_NOTICES_BURST, per_s=_NOTICES_PER_S)
        self.socket_open = False
        """Whether this generation's socket has said WELCOME and is not known to be gone."""

    def _opened(self, stream: Stream) -> Subscription:
        is_account = self._exchange.is_account(stream)
        rule = SequenceRule.CONTIGUOUS if is_account else self._exchange.sequence_rule(stream)
        return Subscription(
            stream=stream,
            ledger=self._tracker.ledger(stream.channel, stream.symbol, rule),
            by_time=rule is SequenceRule.UNSEQUENCED,
            is_account=is_account,
            snapshot_missed=is_account,
            healable=self._reconciles and (is_account or self._exchange.has_history(stream)),
            generation=self.generation,
        )

    @staticmethod
    def _is_sparse(subscription: Subscription) -> bool:
        return subscription.ledger.is_sparse and subscription.sequenced and subscription.healable

    # -- desires -------------------------------------------------------------------------------------------------------

    def desire(self, stream: Stream, *, now: float = float("-inf")) -> None:
        """The app wants this stream, too; nothing happens if it did already."""
        key = (stream.channel, stream.symbol)
        if key not in self._by_key:
            self._by_key[key] = subscription = self._opened(stream)
            subscription.desired_at = now
            if self._is_sparse(subscription):
                self.sparse.add(subscription)
            subscription.barred = self._ending[key] > 0
            if key in self._given_up:
                subscription.unread_before = self.delivery.newest_of(stream)
            self._desires_differ(f"{stream} is being subscribed")

    def renounce(self, stream: Stream) -> None:
        """The app wants this stream no more: nothing of it is owed, and what was missing is reported.

        Raises:
            KeyError: it is not desired.
        """
        subscription = self._by_key.pop((stream.channel, stream.symbol))
        self.sparse.discard(subscription)
        self._tracker.forget(stream.channel, stream.symbol)
        self.lose(subscription, subscription.ledger.lose_all(), "unsubscribed")
        self.turns.drop(subscription)
        if self.socket_open:
            self._ending[stream.channel, stream.symbol] += 1
        if not len(self.delivery):
            self._given_up.clear()
        self._given_up.add((stream.channel, stream.symbol))
        # A reply in flight knows nothing of what is desired now.
        subscription.resets += 1
        subscription.ended = True
        self.desires_changed.notify()

    def venue_ended(self, stream: Stream, *, all_wishes: bool) -> None:
        """Nothing comes any more of the first wish for a stream that was given up, or of all before the present one."""
        key = (stream.channel, stream.symbol)
        self._ending[key] -= self._ending[key] if all_wishes else min(1, self._ending[key])
        if not self._ending[key]:
            del self._ending[key]
            if (subscription := self._by_key.get(key)) is not None:
                subscription.barred = False

    def start_generation(self, generation: int) -> None:
        """A new socket is about to be dialled: of the one before nothing comes any more."""
        self.generation = generation
        self.socket_open = False
        self._ending.clear()
        for subscription in self.subscriptions:
            subscription.start_generation(generation)

    def ask_again(self, subscription: Subscription, reason: str) -> None:
        """The socket must end this stream and begin it anew; what was missed meanwhile is a gap."""
        subscription.ask_again()
        self._desires_differ(f"{subscription.stream} is asked for again: {reason}")

    def _desires_differ(self, reason: str) -> None:
        self.desires_changed.notify()
        self.changed.notify()
        self._on_gap(reason)

    # -- questions -----------------------------------------------------------------------------------------------------

    def find(self, channel: str, symbol: str) -> Subscription | None:
        """The desired stream of that name."""
        return self._by_key.get((channel, symbol))

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """All desired streams."""
        return list(self._by_key.values())

    @property
    def market_desired(self) -> bool:
        """Whether any desired stream carries market data and was not rejected in this generation."""
        return any(not each.is_account and not each.rejected for each in self._by_key.values())

    @property
    def all_answered(self) -> bool:
        """Whether every stream was acknowledged or rejected in this generation."""
        return all(each.answered for each in self._by_key.values())

    @property
    def whole(self) -> bool:
        """Whether the promise of CONNECTED holds: nothing known is missing."""
        return all(each.is_whole for each in self._by_key.values())

    @property
    def has_gap(self) -> bool:
        """Whether any stream has a known gap."""
        return any(each.has_gap for each in self._by_key.values())

    @property
    def epoch(self) -> str | None:
        """The epoch of what is delivered; None: the venue names none, or has not yet."""
        return self.epochs.current

    def deliver(
        self, subscription: Subscription, datum: MarketUpdate | HistoryRow, source: Source, received_at: float
    ) -> None:
        """Hand one piece of market data to the app; the books have it already."""
        if subscription.by_time or self.epoch is None:
            self.remember(subscription, datum, source)
        else:
            subscription.last_timestamp = datum.timestamp
        subscription.ahead = 0 if source is Source.LIVE else subscription.ahead + 1
        event = notices.market_data(
            subscription.stream,
            datum,
            epoch=self.epoch,
            source=source,
            generation=self.generation,
            received_at=received_at,
        )
        self.turns.deliver(subscription, datum.sequence_id, event)

    def _number_of(self, datum: MarketData) -> int | None:
        subscription = self.find(datum.channel, datum.symbol)
        return datum.sequence_id if subscription is None or subscription.sequenced else None

    def _conflated(self, datum: MarketData, start: int, end: int) -> ContinuityLost:
        self.stats.count_loss(end - start + 1, "conflated")
        stream = Stream(datum.channel, datum.symbol)
        return notices.continuity_lost(stream, datum.epoch, start, end, reason="conflated", at=self._wall_clock())

    def remember(self, subscription: Subscription, datum: MarketUpdate | HistoryRow, source: Source) -> None:
        """Of a venue without epochs, or a stream known by its times: note what was delivered, and its time."""
        key = subscription.row_key(datum)
        if datum.sequence_id is not None and key[0] > instant(subscription.numbered_at):
            subscription.numbered_at = datum.timestamp
        subscription.repeats.add(key, live=source is Source.LIVE)
        if key[0] >= instant(subscription.last_timestamp):
            subscription.last_timestamp = datum.timestamp

    def deliver_account(
        self,
        subscription: Subscription,
        content: Order | Balance,
        sequence_id: int | None,
        *,
        source: Source,
        snapshot: bool,
        at: float,
    ) -> None:
        """Hand one order or balance to the app."""
        event = notices.account_data(
            subscription.stream,
            content,
            sequence_id=sequence_id,
            epoch=self.epoch,
            source=source,
            snapshot=snapshot,
            generation=self.generation,
            received_at=at,
        )
        self.turns.deliver(subscription, sequence_id, event)

    def deliver_snapshot(
        self,
        subscription: Subscription,
        contents: Sequence[Order | Balance],
        covers: int | None,
        *,
        source: Source,
        at: float,
    ) -> None:
        """Hand a snapshot of orders or balances to the app, preceded by the word that it comes."""
        word = notices.snapshot_read(
            subscription.stream,
            sequence_id=covers,
            epoch=self.epoch,
            source=source,
            rows=len(contents),
            generation=self.generation,
            at=at,
        )
        self.turns.announce(subscription, covers, word)
        for content in contents:
            self.deliver_account(subscription, content, covers, source=source, snapshot=True, at=at)

    def last_before(self, subscription: Subscription) -> str:
        """The venue's time of the last datum before what is missing; without one, ours of the beginning."""
        return subscription.last_timestamp or subscription.begun_at or self.began_at

    def hole_opens(self, subscription: Subscription) -> None:
        """Ids are being skipped: of a stream known by its times, note where the hole lies."""
        subscription.hole_since = subscription.hole_since or self.last_before(subscription)
        subscription.hole_until = subscription.last_live_timestamp

    def hole_closed(self, subscription: Subscription) -> None:
        """A hole, or a part of it, is no more."""
        if not subscription.ledger.gaps and not subscription.ledger.tentative:
            subscription.hole_since = subscription.hole_until = ""
        self.turns.free(subscription)

    def open_gap(self, subscription: Subscription, start: int, end: int, reason: str) -> None:
        """Announce a gap the ledger has opened, and see to it that somebody fills it or reports it lost."""
        stream = subscription.stream
        self.stats.gaps_found += 1
        self.stats.ids_missed += end - start + 1
        self.hole_opens(subscription)
        logger.info("{}: gap {}..{} ({})", stream, start, end, reason)
        self.delivery.put(notices.gap_found(stream, self.epoch, start, end, reason=reason, at=self._wall_clock()))
        if not subscription.healable:
            self.lose(subscription, subscription.ledger.lose(start, end), self._loss_reason)
            return
        self.trim(subscription)
        self.changed.notify()
        self._on_gap(f"{stream}: {start}..{end} is missing")

    def trim(self, subscription: Subscription) -> None:
        """Report the oldest gaps beyond the bound; a late id that splits a gap may have made one too many."""
        if excess := list(subscription.ledger.excess()):
            self.lose(subscription, excess, "too_many_gaps")

    def filled(self, subscription: Subscription, ranges: Iterable[tuple[int, int]], reason: str) -> None:
        """Ids of open gaps were delivered."""
        self.changed.notify()
        for start, end in ranges:
            self.stats.gaps_filled += 1
            self.stats.ids_filled += end - start + 1
            logger.info("{}: filled {}..{}, {} ids ({})", subscription.stream, start, end, end - start + 1, reason)
            self.turns.tell(
                subscription,
                notices.gap_filled(subscription.stream, self.epoch, start, end, reason=reason, at=self._wall_clock()),
            )
        self.hole_closed(subscription)

    def lose(self, subscription: Subscription, ranges: Iterable[tuple[int, int | None]], reason: LossReason) -> None:
        """Ids will never be delivered; the ledger has closed them already."""
        self.changed.notify()
        stream = subscription.stream
        for start, end in ranges:
            self.stats.count_loss(1 if end is None else end - start + 1, reason)
            # Of an account the next snapshot tells what the lost updates said, whether or not its id is new.
            subscription.snapshot_missed = subscription.is_account
            logger.warning("{}: {}..{} is lost ({})", stream, start, "end of epoch" if end is None else end, reason)
            self.delivery.put(
                notices.continuity_lost(stream, self.epoch, start, end, reason=reason, at=self._wall_clock())
            )
        self.hole_closed(subscription)

    def refuted(self, subscription: Subscription, ranges: Iterable[tuple[int, int]], highest: int) -> None:
        """Ids above ``highest`` were never issued, corrupt ones had claimed them: nobody waits for them any more."""
        stream = subscription.stream
        logger.warning("{}: what seemed to lie above {} was never issued; the ids were corrupt", stream, highest)
        unannounced, subscription.skipped_from = subscription.skipped_from, None
        for start, gap_end in ranges:
            end = gap_end if unannounced is None else min(gap_end, unannounced - 1)
            if start <= end:
                self.stats.gaps_refuted += 1
                self.stats.ids_refuted += end - start + 1
                self.delivery.put(
                    notices.gap_filled(stream, self.epoch, start, end, reason="refuted", at=self._wall_clock())
                )
        subscription.live_head = highest
        self.turns.drop(subscription, highest + 1)
        self.changed.notify()
        self.hole_closed(subscription)

    def announce_skipped(self) -> None:
        """The overflow is over: the rest of each stream's gap becomes an event."""
        for subscription in self._by_key.values():
            self.announce_skipped_of(subscription)

    def announce_skipped_of(self, subscription: Subscription) -> None:
        """What of an overflow's gap nobody was told yet becomes an event, before REST closes any of it."""
        start, subscription.skipped_from = subscription.skipped_from, None
        if start is not None:
            for low, high in subscription.ledger.gaps.overlap(start, subscription.skipped_to):
                self.open_gap(subscription, low, high, "overflow")

    def doubt(self, subscription: Subscription, sequence_id: int) -> None:
        """An id is too far ahead to be believed: REST is asked."""
        self.stats.suspects += 1
        logger.warning(
            "{}: id {} is far ahead of {}; asking REST before it is believed",
            subscription.stream,
            sequence_id,
            subscription.ledger.next_id,
        )
        if not subscription.healable:
            return
        self.changed.notify()
        self._on_gap(f"{subscription.stream}: id {sequence_id} is far ahead")

    def outdated(self, subscription: Subscription) -> None:
        """An account update without an id was not taken: what it said, only a snapshot read anew can tell."""
        subscription.missed_updates += 1
        if subscription.snapshot_done:
            subscription.snapshot_done = False
            self.changed.notify()
            self._on_gap(f"{subscription.stream}: an update without an id did not fit")

    def refuse(self, subscription: Subscription, code: str, message: str) -> None:
        """The venue does not know this stream, whatever its socket has answered; told once a generation."""
        told, subscription.refused_in = subscription.refused_in == self.generation, self.generation
        if not subscription.rejected:
            subscription.answered = subscription.rejected = True
            if told:
                self.changed.notify()
            else:
                self.rejected(subscription, code, message)
            # Perhaps it was the last that the socket waited for.
            self.desires_changed.notify()

    def notice(self, kind: NoticeKind, code: str, message: str, retry_after_s: float | None = None) -> None:
        """The venue said something that concerns no single stream; a flood of such words is told in part."""
        if not self._notices_allowed.take(self._wall_clock()):
            self.stats.ignored += 1
            return
        logger.warning("the venue says: {} {} ({})", code, message, kind)
        self.delivery.put(notices.venue_notice(kind, code, message, retry_after_s, self._wall_clock()))

    def rejected(self, subscription: Subscription, code: str, message: str) -> None:
        """The venue refused this stream."""
        stream = subscription.stream
        logger.warning("{} was rejected: {} {}", stream, code, message)
        self.delivery.put(notices.stream_rejected(stream, code, message, self._wall_clock()))
        self.changed.notify()

    def enter_epoch(self, epoch: str, *, confirmed: bool) -> None:
        """The venue speaks of this epoch: a socket (``confirmed``), or REST alone.

        If that is news, what was open is lost and every known stream is owed from id 1; or, in an epoch the books
        return to, from where they were in it.
        """
        turn = self.epochs.enter(epoch, confirmed=confirmed)
        if turn is None:
            return
        logger.warning(
            "epoch {} ended, {} {}", turn.old, epoch, "goes on: REST was wrong" if turn.returns else "begins"
        )
        for subscription in self._by_key.values():
            left_at = subscription.ledger.next_id
            if left_at is not None:
                self.restart(subscription, turn.old, epoch, first_id=subscription.left_at if turn.returns else 1)
            subscription.left_at = left_at or 1
        self.epochs.current = epoch
        self.changed.notify()

    def compare_with_cursor(self, subscription: Subscription, now: float | None = None) -> None:
        """The socket has shown something, at ``now``: where a cursor says that there was more, REST has to decide.

        Where REST cannot, the socket alone does.
        """
        resumed, shown = subscription.resumed, subscription.live_head
        if resumed is None or shown is None:
            return
        if resumed.is_confirmed(subscription.ledger.next_id, shown):
            subscription.resumed = None
            return
        if resumed.told_in != self.generation:
            resumed.told_in = self.generation
            logger.warning(
                "{}: the socket is at {}, and the cursor at {}", subscription.stream, shown, subscription.ledger.next_id
            )
            self.changed.notify()
            self._on_gap(f"{subscription.stream}: {shown} is below the cursor")
        if not subscription.healable and now is not None:
            first_id = resumed.is_denied(last_seq=shown, live_head=shown, at=now)
            if first_id is not None:
                self.deny(subscription, first_id)

    def deny(self, subscription: Subscription, first_id: int) -> None:
        """The count that a cursor told of is not the venue's, or is over: the true one goes on from ``first_id``."""
        logger.warning("{}: the venue does not know the cursor's ids; it counts from {}", subscription.stream, first_id)
        self.restart(subscription, self.epoch, self.epoch, first_id=first_id)
        self.changed.notify()
        self._on_gap(f"{subscription.stream}: the cursor's count is over")

    def restart(
        self,
        subscription: Subscription,
        old: str | None,
        new: str | None,
        *,
        first_id: int = 1,
        is_told: bool = False,
    ) -> None:
        """Start a stream's books anew: first the losses, then the reset. What is below ``first_id`` was told before.

        ``is_told``: the losses were, too, by another controller.
        """
        ledger = subscription.ledger
        if not is_told:
            self.lose(subscription, ledger.lose_all(), "epoch_ended")
            self.lose(subscription, [(ledger.next_id or 1, None)], "epoch_ended")
        self.turns.drop(subscription)
        ledger.reset(first_id)
        subscription.resumed = None
        subscription.resets += 1
        subscription.updates.clear()
        subscription.numbered_at, subscription.snapshot = "", None
        subscription.skipped_from = None
        subscription.live_head = None
        subscription.rest_head = None
        self.delivery.put(notices.stream_reset(subscription.stream, old, new, self._wall_clock()))
        self.lose(subscription, [(1, first_id - 1)] if first_id > 1 else [], "epoch_ended")
