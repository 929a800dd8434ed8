"""What REST answers, entered into the books: nothing is believed that the books know better. No I/O.

First one reply after the other, then any history at all of an honest venue: drops, restarts, evictions, replies that
come late, short or from before.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random

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
    StreamReset,
)
from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.exchange import AccountUpdate, HistoryPage, HistoryQuery, HistoryRow, MarketUpdate, Snapshot
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.feed import LiveFeed
from gapless.controller.rest_entry import enter_page
from gapless.controller.snapshot_entry import enter_snapshot
from gapless.controller.subscription import Asked, Subscription

TICKER, ORDERS = Stream("ticker", "BTC/USD"), Stream("orders", "*")
FAR = 10**12


def at(second: float) -> str:
    return f"2026-01-01T00:00:{second:06.3f}Z"


def told(event: AnyEvent) -> str:
    """An event in a few words."""
    match event:
        case MarketData():
            what = event.timestamp if event.sequence_id is None else event.sequence_id
            return f"{event.source} {what}"
        case OrderUpdate():
            return f"{'snapshot' if event.snapshot else 'update'} {event.order.order_id} {event.sequence_id}"
        case GapFound() | GapFilled() | ContinuityLost():
            end = "" if event.end_seq is None else event.end_seq
            return f"{type(event).__name__} {event.start_seq}..{end} {event.reason}"
        case StreamReset():
            return f"StreamReset {event.old_epoch} {event.new_epoch}"
        case SnapshotRead():
            return f"SnapshotRead {event.sequence_id}: {event.rows}"
        case _:
            raise AssertionError(event)


def row(sequence_id: int | None, *, timestamp: str = "", price: float = 1.0) -> HistoryRow:
    return HistoryRow(timestamp=timestamp or at((sequence_id or 0) % 60), price=price, sequence_id=sequence_id)


def rows(*ids: int) -> list[HistoryRow]:
    return [row(each) for each in ids]


def order(order_id: str = "o-1") -> Order:
    return Order(order_id=order_id, symbol="BTC/USD", side="buy", type="limit", quantity=1.0)


class Desk:
    """Books of one stream, a live side to fill them, and REST replies entered one after the other."""

    def __init__(self, stream: Stream = TICKER, /, **config: object) -> None:
        self.books = Books(
            config=NetworkConfig.from_mapping(config),
            exchange=ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="s"),
            streams=[stream],
            on_gap=lambda _reason: None,
            wall_clock=lambda: 1_000.0,
        )
        self.feed = LiveFeed(self.books)

    @property
    def subscription(self) -> Subscription:
        return self.books.subscriptions[0]

    def connect(self, mark: int | None = 0, *, epoch: str | None = "e-1") -> None:
        self.feed.start_generation(self.books.generation + 1)
        self.feed.welcome(epoch)
        self.feed.acknowledge(self.subscription.stream, mark)

    def live(self, *ids: int) -> None:
        for each in ids:
            update = MarketUpdate(
                channel="ticker", symbol="BTC/USD", timestamp=at(each % 60), price=1.0, sequence_id=each
            )
            self.feed.market(update, now=0.0, received_at=0.0)

    def orders(self, *ids: int) -> None:
        for each in ids:
            update = AccountUpdate(stream=ORDERS, sequence_id=each, content=order())
            self.feed.account(update, now=0.0, received_at=0.0)

    def asked(self) -> Asked:
        return self.subscription.asked(0.0)

    def answer(
        self,
        start_seq: int | None,
        end_seq: int | None,
        page: HistoryPage,
        *,
        asked: Asked | None = None,
        source: Source = Source.BACKFILL,
    ) -> Entry:
        """``page`` comes for ``start_seq..end_seq``; asked just now unless ``asked`` says otherwise."""
        query = HistoryQuery(stream=TICKER, limit=1000, start_seq=start_seq, end_seq=end_seq)
        answer = Answer(query=query, page=page, asked=asked or self.asked(), source=source, received_at=3_000.0)
        return enter_page(self.books, self.subscription, answer)

    def snapshot(
        self,
        covers: int | None,
        *ids: str,
        asked: Asked | None = None,
        source: Source = Source.BACKFILL,
        take_overtaken: bool = False,
    ) -> Entry:
        return enter_snapshot(
            self.books,
            self.subscription,
            Snapshot(contents=[order(each) for each in ids], sequence_id=covers),
            asked=asked or self.asked(),
            source=source,
            received_at=3_000.0,
            take_overtaken=take_overtaken,
        )

    async def told(self) -> list[str]:
        events = await self.books.delivery.take_all() if len(self.books.delivery) else []
        return [told(event) for event in events]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return list(self.subscription.ledger.gaps)


def kept(ids: list[HistoryRow], last_seq: int, *, first_seq: int = 1, epoch: str | None = "e-1") -> HistoryPage:
    """A reply of a venue that keeps ``first_seq..last_seq``."""
    return HistoryPage(rows=ids, epoch=epoch, first_seq=first_seq, last_seq=last_seq)


async def gapped(*ids: int, **config: object) -> Desk:
    """A desk whose socket delivered these ids; the app has taken them."""
    desk = Desk(**config)
    desk.connect()
    desk.live(*ids)
    await desk.told()
    return desk


# -- filling gaps -----------------------------------------------------------------------------------------------------


async def test_a_gap_is_filled_and_neighbours_are_told_together() -> None:
    desk = await gapped(1, 4, 6)
    assert desk.answer(2, 5, kept(rows(2, 3, 4, 5), 6)) is Entry.ENTERED
    assert await desk.told() == [
        "BACKFILL 2",
        "BACKFILL 3",
        "BACKFILL 5",
        "GapFilled 2..3 rest",
        "GapFilled 5..5 rest",
    ]
    assert desk.books.whole
    assert (desk.books.stats.backfilled, desk.books.stats.ids_filled) == (3, 3)


async def test_the_same_reply_again_is_all_duplicates() -> None:
    desk = await gapped(1, 4)
    for _ in range(2):
        desk.answer(2, 3, kept(rows(2, 3), 4))
    assert await desk.told() == ["BACKFILL 2", "BACKFILL 3", "GapFilled 2..3 rest"]


async def test_what_came_live_meanwhile_is_not_delivered_again() -> None:
    desk = await gapped(1, 4)
    asked = desk.asked()
    desk.live(3, 5)
    desk.answer(2, 3, kept(rows(2, 3), 4), asked=asked)
    assert await desk.told() == ["LIVE 3", "GapFilled 3..3 live", "LIVE 5", "BACKFILL 2", "GapFilled 2..2 rest"]


async def test_a_poll_moves_the_cursor() -> None:
    desk = await gapped(1, 2)
    desk.feed.socket_closed()
    assert desk.answer(3, None, kept(rows(3, 4), 4), source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == ["POLL 3", "POLL 4"]
    assert (desk.books.stats.polled, desk.subscription.ledger.next_id) == (2, 5)
    desk.connect(mark=4)
    desk.live(4, 5)
    assert await desk.told() == ["LIVE 5"], "the handover loses and repeats nothing"


async def test_rows_below_what_was_asked_for_are_ignored() -> None:
    desk = await gapped(1, 3, 7)
    desk.answer(4, 6, kept(rows(1, 2, 3, 4, 5, 6), 7))
    assert await desk.told() == ["BACKFILL 4", "BACKFILL 5", "BACKFILL 6", "GapFilled 4..6 rest"]
    assert desk.gaps == [(2, 2)], "still open, and nobody's verdict"


# -- absent, evicted, short -------------------------------------------------------------------------------------------


async def test_what_a_covering_reply_omits_is_absent() -> None:
    desk = await gapped(1, 6)
    desk.answer(2, 5, kept(rows(2, 4, 5), 6))
    assert (await desk.told())[3:] == [
        "GapFilled 2..2 rest",
        "GapFilled 4..5 rest",
        "ContinuityLost 3..3 absent",
    ]
    assert desk.books.whole
    assert desk.books.stats.ids_lost == 1


async def test_what_lies_below_the_oldest_kept_id_is_evicted() -> None:
    desk = await gapped(1, 6)
    desk.answer(2, 5, kept(rows(4, 5), 6, first_seq=4))
    assert await desk.told() == ["BACKFILL 4", "BACKFILL 5", "GapFilled 4..5 rest", "ContinuityLost 2..3 evicted"]


async def test_nothing_kept_at_all() -> None:
    desk = await gapped(1, 6)
    assert desk.answer(2, 5, kept([], 6, first_seq=7)) is Entry.ENTERED
    assert await desk.told() == ["ContinuityLost 2..5 evicted"]


async def test_nothing_kept_beyond_the_cursor_either() -> None:
    """Down for so long that all of it is gone: found, lost, and the stream goes on behind it."""
    desk = await gapped(1, 2)
    desk.feed.socket_closed()
    desk.answer(3, None, kept([], 9, first_seq=10), source=Source.POLL)
    assert await desk.told() == ["GapFound 3..9 history_jump", "ContinuityLost 3..9 evicted"]
    desk.connect(mark=9)
    desk.live(10)
    assert await desk.told() == ["LIVE 10"]


async def test_a_poll_that_begins_behind_the_cursor_reports_what_it_jumped_over() -> None:
    desk = await gapped(1, 2)
    desk.feed.socket_closed()
    desk.answer(3, None, kept(rows(7, 9), 9, first_seq=6), source=Source.POLL)
    assert await desk.told() == [
        "GapFound 3..6 history_jump",
        "POLL 7",
        "GapFound 8..8 history_jump",
        "POLL 9",
        "ContinuityLost 3..5 evicted",
        "ContinuityLost 6..6 absent",
        "ContinuityLost 8..8 absent",
    ]


async def test_a_short_page_does_not_condemn_what_lies_behind_it() -> None:
    desk = await gapped(1, 9)
    desk.answer(2, 8, kept(rows(2, 4), 9))
    assert (await desk.told())[2:] == [
        "GapFilled 2..2 rest",
        "GapFilled 4..4 rest",
        "ContinuityLost 3..3 absent",
    ]
    assert desk.gaps == [(5, 8)]
    desk.answer(5, 8, kept(rows(5, 6, 7, 8), 9))
    assert desk.books.whole


async def test_an_empty_page_speaks_of_all_that_was_asked_for() -> None:
    desk = await gapped(1, 4, 8)
    desk.answer(2, 3, kept([], 8))
    assert await desk.told() == ["ContinuityLost 2..3 absent"]
    assert desk.gaps == [(5, 7)], "of the rest nobody asked"


async def test_an_empty_poll_says_that_nothing_is_new() -> None:
    desk = await gapped(1, 2)
    assert desk.answer(3, None, kept([], 2), source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == []
    assert desk.subscription.ledger.next_id == 3


async def test_a_reply_that_does_not_say_what_it_keeps_cannot_prove_an_absence() -> None:
    desk = await gapped(1, 5)
    desk.answer(2, 4, HistoryPage(rows=rows(2, 4), epoch="e-1"))
    assert (await desk.told())[-1] == "ContinuityLost 3..3 unverifiable"


async def test_of_a_stream_nobody_knows_rest_says_only_where_it_stands() -> None:
    desk = Desk()
    desk.connect(mark=None)
    desk.answer(None, None, kept(rows(1), 6), source=Source.POLL)
    assert await desk.told() == [], "what was before is not owed"
    assert desk.subscription.ledger.next_id == 7


async def test_without_a_last_id_an_unknown_stream_stays_unknown() -> None:
    desk = Desk()
    desk.connect(mark=None)
    assert desk.answer(None, None, HistoryPage(rows=rows(1), epoch="e-1"), source=Source.POLL) is Entry.ENTERED
    assert desk.subscription.ledger.next_id is None


# -- stale replies ----------------------------------------------------------------------------------------------------


async def test_a_reply_that_knows_less_than_the_books_did_is_stale() -> None:
    desk = await gapped(1, 9)
    assert desk.answer(2, 8, kept(rows(2, 3), 3)) is Entry.STALE
    assert await desk.told() == [], "it may be a replica that lags: neither its rows nor its silence count"
    assert desk.gaps == [(2, 8)]
    assert desk.books.stats.stale_replies == 1


async def test_a_reply_need_only_know_what_was_known_when_it_was_asked() -> None:
    desk = await gapped(1, 4)
    asked = desk.asked()
    desk.live(5, 6)
    assert desk.answer(2, 3, kept(rows(2, 3), 4), asked=asked) is Entry.ENTERED
    assert desk.books.whole


async def test_a_late_empty_poll_condemns_nothing_that_came_live_meanwhile() -> None:
    desk = await gapped(1, 2)
    asked = desk.asked()
    desk.live(3, 5)
    assert desk.answer(3, None, kept([], 2), asked=asked, source=Source.POLL) is Entry.ENTERED
    assert desk.gaps == [(4, 4)]
    assert await desk.told() == ["LIVE 3", "GapFound 4..4 sequence_jump", "LIVE 5"]


async def test_a_reply_from_before_a_reset_is_stale() -> None:
    """Without epochs nothing else tells that its ids are of another life."""
    desk = Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(7, 9)
    asked = desk.asked()
    desk.connect(mark=None, epoch=None)
    update = MarketUpdate(channel="ticker", symbol="BTC/USD", timestamp=at(59), price=1.0, sequence_id=3)
    desk.feed.market(update, now=0.0, received_at=0.0)
    await desk.told()
    assert desk.answer(8, 8, kept(rows(8), 9, epoch=None), asked=asked) is Entry.STALE
    assert await desk.told() == []


# -- epochs -----------------------------------------------------------------------------------------------------------


async def test_with_a_socket_open_a_reply_of_another_epoch_is_discarded() -> None:
    desk = await gapped(1, 4)
    assert desk.answer(2, 3, kept(rows(2, 3), 9, epoch="e-2")) is Entry.OTHER_EPOCH
    assert await desk.told() == []
    assert (desk.books.epoch, desk.gaps) == ("e-1", [(2, 3)])


async def test_without_a_socket_it_announces_a_new_epoch() -> None:
    desk = await gapped(1, 4)
    desk.feed.socket_closed()
    assert desk.answer(2, 3, kept(rows(2, 3), 9, epoch="e-2")) is Entry.NEW_EPOCH
    assert await desk.told() == [
        "ContinuityLost 2..3 epoch_ended",
        "ContinuityLost 5.. epoch_ended",
        "StreamReset e-1 e-2",
    ], "its rows were asked for with the old epoch's ids"
    assert desk.answer(1, None, kept(rows(1, 2, 3), 3, epoch="e-2"), source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == ["POLL 1", "POLL 2", "POLL 3"]


async def test_the_third_socket_in_a_row_that_denies_what_rest_alone_announced_is_believed() -> None:
    """A replica behind the times may name an epoch that is older than anything the controller knows."""
    desk = await gapped(1, 2, 4)
    desk.feed.socket_closed()
    assert desk.answer(3, 3, kept(rows(3), 9, epoch="e-0")) is Entry.NEW_EPOCH
    assert desk.answer(1, None, kept(rows(1), 1, epoch="e-0"), source=Source.POLL) is Entry.ENTERED
    for _ in range(2):
        with pytest.raises(LinkError, match="the server speaks of epoch e-1, which was left for e-0"):
            desk.connect(epoch="e-1")
    await desk.told()
    desk.connect(6, epoch="e-1")
    assert await desk.told() == [
        "ContinuityLost 2.. epoch_ended",
        "StreamReset e-0 e-1",
        "ContinuityLost 1..4 epoch_ended",
        "GapFound 5..6 subscription_mark",
    ], "what it had of the epoch before does not come twice"
    assert desk.answer(5, 6, kept(rows(5, 6), 6)) is Entry.ENTERED
    assert await desk.told() == ["BACKFILL 5", "BACKFILL 6", "GapFilled 5..6 rest"]


async def test_sockets_that_agree_with_rest_end_the_doubt() -> None:
    desk = await gapped(1)
    desk.feed.socket_closed()
    assert desk.answer(2, 3, kept(rows(2, 3), 9, epoch="e-2")) is Entry.NEW_EPOCH
    for _ in range(2):
        with pytest.raises(LinkError):
            desk.connect(epoch="e-1")
    desk.connect(epoch="e-2")
    for _ in range(4):
        with pytest.raises(LinkError, match="which was left for e-2"):
            desk.connect(epoch="e-1")


async def test_who_believed_the_wrong_replicas_can_be_told_better() -> None:
    desk = await gapped(1)
    desk.feed.socket_closed()
    desk.answer(2, 3, kept(rows(2, 3), 9, epoch="e-2"))
    for believed, denied in (("e-1", "e-2"), ("e-2", "e-1"), ("e-1", "e-2")):
        for _ in range(2):
            with pytest.raises(LinkError, match=f"epoch {believed}, which was left for {denied}"):
                desk.connect(epoch=believed)
        desk.connect(epoch=believed)
        desk.connect(epoch=believed)
    assert desk.books.epoch == "e-1"


async def test_an_epoch_that_was_left_never_comes_back() -> None:
    desk = await gapped(1)
    desk.connect(epoch="e-2")
    desk.feed.socket_closed()
    await desk.told()
    assert desk.answer(1, None, kept(rows(1, 2), 9, epoch="e-1"), source=Source.POLL) is Entry.OTHER_EPOCH
    assert await desk.told() == []
    assert desk.books.epoch == "e-2"


async def test_the_first_epoch_may_be_learnt_from_rest() -> None:
    desk = Desk()
    assert desk.answer(None, None, kept(rows(1), 6), source=Source.POLL) is Entry.NEW_EPOCH
    assert await desk.told() == []
    assert desk.books.epoch == "e-1"


async def test_a_socket_without_epochs_is_not_given_one_by_rest() -> None:
    """Its frames could belong to any; a reply's rows fill its gaps all the same."""
    desk = Desk()
    desk.connect(mark=0, epoch=None)
    desk.live(1, 3)
    assert desk.answer(2, 2, kept(rows(2), 3)) is Entry.ENTERED
    assert (await desk.told())[-2:] == ["BACKFILL 2", "GapFilled 2..2 rest"]
    assert desk.books.epoch is None


