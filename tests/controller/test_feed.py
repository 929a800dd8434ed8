"""The live side of the books: what a socket says, and what the app is told of it. No I/O, no clock."""

import pytest

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    GapFilled,
    GapFound,
    LinkError,
    MarketData,
    NetworkConfig,
    Order,
    OrderUpdate,
    SnapshotRead,
    Source,
    Stream,
    StreamRejected,
    StreamReset,
)
from gapless.controller.answer import Answer
from gapless.controller.books import Books
from gapless.controller.exchange import AccountUpdate, HistoryPage, HistoryQuery, HistoryRow, MarketUpdate
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.feed import LiveFeed
from gapless.controller.rest_entry import enter_page
from gapless.controller.subscription import Subscription

TICKER, ETHER, ORDERS = Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD"), Stream("orders", "*")
FAR = 10**12


def told(event: AnyEvent) -> str:
    """An event in a few words."""
    match event:
        case MarketData():
            return f"{event.symbol} {event.sequence_id}"
        case OrderUpdate():
            return f"order {event.sequence_id}"
        case GapFound() | GapFilled() | ContinuityLost():
            end = "" if event.end_seq is None else event.end_seq
            return f"{type(event).__name__} {event.start_seq}..{end} {event.reason}"
        case StreamReset():
            return f"StreamReset {event.symbol} {event.old_epoch} {event.new_epoch}"
        case StreamRejected():
            return f"StreamRejected {event.symbol} {event.code}"
        case SnapshotRead():
            return f"SnapshotRead {event.sequence_id}: {event.rows}"
        case _:
            raise AssertionError(event)


class WithoutHistory(ReferenceExchange):
    """A venue whose REST keeps nothing."""

    def has_history(self, stream: Stream) -> bool:  # noqa: ARG002
        return False


class Desk:
    """Books with a live feed; the app takes everything when it is asked what it was told."""

    def __init__(self, *streams: Stream, history: bool = True, **settings: object) -> None:
        self.alarms: list[str] = []
        venue = ReferenceExchange if history else WithoutHistory
        self.books = Books(
            config=NetworkConfig.from_mapping(settings),
            exchange=venue(ws_url="ws://h", rest_url="http://h", session_id="s"),
            streams=streams or (TICKER,),
            on_gap=self.alarms.append,
            wall_clock=lambda: 1_000.0,
        )
        self.feed = LiveFeed(self.books)
        self.generations = 0

    def connect(self, mark: int | None = 0, *, epoch: str | None = "e-1") -> None:
        """A new socket: WELCOME, then SUBSCRIBED with the same mark for all streams."""
        self.dial(epoch=epoch)
        for subscription in self.books.subscriptions:
            self.feed.acknowledge(subscription.stream, mark)

    def dial(self, *, epoch: str | None = "e-1") -> None:
        """A new socket, up to its WELCOME."""
        self.generations += 1
        self.feed.start_generation(self.generations)
        self.feed.welcome(epoch)

    def live(self, *ids: int | None, stream: Stream = TICKER, at: str | None = None, now: float = 0.0) -> None:
        """Frames come; their timestamps grow with their ids unless ``at`` says otherwise."""
        for sequence_id in ids:
            timestamp = at or f"2026-01-01T00:00:{(sequence_id or 0) % 60:02}.000Z"
            update = MarketUpdate(
                channel=stream.channel, symbol=stream.symbol, timestamp=timestamp, price=1.0, sequence_id=sequence_id
            )
            self.feed.market(update, now=now, received_at=2_000.0)

    def order(self, *ids: int | None) -> None:
        content = Order(order_id="o-1", symbol="BTC/USD", side="buy", type="limit", quantity=1.0)
        for sequence_id in ids:
            update = AccountUpdate(stream=ORDERS, sequence_id=sequence_id, content=content)
            self.feed.account(update, now=0.0, received_at=2_000.0)

    def rest_knows(self, last_seq: int, *ids: int) -> None:
        """REST is asked where the stream stands, or for ids beyond the cursor."""
        subscription = self.subscription()
        rows = [HistoryRow(timestamp="2026-01-01T00:00:00.000Z", price=1.0, sequence_id=number) for number in ids]
        page = HistoryPage(rows=rows, epoch=self.books.epoch, first_seq=1, last_seq=last_seq)
        query = HistoryQuery(stream=TICKER, limit=1 if not ids else 100, start_seq=ids[0] if ids else None)
        asked = subscription.asked(0.0)
        enter_page(
            self.books,
            subscription,
            Answer(query=query, page=page, asked=asked, source=Source.POLL, received_at=0.0),
        )

    def subscription(self, stream: Stream = TICKER) -> Subscription:
        found = self.books.find(stream.channel, stream.symbol)
        assert found is not None
        return found

    # Asked anew each time: a type checker would take a property's first answer for the last.

    def is_whole(self) -> bool:
        return self.books.whole

    def is_answered(self) -> bool:
        return self.books.all_answered

    def has_socket(self) -> bool:
        return self.books.socket_open

    async def events(self) -> list[AnyEvent]:
        return await self.books.delivery.take_all() if len(self.books.delivery) else []

    async def told(self) -> list[str]:
        return [told(event).removeprefix("BTC/USD ") for event in await self.events()]


