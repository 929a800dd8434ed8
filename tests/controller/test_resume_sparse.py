"""Resuming a stream whose ids leave some out, on a venue that is asked by time: Kraken's."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import AnyEvent, MarketData, Source, State
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.exchange import SequenceRule
from gapless.controller.runs import Runs, RunsOfAll
from gapless.controller.sequence_tracker import SequenceTracker
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.verdict import DELIVERED
from tests.controller.resume_kit import (
    Place,
    assert_exactly_once_or_lost,
    filled,
    found,
    ids,
    kraken,
    lost,
    place,
    read,
    stored,
    where,
)


async def holes_open_up(w: Place, seconds: float = 15.0) -> None:
    """A new socket is there, and REST does not tell what the old one's end has cost."""
    w.rest_fails(True)
    w.cut()
    await trio.sleep(seconds)


async def test_a_hole_is_asked_for_from_its_own_time_on(autojump_clock: MockClock) -> None:
    """Live data went on after it, and was consumed."""
    async with place(kraken()) as w:
        w.nursery.start_soon(w.trade)
        async with w.app() as controller:
            events = await read(controller, 5)
            await holes_open_up(w)
            events += await read(controller, 5)
            cursor = controller.cursor()
        position = where(cursor)
        (hole,) = position.holes
        assert position.times.holes_since < position.timestamp
        w.rest_fails(False)
        async with w.app(stored(cursor)) as controller:
            after = await read(controller, 20)
        assert found(after)[0] == filled(after)[0] == hole
        assert set(range(hole[0], hole[1] + 1)) <= set(ids(after))
        assert_exactly_once_or_lost(w, events + after, since=ids(events)[0])


async def test_a_hole_outlives_several_crashes(autojump_clock: MockClock) -> None:
    async with place(kraken()) as w:
        w.nursery.start_soon(w.trade)
        events: list[AnyEvent] = []
        cursor: Cursor | None = None
        for _ in range(4):
            async with w.app(cursor) as controller:
                events += await read(controller, 5)
                await holes_open_up(w)
                events += await read(controller, 5)
                cursor = stored(controller.cursor())
        assert cursor is not None
        assert len(where(cursor).holes) > 3
        w.rest_fails(False)
        async with w.app(cursor) as controller:
            events += await read(controller, 30)
            assert controller.state is State.CONNECTED
        assert lost(events) == []
        assert_exactly_once_or_lost(w, events, since=ids(events)[0])


async def test_a_pair_without_a_trade_is_asked_for_from_where_its_books_began(autojump_clock: MockClock) -> None:
    async with place(kraken()) as w:
        w.publish(5)
        async with w.app() as controller:
            assert ids(await read(controller, 30)) == []
            cursor = controller.cursor()
        assert where(cursor).times.begun_at
        assert not where(cursor).timestamp
        missed = []
        for _ in range(5):
            missed += w.publish()
            await trio.sleep(1.0)
        async with w.app(stored(cursor)) as controller:
            after = await read(controller, 20)
            missed += w.publish(5)
            after += await read(controller, 20)
            assert ids(after) == missed
            assert not where(controller.cursor()).times.begun_at


async def test_unread_data_is_no_hole_for_each_id(autojump_clock: MockClock) -> None:
    """Half of the ids are left out by the socket, so that what lies in the buffer is no range."""
    async with place(kraken(absent=0.5)) as w:
        w.nursery.start_soon(w.trade)
        async with w.app() as controller:
            events = await read(controller, 5)
            await trio.sleep(500)
            assert controller.events_held > 2_000
            cursor = controller.cursor()
        assert where(cursor).holes == []
        assert where(cursor).next_id == max(ids(events)) + 1
        assert len(cursor.encode()) < 250
        async with w.app(stored(cursor)) as controller:
            events += await read(controller, 60)
        assert lost(events) == []
        assert_exactly_once_or_lost(w, events, since=ids(events)[0])


async def test_unread_backfill_is_one_hole(autojump_clock: MockClock) -> None:
    """REST fills a gap of which a part exists, and of that the app reads the first half."""
    async with place(kraken(absent=0.5)) as w:
        w.nursery.start_soon(w.trade)
        async with w.app() as controller:
            events = await read(controller, 5)
            await holes_open_up(w, 30.0)
            events += await read(controller, 3)
            w.rest_fails(False)
            async for event in controller:
                events.append(event)
                if isinstance(event, MarketData) and event.source is Source.BACKFILL:
                    break
            await trio.sleep(10)
            cursor = controller.cursor()
        assert len(where(cursor).holes) == 1
        async with w.app(stored(cursor)) as controller:
            events += await read(controller, 60)
        assert_exactly_once_or_lost(w, events, since=ids(events)[0])


async def test_losses_that_were_not_read_are_told_again_and_not_asked_for(autojump_clock: MockClock) -> None:
    """Nobody knows when they were: what is asked for from a later time on would look filled."""
    async with place(kraken()) as w:
        w.nursery.start_soon(w.trade)
        async with w.app(open_intervals_max=1) as controller:
            events = await read(controller, 5)
            await holes_open_up(w)
            events += await read(controller, 5)
            assert lost(events) == []
            await holes_open_up(w)
            await holes_open_up(w)
            cursor = controller.cursor()
        assert len(where(cursor).lost) == 2
        w.rest_fails(False)
        async with w.app(stored(cursor)) as controller:
            await trio.sleep(10)
            assert where(controller.cursor()).lost == where(cursor).lost, "a second crash, with nothing read"
            after = await read(controller, 30)
        assert lost(after) == where(cursor).lost
        assert_exactly_once_or_lost(w, events + after, since=ids(events)[0])


