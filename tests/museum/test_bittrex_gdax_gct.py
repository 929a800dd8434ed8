"""Bittrex's WebSocket, gdax-tt and gocryptotrader: ids that begin anew, far ahead or wrong, and a market that dies."""

from random import Random

import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import GapFilled, GapFound, Source, State, StateChanged, Stream, StreamReset
from gapless.simulator import SelectMode, ServerErrorMode, SymbolSilentMode
from tests.kit import SESSION, TICKER, world
from tests.scripted import Query, Socket, Venue, history

MARKETS = ("ADA/USD", "BTC/USD", "ETH/USD", "XRP/USD")


async def test_bittrex_240_ids_that_begin_at_1_again_are_a_new_epoch_and_no_duplicates(
    autojump_clock: MockClock,
) -> None:
    """bittrex #240: sequence ids rolled over from a high number back to 1.

    By the rule that ids grow, all that came afterwards was old and had to be thrown away. Here a connection that begins
    below the cursor with newer data is a reset, with and without names of epochs, and its first id is owed.
    """
    for names in (("e-1", "e-2"), (None, None)):
        venue, feed_ids, resets = await rolled_over(*names)
        assert feed_ids[-40:] == list(range(1, 41)), names
        assert resets == [names], names
        assert len(venue.dialled_at) == 2


async def rolled_over(old: str | None, new: str | None) -> tuple[Venue, list[int | None], list[tuple[object, object]]]:
    last = 90_000

    async def script(socket: Socket, number: int) -> None:
        nonlocal last
        await socket.welcome(old if number == 1 else new)
        await socket.subscribed(None if old is None else (90_000 if number == 1 else 0))
        for last in range(90_001, 90_031) if number == 1 else range(1, 41):
            await socket.data(last, every_s=0.2)
        if number > 1:
            await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        epoch = old if last >= 90_000 else new
        return Response(b'{"prices":[]}') if epoch is None else history(lambda: last, epoch=epoch)(path, query)

    venue = Venue(script, rest)
    async with venue.feed() as feed:
        await feed.until(lambda: any(isinstance(event, StreamReset) for event in feed.events))
        await trio.sleep(8.5)
        assert feed.controller.state is State.CONNECTED
        resets: list[tuple[object, object]] = [
            (event.old_epoch, event.new_epoch) for event in feed.events if isinstance(event, StreamReset)
        ]
        return venue, feed.ids(), resets


async def test_bittrex_105_a_market_that_dies_while_pings_are_answered_is_found_and_revived(
    autojump_clock: MockClock,
) -> None:
    """bittrex #105: after hours, data of one market stopped without an error; which one, was chance. Pings went on.

    A watch on the connection cannot see it: the others are lively. Here each stream has its own, REST is asked, and the
    one market is subscribed again on the same socket, without disturbing the others.
    """
    streams = [Stream("ticker", symbol) for symbol in MARKETS]
    dead = Random(105).choice(streams)
    async with world(rate_per_s=2.0, symbols=MARKETS) as w, w.feed(*streams, heartbeat_interval=5.0) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(3.0)
        mode = SymbolSilentMode(enabled=True, symbols=(dead.symbol,), after_messages=4, count=1)
        w.exchange.failures.switch("symbol_silent", mode, SESSION)
        await trio.sleep(9.0)
        assert feed.controller.freshness()[dead] > 7.0
        assert feed.controller.round_trip_s is not None
        await trio.sleep(8.0)
        assert feed.controller.freshness()[dead] < 1.0
        assert feed.controller.generation == 1
        assert State.SILENT not in {move.after for move in feed.moves}
        revived = [each for each in streams if feed.ids(Source.POLL, each) or feed.ids(Source.BACKFILL, each)]
        assert revived == [dead], "REST brought what it had missed, and nothing of the others"
        assert feed.lost == []
        w.assert_contract(feed, *streams, settled=False)


async def test_gdax_tt_39_a_snapshot_that_says_1_is_no_reason_to_reconnect_for_ever(autojump_clock: MockClock) -> None:
    """gdax-tt #39: the snapshot said sequence 1, the first live message 4,118,596,218.

    Expecting 2, the client called that a skipped message, reconnected, was told 1 again, and so on for ever. Here the
    jump is doubted until the next id and REST confirm it, what lies between is reported, and the one socket stays.
    """
    first, last = 4_118_596_218, 0

    async def script(socket: Socket, _number: int) -> None:
        nonlocal last
        await socket.welcome()
        await socket.subscribed(1)
        for last in range(first, first + 100):
            await socket.data(last, every_s=0.2)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: max(last, first), first_seq=first - 10))
    async with venue.feed() as feed:
        await trio.sleep(19.0)
        assert feed.controller.state is State.CONNECTED
        assert len(venue.dialled_at) == feed.controller.generation == 1
        assert len(venue.requests) < 10
        ids = sorted(number or 0 for number in feed.ids())
        assert ids == list(range(first - 10, ids[-1] + 1))
        assert ids[-1] >= first + 90
        assert [(each.start_seq, each.end_seq, each.reason) for each in feed.lost] == [(2, first - 11, "evicted")]


async def test_gct_pr_2255_a_stream_with_a_hole_is_not_called_whole(autojump_clock: MockClock) -> None:
    """gocryptotrader PR#2255: a failed sequence check left the order book marked valid.

    Reviewers found that it went on being served, known to be out of date, until a reconnect. Here CONNECTED ends with
    the hole: not one datum comes between the news of it and the change of state, and it stays so while REST is down.
    """
    async with world(rate_per_s=5.0, symbols=("BTC/USD",)) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        w.exchange.failures.switch("server_error", ServerErrorMode(enabled=True), SESSION)
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(last + 5, last + 6)), SESSION)
        await feed.until(lambda: bool(feed.of(GapFound)))
        await trio.sleep(20.0)
        assert feed.controller.state is State.RESYNCING
        assert feed.controller.open_gaps == {TICKER: [(last + 5, last + 6)]}
        w.exchange.behave(SESSION)
        await feed.until_state(State.CONNECTED)
        told = [event for event in feed.events if isinstance(event, GapFound | GapFilled | StateChanged)]
        found = next(at for at, event in enumerate(told) if isinstance(event, GapFound))
        left, *rest = told[found + 1 :]
        assert isinstance(left, StateChanged)
        assert (left.before, left.after) == (State.CONNECTED, State.RESYNCING)
        at = feed.events.index(told[found])
        assert feed.events.index(left) <= at + 2, "at most the datum that revealed it comes between"
        assert [type(event) for event in rest] == [GapFilled, StateChanged]
        w.assert_contract(feed, settled=False)