# -- what a subscription owes -----------------------------------------------------------------------------------------


async def test_the_first_subscription_owes_every_id_from_the_mark_on() -> None:
    desk = Desk()
    desk.connect(mark=41)
    assert await desk.told() == [], "what was issued before is nobody's loss"
    desk.live(44)
    assert await desk.told() == ["GapFound 42..43 sequence_jump", "44"]
    assert desk.alarms == ["ticker:BTC/USD: 42..43 is missing"]


async def test_in_a_later_generation_cursor_to_mark_is_a_gap_at_once() -> None:
    desk = Desk()
    desk.connect(mark=0)
    desk.live(1, 2)
    desk.connect(mark=5)
    assert await desk.told() == ["1", "2", "GapFound 3..5 subscription_mark"]
    desk.live(6, 7)
    assert await desk.told() == ["6", "7"]


@pytest.mark.parametrize("mark", [0, 3, 4])
async def test_a_mark_below_the_cursor_means_nothing(mark: int) -> None:
    """Polling ran ahead of the socket's subscription."""
    desk = Desk()
    desk.connect(mark=0)
    desk.live(1, 2, 3, 4)
    desk.connect(mark=mark)
    desk.live(5)
    assert await desk.told() == ["1", "2", "3", "4", "5"]


async def test_without_a_mark_the_base_is_the_first_live_id() -> None:
    desk = Desk()
    desk.connect(mark=None)
    desk.live(7, 6, 8)
    assert await desk.told() == ["7", "8"], "6 was never owed"


async def test_without_a_mark_the_base_is_what_rest_knows_if_that_is_known_first() -> None:
    desk = Desk()
    desk.connect(mark=None)
    desk.rest_knows(last_seq=6)
    desk.live(9)
    assert await desk.told() == ["GapFound 7..8 sequence_jump", "9"]


async def test_a_mark_below_the_base_that_rest_gave_owes_the_rest_after_all() -> None:
    desk = Desk()
    desk.dial()
    desk.rest_knows(last_seq=44)
    desk.feed.acknowledge(TICKER, 41)
    assert await desk.told() == ["GapFound 42..44 subscription_mark"]
    desk.live(45)
    assert await desk.told() == ["45"]


async def test_a_mark_that_agrees_with_rest_changes_nothing() -> None:
    desk = Desk()
    desk.dial()
    desk.rest_knows(last_seq=41)
    desk.feed.acknowledge(TICKER, 41)
    desk.live(42)
    assert await desk.told() == ["42"]