async def test_a_reply_without_an_epoch_is_of_the_one_we_know() -> None:
    desk = await gapped(1, 3)
    assert desk.answer(2, 2, kept(rows(2), 3, epoch=None)) is Entry.ENTERED
    assert desk.books.whole


# -- a full buffer ----------------------------------------------------------------------------------------------------


async def test_a_full_buffer_stops_and_loses_nothing() -> None:
    desk = await gapped(1, 9, buffer_size=4)
    assert desk.answer(2, 8, kept(rows(2, 3, 4, 5, 6, 7, 8), 9)) is Entry.FULL
    assert await desk.told() == ["BACKFILL 2", "BACKFILL 3", "BACKFILL 4", "BACKFILL 5", "GapFilled 2..5 rest"]
    assert desk.gaps == [(6, 8)]
    assert desk.answer(6, 8, kept(rows(6, 7, 8), 9)) is Entry.ENTERED
    assert desk.books.whole


async def test_what_was_passed_before_the_buffer_was_full_is_judged() -> None:
    desk = await gapped(1, 9, buffer_size=4)
    assert desk.answer(2, 8, kept(rows(3, 4, 5, 7, 8), 9, first_seq=3)) is Entry.FULL
    assert (await desk.told())[4:] == [
        "GapFilled 3..5 rest",
        "GapFilled 7..7 rest",
        "ContinuityLost 2..2 evicted",
        "ContinuityLost 6..6 absent",
    ]
    assert desk.gaps == [(8, 8)]


