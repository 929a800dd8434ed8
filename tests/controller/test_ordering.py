"""``ordering="sequence"``: what lies behind a gap waits until the gap is filled or reported lost."""

import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import ContinuityLost, GapFilled, GapFound, MarketData, OrderUpdate, State, Stream, StreamReset
from gapless.controller.conflation import conflated
from gapless.controller.events import AnyEvent, Source
from gapless.controller.hold_back import HoldBack
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import ReorderMode, SelectMode, ServerErrorMode
from tests.controller import test_feed as live
from tests.kit import ETHER, TICKER, world
from tests.scripted import Query, Socket, Venue, history, page


def datum(number: int | None, symbol: str = "A", epoch: str = "e-1") -> MarketData:
    return MarketData(
        channel="t",
        symbol=symbol,
        sequence_id=number,
        epoch=epoch,
        source=Source.LIVE,
        timestamp="",
        price=1.0,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )


def loss(event: MarketData, start: int, end: int) -> ContinuityLost:
    return ContinuityLost(
        channel="t", symbol=event.symbol, epoch=event.epoch, start_seq=start, end_seq=end, reason="conflated", at=0.0
    )


def filled(start: int, end: int) -> GapFilled:
    return GapFilled(channel="t", symbol="A", epoch="e-1", start_seq=start, end_seq=end, reason="rest", at=0.0)


def reset() -> StreamReset:
    return StreamReset(channel="t", symbol="A", old_epoch="e-1", new_epoch="e-2", at=0.0)


# -- the pure parts ---------------------------------------------------------------------------------------------------


def test_what_is_held_comes_out_in_order_and_only_below_the_gap() -> None:
    held = HoldBack()
    for number in (9, 7, 12, 8):
        held.keep("A", number, datum(number))
    held.keep("B", 5, datum(5, "B"))
    assert held.release("A", 9) == [datum(7), datum(8)]
    assert held.release("A", 9) == []
    assert len(held) == 3
    assert held.release("A", 100) == [datum(9), datum(12)]
    assert len(held) == 1


def test_a_word_comes_after_what_it_speaks_of_and_takes_no_room() -> None:
    held = HoldBack()
    held.keep("A", 7, datum(7))
    held.keep("A", 6, datum(6))
    held.keep_word("A", filled(6, 7))
    held.keep("A", 8, datum(8))
    assert len(held) == 3
    assert held.release("A", 100) == [datum(6), datum(7), filled(6, 7), datum(8)]
    assert len(held) == 0


def test_when_only_the_latest_is_held_the_words_on_the_others_are_due() -> None:
    held = HoldBack()
    for number in (6, 7, 9):
        held.keep("A", number, datum(number))
    for word in (filled(6, 6), filled(9, 9)):
        held.keep_word("A", word)
    assert held.keep_latest() == ([filled(6, 6)], [(datum(9), [6, 7])])
    assert len(held) == 1
    assert held.keep_latest() == ([], [])
    assert held.release("A", 100) == [datum(9), filled(9, 9)]


def test_of_each_stream_the_latest_stays_and_the_rest_is_reported() -> None:
    events: list[AnyEvent] = [datum(1), datum(2), datum(7, "B"), datum(4), datum(3), datum(8, "B"), datum(None, "C")]
    kept, dropped = conflated(events, loss)
    assert kept == [datum(4), loss(datum(3), 1, 3), datum(8, "B"), datum(None, "C")] or kept == [
        loss(datum(7, "B"), 7, 7),
        datum(4),
        loss(datum(3), 1, 3),
        datum(8, "B"),
        datum(None, "C"),
    ]
    assert dropped == 4


def test_an_old_epoch_is_reported_before_its_reset() -> None:
    kept, dropped = conflated([datum(8), datum(9), reset(), datum(1, epoch="e-2"), datum(2, epoch="e-2")], loss)
    assert kept == [
        loss(datum(9), 8, 9),
        reset(),
        loss(datum(1, epoch="e-2"), 1, 1),
        datum(2, epoch="e-2"),
    ]
    assert dropped == 3


# -- in the whole -----------------------------------------------------------------------------------------------------