async def test_data_may_precede_subscribed() -> None:
    desk = Desk()
    desk.dial()
    desk.live(45, 46)
    desk.feed.acknowledge(TICKER, 41)
    assert await desk.told() == ["45", "46", "GapFound 42..44 subscription_mark"]
    desk.live(43, 47)
    assert await desk.told() == ["43", "GapFilled 43..43 live", "47"]


async def test_data_before_subscribed_may_end_at_the_mark() -> None:
    desk = Desk()
    desk.dial()
    desk.live(40, 41)
    desk.feed.acknowledge(TICKER, 41)
    desk.live(42)
    assert await desk.told() == ["40", "41", "42"]


async def test_subscribed_again_changes_nothing_but_the_mark() -> None:
    """A repeated SUBSCRIBE of the same generation is answered with the mark of that moment."""
    desk = Desk()
    desk.connect(mark=41)
    desk.live(42, 43)
    desk.feed.acknowledge(TICKER, 43)
    desk.live(44)
    assert await desk.told() == ["42", "43", "44"]
    assert desk.subscription().live_head == 44


async def test_only_the_first_subscription_of_an_epoch_owes_what_lies_below_the_base() -> None:
    desk = Desk()
    desk.connect(mark=41)
    desk.live(42)
    desk.connect(mark=30)
    assert await desk.told() == ["42"]


async def test_a_mark_far_ahead_waits_for_rests_word() -> None:
    desk = Desk()
    desk.connect(mark=0)
    desk.live(1)
    desk.connect(mark=FAR)
    assert await desk.told() == ["1"]
    assert desk.books.stats.suspects == 1
    assert desk.alarms == [f"ticker:BTC/USD: id {FAR} is far ahead"]
    assert not desk.is_whole()
    desk.rest_knows(last_seq=3)
    desk.live(2)
    assert await desk.told() == ["2"]
    assert desk.is_whole()


async def test_nobody_asked_for_this_acknowledgement() -> None:
    desk = Desk()
    desk.connect()
    desk.feed.acknowledge(ETHER, 5)
    desk.feed.reject(ETHER, "unknown_symbol", "")
    assert await desk.told() == []


# -- data -------------------------------------------------------------------------------------------------------------


async def test_an_event_says_where_it_comes_from() -> None:
    desk = Desk()
    desk.connect(mark=41)
    desk.connect(mark=41)
    desk.live(42)
    (datum,) = await desk.events()
    assert isinstance(datum, MarketData)
    assert (datum.source, datum.epoch, datum.generation, datum.received_at) == (Source.LIVE, "e-1", 2, 2_000.0)


async def test_duplicates_are_dropped_and_late_ids_fill_their_gap() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 1, 4, 2, 2, 4, 3)
    assert await desk.told() == [
        "1",
        "GapFound 2..3 sequence_jump",
        "4",
        "2",
        "GapFilled 2..2 live",
        "3",
        "GapFilled 3..3 live",
    ]
    stats = desk.books.stats
    assert (stats.live, stats.duplicates, stats.gaps_found, stats.ids_filled) == (4, 3, 1, 2)
    assert desk.is_whole()


async def test_one_corrupt_id_moves_nothing() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, FAR, 2, 3)
    assert await desk.told() == ["1", "2", "3"]
    assert desk.books.stats.suspects == 1
    assert desk.alarms == [f"ticker:BTC/USD: id {FAR} is far ahead"]
    assert desk.is_whole(), "the stream went on: nobody need be asked any more"


@pytest.mark.parametrize("by_mark", [False, True])
async def test_gaps_behind_a_corrupt_first_id_are_closed_by_an_event(by_mark: bool) -> None:
    desk = Desk()
    desk.connect(mark=None)
    desk.live(FAR, FAR + 3)
    if by_mark:
        desk.feed.acknowledge(TICKER, 6)
    desk.live(7, 8, 9)
    assert f"GapFilled {FAR + 1}..{FAR + 2} refuted" in await desk.told()
    assert desk.subscription().live_head == 9
    assert desk.is_whole() is by_mark
    assert (desk.books.stats.gaps_refuted, desk.books.stats.ids_refuted) == (1, 2)