async def test_a_page_for_a_buffer_without_any_room_changes_nothing() -> None:
    desk = await gapped(1, 9, buffer_size=4)
    desk.live(10, 11, 12, 13)
    assert desk.answer(2, 8, kept(rows(2, 3), 13)) is Entry.FULL
    assert desk.gaps == [(2, 8)]


# -- an id too far ahead ----------------------------------------------------------------------------------------------


async def test_rest_confirms_a_jump() -> None:
    desk = await gapped(1, FAR)
    desk.answer(2, None, kept(rows(2), FAR + 3))
    assert await desk.told() == [f"GapFound 2..{FAR} confirmed_jump", "BACKFILL 2", "GapFilled 2..2 rest"]
    assert desk.gaps == [(3, FAR)]


async def test_rest_refutes_a_jump() -> None:
    desk = await gapped(1, FAR)
    assert desk.subscription.has_gap
    desk.answer(2, None, kept([], 1))
    assert await desk.told() == []
    assert not desk.subscription.has_gap


async def test_a_reply_that_was_asked_before_the_jump_decides_nothing() -> None:
    desk = await gapped(1)
    asked = desk.asked()
    desk.live(FAR)
    desk.answer(2, None, kept([], 1), asked=asked)
    assert desk.subscription.ledger.suspect == FAR


