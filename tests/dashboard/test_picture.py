"""The picture: whole for who comes late, changes for who is there, and both the same in the end."""

import json
import tracemalloc
from collections.abc import Callable
from random import Random

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gapless.controller import AnyEvent, MarketData, Source, Stream, open_controller
from gapless.dashboard.candles import BARS_MAX
from gapless.dashboard.chronicle import ITEMS_MAX, TRANSITIONS_MAX
from gapless.dashboard.picture import ROUND_TRIPS_MAX, Picture, Sample
from gapless.dashboard.wire import PictureWire
from gapless.states import State, Trigger
from tests.dashboard.happenings import (
    BEGAN,
    SYMBOL,
    TICKER,
    balance,
    datum,
    filled,
    found,
    lost,
    moved,
    order,
    reset,
    sample,
    snapshot_read,
)
from tests.kit import virtual_wall_clock, world

NOW = BEGAN + 100


def picture(*events: AnyEvent) -> Picture:
    drawn = Picture(began_at=BEGAN, run="r-1")
    for event in events:
        drawn.enter(event)
    return drawn


class Page:
    """What a browser does with what it is sent: it keeps as much as the server."""

    def __init__(self) -> None:
        self.revision = -1
        self.transitions: list[object] = []
        self.items: dict[object, object] = {}
        self.candles: dict[object, dict[int, object]] = {}
        self.points: list[object] = []
        self.orders: object = None
        self.balances: object = None
        self.rest: dict[str, object] = {}
        self.wholes = 0

    def take(self, sent: PictureWire) -> None:
        got = json.loads(msgspec.json.encode(sent))
        if got["whole"]:
            wholes = self.wholes + 1
            self.__init__()  # type: ignore[misc]  # everything anew
            self.wholes = wholes
        self.revision = got.pop("revision")
        self.transitions = (self.transitions + got.pop("transitions"))[-TRANSITIONS_MAX:]
        self.items |= {item["id"]: item for item in got.pop("items")}
        for symbol, bars in got.pop("candles").items():
            shown = self.candles.get(symbol, {}) | {bar["t"]: bar for bar in bars}
            self.candles[symbol] = {t: shown[t] for t in sorted(shown)[-BARS_MAX:]}
        heartbeat = got.pop("heartbeat")
        self.points = (self.points + heartbeat["points"])[-ROUND_TRIPS_MAX:]
        self.orders = self.orders if got["orders"] is None else got["orders"]
        self.balances = self.balances if got["balances"] is None else got["balances"]
        del got["orders"], got["balances"], got["whole"], got["at"]
        self.rest = {**got, "last_s": heartbeat["last_s"]}

    def assert_shows(self, drawn: Picture) -> None:
        """What a page that is opened now shows is shown; of old items a page may have more."""
        late = Page()
        late.take(drawn.whole(NOW))
        assert {number: self.items.get(number) for number in late.items} == late.items
        assert self.facts() == late.facts()

    def facts(self) -> object:
        return self.transitions, self.candles, self.points, self.orders, self.balances, self.rest


# -- changes ----------------------------------------------------------------------------------------------------------


def test_an_empty_picture_can_be_shown() -> None:
    whole = picture().whole(NOW)
    assert (whole.revision, whole.whole, whole.at, whole.run, whole.mode) == (0, True, NOW, "r-1", "feed")
    assert (whole.state.name, whole.streams, whole.orders, whole.balances) == (State.RECONNECTING, [], [], [])
    assert (whole.candles, whole.transitions, whole.counters) == ({}, [], {})


def test_changes_hold_what_changed_and_nothing_else() -> None:
    drawn = picture(datum(1, 10, 1), datum(6, 11, 2), order(6, "a", 1), balance(6, "USD", 1, 1), found(7, 3, 4))
    before = drawn.revision
    drawn.enter(datum(7, 12, 5))
    changes = drawn.changes(before, NOW)
    assert (changes.whole, changes.revision) == (False, before + 1)
    assert [bar.t - BEGAN for bar in changes.candles[SYMBOL]] == [5]
    assert (changes.items, changes.transitions, changes.orders, changes.balances) == ([], [], None, None)
    assert [row.last_id for row in changes.streams if row.channel == "ticker"] == [5]
    drawn.enter(order(8, "b", 2))
    orders = drawn.changes(before + 1, NOW).orders
    assert orders is not None
    assert [each.order_id for each in orders] == ["b", "a"]
    assert drawn.changes(drawn.revision, NOW).candles == {}


def test_a_backfilled_point_changes_the_past_bar_alone() -> None:
    drawn = picture(datum(1, 10, 1), datum(6, 11, 3), datum(11, 11, 4))
    before = drawn.revision
    drawn.enter(datum(4, 99, 2, source=Source.BACKFILL, received=20))
    (bar,) = drawn.changes(before, NOW).candles[SYMBOL]
    assert (bar.t - BEGAN, bar.h, bar.c, bar.n, bar.over_rest) == (0, 99, 99, 2, 1)