async def test_what_waits_behind_a_jump_goes_with_it_when_it_is_refuted() -> None:
    desk = Desk(ordering="sequence", buffer_size=10)
    desk.connect()
    for each in range(1, 50):
        desk.live(3 * each - 2, 3 * each - 1, each * FAR, each * FAR + 1, 3 * each)
        await desk.told()
    assert not desk.books.delivery.overflowing
    assert len(desk.books.delivery) == 1, "the last jump may still be real"
    desk.live(148, 149)
    assert desk.is_whole()
    assert len([each for each in await desk.told() if each.isdecimal()]) == 2
    assert len(desk.books.delivery) == 0


async def test_while_an_id_is_doubted_the_stream_is_not_whole() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, FAR)
    assert not desk.is_whole()
    desk.rest_knows(last_seq=1)
    assert desk.is_whole(), "refuted"
    assert await desk.told() == ["1"]


async def test_the_next_id_makes_a_jump_real() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, FAR, FAR + 1)
    assert await desk.told() == ["1", f"GapFound 2..{FAR} sequence_jump", str(FAR + 1)]


async def test_rests_word_makes_a_jump_real() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, FAR)
    desk.rest_knows(last_seq=FAR + 5)
    assert await desk.told() == ["1", f"GapFound 2..{FAR} confirmed_jump"]


@pytest.mark.parametrize(
    ("history", "reconciliation", "reason"),
    [(False, True, "no_history"), (True, False, "reconciliation_disabled"), (False, False, "reconciliation_disabled")],
)
async def test_a_gap_that_nobody_can_fill_is_lost_at_once(*, history: bool, reconciliation: bool, reason: str) -> None:
    desk = Desk(history=history, reconciliation_enabled=reconciliation)
    desk.connect()
    desk.live(1, 4, 3)
    assert await desk.told() == ["1", "GapFound 2..3 sequence_jump", f"ContinuityLost 2..3 {reason}", "4"]
    assert desk.books.stats.ids_lost == 2
    assert desk.is_whole()
    assert desk.alarms == [], "there is nothing to do for the reconciler"


async def test_beyond_the_bound_the_oldest_gap_is_lost() -> None:
    desk = Desk(open_intervals_max=2)
    desk.connect()
    desk.live(2, 4, 7)
    assert (await desk.told())[-3:] == [
        "GapFound 5..6 sequence_jump",
        "ContinuityLost 1..1 too_many_gaps",
        "7",
    ]
    desk.live(1)
    assert await desk.told() == [], "reported lost: it must not come after all"


async def test_tentative_jumps_are_told_of_before_they_are_too_many() -> None:
    desk = Desk(open_intervals_max=4, reorder_window=60.0)
    desk.connect()
    desk.live(*range(1, 16, 2))
    assert [each for each in await desk.told() if not each.isdecimal()] == [
        "GapFound 2..2 sequence_jump",
        "GapFound 4..4 sequence_jump",
        "ContinuityLost 2..2 too_many_gaps",
        "GapFound 6..6 sequence_jump",
        "ContinuityLost 4..4 too_many_gaps",
        "GapFound 8..8 sequence_jump",
        "ContinuityLost 6..6 too_many_gaps",
        "GapFound 10..10 sequence_jump",
    ]


async def test_frames_without_ids_are_delivered_as_they_come() -> None:
    desk = Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(None, None, at="2026-01-01T00:00:00.000Z")
    assert await desk.told() == ["None", "None"]
    assert desk.is_whole()


async def test_a_stream_nobody_asked_for_is_counted_and_is_no_data() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 2, stream=ETHER, now=50.0)
    desk.order(1)
    assert await desk.told() == []
    assert desk.books.stats.unexpected == 3
    assert desk.feed.last_data_at == float("-inf")
    assert desk.feed.data_awaited