async def test_a_reply_that_does_not_say_its_last_id_decides_nothing() -> None:
    desk = await gapped(1, FAR)
    desk.answer(2, None, HistoryPage(rows=[], epoch="e-1"))
    assert desk.subscription.ledger.suspect == FAR


# -- the specification's literal form: rows without ids ---------------------------------------------------------------


async def test_rows_without_ids_are_delivered_once_each_and_the_hole_cannot_be_verified() -> None:
    desk = Desk()
    desk.connect(mark=0, epoch=None)
    desk.live(1)
    desk.connect(mark=4, epoch=None)
    await desk.told()
    page = HistoryPage(rows=[row(None, timestamp=at(second)) for second in (1, 2, 3, 4)])
    assert desk.answer(2, 4, page) is Entry.ENTERED
    assert await desk.told() == [
        f"BACKFILL {at(2)}",
        f"BACKFILL {at(3)}",
        f"BACKFILL {at(4)}",
        "ContinuityLost 2..4 unverifiable",
    ], "the first of them came live"
    assert desk.answer(5, None, page, source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == [], "exact repeats"


async def test_a_poll_for_rows_without_ids_condemns_nothing() -> None:
    desk = Desk()
    desk.connect(mark=0, epoch=None)
    desk.live(1)
    page = HistoryPage(rows=[row(None, timestamp=at(second)) for second in (2, 3)])
    desk.answer(2, None, page, source=Source.POLL)
    assert await desk.told() == ["LIVE 1", f"POLL {at(2)}", f"POLL {at(3)}"]
    assert desk.subscription.ledger.next_id == 2


async def test_rows_of_one_instant_that_differ_are_all_delivered() -> None:
    desk = Desk()
    page = HistoryPage(rows=[row(None, timestamp=at(1), price=price) for price in (1.0, 2.0, 1.0, 3.0)])
    desk.answer(None, None, page, source=Source.POLL)
    assert len(await desk.told()) == 3


async def test_rows_without_ids_stop_at_a_full_buffer_and_the_hole_stays_open() -> None:
    desk = Desk(buffer_size=4)
    desk.connect(mark=0, epoch=None)
    desk.live(1)
    desk.connect(mark=7, epoch=None)
    await desk.told()
    page = HistoryPage(rows=[row(None, timestamp=at(second)) for second in range(2, 8)])
    assert desk.answer(2, 7, page) is Entry.FULL
    assert await desk.told() == [f"BACKFILL {at(second)}" for second in (2, 3, 4, 5)]
    assert desk.gaps == [(2, 7)]
    assert desk.answer(2, 7, page) is Entry.ENTERED
    assert await desk.told() == [f"BACKFILL {at(6)}", f"BACKFILL {at(7)}", "ContinuityLost 2..7 unverifiable"]


# -- snapshots --------------------------------------------------------------------------------------------------------


async def test_a_snapshot_covers_all_updates_up_to_its_id() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1, 4, 6)
    await desk.told()
    assert desk.snapshot(6, "o-1", "o-2") is Entry.ENTERED
    assert await desk.told() == [
        "SnapshotRead 6: 2",
        "snapshot o-1 6",
        "snapshot o-2 6",
        "GapFilled 2..3 snapshot",
        "GapFilled 5..5 snapshot",
    ]
    assert not desk.subscription.has_gap