async def test_live_data_waits_for_the_gap_before_it(autojump_clock: MockClock) -> None:
    async with world(latency_s=0.1) as w, w.feed(TICKER, ETHER, ordering="sequence") as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=7)))
        await trio.sleep(30.0)
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        for stream in (TICKER, ETHER):
            ids = [number or 0 for number in feed.ids(stream=stream)]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert feed.ids(Source.BACKFILL)
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_one_page_that_fills_two_holes_keeps_the_order(autojump_clock: MockClock) -> None:
    issued = [3]

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2, 3)
        await trio.sleep(3.0)
        issued[0] = 12
        await socket.data(6, 7, 10, 11, 12)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued[0]))
    async with venue.feed(ordering="sequence") as feed:
        await feed.until(lambda: len(feed.data) == 12)
        assert feed.ids() == list(range(1, 13))


async def test_a_lost_range_is_reported_before_the_data_behind_it(autojump_clock: MockClock) -> None:
    issued = [3]

    def rest(_path: str, query: Query) -> Response:
        start = int(query.get("start_seq", 1))
        ids = [number for number in range(start, issued[0] + 1) if number not in {4, 5}]
        return page(ids, last_seq=issued[0])

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        await socket.data(1, 2, 3)
        await trio.sleep(3.0)
        issued[0] = 7
        await socket.data(6, 7)
        await trio.sleep_forever()

    venue = Venue(script, rest)
    async with venue.feed(ordering="sequence") as feed:
        await feed.until(lambda: len(feed.data) == 5)
        told = [event for event in feed.events if isinstance(event, MarketData | ContinuityLost)]
        assert [getattr(event, "sequence_id", None) or "lost" for event in told] == [1, 2, 3, "lost", 6, 7]


async def test_held_data_of_an_old_epoch_comes_before_its_reset(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(ordering="sequence") as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        w.fail(
            FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(last + 5,)))
        )
        await trio.sleep(3.0)
        assert max(number or 0 for number in feed.ids()) == last + 4, "held back"
        old = w.exchange.epoch
        w.exchange.restart()
        w.fail(FailuresConfig())
        await feed.until(lambda: bool(feed.of(StreamReset)))
        await trio.sleep(5.0)
        at = next(at for at, event in enumerate(feed.events) if isinstance(event, StreamReset))
        ids = [event.sequence_id or 0 for event in feed.events[:at] if isinstance(event, MarketData)]
        assert ids == sorted(ids)
        assert ids[-1] > last + 5
        assert all(event.epoch == old for event in feed.events[:at] if isinstance(event, MarketData))
        w.assert_contract(feed, settled=False)


async def test_a_late_frame_frees_what_waited_for_it(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(ordering="sequence") as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(
            FailuresConfig(
                server_error=ServerErrorMode(enabled=True), reorder=ReorderMode(enabled=True, every_nth=10, distance=3)
            )
        )
        await trio.sleep(20.0)
        ids = [number or 0 for number in feed.ids()]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert any(isinstance(event, GapFilled) and event.reason == "live" for event in feed.events)


async def test_what_waited_is_free_as_soon_as_a_reordered_frame_comes(autojump_clock: MockClock) -> None:
    """Within the reorder window nobody was told of a gap, so nothing else frees it on a quiet stream."""
    issued = [0]

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        issued[0] = 3
        await socket.data(1, 2, 3)
        await trio.sleep(3.0)
        issued[0] = 6
        await socket.data(5, 6, 4)
        await trio.sleep_forever()

    async with Venue(script, history(lambda: issued[0])).feed(ordering="sequence", reorder_window=0.5) as feed:
        await feed.until(lambda: len(feed.data) == 6, within_s=3.2)
        assert feed.ids() == [1, 2, 3, 4, 5, 6]
        assert feed.of(GapFound) == []


async def test_a_late_frame_that_has_to_wait_is_told_of_when_it_is_handed_over(autojump_clock: MockClock) -> None:
    """Of 4, 5 and 6 only 6 was overtaken; REST has the others a while later."""
    issued, up = [0], [True]

    def rest(path: str, query: Query) -> Response:
        return history(lambda: issued[0])(path, query) if up[0] else Response(status_code=503)

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        issued[0] = 3
        await socket.data(1, 2, 3)
        await trio.sleep(3.0)
        issued[0], up[0] = 8, False
        await socket.data(7, 8, 6)
        await trio.sleep(3.0)
        up[0] = True
        await trio.sleep_forever()

    async with Venue(script, rest).feed(ordering="sequence", max_retries=0, circuit_breaker_failures=0) as feed:
        await trio.sleep(5.0)
        assert feed.ids() == [1, 2, 3]
        assert [event for event in feed.events if isinstance(event, GapFilled)] == []
        await trio.sleep(5.0)
        told = [
            event.sequence_id if isinstance(event, MarketData) else (event.start_seq, event.end_seq)
            for event in feed.events
            if isinstance(event, MarketData | GapFilled)
        ]
        assert told == [1, 2, 3, 4, 5, (4, 5), 6, (6, 6), 7, 8]


async def test_orders_wait_for_the_snapshot_that_covers_the_gap(autojump_clock: MockClock) -> None:
    orders = Stream("orders", "*")
    async with world(rate_per_s=0) as w, w.feed(orders, ordering="sequence") as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(2,))))
        for _ in range(4):
            w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
            await trio.sleep(1.0)
        live = [event for event in feed.events if isinstance(event, OrderUpdate) and not event.snapshot]
        assert [event.sequence_id for event in live] == [1, 3, 4]
        snapshot_at = next(at for at, e in enumerate(feed.events) if isinstance(e, OrderUpdate) and e.snapshot)
        assert snapshot_at < feed.events.index(live[1])