async def test_streams_are_counted_apart() -> None:
    desk = Desk(TICKER, ETHER)
    desk.connect()
    desk.live(1)
    desk.live(2, stream=ETHER)
    desk.live(2)
    assert await desk.told() == ["1", "GapFound 1..1 sequence_jump", "ETH/USD 2", "2"]


async def test_data_that_is_awaited_is_told_once() -> None:
    desk, flows = Desk(TICKER, ORDERS), list[float | None]()
    desk.feed.on_data = lambda: flows.append(desk.feed.last_data_at)
    desk.connect()
    desk.order(1)
    assert flows == [], "an order says nothing about the market"
    desk.live(1, now=10.0)
    desk.live(2, now=11.0)
    assert flows == [10.0]
    assert (desk.feed.first_data_at, desk.feed.last_data_at) == (10.0, 11.0)
    desk.feed.data_awaited = True
    desk.live(3, 4, now=12.0)
    assert flows == [10.0, 12.0]
    assert desk.feed.first_data_at == 10.0, "of this generation"


async def test_each_generation_has_its_first_data() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, now=10.0)
    desk.connect(mark=1)
    assert desk.feed.first_data_at is None
    assert desk.feed.last_data_at == 10.0, "of any generation"


async def test_a_duplicate_is_a_sign_of_life_too() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, now=10.0)
    desk.connect(mark=1)
    desk.live(1, now=13.0)
    assert (desk.feed.first_data_at, desk.feed.last_data_at) == (13.0, 13.0)


# -- a slow app -------------------------------------------------------------------------------------------------------


async def test_an_overflow_makes_one_gap_announced_at_both_ends() -> None:
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(*range(1, 10))
    assert desk.books.stats.skipped == 5
    assert await desk.told() == ["1", "2", "3", "4", "GapFound 5..5 overflow"]
    assert await desk.told() == ["GapFound 6..9 overflow"]
    assert list(desk.subscription().ledger.gaps) == [(5, 9)]
    desk.live(10)
    assert await desk.told() == ["10"]


async def test_a_single_frame_that_did_not_fit_is_announced_once() -> None:
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(1, 2, 3, 4, 5)
    assert await desk.told() == ["1", "2", "3", "4", "GapFound 5..5 overflow"]
    assert await desk.told() == []


async def test_a_second_overflow_is_a_gap_of_its_own() -> None:
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(*range(1, 8))
    await desk.told()
    await desk.told()
    desk.live(*range(8, 14))
    assert await desk.told() == ["8", "9", "10", "11", "GapFound 12..12 overflow"]
    assert await desk.told() == ["GapFound 13..13 overflow"]
    assert list(desk.subscription().ledger.gaps) == [(5, 7), (12, 13)]


async def test_until_the_buffer_is_half_empty_nothing_is_let_in() -> None:
    """A buffer that hovers at its limit would otherwise tear one gap for each frame."""
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(1, 2, 3, 4, 5)
    await desk.books.delivery.take()
    desk.live(6)
    await desk.books.delivery.take()
    desk.live(7)
    assert await desk.told() == ["3", "4", "GapFound 5..5 overflow", "GapFound 6..6 overflow", "7"]


async def test_each_stream_has_its_own_gap_of_an_overflow() -> None:
    desk = Desk(TICKER, ETHER, buffer_size=4)
    desk.connect()
    desk.live(1, 2, 3, 4)
    desk.live(1, 2, stream=ETHER)
    desk.live(5, 6, 7)
    await desk.told()
    assert await desk.told() == ["GapFound 6..7 overflow", "GapFound 2..2 overflow"]
    assert list(desk.subscription(ETHER).ledger.gaps) == [(1, 2)]
    assert list(desk.subscription().ledger.gaps) == [(5, 7)]