async def test_updates_that_a_snapshot_covers_are_duplicates() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    assert desk.snapshot(7, "o-1") is Entry.ENTERED
    desk.orders(6, 7, 8)
    assert await desk.told() == ["SnapshotRead 7: 1", "snapshot o-1 7", "update o-1 8"]


async def test_a_snapshot_that_knows_less_than_the_books_did_is_stale() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1, 2, 3)
    await desk.told()
    assert desk.snapshot(2, "o-1") is Entry.STALE
    assert await desk.told() == []
    assert desk.books.stats.stale_replies == 1


async def test_a_snapshot_that_updates_have_overtaken_is_read_again_or_taken_as_far_as_it_is_new() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1)
    asked = desk.asked()
    desk.orders(2, 5)
    await desk.told()
    assert desk.snapshot(3, "o-1", "o-2", asked=asked) is Entry.OVERTAKEN
    assert desk.gaps == [(3, 4)]
    assert desk.snapshot(3, "o-1", "o-2", asked=asked, take_overtaken=True) is Entry.ENTERED
    assert await desk.told() == ["SnapshotRead 3: 1", "snapshot o-2 3", "GapFilled 3..3 snapshot"], "o-1 is at 5"
    assert desk.gaps == [(4, 4)]


async def test_a_snapshot_without_an_id_is_overtaken_by_whatever_comes_after_it_was_asked_for() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1)
    assert desk.snapshot(None, "o-1") is Entry.ENTERED
    asked = desk.asked()
    desk.orders(2)
    await desk.told()
    assert desk.snapshot(None, "o-1", "o-2", asked=asked) is Entry.OVERTAKEN
    assert desk.snapshot(None, "o-1", "o-2", asked=asked, take_overtaken=True) is Entry.ENTERED
    assert await desk.told() == ["SnapshotRead None: 1", "snapshot o-2 None"]
    assert desk.snapshot(None, "o-1", asked=asked, take_overtaken=True) is Entry.ENTERED
    assert await desk.told() == [], "all that it holds is old, which is not to say that there is nothing"


