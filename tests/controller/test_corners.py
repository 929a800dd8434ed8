"""Corners that once went wrong: lagging replicas, overflow and its end, splitting gaps, absurd numbers."""

from pathlib import Path

import pytest

from gapless.controller import ConfigurationError, NetworkConfig, Source, Stream, load_settings
from gapless.controller.answer import Answer, Entry
from gapless.controller.exchange import HistoryPage, HistoryQuery
from gapless.controller.intervals import IntervalSet
from gapless.controller.request_window import RequestWindow
from gapless.controller.rest_entry import enter_page
from gapless.controller.waiting import retry_after_s
from tests.controller import test_feed as live
from tests.controller import test_rest_entry as rest
from tests.controller.test_rest_entry import at, gapped, kept, row, rows

ORDERS = Stream("orders", "*")


async def test_of_two_epochs_that_rest_alone_names_the_socket_decides() -> None:
    """A lagging replica names e-2 after another one named e-3: e-3 must not count as left."""
    desk = await gapped(1)
    desk.feed.socket_closed()
    assert desk.answer(2, None, kept([], 5, epoch="e-3"), source=Source.POLL) is Entry.NEW_EPOCH
    assert desk.answer(1, None, kept([], 9, epoch="e-2"), source=Source.POLL) is Entry.OTHER_EPOCH
    desk.connect(epoch="e-3")
    assert desk.books.epoch == "e-3"


async def test_literal_rows_of_a_hole_are_delivered_once() -> None:
    desk = rest.Desk()
    desk.connect(mark=None, epoch=None)
    desk.live(1, 4)
    await desk.told()
    desk.answer(2, 3, HistoryPage(rows=[row(None, timestamp=at(second)) for second in (1, 2, 3, 4)]))
    assert await desk.told() == [f"BACKFILL {at(2)}", f"BACKFILL {at(3)}", "ContinuityLost 2..3 unverifiable"]


async def test_what_rest_closes_of_an_overflow_is_announced_before_and_only_once() -> None:
    desk = live.Desk(buffer_size=4)
    desk.connect()
    desk.live(*range(1, 8))
    await desk.books.delivery.take()
    query = HistoryQuery(stream=live.TICKER, limit=1000, start_seq=5, end_seq=7)
    subscription = desk.subscription()
    asked = subscription.asked(0.0)
    answer = Answer(query=query, page=kept([], 7), asked=asked, source=Source.BACKFILL, received_at=0.0)
    enter_page(desk.books, subscription, answer)
    told = [*await desk.told(), *await desk.told()]
    assert told[-3:] == ["GapFound 5..5 overflow", "GapFound 6..7 overflow", "ContinuityLost 5..7 absent"]


async def test_an_overflow_before_the_first_datum_of_a_stream_without_a_mark_is_a_gap() -> None:
    desk = live.Desk(live.TICKER, live.ETHER, buffer_size=4)
    desk.dial()
    desk.feed.acknowledge(live.TICKER, 0)
    desk.feed.acknowledge(live.ETHER, None)
    desk.live(1, 2, 3, 4)
    desk.live(7, 8, stream=live.ETHER)
    assert list(desk.subscription(live.ETHER).ledger.gaps) == [(7, 8)]


async def test_late_ids_that_split_a_gap_stay_inside_the_bound() -> None:
    desk = live.Desk(open_intervals_max=5)
    desk.connect()
    desk.live(100, *range(2, 100, 2))
    assert len(desk.subscription().ledger.gaps) <= 5


async def test_an_account_gap_is_filled_after_its_datum_and_found_before() -> None:
    desk = live.Desk(ORDERS)
    desk.connect()
    desk.order(1, 3, 2)
    assert (await desk.told())[-2:] == ["order 2", "GapFilled 2..2 live"]


async def test_a_corrupt_id_in_a_snapshot_is_not_believed_at_once() -> None:
    desk = rest.Desk(ORDERS)
    desk.connect()
    desk.orders(1)
    desk.snapshot(10**12, "o-1")
    desk.orders(2, 3)
    assert (await desk.told())[-2:] == ["update o-1 2", "update o-1 3"]


async def test_an_absurd_first_seq_evicts_nothing() -> None:
    desk = await gapped(1, 4, 8)
    desk.answer(2, 3, kept(rows(2, 3), 8, first_seq=10**12))
    assert desk.gaps == [(5, 7)]


def test_absurd_settings_are_refused_or_harmless(tmp_path: Path) -> None:
    assert RequestWindow(backoff_multiplier=1e200).retry_delay_s(3) == 60.0
    assert RequestWindow().retry_delay_s(2000) == 60.0
    with pytest.raises(ConfigurationError, match=r"buffer_size = 10+\.\.\. is not allowed"):
        NetworkConfig.from_mapping({"buffer_size": 10**400})
    deep = tmp_path / "deep.toml"
    deep.write_text("x = " + "[" * 100_000)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_settings(deep)
    with pytest.raises(ConfigurationError, match="finite"):
        RequestWindow(window_s=float("nan"))


def test_a_number_to_python_is_not_a_number_to_http() -> None:
    assert retry_after_s("1_000") == 0.0


def test_an_inverted_range_takes_nothing() -> None:
    missing = IntervalSet()
    missing.add(1, 11)
    assert missing.take(10, 3) == []
    assert list(missing) == [(1, 11)]
