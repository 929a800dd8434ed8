"""What a cursor says of epochs and far ids: doubts that no crash settles, and counts that are not the venue's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, cast

import pytest
import trio
from hypothesis import given, settings
from hypothesis.strategies import DataObject, data, floats, integers, lists, sampled_from
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    ConfigurationError,
    ConnectionController,
    ContinuityLost,
    GapFilled,
    MarketData,
    NetworkConfig,
    Source,
    State,
    Stream,
    StreamReset,
    open_controller,
)
from gapless.controller.cursor import EPOCHS_MAX, Cursor, Rewind, StreamCursor
from gapless.controller.exchanges.venues import VENUES
from gapless.controller.resumed_count import DENIED_S, ResumedCount
from tests.kit import TICKER, virtual_wall_clock
from tests.scripted import Query, Socket, Venue, history

STREAMS: Final = {
    "binance": Stream("trade", "BTCUSDT"),
    "coinbase": Stream("matches", "BTC-USD"),
    "deribit": Stream("trades", "BTC-PERPETUAL"),
    "kraken": Stream("trade", "BTC/USD"),
}


class Market:
    """A venue of one stream, ten data a second, whose socket and whose REST may each be behind, or of another epoch."""

    def __init__(self, issued: int = 50, rate_per_s: float = 10.0) -> None:
        self.issued = issued
        self.rate_per_s = rate_per_s
        self.epoch = self.rest_epoch = "e-1"
        self.is_up = True
        self.socket_behind = self.rest_behind = 0
        self.marks = True
        self.corrupt: tuple[int, ...] = ()
        """Ids that the socket shows once, between two others."""
        self.venue = Venue(self._script, self._rest)

    async def trade(self) -> None:
        while True:
            await trio.sleep(1 / self.rate_per_s)
            self.issued += 1

    def restart(self, epoch: str, issued: int = 0) -> None:
        """Count anew."""
        self.epoch = self.rest_epoch = epoch
        self.issued = issued

    async def _script(self, socket: Socket, _number: int) -> None:
        if not self.is_up:
            return
        epoch = self.epoch
        await socket.welcome(epoch)
        shown = self.issued - self.socket_behind
        await socket.subscribed(shown if self.marks else None)
        while self.is_up and self.epoch == epoch:
            while shown < self.issued - self.socket_behind:
                shown += 1
                await socket.data(shown)
            corrupt, self.corrupt = self.corrupt, ()
            await socket.data(*corrupt)
            await trio.sleep(0.1)

    def _rest(self, path: str, query: Query) -> Response:
        return history(lambda: self.issued - self.rest_behind, epoch=self.rest_epoch)(path, query)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.venue.served(), trio.open_nursery() as nursery:
            nursery.start_soon(self.trade)
            yield
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def app(self, resume: Cursor | None = None, **settings: object) -> AsyncIterator[ConnectionController]:
        async with open_controller(
            ws_url=self.venue.ws_url,
            rest_url=self.venue.rest_url,
            streams=[TICKER],
            config=NetworkConfig.from_mapping({"reconnect_max_attempts": None, **settings}),
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=resume,
        ) as controller:
            yield controller


async def read(controller: ConnectionController, seconds: float) -> list[AnyEvent]:
    """What comes in so many seconds."""
    events: list[AnyEvent] = []
    with trio.move_on_after(seconds):
        async for batch in controller.batches():
            events += batch
    return events


def stored(cursor: Cursor) -> Cursor:
    """As it comes back from a store."""
    return Cursor.decode(cursor.encode())


def ids(events: Sequence[AnyEvent], epoch: str = "e-1") -> list[int]:
    return [each.sequence_id or 0 for each in events if isinstance(each, MarketData) and each.epoch == epoch]


def told(events: Sequence[AnyEvent]) -> list[str]:
    """The words on epochs, in order."""
    words: list[str] = []
    for each in events:
        if isinstance(each, ContinuityLost):
            words.append(f"lost {each.epoch} {each.start_seq}..{each.end_seq or ''} {each.reason}")
        elif isinstance(each, StreamReset):
            words.append(f"reset {each.old_epoch} {each.new_epoch}")
    return words


def is_whole(numbers: Sequence[int]) -> bool:
    """Whether nothing is missing, and nothing there twice."""
    return sorted(numbers) == list(range(min(numbers), max(numbers) + 1))


# -- epochs that REST alone has named ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reads_on", [False, True])
async def test_an_epoch_that_rest_alone_named_is_doubted_after_a_crash_too(
    reads_on: bool, autojump_clock: MockClock
) -> None:
    """The socket goes, REST is served by a replica of another epoch, and the app dies before, or after, it reads so."""
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.is_up, market.rest_epoch = False, "e-0"
            if reads_on:
                before += await read(controller, 8)
            else:
                await trio.sleep(8)
            assert controller.state is State.REST_FALLBACK
            cursor = stored(controller.cursor())
        assert (cursor.epoch, cursor.streams[0].epoch) == ("e-0", "e-0" if reads_on else "e-1")
        market.is_up, market.rest_epoch = True, "e-1"
        async with market.app(cursor) as controller:
            after = await read(controller, 60)
            assert controller.state is State.CONNECTED
    assert is_whole(ids(before + after))
    assert max(ids(after)) > 500
    end = ids(before)[-1]
    assert told(after)[-1] == f"lost e-0 1..{end} epoch_ended", "the way back, as without a crash"


async def test_an_older_cursor_without_doubts_recovers_where_it_names_both_epochs(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open(), market.app() as controller:
        before = await read(controller, 3)
    text = b'{"streams":[{"channel":"ticker","symbol":"BTC/USD","epoch":"e-1","next_id":%d}],"epoch":"e-0","version":1}'
    cursor = Cursor.decode(text % (ids(before)[-1] + 1))
    async with market.open(), market.app(cursor) as controller:
        after = await read(controller, 60)
        assert controller.state is State.CONNECTED
    assert is_whole(ids(before + after))


async def test_an_epoch_that_was_left_stays_left_after_a_crash(autojump_clock: MockClock) -> None:
    """REST comes from a replica that has slept through the restart, while no socket is there."""
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.restart("e-2")
            before += await read(controller, 5)
            cursor = stored(controller.cursor())
        market.is_up, market.rest_epoch = False, "e-1"
        async with market.app(cursor) as controller:
            after = await read(controller, 10)
            assert controller.state is State.REST_FALLBACK
            market.is_up, market.rest_epoch = True, "e-2"
            after += await read(controller, 60)
    assert told(after) == []
    assert not ids(after)
    assert is_whole(ids(before + after, "e-2"))


async def test_both_of_two_restarts_that_were_not_read_are_told(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.restart("e-2")
            await trio.sleep(8)
            market.restart("e-3")
            await trio.sleep(8)
            cursor = stored(controller.cursor())
        async with market.app(cursor) as controller:
            after = await read(controller, 20)
    assert told(after) == [
        f"lost e-1 {ids(before)[-1] + 1}.. epoch_ended",
        "reset e-1 e-2",
        "lost e-2 1.. epoch_ended",
        "reset e-2 e-3",
    ]
    assert is_whole(ids(after, "e-3"))
    assert min(ids(after, "e-3")) == 1


async def test_a_reset_whose_loss_was_told_alone_is_told(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.restart("e-2")
            async for event in controller:
                before.append(event)
                if isinstance(event, ContinuityLost):
                    break
            cursor = stored(controller.cursor())
        async with market.app(cursor) as controller:
            after = await read(controller, 20)
    assert told(before + after) == [f"lost e-1 {ids(before)[-1] + 1}.. epoch_ended", "reset e-1 e-2"]
    assert min(ids(after, "e-2")) == 1
    assert is_whole(ids(after, "e-2"))


async def test_an_app_that_died_on_the_way_back_gets_nothing_twice(autojump_clock: MockClock) -> None:
    """It has read data of the doubted epoch; that the books have returned lies in the buffer."""
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.is_up, market.rest_epoch = False, "e-0"
            before += await read(controller, 8)
            market.is_up, market.rest_epoch = True, "e-1"
            await controller.wait_for(State.CONNECTED)
            await trio.sleep(3)
            cursor = stored(controller.cursor())
        assert (cursor.epoch, cursor.streams[0].epoch) == ("e-1", "e-0")
        ends = max(ids(before))
        async with market.app(cursor) as controller:
            after = await read(controller, 20)
    assert is_whole(ids(before + after))
    assert told(after)[1:] == ["reset e-0 e-1", f"lost e-0 1..{ends} epoch_ended"]


def datum(number: int, epoch: str | None) -> MarketData:
    return MarketData(
        channel="ticker",
        symbol="BTC/USD",
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


def test_unread_data_from_before_the_epoch_was_known_is_not_consumed() -> None:
    rewind = Rewind("e-1", 9, [])
    for event in (datum(8, "e-1"), datum(7, None), datum(6, None)):
        rewind.undo(event)
    assert rewind.position("ticker", "BTC/USD").next_id == 6


def lost(epoch: str, start: int, end: int | None) -> ContinuityLost:
    return ContinuityLost(
        channel="ticker", symbol="BTC/USD", epoch=epoch, start_seq=start, end_seq=end, reason="epoch_ended", at=0.0
    )


def reset(old: str, new: str) -> StreamReset:
    return StreamReset(channel="ticker", symbol="BTC/USD", old_epoch=old, new_epoch=new, at=0.0)


def test_holes_of_an_epoch_that_is_over_are_told_among_what_waited_behind_them() -> None:
    """With ``ordering="sequence"``: the last hole frees data, and then the rest of the epoch is lost."""
    unread: list[MarketData | ContinuityLost | StreamReset] = [
        datum(4, "e-1"),
        lost("e-1", 5, 6),
        lost("e-1", 9, 9),
        *(datum(number, "e-1") for number in (7, 8, 10)),
        lost("e-1", 11, None),
        reset("e-1", "e-2"),
        lost("e-2", 1, 3),
        lost("e-2", 4, None),
        reset("e-2", "e-1"),
        lost("e-2", 1, 10),
        lost("e-1", 12, None),
        reset("e-1", "e-3"),
    ]

    def position(read: int) -> StreamCursor:
        rewind = Rewind("e-3", 1, [], left_at=12)
        for event in reversed(unread[read:]):
            rewind.undo(event)
        return rewind.position("ticker", "BTC/USD")

    everything = position(0)
    assert (everything.epoch, everything.next_id, everything.holes) == ("e-1", 4, [])
    assert (position(3).next_id, position(3).holes) == (10, [(7, 8)])
    assert (position(6).epoch, position(6).next_id, position(6).ahead[0]) == ("e-1", 11, ("e-3", 1))
    assert position(8).ahead == [("e-1", 11), ("e-3", 1)]
    assert (position(8).epoch, position(8).next_id) == ("e-2", 1)
    assert (position(9).epoch, position(9).next_id, position(9).ended) == ("e-2", 4, False)
    assert (position(10).epoch, position(10).ended) == ("e-2", True)


def test_epochs_that_the_app_has_yet_to_hear_of_are_bounded() -> None:
    rewind = Rewind("e-200", 2, [])
    for number in reversed(range(1, 200)):
        rewind.undo(StreamReset(channel="a", symbol="b", old_epoch=f"e-{number}", new_epoch=f"e-{number + 1}", at=0.0))
    position = rewind.position("a", "b")
    assert len(position.ahead) == EPOCHS_MAX
    assert (position.epoch, position.ahead[0]) == ("e-1", ("e-2", 1))


# -- far ids --------------------------------------------------------------------------------------------------------


async def test_two_corrupt_ids_that_were_believed_are_refuted_after_a_crash_too(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open():
        async with market.app() as controller:
            before = await read(controller, 3)
            market.corrupt = (9_000_000, 9_000_001)
            async for event in controller:
                before.append(event)
                if isinstance(event, MarketData) and event.sequence_id == 9_000_001:
                    break
            cursor = stored(controller.cursor())
        assert cursor.streams[0].next_id == 9_000_002
        async with market.app(cursor) as controller:
            after = await read(controller, 20)
            assert controller.state is State.CONNECTED
    assert is_whole([number for number in ids(before + after) if number != 9_000_001])
    assert "refuted" in {each.reason for each in after if isinstance(each, GapFilled)}
    assert market.issued - max(ids(after)) < 3


# -- counts that are not the venue's ----------------------------------------------------------------------------------


def at(next_id: int, epoch: str | None = "e-1", holes: Sequence[tuple[int, int]] = ()) -> Cursor:
    """A cursor that names an id."""
    position = StreamCursor(channel="ticker", symbol="BTC/USD", epoch=epoch, next_id=next_id, holes=list(holes))
    return Cursor(streams=[position], epoch=epoch)


@pytest.mark.parametrize(
    ("next_id", "holes"), [(2_000, []), (5_000_000_000, []), (9_000_002, [(72, 9_000_000)]), (2_000, [(60, 900)])]
)
@pytest.mark.parametrize("marks", [True, False])
async def test_a_count_that_both_sides_deny_is_over(
    next_id: int, holes: list[tuple[int, int]], marks: bool, autojump_clock: MockClock
) -> None:
    market = Market()
    market.marks = marks
    async with market.open(), market.app(at(next_id, holes=holes)) as controller:
        events = await read(controller, 50)
        states = [controller.state]
        events += await read(controller, 70)
        states += [controller.state]
    assert states == [State.RESYNCING, State.CONNECTED], "nobody promises anything meanwhile"
    reset = next(number for number, each in enumerate(events) if isinstance(each, StreamReset))
    assert f"lost e-1 {next_id}.. epoch_ended" in told(events[:reset])
    after = ids(events[reset:])
    assert is_whole(after)
    assert min(after) <= 60
    assert market.issued - max(after) < 3
    assert sum(isinstance(each, StreamReset) for each in events) == 1


async def test_without_history_the_socket_alone_denies(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open(), market.app(at(2_000), reconciliation_enabled=False) as controller:
        events = await read(controller, 120)
    assert sum(isinstance(each, StreamReset) for each in events) == 1
    after = ids(events)
    assert after == list(range(after[0], after[-1] + 1))
    assert market.issued - after[-1] < 3


async def consumed(market: Market, seconds: float = 10) -> tuple[list[AnyEvent], Cursor]:
    async with market.app() as controller:
        events = await read(controller, seconds)
        return events, stored(controller.cursor())


async def test_a_replica_of_rest_that_is_far_behind_denies_nothing(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open():
        before, cursor = await consumed(market)
        market.rest_behind = 100
        async with market.app(cursor) as controller:
            after = await read(controller, 200)
            market.rest_behind = 0
            after += await read(controller, 5)
    assert told(after) == []
    assert is_whole(ids(before + after))


@pytest.mark.parametrize("marks", [True, False])
async def test_two_sides_that_catch_up_deny_nothing(marks: bool, autojump_clock: MockClock) -> None:
    """Both lead to replicas that are 40 s behind what the app had."""
    market = Market(issued=1_000)
    market.marks = marks
    async with market.open():
        before, cursor = await consumed(market)
        market.socket_behind, market.rest_behind = 400, 390
        async with market.app(cursor) as controller:
            after = await read(controller, 100)
            assert controller.state is State.CONNECTED
    assert told(after) == []
    assert is_whole(ids(before + after))
    assert max(ids(after)) > 1_600


async def test_late_duplicates_in_a_market_that_sleeps_deny_nothing(autojump_clock: MockClock) -> None:
    """The socket repeats what is old, one after the other, and REST comes from a replica that is stuck."""
    market = Market(issued=1_000)
    async with market.open():
        before, cursor = await consumed(market)
        market.rate_per_s, market.marks, market.socket_behind = 1e-9, False, 60
        market.rest_behind = 5
        async with market.app(cursor, ws_idle_timeout=30.0) as controller:
            after: list[AnyEvent] = []
            for _ in range(40):
                after += await read(controller, 3)
                market.socket_behind -= 1
            market.socket_behind = market.rest_behind = 0
            market.issued += 10
            after += await read(controller, 20)
    assert told(after) == []
    assert is_whole(ids(before + after))


def test_what_ends_a_count() -> None:
    count = ResumedCount(100)
    assert count.is_confirmed(100, 99)
    assert count.is_confirmed(101, None)
    assert not count.is_confirmed(100, 98)
    assert count.is_denied(last_seq=9, live_head=10, at=-DENIED_S) is None, "REST is behind"
    assert count.is_denied(last_seq=11, live_head=10, at=0.0) is None, "the first word"
    assert count.is_denied(last_seq=31, live_head=30, at=DENIED_S / 2) is None, "too soon"
    assert count.is_denied(last_seq=11, live_head=11, at=DENIED_S) is None, "REST is stuck"
    assert count.is_denied(last_seq=31, live_head=10, at=DENIED_S) is None, "the socket is"
    assert count.is_denied(last_seq=31, live_head=30, at=DENIED_S) == 10


@given(data())
@settings(max_examples=300, deadline=None)
def test_sides_that_are_late_deny_nothing_however_they_lag(drawn: DataObject) -> None:
    """Any number of replicas, each up to 55 s behind, each of them stuck now and then, late duplicates among them."""
    rate = drawn.draw(floats(0.1, 50.0), label="ids a second")
    next_id = drawn.draw(integers(2, 10_000), label="of the cursor")
    lags = drawn.draw(lists(floats(0.0, DENIED_S - 5.0), min_size=1, max_size=4), label="seconds behind")
    count, now = ResumedCount(next_id), 0.0
    for _ in range(drawn.draw(integers(1, 60), label="replies")):
        now += drawn.draw(floats(0.0, 20.0))
        issued = next_id - 1 + int(now * rate)
        last_seq, live_head = (max(0, issued - int(drawn.draw(sampled_from(lags)) * rate)) for _ in range(2))
        live_head = max(0, live_head - drawn.draw(integers(0, 3)))
        if count.is_confirmed(next_id, live_head) or count.is_confirmed(next_id, last_seq):
            return
        assert count.is_denied(last_seq=last_seq, live_head=live_head, at=now) is None


# -- cursors that cannot be meant --------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [b"{}", "{}", {"streams": []}, []])
async def test_what_is_no_cursor_is_refused_by_name(resume: object) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a Cursor, got .* Cursor\.decode"):
        async with open_controller(
            ws_url="ws://127.0.0.1:1/ws",
            rest_url="http://127.0.0.1:1",
            streams=[TICKER],
            resume=cast("Cursor", resume),
        ):
            pass


async def test_a_cursor_of_another_venue_is_refused(autojump_clock: MockClock) -> None:
    market = Market()
    async with market.open():
        _events, cursor = await consumed(market, seconds=2)
    assert cursor.venue == "reference"
    for name, kind in VENUES.items():
        exchange = kind()
        assert exchange.name == name
        with pytest.raises(ConfigurationError, match=f"the cursor is of reference, .* nothing at {name}: open"):
            async with open_controller(exchange=exchange, streams=[STREAMS[name]], resume=cursor):
                pass