async def test_the_first_snapshot_is_news_even_if_the_subscription_has_its_id_already() -> None:
    """The mark tells how far the stream has come, and nothing of what the account looks like."""
    desk = Desk(ORDERS)
    desk.connect(3)
    assert desk.snapshot(3, "o-1", source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == ["SnapshotRead 3: 1", "snapshot o-1 3"]
    assert desk.snapshot(3, "o-1", source=Source.POLL) is Entry.ENTERED
    assert await desk.told() == []


async def test_polled_snapshots_are_delivered_only_when_they_are_news() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    for covers in (3, 3, 3, 4):
        desk.snapshot(covers, "o-1", source=Source.POLL)
    assert await desk.told() == ["SnapshotRead 3: 1", "snapshot o-1 3", "SnapshotRead 4: 1", "snapshot o-1 4"]
    desk.snapshot(4, "o-1", source=Source.BACKFILL)
    assert await desk.told() == ["SnapshotRead 4: 1", "snapshot o-1 4"], "one that was asked for is always delivered"


async def test_after_a_loss_the_same_snapshot_is_news() -> None:
    """What the lost updates said, only a snapshot tells; its id may be known by then."""
    desk = Desk(ORDERS, reconciliation_enabled=False)
    desk.connect(mark=0)
    desk.orders(2)
    assert "ContinuityLost 1..1 reconciliation_disabled" in await desk.told()
    for _ in range(2):
        desk.snapshot(2, "o-1", "o-2", source=Source.POLL)
    assert await desk.told() == ["SnapshotRead 2: 2", "snapshot o-1 2", "snapshot o-2 2"]


async def test_a_snapshot_that_does_not_say_what_it_covers_heals_nothing() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1, 4)
    await desk.told()
    assert desk.snapshot(None, "o-1") is Entry.ENTERED
    assert await desk.told() == [
        "ContinuityLost 2..3 unverifiable",
        "SnapshotRead None: 1",
        "snapshot o-1 None",
    ]
    assert not desk.subscription.has_gap