def test_a_page_of_another_server_or_of_the_future_gets_everything() -> None:
    drawn = picture(datum(1, 10, 1))
    assert drawn.changes(-1, NOW).whole
    assert drawn.changes(2, NOW).whole
    assert not drawn.changes(0, NOW).whole


def test_a_page_that_may_have_missed_something_gets_everything() -> None:
    drawn = picture(datum(1, 10, 1))
    seen = drawn.revision
    for number in range(ITEMS_MAX):
        drawn.rest_request(BEGAN + number, "/", 200)
    assert not drawn.changes(seen, NOW).whole
    drawn.rest_request(NOW, "/", 200)
    assert drawn.changes(seen, NOW).whole
    assert not drawn.changes(seen + 1, NOW).whole


def test_a_sample_that_says_nothing_new_changes_nothing() -> None:
    drawn = picture()
    drawn.observe(sample(1, round_trip_s=0.05))
    before = drawn.revision
    drawn.observe(sample(2, round_trip_s=0.05))
    assert drawn.revision == before
    drawn.observe(sample(3, round_trip_s=0.05, used=1))
    assert drawn.revision == before + 1
    changes = drawn.changes(before, NOW)
    assert (changes.rest.used, changes.rest.limit, changes.rest.failed, changes.rest.refused) == (1, 10, 2, 1)
    assert changes.heartbeat.points == []
    assert drawn.whole(NOW).heartbeat.points == [(BEGAN + 1, 0.05)]
    assert drawn.whole(NOW).counters == {"live": 5, "events_held": 0}


def test_the_same_round_trip_of_a_later_connection_is_a_point_of_its_own() -> None:
    drawn = picture()
    for second, round_trip_s in enumerate((0.05, None, 0.05, 0.06)):
        drawn.observe(sample(second, round_trip_s=round_trip_s))
    assert [at - BEGAN for at, _ in drawn.whole(NOW).heartbeat.points] == [0, 2, 3]
    assert drawn.whole(NOW).heartbeat.last_s == 0.06


def test_losses_and_resets_reach_the_candles() -> None:
    drawn = picture(*(datum(second, 10, number, epoch=None) for second, number in ((1, 1), (2, 1), (3, 2))))
    drawn.enter(lost(5, 3, None, "epoch_ended", epoch=None))
    drawn.enter(reset(5, None, None))
    drawn.enter(datum(6, 10, 1, epoch=None))
    assert [(bar.lost, bar.n) for bar in drawn.whole(NOW).candles[SYMBOL]] == [(True, 2), (True, 1)]
    assert drawn.whole(NOW).counters == {"points_repeated": 1}


def test_an_absurd_price_is_counted_and_enters_no_candle() -> None:
    drawn = picture(datum(1, float("inf"), 1), datum(1, -5.0, 2), datum(1, 10.0, 3), datum(1, 1.0, 4, timestamp="?"))
    (bar,) = drawn.whole(NOW).candles[SYMBOL]
    assert (bar.l, bar.h, bar.n) == (10, 10, 1)
    assert drawn.whole(NOW).counters == {"absurd_prices": 2, "absurd_times": 1}
    assert b"Infinity" not in msgspec.json.encode(drawn.whole(NOW))


def test_the_number_of_charted_symbols_is_bounded_and_unsubscribed_ones_make_room() -> None:
    drawn = Picture(began_at=BEGAN, run="r", symbols_max=2)
    for symbol in ("A", "B", "C"):
        drawn.enter(datum(1, symbol=symbol))
    assert set(drawn.whole(NOW).candles) == {"A", "B"}
    assert drawn.whole(NOW).counters == {"points_without_candles": 1}
    drawn.observe(sample(2, freshness={Stream("ticker", "B"): 1.0, Stream("ticker", "C"): 1.0}))
    drawn.enter(datum(3, symbol="C"))
    assert set(drawn.whole(NOW).candles) == {"B", "C"}


def test_a_snapshot_of_the_account_replaces_what_it_covers() -> None:
    drawn = picture(order(1, "gone", 1), balance(1, "EUR", 1.0, 1), snapshot_read(2, "orders", 5, 1))
    drawn.enter(order(2, "shown", 5, snapshot=True))
    drawn.enter(snapshot_read(3, "balance", 5, 0))
    whole = drawn.whole(NOW)
    assert [each.order_id for each in whole.orders or []] == ["shown"]
    assert whole.balances == []
    assert [item.kind for item in whole.items] == ["attempt", "snapshot", "snapshot"]


def test_texts_of_a_peer_are_cut_and_otherwise_left_as_they_are() -> None:
    attack = "<img src=x onerror=alert(1)>"
    drawn = picture(order(1, attack, 1, symbol="x" * 10_000, status=attack))
    (shown,) = drawn.whole(NOW).orders or []
    assert (shown.order_id, shown.status, len(shown.symbol)) == (attack, attack, 64)