async def test_what_rest_fills_of_an_overflow_that_lasts_is_told_of_before() -> None:
    """A full hold-back is no reason for REST to wait."""
    desk = Desk(TICKER, ETHER, buffer_size=8, ordering="sequence")
    desk.connect()
    desk.live(1)
    desk.live(*range(2, 9), stream=ETHER)
    desk.live(3, 4, 5, 6)
    await desk.told()
    desk.rest_knows(6, 2, 3, 4, 5, 6)
    assert await desk.told() == [
        "GapFound 5..6 overflow",
        "2",
        "3",
        "4",
        "5",
        "6",
        "GapFilled 2..2 rest",
        "GapFilled 4..6 rest",
    ]
    desk.live(7, 8)
    assert await desk.told() == ["7", "8"], "the other stream's hole holds up what lies behind it alone"


async def test_duplicates_and_corrupt_ids_make_no_gap_in_an_overflow() -> None:
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(1, 2, 3, 4, 2, FAR, 4)
    assert await desk.told() == ["1", "2", "3", "4"]
    assert await desk.told() == []
    assert desk.subscription().ledger.next_id == 5


async def test_an_overflow_that_nobody_can_fill_is_lost_as_a_whole() -> None:
    desk = Desk(buffer_size=4, reconciliation_enabled=False)
    desk.connect()
    desk.live(*range(1, 8))
    reports = [*await desk.told(), *await desk.told()]
    assert reports[4:] == [
        "GapFound 5..5 overflow",
        "ContinuityLost 5..5 reconciliation_disabled",
        "GapFound 6..7 overflow",
        "ContinuityLost 6..7 reconciliation_disabled",
    ]


async def test_what_a_successor_kept_makes_no_datum_older_and_counts_once() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, now=1.0)
    desk.live(2, now=2.0)
    desk.live(3, now=3.0)
    desk.feed.rotate(2)
    desk.live(2, now=2.1)
    assert (desk.feed.last_data_at, desk.subscription().last_data_at) == (3.0, 3.0)
    desk.live(3, now=3.0)
    desk.live(4, now=3.1)
    assert (desk.feed.last_data_at, desk.subscription().last_data_at) == (3.1, 3.1)
    assert desk.subscription().live_count == 4


async def test_a_socket_that_repeats_its_last_message_says_nothing() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 2, 3, 5, now=1.0)
    desk.feed.data_awaited = True
    desk.live(5, 5, 3, now=9.0)
    assert (desk.feed.last_data_at, desk.subscription().last_data_at, desk.feed.data_awaited) == (1.0, 1.0, True)
    desk.live(4, now=10.0)
    assert (desk.feed.last_data_at, desk.subscription().live_count, desk.feed.data_awaited) == (10.0, 5, False)


async def test_skipped_frames_are_data_all_the_same() -> None:
    """A slow app must not look like a silent socket."""
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(*range(1, 5), now=1.0)
    desk.live(5, 6, now=99.0)
    assert desk.feed.last_data_at == 99.0
    assert desk.subscription().live_head == 6


async def test_a_slow_socket_that_catches_up_with_rest_in_an_overflow_has_shown_it_all() -> None:
    """Measured by an old head, a quiet market would be judged a dead socket."""
    desk = Desk(buffer_size=10)
    desk.connect()
    desk.live(1, 2, 3)
    desk.rest_knows(10, *range(4, 11))
    assert desk.subscription().live_head == 3
    desk.live(*range(4, 11), FAR)
    assert desk.subscription().live_head == 10


async def test_without_epochs_a_first_frame_that_did_not_fit_was_the_first_all_the_same() -> None:
    desk = Desk(buffer_size=2)
    desk.connect(mark=None, epoch=None)
    desk.live(7, 8, at="2026-01-01T00:00:10.000Z")
    desk.connect(mark=None, epoch=None)
    desk.live(9, 10, 9, at="2026-01-01T00:00:20.000Z")
    assert await desk.told() == ["7", "8", "GapFound 9..9 overflow"], "the repetition is no restart"


# -- epochs -----------------------------------------------------------------------------------------------------------