@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
@pytest.mark.parametrize("buffer_size", [3, 4, 5, 7])
@pytest.mark.parametrize("by_rest", [True, False])
async def test_no_word_that_ids_came_follows_the_one_that_they_went(
    ordering: str, buffer_size: int, by_rest: bool
) -> None:
    """Where the buffer keeps the latest only, while a gap is being filled."""
    desk = live.Desk(ordering=ordering, buffer_size=buffer_size, overflow="conflate")
    desk.connect()
    desk.live(1, 7, 8)
    if not by_rest:
        desk.live(3, 4, 2, 6, 5)
    desk.live(*range(9, 20))
    for _ in range(10):
        desk.books.delivery.make_room()
        desk.rest_knows(19, *range(2, 20))
    assert desk.is_whole()
    desk.books.delivery.close()
    gone: set[int] = set()
    filled: set[int] = set()
    while event := await desk.books.delivery.take():
        if isinstance(event, GapFilled):
            ids = set(range(event.start_seq, event.end_seq + 1))
            assert not ids & gone
            filled |= ids
        elif isinstance(event, ContinuityLost):
            assert event.end_seq is not None
            gone |= set(range(event.start_seq, event.end_seq + 1))
    assert gone
    assert filled >= set(range(2, 7))


def test_without_epochs_too_the_latest_is_of_the_newest_run() -> None:
    restarted = StreamReset(channel="t", symbol="A", old_epoch=None, new_epoch=None, at=0.0)
    before, after = [datum(8, epoch=""), datum(9, epoch="")], [datum(1, epoch=""), datum(2, epoch="")]
    kept, dropped = conflated([*before, restarted, *after], loss)
    assert (kept, dropped) == ([loss(before[0], 8, 9), restarted, loss(after[0], 1, 1), after[1]], 3)


async def test_a_gap_of_one_stream_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=20.0) as w, w.feed(TICKER, ETHER, ordering="sequence", buffer_size=30) as feed:
        await feed.until_state(State.CONNECTED)
        lost = w.exchange.last_id("ticker", "BTC/USD") + 3
        drop = SelectMode(enabled=True, symbols=("BTC/USD",), ids=(lost,))
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=drop))
        already = len(feed.ids(Source.LIVE, ETHER))
        await trio.sleep(20.0)
        assert feed.controller.stats.skipped > 300, "what waits for the gap has no more room"
        assert len(feed.ids(Source.LIVE, ETHER)) > already + 390
        w.fail(FailuresConfig())
        await trio.sleep(30.0)
        assert feed.controller.state is State.CONNECTED
        assert [event.symbol for event in feed.data if event.source is Source.BACKFILL].count("ETH/USD") == 0
        w.assert_contract(feed, TICKER, ETHER, settled=False)
