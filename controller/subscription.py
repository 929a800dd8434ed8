"""What the controller knows about one subscribed stream. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from gapless.controller.events import AnyEvent, Balance, MarketData, Order
from gapless.controller.exchange import HistoryPage, HistoryRow, MarketUpdate, SequenceRule
from gapless.controller.instants import instant
from gapless.controller.live_updates import LiveUpdates
from gapless.controller.repeats import Repeats, RowKey
from gapless.controller.resumed_count import ResumedCount
from gapless.controller.stream import Stream
from gapless.controller.stream_ledger import StreamLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The state of the books when a request left. A reply that knows less than this is stale."""

    highest_issued: int | None
    suspect: int | None
    resets: int
    at: float
    generation: int
    acknowledged: bool
    """Whether the stream was subscribed then, in that generation."""
    missed_updates: int
    updates: int
    """Live updates of an account stream until then."""
    live_head: int | None = None
    """The newest that the socket had shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestHead:
    """The newest thing REST has said about a stream, and when it was asked (monotonic seconds)."""

    last_seq: int | None
    epoch: str | None
    timestamp: str
    asked_at: float


_tokens = count(1)
_wishes = count(1)


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """One desired stream: its books, and what this connection generation and REST said about it."""

    stream: Stream
    ledger: StreamLedger
    is_account: bool
    healable: bool
    """Whether a gap can be filled at all: by history, or for an account stream by a snapshot."""

    # Over the life of the subscription.
    token: int = field(default_factory=lambda: next(_tokens))
    """Tells one wish for this stream from the next: a socket that was asked for another one must be asked again."""
    wish: int = field(default_factory=lambda: next(_wishes))
    """Tells one wish of the app from the next, however often a socket is asked for it."""
    ended: bool = False
    """Whether the app wants it no more; what still arrives for it is dropped."""
    barred: bool = False
    """Whether frames of an earlier wish for it may still come: data is dropped until the venue has answered."""
    unread_before: AnyEvent | None = None
    """The newest event of an earlier wish for it that the app had not read yet when this one began."""
    owed: bool = False
    """Whether a subscription was acknowledged with a mark; a later epoch is owed from id 1 anyway."""
    resets: int = 0
    """How often the books were started anew."""
    resumed: ResumedCount | None = None
    """Where a cursor has set the books, until the venue is seen to be as far."""
    left_at: int = 1
    """Where REST alone made the books leave an epoch, the id that was next in it."""
    last_timestamp: str = ""
    begun_at: str = ""
    """The venue's time of the row behind which the books began, where REST said where they begin."""
    numbered_at: str = ""
    """Without epochs, the venue's time of the newest datum that had an id: a restart is told by it."""
    snapshot: Sequence[Order | Balance] | None = None
    """The last snapshot without an id, until an update comes: the same again is no news."""
    desired_at: float = float("-inf")
    """Monotonic seconds of the wish for it; of those that the controller was opened with, its beginning counts."""
    last_data_at: float = float("-inf")
    """Monotonic seconds of the last live datum."""
    live_count: int = 0
    """Live data so far, of any generation."""
    rest_count: int = 0
    """Data that REST brought so far."""
    last_live_timestamp: str = ""
    """The venue's time of the last live datum, or by time of something newer that the socket need not show."""
    by_time: bool = False
    """Whether only times tell the rows of REST apart: they have no ids, or ids that tell nothing."""
    hole_since: str = ""
    """The venue's time before the oldest hole, for a stream known by its times."""
    hole_until: str = ""
    """The venue's time of what revealed the newest hole."""
    skipped_from: int | None = None
    """The first id of an overflow's gap that no event has announced yet."""
    skipped_to: int = 0
    """The last id of that gap."""
    repeats: Repeats = field(default_factory=Repeats)
    """Recent data of a stream known by its times, or of a venue without epochs."""

    updates: LiveUpdates = field(default_factory=LiveUpdates)
    """Of an account stream: what the socket said."""

    # Of this connection generation.
    generation: int = 0
    answered: bool = False
    """Acknowledged or rejected."""
    rejected: bool = False
    refused_in: int | None = None
    """The last generation in which REST did not know it."""
    live_head: int | None = None
    """The highest id this socket delivered, or its subscription mark."""
    live_seen: bool = False
    """Whether this socket has delivered anything."""
    ahead: int = 0
    """Data of a sparse stream that REST told since the socket's last: it may leave out some."""
    rest_caught_up: bool = False
    """Whether REST, asked after the subscription, told all there was: what is newer, the socket must show."""
    snapshot_done: bool = False
    """Read, refused, or failed too often."""
    snapshot_failures: int = 0
    snapshot_missed: bool = False
    """Whether the app has had none yet, or was told that it lacks one or that updates are lost: the next one is news,
    whatever its id."""
    missed_updates: int = 0
    """Account updates without an id that did not fit: only a snapshot asked for later knows them."""

    # Over REST.
    rest_head: RestHead | None = None

    @property
    def sequenced(self) -> bool:
        """Whether the ids of this stream tell anything."""
        return self.ledger.rule is not SequenceRule.UNSEQUENCED

    def continued(self, newest: MarketUpdate, now: float) -> None:
        """Live data came in order and was delivered, up to ``newest``; it is counted and the cursor is past it."""
        self.ledger.continued()
        self.last_data_at = max(self.last_data_at, now)
        self.last_live_timestamp = newest.timestamp
        head, shown = self.live_head, newest.sequence_id or 0
        if head is None or shown > head:
            self.live_head = shown
        self.live_seen = True
        self.ahead = 0

    def has_shown(self, sequence_id: int) -> bool:
        """Whether this socket has shown something as new as this id, or newer, where ids tell anything."""
        return self.live_seen and self.live_head is not None and sequence_id <= self.live_head and self.sequenced

    def ask_again(self) -> None:
        """This stream must be ended and begun anew on the socket."""
        self.token = next(_tokens)
        self.answered = False

    def start_generation(self, generation: int) -> None:
        """A new socket: nothing the old one said counts any more."""
        self.generation = generation
        self.barred = False
        self.ledger.interrupt()
        self.answered = False
        self.rejected = False
        self.live_head = None
        self.live_seen = False
        self.ahead = 0
        self.rest_caught_up = False
        self.snapshot_done = False
        self.snapshot_failures = 0
        self.missed_updates = 0

    def row_key(self, row: HistoryRow | MarketData) -> RowKey:
        """What makes a row the exact repeat of another; where ids count, those of REST may be missing."""
        return (instant(row.timestamp), row.price, row.bid, row.ask, None if self.sequenced else row.sequence_id)

    def came_over_rest(self, row: HistoryRow) -> bool:
        """Whether REST was faster with what the socket shows now; true once for each row of REST."""
        return self.repeats.show(self.row_key(row))

    def need_not_show(self, timestamp: str) -> None:
        """REST told it before the socket had to: that the socket does not is no sign of its death."""
        if instant(timestamp) > instant(self.last_live_timestamp):
            self.last_live_timestamp = timestamp

    def asked(self, now: float) -> Asked:
        """What to compare a reply with that is requested now."""
        ledger = self.ledger
        return Asked(
            highest_issued=ledger.highest_issued,
            suspect=ledger.suspect,
            resets=self.resets,
            at=now,
            generation=self.generation,
            acknowledged=self.answered and not self.rejected,
            missed_updates=self.missed_updates,
            updates=self.updates.count,
            live_head=self.live_head,
        )

    def is_covered_by(self, asked: Asked) -> bool:
        """Whether a snapshot asked for then knows all that this generation's updates will not tell."""
        return self.was_subscribed_by(asked) and asked.missed_updates == self.missed_updates

    def was_subscribed_by(self, asked: Asked) -> bool:
        """Whether the request left after this generation's subscription."""
        return asked.acknowledged and asked.generation == self.generation

    def heard(self, page: HistoryPage, asked: Asked) -> None:
        """Remember the newest thing REST said."""
        timestamp = page.rows[-1].timestamp if page.rows else ""
        last_seq = page.last_seq if self.sequenced else None
        if page.more and self.sequenced:
            # As far as it goes, it proves: the stream is at least there.
            last_seq = max((row.sequence_id for row in page.rows if row.sequence_id is not None), default=last_seq)
        self.rest_head = RestHead(last_seq=last_seq, epoch=page.epoch, timestamp=timestamp, asked_at=asked.at)

    @property
    def has_gap(self) -> bool:
        """Whether something is owed and missing, or an id waits for REST's word, where it can have one."""
        return len(self.ledger.gaps) > 0 or self.must_ask

    @property
    def must_ask(self) -> bool:
        """Whether REST has to say how far the stream is: an id is too far ahead, or all that comes is too low."""
        if not self.healable or self.by_time:
            return False
        return self.ledger.suspect is not None or self.is_below_cursor

    @property
    def is_below_cursor(self) -> bool:
        """Whether the socket shows less than a cursor says there was."""
        if self.resumed is None or self.live_head is None:
            return False
        return not self.resumed.is_confirmed(self.ledger.next_id, self.live_head)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of this stream holds CONNECTED back; a tentative jump does not yet."""
        return self.answered and not self.has_gap and (not self.is_account or self.snapshot_done or self.rejected)