async def test_a_new_epoch_is_reported_in_order_and_owed_from_its_first_id() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 3, 6)
    await desk.told()
    desk.connect(mark=2, epoch="e-2")
    assert await desk.told() == [
        "ContinuityLost 2..2 epoch_ended",
        "ContinuityLost 4..5 epoch_ended",
        "ContinuityLost 7.. epoch_ended",
        "StreamReset BTC/USD e-1 e-2",
        "GapFound 1..2 subscription_mark",
    ]
    desk.live(3)
    (datum,) = await desk.events()
    assert isinstance(datum, MarketData)
    assert (datum.sequence_id, datum.epoch) == (3, "e-2")


async def test_losses_belong_to_the_epoch_that_ended() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 3)
    desk.connect(epoch="e-2")
    lost = [event for event in await desk.events() if isinstance(event, ContinuityLost)]
    assert {event.epoch for event in lost} == {"e-1"}


async def test_every_known_stream_is_reset_and_no_other() -> None:
    desk = Desk(TICKER, ETHER, ORDERS)
    desk.dial()
    for stream in (TICKER, ORDERS):
        desk.feed.acknowledge(stream, 0)
    desk.dial(epoch="e-2")
    assert await desk.told() == [
        "ContinuityLost 1.. epoch_ended",
        "StreamReset BTC/USD e-1 e-2",
        "ContinuityLost 1.. epoch_ended",
        "StreamReset * e-1 e-2",
    ]


async def test_the_first_epoch_and_the_same_again_are_no_news() -> None:
    desk = Desk()
    for _ in range(3):
        desk.connect(mark=0)
    assert await desk.told() == []


async def test_a_welcome_without_an_epoch_changes_nothing() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1)
    desk.connect(mark=1, epoch=None)
    desk.live(2)
    assert await desk.told() == ["1", "2"]
    assert desk.books.epoch == "e-1"


async def test_an_epoch_that_was_left_is_refused() -> None:
    desk = Desk()
    for epoch in ("e-1", "e-2", "e-3"):
        desk.connect(epoch=epoch)
    await desk.told()
    for left in ("e-1", "e-2"):
        with pytest.raises(LinkError, match=f"the server speaks of epoch {left}, which was left for e-3"):
            desk.dial(epoch=left)
        assert not desk.has_socket()
    assert await desk.told() == []
    desk.dial(epoch="e-3")
    assert desk.has_socket()


async def test_an_overflow_of_the_old_epoch_is_not_announced_in_the_new() -> None:
    desk = Desk(buffer_size=4)
    desk.connect()
    desk.live(*range(1, 8))
    desk.connect(epoch="e-2")
    assert (await desk.told())[4:] == [
        "GapFound 5..5 overflow",
        "ContinuityLost 5..7 epoch_ended",
        "ContinuityLost 8.. epoch_ended",
        "StreamReset BTC/USD e-1 e-2",
    ]
    assert await desk.told() == []


async def test_without_epochs_a_socket_that_begins_below_the_cursor_with_newer_data_is_a_reset() -> None:
    desk = Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(7, 9, at="2026-01-01T00:00:10.000Z")
    desk.connect(mark=None, epoch=None)
    desk.live(3, at="2026-01-01T00:00:20.000Z")
    assert (await desk.told())[3:] == [
        "ContinuityLost 8..8 epoch_ended",
        "ContinuityLost 10.. epoch_ended",
        "StreamReset BTC/USD None None",
        "GapFound 1..2 sequence_jump",
        "3",
    ]


async def test_without_epochs_old_data_is_a_repetition_and_no_reset() -> None:
    desk = Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(7, 8, at="2026-01-01T00:00:10.000Z")
    desk.connect(mark=None, epoch=None)
    desk.live(7, 8, at="2026-01-01T00:00:10.000Z")
    desk.live(9)
    assert await desk.told() == ["7", "8", "9"]