async def test_an_older_cursor_does_not_say_when_its_holes_were_so_they_are_lost(autojump_clock: MockClock) -> None:
    async with place(kraken()) as w:
        first, *missed, _last = w.publish(10)
        (latest,) = w.simulator.trades("BTC/USD")[-1:]
        old = StreamCursor(
            channel="trade",
            symbol="BTC/USD",
            next_id=latest.trade_id + 1,
            holes=[(missed[2], missed[4])],
            timestamp=f"2026-01-01T00:00:{trio.current_time():06.3f}Z",
        )
        text = Cursor(streams=[old]).encode()
        assert b'"times"' not in text
        async with w.app(Cursor.decode(text)) as controller:
            await trio.sleep(5)
            w.publish(3)
            after = await read(controller, 20)
        assert lost(after) == [(missed[2], missed[4], "unverifiable")]
        assert len(ids(after)) == 3
        assert first not in ids(after)


async def test_an_older_cursor_of_a_pair_without_a_trade_says_that_it_cannot_go_on(autojump_clock: MockClock) -> None:
    async with place(kraken()) as w:
        (number, *_) = w.publish(3)
        old = Cursor(streams=[StreamCursor(channel="trade", symbol="BTC/USD", next_id=number)])
        async with w.app(stored(old)) as controller:
            await trio.sleep(5)
            later = w.publish(3)
            after = await read(controller, 20)
        assert lost(after) == [(number, None, "unverifiable")]
        assert ids(after) == later


async def test_a_page_that_was_asked_for_before_more_was_missing_is_asked_for_again(autojump_clock: MockClock) -> None:
    """No crash at all: the first id of an overflow is asked for; with the answer comes the word on all the others."""
    async with place(kraken()) as w:
        w.nursery.start_soon(w.trade)
        async with w.app(buffer_size=30, price_history_limit=7) as controller:
            events = await read(controller, 5)
            await trio.sleep(10)
            events += await read(controller, 60)
            assert controller.state is State.CONNECTED
        assert lost(events) == []
        assert len(found(events)) > 1
        assert_exactly_once_or_lost(w, events, since=ids(events)[0])


async def test_a_hole_with_nothing_consumed_behind_it_is_asked_for_from_its_own_time_on(
    autojump_clock: MockClock,
) -> None:
    """It is no hole of the cursor then, but all from it on is owed; the first datum that lay unread came after it."""
    async with place(kraken()) as w:
        w.nursery.start_soon(w.trade)
        async with w.app() as controller:
            events = await read(controller, 5)
            await holes_open_up(w)
            cursor = controller.cursor()
        position = where(cursor)
        assert (position.holes, position.next_id) == ([], max(ids(events)) + 1)
        w.rest_fails(False)
        async with w.app(stored(cursor)) as controller:
            events += await read(controller, 30)
        assert_exactly_once_or_lost(w, events, since=ids(events)[0])


@pytest.mark.parametrize("rule", [SequenceRule.MONOTONIC, SequenceRule.CHAINED])
def test_what_an_id_leaves_out_was_never_delivered(rule: SequenceRule) -> None:
    """So that it may be asked for together with it."""
    reached = 0
    for seed in range(50):
        random, ledger, delivered, newest = Random(seed), StreamLedger(rule=rule), set[int](), 100
        for _ in range(200):
            if random.random() < 0.1:
                ledger.interrupt()
            if random.random() < 0.3 and ledger.gaps:
                start, end = random.choice(list(ledger.gaps))
                number = random.randint(start, end)
                ledger.pass_over(start, number)
            else:
                newest = number = newest + random.randint(1, 5)
            if ledger.accept(number, prev=number - random.randint(1, 4)) in DELIVERED:
                run = range(ledger.runs.first(number), number)
                assert not delivered & set(run)
                reached += len(run)
                delivered.add(number)
        for number, start in ledger.runs:
            assert not delivered & set(range(start, number)), "nor later"
    assert reached > 1_000


def test_a_buffer_full_of_runs_is_remembered_of_all_streams_together() -> None:
    shared = RunsOfAll(runs_max=100)
    streams = [Runs(shared) for _ in range(7)]
    noted = [(random.choice(streams), number) for random in [Random(1)] for number in range(10, 10_000, 3)]
    for count, (runs, number) in enumerate(noted, 1):
        runs.note(number, first=number - 2)
        assert sum(len(list(each)) for each in streams) == min(count, 100 + count % 100)
        assert all(each.first(latest) == latest - 2 for each, latest in noted[max(0, count - 100) : count])
    assert [runs.first(number) for runs, number in noted[:1_000]] == [number for _runs, number in noted[:1_000]]
    assert all(streams[0].first(number) == number for runs, number in noted[-100:] if runs is not streams[0])
    streams[0].clear()
    assert list(streams[0]) == []
    assert list(streams[1])


def test_runs_of_a_thousand_streams_share_one_bound() -> None:
    tracker = SequenceTracker(runs_max=100)
    ledgers = [tracker.ledger("trade", f"S{number}", SequenceRule.MONOTONIC) for number in range(1_000)]
    for number in range(1, 30, 3):
        for ledger in ledgers:
            ledger.accept(number)
    assert sum(len(list(each.runs)) for each in ledgers) <= 200
