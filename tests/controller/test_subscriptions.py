"""Streams come and go while the controller runs."""

import pytest
import trio
from starlette.requests import Request
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import (
    ConfigurationError,
    GapFound,
    MarketData,
    OrderUpdate,
    SnapshotMissed,
    Source,
    State,
    Stream,
    StreamRejected,
)
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import Mode, SelectMode, ServerErrorMode, SlowReplyMode
from tests.kit import ETHER, TICKER, world
from tests.scripted import Socket, Venue, history

ORDERS = Stream("orders", "*")


async def test_a_stream_subscribed_while_running_is_owed_from_its_mark(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        feed.controller.subscribe(ETHER)
        await feed.until_state(State.RESYNCING)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        assert feed.controller.streams == (TICKER, ETHER)
        assert feed.controller.generation == 1
        first, *_ = feed.ids(stream=ETHER)
        assert first is not None
        assert first > 40
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_subscribing_what_is_subscribed_changes_nothing(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        moves = len(feed.moves)
        feed.controller.subscribe(TICKER)
        await trio.sleep(2.0)
        assert len(feed.moves) == moves
        assert len(w.exchange.subscriptions) == 1


async def test_an_unsubscribed_stream_falls_silent_and_is_owed_no_more(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        feed.controller.unsubscribe(ETHER)
        await trio.sleep(0.1)
        heard = len(feed.ids(stream=ETHER))
        await trio.sleep(30.0)
        assert len(feed.ids(stream=ETHER)) == heard
        assert feed.lost == []
        assert feed.controller.state is State.CONNECTED
        (session,) = w.exchange.hub.sessions
        assert len(session.marks) == 1
        w.assert_contract(feed, TICKER, settled=False)


async def test_what_was_missing_of_an_unsubscribed_stream_is_reported(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(
            FailuresConfig(
                server_error=ServerErrorMode(enabled=True),
                drop=SelectMode(enabled=True, ids=(20, 21), symbols=("ETH/USD",)),
            )
        )
        await trio.sleep(5.0)
        assert list(feed.controller.open_gaps) == [ETHER]
        feed.controller.unsubscribe(ETHER)
        await trio.sleep(0.5)
        assert [(each.symbol, each.start_seq, each.end_seq, each.reason) for each in feed.lost] == [
            ("ETH/USD", 20, 21, "unsubscribed")
        ]
        assert feed.controller.state is State.CONNECTED


async def test_a_poll_that_waited_for_room_while_its_stream_ended_asks_for_nothing(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=20.0) as w, w.feed(TICKER, ETHER, buffer_size=20, consume=False) as feed:
        await feed.controller.wait_for(State.CONNECTED)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await trio.sleep(6.0)
        feed.controller.unsubscribe(TICKER)
        held, asked = feed.controller.events_held, w.requests_since(0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.consume)
            await trio.sleep(10.0)
            nursery.cancel_scope.cancel()
        assert [
            event for event in feed.events[held:] if isinstance(event, MarketData) and event.symbol == "BTC/USD"
        ] == []
        assert w.requests_since(0.0) > asked, "the other stream is collected"
        assert feed.ids(Source.POLL, ETHER)


class SlowRefusal(Venue):
    """Takes two seconds to say that it has neither orders nor prices, of which one is missing."""

    def __init__(self) -> None:
        super().__init__(self.serve, lambda _path, _query: Response(status_code=404))

    async def serve(self, socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0, TICKER, ORDERS)
        await socket.data(1, *range(3, 1_000), every_s=0.1)

    async def handle_request(self, request: Request) -> Response:
        reply = await super().handle_request(request)
        await trio.sleep(2.0)
        return reply


async def test_a_snapshot_that_fails_after_its_stream_ended_is_missed_by_nobody(autojump_clock: MockClock) -> None:
    venue = SlowRefusal()
    async with venue.feed(TICKER, ORDERS) as feed:
        await trio.sleep(1.0)
        feed.controller.unsubscribe(ORDERS)
        await trio.sleep(10.0)
        assert [path for _, path, _ in venue.requests if path == "/api/v1/orders"] == ["/api/v1/orders"]
        assert feed.of(SnapshotMissed) == []
        assert feed.controller.state is State.RESYNCING


async def test_a_stream_subscribed_again_starts_anew(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.unsubscribe(ETHER)
        await trio.sleep(5.0)
        before = len(feed.ids(stream=ETHER))
        feed.controller.subscribe(ETHER)
        await trio.sleep(2.0)
        again = feed.ids(stream=ETHER)[before:]
        second = w.exchange.subscriptions[-1]
        assert again
        assert again == list(range(second.mark + 1, second.mark + 1 + len(again)))
        assert feed.lost == []


async def test_a_stream_ended_and_begun_in_one_breath_is_asked_for_anew(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.unsubscribe(ETHER)
        feed.controller.subscribe(ETHER)
        await trio.sleep(5.0)
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_what_an_ended_stream_still_sends_is_not_of_the_one_that_was_begun_in_the_same_breath(
    autojump_clock: MockClock,
) -> None:
    async with world(rate_per_s=100.0, latency_s=0.05) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        before, gaps = len(feed.ids(stream=ETHER)), len(feed.of(GapFound))
        for _ in range(3):
            feed.controller.unsubscribe(ETHER)
            feed.controller.subscribe(ETHER)
            await trio.sleep(0.03)
        await trio.sleep(3.0)
        again, last = feed.ids(stream=ETHER)[before:], w.exchange.subscriptions[-1]
        assert again[:100] == list(range(last.mark + 1, last.mark + 101))
        assert len(feed.of(GapFound)) == gaps


async def test_data_before_an_answer_counts_once_what_was_before_has_ended(autojump_clock: MockClock) -> None:
    """UNSUBSCRIBED has come: what follows it was asked for anew, though SUBSCRIBED is yet to come."""

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.data(1, 2)
        await socket.subscribed(0)
        await trio.sleep(2.0)
        socket.asked = trio.Event()
        await socket.asked.wait()
        await socket.data(3, 4)
        await socket.send(type="UNSUBSCRIBED", request_id="?", streams=[{"channel": "ticker", "symbol": "BTC/USD"}])
        await socket.data(8, 9)
        await socket.subscribed(None)
        await socket.data(*range(10, 100), every_s=0.1)

    async with Venue(script, lambda _path, _query: Response(status_code=503)).feed() as feed:
        await trio.sleep(1.0)
        assert feed.ids() == [1, 2], "data may precede SUBSCRIBED"
        await trio.sleep(1.5)
        feed.controller.unsubscribe(TICKER)
        feed.controller.subscribe(TICKER)
        await trio.sleep(2.0)
        assert feed.ids()[2:7] == [8, 9, 10, 11, 12]
        assert feed.controller.stats.unexpected == 2


async def test_without_a_socket_the_wish_waits_for_the_next_one(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(stalled_handshake=Mode(enabled=True)))
        w.exchange.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        feed.controller.subscribe(ETHER)
        feed.controller.unsubscribe(TICKER)
        await trio.sleep(5.0)
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        assert feed.ids(stream=ETHER)
        (session,) = w.exchange.hub.sessions
        assert [key.symbol for key in session.marks] == ["ETH/USD"]
        w.assert_contract(feed, ETHER, settled=False)


async def test_a_stream_the_venue_refuses_is_an_event(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.subscribe(Stream("ticker", "XXX"))
        await feed.until(lambda: bool(feed.of(StreamRejected)))
        await feed.until_state(State.CONNECTED)
        assert feed.controller.generation == 1
        w.assert_contract(feed, settled=False)


async def test_an_account_stream_subscribed_later_has_its_snapshot_read(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        feed.controller.subscribe(ORDERS)
        await feed.until(lambda: bool(feed.of(OrderUpdate)))
        (order,) = [event for event in feed.events if isinstance(event, OrderUpdate)]
        assert order.snapshot
        await feed.until_state(State.CONNECTED)


async def test_a_feed_of_no_streams_stays_connected(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.unsubscribe(TICKER)
        await trio.sleep(60.0)
        assert feed.controller.state is State.CONNECTED
        w.exchange.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        await feed.until_state(State.CONNECTED)
        feed.controller.subscribe(TICKER)
        await trio.sleep(5.0)
        assert feed.ids()[-1] is not None
        assert feed.controller.state is State.CONNECTED


async def test_a_venue_that_does_not_answer_a_later_subscription_is_dialled_anew(autojump_clock: MockClock) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0, *([TICKER] if number == 1 else [TICKER, ETHER]))
        await socket.data(*range(1, 1_000), every_s=0.1)

    venue = Venue(script, history(lambda: 1_000))
    async with venue.feed() as feed:
        await feed.until_state(State.CONNECTED)
        feed.controller.subscribe(ETHER)
        await feed.until(lambda: bool(feed.moved(State.REST_FALLBACK)), within_s=11)
        assert feed.moves[-1].reason == "timed out: the subscription took more than 10 s"
        await feed.until(lambda: len(venue.dialled_at) == 2)


async def test_wrong_streams_are_refused_and_change_nothing(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        with pytest.raises(ConfigurationError, match=r"not subscribed: ticker:ETH/USD; subscribed are: ticker:BTC/USD"):
            feed.controller.unsubscribe(TICKER, ETHER)
        with pytest.raises(ConfigurationError, match=r"channel orders has the symbol \*, got 'BTC/USD'"):
            feed.controller.subscribe(ETHER, Stream("orders", "BTC/USD"))
        assert feed.controller.streams == (TICKER,)


async def test_a_reply_in_flight_of_a_stream_that_was_given_up_is_dropped(autojump_clock: MockClock) -> None:
    """Without a socket REST collects; what it answers a second later is for nobody."""
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.network.refuse(w.ws_port)
        w.fail(FailuresConfig(slow_reply=SlowReplyMode(enabled=True, delay_s=1.0)))
        w.exchange.disconnect()
        await feed.until(lambda: bool(feed.ids(Source.POLL)))
        await trio.sleep(1.5)
        feed.controller.unsubscribe(TICKER)
        known = len(feed.ids())
        await trio.sleep(10.0)
        assert len(feed.ids()) == known
        assert feed.ids(Source.POLL, ETHER), "the other stream is collected"