# -- a page that follows and one that comes late ----------------------------------------------------------------------

STEPS: list[Callable[[Picture, float], None]] = [
    lambda drawn, now: drawn.enter(datum(now, 10 + now % 7, int(now))),
    lambda drawn, now: drawn.enter(datum(now / 2, 5.0, 10_000 + int(now), source=Source.POLL, received=now)),
    lambda drawn, now: drawn.enter(found(now, int(now), int(now) + 3)),
    lambda drawn, now: drawn.enter(filled(now, int(now) - 9, int(now) - 2)),
    lambda drawn, now: drawn.enter(lost(now, int(now) - 4, int(now) - 2)),
    lambda drawn, now: drawn.enter(moved(now, State.RECONNECTING, Trigger.LINK_LOST, State.REST_FALLBACK)),
    lambda drawn, now: drawn.enter(moved(now, State.REST_FALLBACK, Trigger.RETRY_DUE, State.RECONNECTING)),
    lambda drawn, now: drawn.enter(order(now, f"o-{int(now) % 5}", int(now))),
    lambda drawn, now: drawn.enter(snapshot_read(now, "orders", int(now) - 3, 0)),
    lambda drawn, now: drawn.enter(balance(now, "USD", now, int(now))),
    lambda drawn, now: drawn.rest_request(BEGAN + now, "/api", [200, 429, None][int(now) % 3]),
    lambda drawn, now: drawn.observe(sample(now, round_trip_s=now % 5, gaps={TICKER: [(1, 2)]})),
    lambda drawn, now: drawn.fault(BEGAN + now, "drop"),
]


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.integers(0, len(STEPS) - 1), max_size=60),
    looks=st.sets(st.integers(0, 60)),
)
def test_a_page_that_follows_at_any_pace_shows_what_a_late_opener_sees(steps: list[int], looks: set[int]) -> None:
    drawn, page = picture(), Page()
    page.take(drawn.whole(NOW))
    for number, step in enumerate(steps):
        STEPS[step](drawn, float(20 + number))
        if number in looks:
            page.take(drawn.changes(page.revision, NOW))
    page.take(drawn.changes(page.revision, NOW))
    page.assert_shows(drawn)
    assert page.wholes == 1


def test_a_page_that_follows_too_slowly_shows_the_same() -> None:
    rng, drawn, page = Random(3), picture(), Page()
    page.take(drawn.whole(NOW))
    for number in range(20_000):
        rng.choice(STEPS)(drawn, float(20 + number))
        if number % 9_000 == 0:
            page.take(drawn.changes(page.revision, NOW))
    page.take(drawn.changes(page.revision, NOW))
    assert page.wholes > 1
    page.assert_shows(drawn)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_a_picture_is_bounded_whatever_happens() -> None:
    drawn = Picture(began_at=BEGAN, run="r", points_max=1_000, bars_max=50)
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for number in range(24_000):
            drawn.enter(datum(number, 10.0, 2 * number))
            if number % 10 == 0:
                drawn.enter(found(number, 2 * number + 1, 2 * number + 1))
                drawn.enter(lost(number, 2 * number + 1, 2 * number + 1))
                drawn.enter(moved(number, State.SILENT, Trigger.MARKET_QUIET, State.RESYNCING))
                drawn.rest_request(BEGAN + number, "/", 200)
                drawn.enter(order(number, f"o-{number}", number))
                drawn.observe(sample(number, round_trip_s=number / 10))
            if number in {12_000, 23_999}:
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    whole = drawn.whole(NOW)
    assert (len(whole.candles[SYMBOL]), len(whole.transitions), len(whole.items)) == (
        50,
        TRANSITIONS_MAX,
        2 * ITEMS_MAX,
    )
    assert len(whole.heartbeat.points) == 300
    assert len(whole.orders or []) == 200
    assert sizes[1] < sizes[0] * 1.1


# -- with a controller ------------------------------------------------------------------------------------------------


async def test_a_controller_fills_the_picture(autojump_clock: MockClock) -> None:
    drawn, counted = picture(), 0
    async with (
        world() as w,
        open_controller(
            ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], wall_clock=virtual_wall_clock
        ) as controller,
    ):
        with trio.move_on_after(20):
            async for event in controller:
                drawn.enter(event)
                counted += isinstance(event, MarketData)
        drawn.observe(Sample.of(controller, NOW))
    whole = drawn.whole(NOW)
    assert whole.state.name is State.CONNECTED
    assert [each.after for each in whole.transitions] == [State.RESYNCING, State.CONNECTED]
    assert sum(bar.n for bar in whole.candles[SYMBOL]) == counted > 100
    (stream,) = whole.streams
    assert (stream.missing, stream.live + stream.backfilled + stream.polled) == (0, counted)
    assert stream.freshness_s is not None
    assert whole.counters["live"] == stream.live
    assert whole.rest.limit > 0
