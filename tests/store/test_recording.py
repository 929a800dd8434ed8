"""A recorder in virtual time: what it writes, where it goes on, and what trouble with the file costs."""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State, Stream, open_controller
from gapless.controller.store import (
    Recording,
    StoreLostError,
    StoreTroubleError,
    load_cursor,
    open_recording,
    record,
)
from gapless.simulator import ExchangeSimulator, FailuresConfig, SimulatorConfig, serve_exchange
from gapless.simulator.failure_modes import SelectMode
from tests.kit import ETHER, TICKER, world
from tests.store.audit import Series, assert_sound
from tests.store.kit import in_place, locked, query, recorded

ORDERS = Stream("orders", "*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.db"


def only(path: Path) -> Series:
    (series,) = assert_sound(path)
    return series


async def test_everything_a_controller_hands_over_is_written(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=100) as w, recorded(w, path, TICKER, ETHER, ORDERS) as (recording, controller):
        await controller.wait_for(State.CONNECTED)
        await trio.sleep(2)
    found = assert_sound(path)
    assert {each.symbol for each in found} >= {"BTC/USD", "ETH/USD"}
    assert all(len(each.ids) > 200 for each in found if each.channel == "ticker")
    assert recording.stats.failures == 0
    assert query(path, "SELECT content FROM continuity WHERE event = 'StateChanged'")
    assert query(path, "SELECT event FROM account") == [("SnapshotRead",)]
    assert query(path, "SELECT ended FROM runs") == [(1,)]


async def test_one_transaction_for_what_came_meanwhile(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=50) as w, recorded(w, path) as (recording, _controller):
        await trio.sleep(10)
        assert 10 / 0.1 <= recording.stats.batches <= 10 / 0.05
        assert recording.stats.events > 450


async def test_the_next_one_goes_on_where_the_file_ends(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        for _ in range(3):
            async with recorded(w, path) as (_recording, controller):
                await controller.wait_for(State.CONNECTED)
                await trio.sleep(5)
            await trio.sleep(30)
    series = only(path)
    assert len(series.ids) > 700
    assert not series.lost


async def test_holes_survive_the_process_and_are_filled_by_the_next(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        w.network.black_hole(port=w.rest_port)
        w.exchange.failures.set(FailuresConfig(drop=SelectMode(enabled=True, ids=(20, 21, 25))))
        async with recorded(w, path):
            await trio.sleep(5)
        position = only(path).position
        assert position is not None
        assert position.holes == [(20, 21), (25, 25)]
        w.network.heal()
        async with recorded(w, path):
            await trio.sleep(5)
    assert {20, 21, 25} <= set(only(path).ids)


async def test_an_epoch_that_ended_while_nobody_looked_is_reported(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        async with recorded(w, path):
            await trio.sleep(5)
        w.exchange.restart()
        await trio.sleep(5)
        async with recorded(w, path):
            await trio.sleep(5)
    left, entered = assert_sound(path)
    assert left.open_end == max(left.ids) + 1
    assert entered.from_first
    assert min(entered.ids) == 1


async def test_a_stream_that_rests_goes_on_where_it_was(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        for streams in ((TICKER, ETHER), (TICKER,), (TICKER, ETHER)):
            async with recorded(w, path, *streams):
                await trio.sleep(5)
    for each in assert_sound(path):
        assert len(each.ids) > 140


async def test_a_stream_that_is_subscribed_later_is_recorded_like_the_others(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w, recorded(w, path) as (_recording, controller):
        await trio.sleep(5)
        controller.subscribe(ETHER)
        await trio.sleep(5)
        controller.unsubscribe(TICKER)
        await trio.sleep(5)
    assert query(path, "SELECT symbol, ids FROM streams") == [("BTC/USD", "contiguous"), ("ETH/USD", "contiguous")]
    assert query(path, "SELECT stream FROM cursors") == [(2,)]


async def test_the_same_datum_is_written_once(autojump_clock: MockClock, path: Path) -> None:
    """A cursor of some time ago, as in a copy that a backup made table by table: everything since comes again."""
    async with world(rate_per_s=10) as w:
        async with recorded(w, path):
            await trio.sleep(5)
        ((before,),) = query(path, "SELECT position FROM cursors")
        for _ in range(2):
            async with recorded(w, path):
                await trio.sleep(5)
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE cursors SET position = ?", (before,))
        async with recorded(w, path):
            await trio.sleep(5)
    ids = only(path).ids
    assert len(ids) == len(set(ids)) > 180


async def test_a_locked_file_costs_nothing_but_time(autojump_clock: MockClock, path: Path) -> None:
    """A buffer of 20 is full in a second; what does not fit is fetched again."""
    async with world(rate_per_s=20) as w, recorded(w, path, buffer_size=20) as (recording, controller):
        await trio.sleep(2)
        written = recording.stats.events
        with locked(path):
            await trio.sleep(10)
            assert recording.stats.events == written
            assert "another program holds a lock" in recording.stats.trouble
            assert controller.events_held < 50
            assert controller.state is not State.SILENT
        await trio.sleep(20)
        assert not recording.stats.trouble
    series = only(path)
    assert not series.lost
    assert len(series.ids) > 600


async def test_what_does_not_get_into_a_locked_file_is_said_and_fetched_again(
    autojump_clock: MockClock, path: Path
) -> None:
    async with world(rate_per_s=10) as w:
        recording: Recording | None = None
        with ExitStack() as stack, trio.move_on_after(20) as scope:
            async with recorded(w, path) as (recording, _controller):
                await trio.sleep(5)
                stack.enter_context(locked(path))
                await trio.sleep(5)
        assert scope.cancelled_caught
        assert recording is not None
        assert recording.unwritten > 40
        assert max(only(path).ids) < 60
        async with recorded(w, path):
            await trio.sleep(5)
    assert max(only(path).ids) > 240


async def test_two_recorders_do_not_share_a_file(autojump_clock: MockClock, path: Path) -> None:
    async with open_recording(path, worker=in_place):
        with pytest.raises(StoreTroubleError, match="recorded into by another process"):
            async with open_recording(path, worker=in_place):
                pass
    async with open_recording(path, worker=in_place):
        pass


async def test_a_file_that_is_taken_away_ends_it(autojump_clock: MockClock, path: Path) -> None:
    async with world(rate_per_s=10) as w:
        with pytest.RaisesGroup(StoreLostError, flatten_subgroups=True):
            async with recorded(w, path):
                await trio.sleep(2)
                path.unlink()  # noqa: ASYNC240 (virtual time does not pass meanwhile)
                await trio.sleep(60)


async def test_record_is_the_short_form(path: Path) -> None:
    """Once with the thread, in real time."""
    async with (
        serve_exchange(ExchangeSimulator(SimulatorConfig(rate_per_s=200))) as at,
        trio.open_nursery() as nursery,
        open_controller(ws_url=at.ws_url, rest_url=at.rest_url, streams=[TICKER], resume=load_cursor(path)) as opened,
    ):
        nursery.start_soon(record, opened, path)
        await trio.sleep(1)
    assert len(only(path).ids) > 50
    assert load_cursor(path) is not None
