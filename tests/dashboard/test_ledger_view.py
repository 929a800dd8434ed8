"""The table of streams, and the account's rows."""

import math

import pytest

from gapless.controller import Order, Source, Stream, StreamRejected
from gapless.dashboard.account import ROWS_MAX, AccountRows
from gapless.dashboard.ledger_view import STREAMS_MAX, LedgerView
from gapless.dashboard.wire import StreamWire
from tests.dashboard.happenings import BEGAN, SYMBOL, TICKER, balance, datum, lost, order, reset, snapshot_read


def row(view: LedgerView) -> StreamWire:
    (only,) = view.rows()
    return only


def test_a_row_tells_what_came_last_and_how() -> None:
    view = LedgerView()
    view.enter(datum(1, 10.0, 7))
    view.enter(datum(2, 11.0, 9))
    shown = row(view)
    assert (shown.channel, shown.symbol, shown.epoch) == ("ticker", SYMBOL, "e-1")
    assert (shown.last_id, shown.last_price, shown.last_at) == (9, 11.0, BEGAN + 2)
    assert (shown.last_source, shown.live, shown.backfilled, shown.polled) == (Source.LIVE, 2, 0, 0)


def test_what_is_filled_later_is_no_newer() -> None:
    view = LedgerView()
    view.enter(datum(2, 11.0, 9))
    view.enter(datum(1, 10.0, 8, source=Source.BACKFILL, received=5))
    view.enter(datum(1, 10.5, 7, source=Source.POLL, received=6))
    shown = row(view)
    assert (shown.last_id, shown.last_price) == (9, 11.0)
    assert (shown.last_source, shown.last_at) == (Source.POLL, BEGAN + 6)
    assert (shown.live, shown.backfilled, shown.polled) == (1, 1, 1)


def test_without_ids_the_price_is_what_came_last() -> None:
    view = LedgerView()
    view.enter(datum(1, 10.0))
    view.enter(datum(2, 11.0))
    assert (row(view).last_id, row(view).last_price) == (None, 11.0)


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0, 1e300])
def test_an_absurd_price_is_not_shown(price: float) -> None:
    view = LedgerView()
    view.enter(datum(1, 10.0, 1))
    view.enter(datum(2, price, 2))
    assert (row(view).last_id, row(view).last_price) == (2, 10.0)


def test_a_new_epoch_counts_anew() -> None:
    view = LedgerView()
    view.enter(datum(1, 10.0, 900))
    view.enter(reset(2))
    assert (row(view).epoch, row(view).last_id) == ("e-2", None)
    view.enter(datum(3, 10.0, 1, epoch="e-2"))
    assert row(view).last_id == 1


def test_lost_ranges_are_counted_and_the_last_five_shown() -> None:
    view = LedgerView()
    for number in range(10):
        view.enter(lost(number, 10 * number, 10 * number + 4))
    view.enter(lost(11, 200, None, "epoch_ended"))
    assert row(view).lost_ids == 51
    assert row(view).lost[0] == (60, 64, "evicted")
    assert row(view).lost[-1] == (200, None, "epoch_ended")
    assert len(row(view).lost) == 5


def test_a_refusal_is_shown_until_data_comes() -> None:
    view = LedgerView()
    view.enter(StreamRejected(channel="ticker", symbol=SYMBOL, code="busy", message="later", at=BEGAN))
    assert row(view).rejected == "busy later"
    view.enter(datum(1, 10.0, 1))
    assert row(view).rejected is None


def test_the_sample_says_which_streams_are_desired_how_fresh_they_are_and_what_is_missing() -> None:
    view = LedgerView()
    ether = Stream("ticker", "ETH/USD")
    view.enter(datum(1, symbol="OLD/USD"))
    view.enter(datum(1))
    view.observe({ether: math.inf, TICKER: 0.25}, {TICKER: [(10 * number, 10 * number + 1) for number in range(7)]})
    first, second = view.rows()
    assert (first.symbol, first.freshness_s, first.missing) == ("ETH/USD", None, 0)
    assert (second.symbol, second.freshness_s, second.missing) == (SYMBOL, 0.25, 14)
    assert second.open_gaps == [(0, 1), (10, 11), (20, 21), (30, 31), (40, 41)]


def test_streams_are_bounded() -> None:
    view = LedgerView()
    for number in range(STREAMS_MAX + 5):
        view.enter(datum(1, symbol=f"S{number}"))
    assert len(view.rows()) == STREAMS_MAX


# -- the account ------------------------------------------------------------------------------------------------------


def ids(orders: AccountRows[Order]) -> list[str]:
    return sorted(each.order_id for each in orders.rows())


def entered(orders: AccountRows[Order], second: float, order_id: str, sequence_id: int | None, **facts: bool) -> None:
    update = order(second, order_id, sequence_id, snapshot=facts.get("snapshot", False))
    orders.put(order_id, update.order, update, int(second))


def test_a_snapshot_replaces_what_it_covers() -> None:
    orders = AccountRows[Order]()
    entered(orders, 1, "gone", 4)
    entered(orders, 2, "newer", 6)
    entered(orders, 3, "unnumbered", None)
    orders.begin_snapshot(snapshot_read(4, "orders", 5, 1), 4)
    entered(orders, 5, "shown", 5, snapshot=True)
    assert ids(orders) == ["newer", "shown"]
    orders.begin_snapshot(snapshot_read(6, "orders", 5, 0), 6)
    assert ids(orders) == ["newer"]
    orders.begin_snapshot(snapshot_read(7, "orders", None, 0), 7)
    assert ids(orders) == []


def test_a_snapshot_of_balances_leaves_orders_alone() -> None:
    orders = AccountRows[Order]()
    entered(orders, 1, "a", 4)
    orders.begin_snapshot(snapshot_read(2, "balance", 9, 0), 2)
    assert ids(orders) == ["a"]
    assert orders.newer_than(1) is None


def test_rows_are_told_when_they_changed_the_last_changed_one_first() -> None:
    orders = AccountRows[Order]()
    assert orders.newer_than(-1) == []
    entered(orders, 1, "a", 1)
    entered(orders, 2, "b", 2)
    entered(orders, 3, "a", 3)
    assert orders.newer_than(3) is None
    changed = orders.newer_than(2)
    assert changed is not None
    assert [each.order_id for each in changed] == ["a", "b"]
    orders.begin_snapshot(snapshot_read(4, "orders", 9, 0), 4)
    assert orders.newer_than(3) == []


def test_rows_are_bounded_and_the_last_changed_ones_stay() -> None:
    orders = AccountRows[Order]()
    for number in range(3 * ROWS_MAX):
        entered(orders, number, f"{number:04}", number)
    assert len(orders.rows()) == ROWS_MAX
    assert ids(orders)[0] == f"{2 * ROWS_MAX:04}"


def test_a_balance_update_counts_on_its_stream() -> None:
    view = LedgerView()
    view.enter(balance(1, "USD", 5.0, 3))
    assert (row(view).channel, row(view).last_id, row(view).live, row(view).last_price) == ("balance", 3, 1, None)