async def test_a_snapshot_of_the_epoch_before_is_stale() -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1)
    asked = desk.asked()
    desk.connect(mark=0, epoch="e-2")
    await desk.told()
    assert desk.snapshot(9, "o-1", asked=asked) is Entry.STALE
    assert await desk.told() == []


@pytest.mark.parametrize(("covers", "next_id"), [(FAR, FAR + 1), (1, 2)])
async def test_a_snapshot_decides_about_an_id_far_ahead(covers: int, next_id: int) -> None:
    desk = Desk(ORDERS)
    desk.connect(mark=0)
    desk.orders(1, FAR)
    desk.snapshot(covers, "o-1")
    assert desk.subscription.ledger.next_id == next_id
    assert not desk.subscription.has_gap


# -- any history of an honest venue -----------------------------------------------------------------------------------


class Venue:
    """Issues ids; its socket drops, repeats and reorders them; its REST forgets, is short, and answers late."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.epoch = 1
        self.issued = {1: 0}
        self.first_kept = 1
        self.gone: set[tuple[int, int]] = set()
        """Ids that REST no longer has."""
        self.wire: list[int] | None = None
        """What is on its way to the client; None: no socket."""

    @property
    def epoch_name(self) -> str:
        return f"e-{self.epoch}"

    def issue(self) -> None:
        for _ in range(self.chance.randint(1, 6)):
            self.issued[self.epoch] += 1
            number = self.issued[self.epoch]
            if (
                self.wire is None
                or (fate := self.chance.choice(("sent", "sent", "dropped", "twice", "early"))) == "dropped"
            ):
                continue
            self.wire.insert(max(len(self.wire) - 2, 0) if fate == "early" else len(self.wire), number)
            if fate == "twice":
                self.wire.append(number)

    def forget(self) -> None:
        """The oldest few, or one of the latest."""
        if self.chance.random() < 0.5:
            self.first_kept = min(self.first_kept + self.chance.randint(1, 6), self.issued[self.epoch] + 1)
            self.gone |= {(self.epoch, number) for number in range(1, self.first_kept)}
        elif (number := self.issued[self.epoch] - self.chance.randint(0, 6)) > 0:
            self.gone.add((self.epoch, number))

    def restart(self) -> None:
        self.epoch += 1
        self.issued[self.epoch], self.first_kept, self.wire = 0, 1, None

    def page(self, query: HistoryQuery, rows_max: int) -> HistoryPage:
        last = self.issued[self.epoch]
        asked_for = range(max(self.first_kept, query.start_seq or 1), min(last, query.end_seq or last) + 1)
        ids = [number for number in asked_for if (self.epoch, number) not in self.gone]
        return kept(rows(*ids[:rows_max]), last, first_seq=self.first_kept, epoch=self.epoch_name)


@dataclass
class Underway:
    """A request; ``page`` None: the venue answers when the reply is due, else it is a while on its way."""

    query: HistoryQuery
    asked: Asked
    page: HistoryPage | None


class Life:
    """A desk and a venue through sixty accidents; what the app was told is compared with what the venue issued."""

    def __init__(self, seed: int, reached: Counter[str]) -> None:
        self.chance = Random(seed)
        self.reached = reached
        self.venue = Venue(self.chance)
        self.patient = self.chance.random() < 0.5
        self.desk = Desk(buffer_size=10_000 if self.patient else 6, open_intervals_max=3)
        self.base: tuple[int, int] | None = None
        self.seen: set[str] = set()
        """Epochs that a socket has named."""
        self.underway: list[Underway] = []
        self.delivered: Counter[tuple[int, int]] = Counter()
        self.announced: set[tuple[int, int]] = set()
        self.lost: set[tuple[int, int]] = set()

    async def run(self) -> None:
        usual = [self.venue.issue, self.receive, self.receive, self.ask, self.reply, self.reply, self.connect]
        rare = [self.venue.forget, self.disconnect, self.restart]
        for _ in range(60):
            if self.chance.random() < 0.2:
                await self.take()
            self.chance.choice(usual if self.chance.random() < 0.8 else rare)()
        await self.take()
        self.compare()

    # What happens.

    def connect(self) -> None:
        if self.venue.wire is None:
            mark = self.venue.issued[self.venue.epoch]
            self.venue.wire = []
            self.seen.add(self.venue.epoch_name)
            self.base = self.base or (self.venue.epoch, mark)
            self.desk.connect(mark, epoch=self.venue.epoch_name)

    def receive(self) -> None:
        if self.venue.wire:
            count = self.chance.randint(1, 10)
            self.desk.live(*self.venue.wire[:count])
            del self.venue.wire[:count]

    def disconnect(self) -> None:
        self.venue.wire = None
        self.desk.feed.socket_closed()

    def restart(self) -> None:
        if self.venue.epoch < 3 and self.venue.issued[self.venue.epoch] > 20:
            self.disconnect()
            self.venue.restart()

    def ask(self) -> None:
        if self.base is None or len(self.underway) > 2:
            return
        gaps, cursor = self.desk.gaps, self.desk.subscription.ledger.next_id
        query = HistoryQuery(stream=TICKER, limit=1_000, start_seq=cursor)
        if gaps and self.chance.random() < 0.7:
            query = HistoryQuery(stream=TICKER, limit=1_000, start_seq=gaps[0][0], end_seq=self.chance.choice(gaps)[1])
        page = self.venue.page(query, self.chance.choice((2, 5, 1_000))) if self.chance.random() < 0.5 else None
        self.underway.append(Underway(query, self.desk.asked(), page))

    def reply(self) -> None:
        if self.underway:
            each = self.underway.pop(self.chance.randrange(len(self.underway)))
            page = each.page
            if page is None or page.epoch not in self.seen:
                page = self.venue.page(each.query, 1_000)
            start, end = each.query.start_seq, each.query.end_seq
            source = Source.POLL if end is None else Source.BACKFILL
            self.reached[self.desk.answer(start, end, page, asked=each.asked, source=source).value] += 1

    async def take(self) -> None:
        while len(self.desk.books.delivery):
            for event in await self.desk.books.delivery.take_all():
                self.hear(event)

    # What the app is told.

    def hear(self, event: AnyEvent) -> None:
        match event:
            case MarketData():
                key = self.key(event.epoch, event.sequence_id or 0)
                self.delivered[key] += 1
                assert self.delivered[key] == 1, f"{key} was delivered twice"
                assert key not in self.lost, f"{key} came after it was reported lost"
            case GapFound():
                self.announced |= self.keys(event)
                assert not (self.patient and self.keys(event) & self.delivered.keys())
            case GapFilled():
                self.reached[f"filled {event.reason}"] += 1
                assert self.keys(event) <= self.delivered.keys()
            case ContinuityLost():
                self.hear_of_loss(event, self.keys(event))
            case _:
                assert isinstance(event, StreamReset)

    def hear_of_loss(self, event: ContinuityLost, keys: set[tuple[int, int]]) -> None:
        self.reached[event.reason] += 1
        assert not keys & self.delivered.keys(), "delivered and reported lost"
        assert not keys & self.lost, "reported twice"
        if event.reason in {"absent", "evicted"}:
            assert keys <= self.venue.gone, "reported lost, and the venue has it"
        if event.end_seq is not None and self.patient:
            assert keys <= self.announced
        self.lost |= keys

    @staticmethod
    def key(epoch: str | None, number: int) -> tuple[int, int]:
        assert epoch is not None
        return int(epoch.removeprefix("e-")), number

    def keys(self, event: GapFound | GapFilled | ContinuityLost) -> set[tuple[int, int]]:
        epoch, start = self.key(event.epoch, event.start_seq)
        end = self.venue.issued[epoch] if event.end_seq is None else event.end_seq
        assert event.end_seq is None or start <= end
        return {(epoch, number) for number in range(start, end + 1)}

    def compare(self) -> None:
        """Every id that is owed was delivered, reported lost, or lies in an open gap: exactly one of them."""
        if self.base is None:
            return
        now, _ = self.key(self.desk.books.epoch, 0)
        still_open = {(now, number) for start, end in self.desk.gaps for number in range(start, end + 1)}
        first, mark = self.base
        for epoch in {self.key(name, 0)[0] for name in self.seen}:
            last = self.venue.issued[epoch] if epoch < now else (self.desk.subscription.ledger.next_id or 1) - 1
            for number in range(mark + 1 if epoch == first else 1, last + 1):
                key = (epoch, number)
                assert (key in self.delivered) + (key in self.lost) + (key in still_open) == 1, key


async def test_every_id_an_honest_venue_owes_is_delivered_once_or_reported() -> None:
    reached: Counter[str] = Counter()
    for seed in range(400):
        try:
            await Life(seed, reached).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
    wanted = {entry.value for entry in Entry} - {Entry.OVERTAKEN.value}
    wanted |= {"filled rest", "filled live", "absent", "evicted", "epoch_ended", "too_many_gaps"}
    assert not wanted - {name for name, times in reached.items() if times >= 10}, reached