async def test_without_epochs_only_the_first_id_of_a_generation_can_be_a_reset() -> None:
    desk = Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(7, at="2026-01-01T00:00:10.000Z")
    desk.live(3, at="2026-01-01T00:00:20.000Z")
    assert await desk.told() == ["7"]


async def test_with_epochs_only_they_count() -> None:
    desk = Desk()
    desk.connect()
    desk.live(1, 2, 3, at="2026-01-01T00:00:10.000Z")
    desk.connect(mark=3)
    desk.live(1, at="2026-01-01T00:00:20.000Z")
    assert await desk.told() == ["1", "2", "3"]


async def test_a_jump_of_the_old_epoch_settles_nothing_in_the_new() -> None:
    desk = Desk(reorder_window=0.5)
    desk.connect()
    desk.live(1, 5, now=0.0)
    desk.feed.welcome("e-2")
    desk.live(1, 5, now=0.25)
    await desk.told()
    assert desk.feed.settle_at == 0.75
    desk.feed.settle(0.5)
    assert await desk.told() == []
    desk.feed.settle(0.75)
    assert await desk.told() == ["GapFound 2..4 sequence_jump"]


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_a_rejected_stream_is_reported_once_a_generation() -> None:
    desk = Desk(TICKER, ETHER)
    desk.dial()
    desk.feed.acknowledge(TICKER, 0)
    assert not desk.is_answered()
    for _ in range(2):
        desk.feed.reject(ETHER, "unknown_symbol", "No such symbol.")
    assert desk.is_answered()
    assert desk.is_whole(), "a rejected stream holds nothing back"
    desk.dial()
    assert not desk.is_answered()
    desk.feed.reject(ETHER, "unknown_symbol", "No such symbol.")
    assert await desk.told() == ["StreamRejected ETH/USD unknown_symbol"] * 2


async def test_a_stream_may_be_accepted_after_all() -> None:
    desk = Desk()
    desk.dial()
    desk.feed.reject(TICKER, "busy", "")
    desk.connect(mark=5)
    desk.live(6)
    assert await desk.told() == ["StreamRejected BTC/USD busy", "6"]
    assert not desk.subscription().rejected


# -- accounts ---------------------------------------------------------------------------------------------------------


async def test_orders_are_sequenced_like_any_stream() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=3)
    desk.order(4, 4, 7, FAR)
    events = await desk.events()
    assert [told(event) for event in events] == ["order 4", "GapFound 5..6 sequence_jump", "order 7"]
    first = events[0]
    assert isinstance(first, OrderUpdate)
    assert (first.snapshot, first.source, first.order.order_id) == (False, Source.LIVE, "o-1")
    assert (desk.books.stats.duplicates, desk.books.stats.suspects) == (1, 1)
    assert desk.alarms == ["orders:*: 5..6 is missing", f"orders:*: id {FAR} is far ahead"]


async def test_an_account_stream_is_whole_when_its_snapshot_was_read() -> None:
    desk = Desk(ORDERS)
    desk.connect()
    assert not desk.is_whole()
    desk.subscription(ORDERS).snapshot_done = True
    assert desk.is_whole()
    desk.connect()
    assert not desk.is_whole(), "once in each generation"


async def test_orders_that_do_not_fit_are_a_gap() -> None:
    desk = Desk(ORDERS, buffer_size=2)
    desk.connect()
    desk.order(1, 2, 3, 4)
    assert await desk.told() == ["order 1", "order 2", "GapFound 3..3 overflow"]
    assert await desk.told() == ["GapFound 4..4 overflow"]


async def test_a_reordered_order_frees_what_waited_for_it() -> None:
    desk = Desk(ORDERS, reorder_window=0.5, ordering="sequence")
    desk.connect()
    desk.order(1, 3, 2)
    assert await desk.told() == ["order 1", "order 2", "order 3"]


async def test_an_order_without_an_id_is_delivered() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=None)
    desk.order(None, None)
    assert await desk.told() == ["order None", "order None"]
