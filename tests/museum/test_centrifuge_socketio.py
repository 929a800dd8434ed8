"""The clients centrifuge-go and centrifuge-dart, and socket.io: where a stream is to be taken up again."""

import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    GapFound,
    MarketData,
    State,
    StreamReset,
    open_controller,
)
from gapless.simulator import ServerErrorMode
from tests.kit import SESSION, TICKER, world
from tests.scripted import Query, Socket, Venue, history


async def test_centrifuge_go_pr_150_a_cursor_never_moves_back(autojump_clock: MockClock) -> None:
    """centrifuge-go PR#150: the position of a stream could be moved back.

    Whoever resumes from such a position is given again what it had. Here the new socket names a mark below the cursor
    and repeats old ids: none is delivered twice, and the next hole begins where it really begins.
    """
    issued = 0

    async def script(socket: Socket, number: int) -> None:
        nonlocal issued
        await socket.welcome()
        if number == 1:
            await socket.subscribed(0)
            for issued in range(1, 11):
                await socket.data(issued, every_s=0.6)
            return
        await socket.subscribed(4)
        await socket.data(3, 4, 5, 6, 7, every_s=0.1)
        issued = 14
        await socket.data(13, 14, every_s=0.1)
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: issued))
    async with venue.feed() as feed:
        await feed.until(lambda: 14 in feed.ids())
        await feed.until_state(State.CONNECTED)
        assert feed.ids()[:10] == list(range(1, 11))
        assert sorted(number or 0 for number in feed.ids()) == list(range(1, 15))
        found = [(event.start_seq, event.end_seq) for event in feed.events if isinstance(event, GapFound)]
        assert found == [(11, 12)]
        fills = [query for _, _, query in venue.requests if "end_seq" in query]
        assert [query["start_seq"] for query in fills] == ["11"]


async def test_centrifuge_go_pr_160_a_new_epoch_is_never_paired_with_an_old_offset(autojump_clock: MockClock) -> None:
    """centrifuge-go PR#160: a new epoch was stored beside the offset of the old one.

    That position never existed. The server found the epoch current, went on from the stale offset, and called it a
    recovery: what the new stream had issued before was missing in silence. Here epoch and cursor move together.
    """
    last = {"e-1": 50, "e-2": 60}
    now = "e-1"

    async def script(socket: Socket, number: int) -> None:
        nonlocal now
        now = f"e-{number}"
        await socket.welcome(now)
        if number == 1:
            await socket.subscribed(0)
            await socket.data(*range(1, 51))
            await trio.sleep(6.0)
            return
        await socket.subscribed(60)
        last["e-2"] = 62
        await socket.data(61, 62)
        await trio.sleep_forever()

    def rest(path: str, query: Query) -> Response:
        return history(lambda: last[now], epoch=now)(path, query)

    venue = Venue(script, rest)
    async with venue.feed() as feed:
        await feed.until(lambda: any(event.epoch == "e-2" for event in feed.data))
        await feed.until_state(State.CONNECTED)
        assert sorted(event.sequence_id or 0 for event in feed.data if event.epoch == "e-2") == list(range(1, 63))
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(51, None, "epoch_ended")]
        assert [(event.old_epoch, event.new_epoch) for event in feed.events if isinstance(event, StreamReset)] == [
            ("e-1", "e-2")
        ]


async def test_centrifuge_dart_pr_142_a_listener_that_subscribes_again_gets_nothing_twice(
    autojump_clock: MockClock,
) -> None:
    """centrifuge-dart PR#142: a listener called unsubscribe and subscribe from within its publication.

    The request left before the position had moved to that publication, so the server sent it again. The lesson: the
    cursor moves first, the app hears of it afterwards. Here a callback does the same three times.
    """
    heard: list[int] = []
    begun_at: list[int] = []
    running: list[ConnectionController] = []

    def on_message(event: AnyEvent) -> None:
        if not isinstance(event, MarketData):
            return
        heard.append(event.sequence_id or 0)
        if len(heard) in {5, 6, 20}:
            begun_at.append(len(heard))
            running[0].unsubscribe(TICKER)
            running[0].subscribe(TICKER)

    async with world() as w:
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            session_id=SESSION,
            boot_clock=trio.current_time,
            on_message=on_message,
        ) as controller:
            running.append(controller)
            await trio.sleep(10.0)
            assert controller.state is State.CONNECTED
            assert controller.generation == 1
        marks = [each.mark for each in w.exchange.subscriptions]
    assert len(heard) > 80
    assert len(set(heard)) == len(heard)
    assert heard == sorted(heard)
    assert begun_at == [5, 6, 20]
    assert len(marks) >= 3
    last = next(at for at, number in enumerate(heard) if number > marks[-1])
    assert heard[last:] == list(range(marks[-1] + 1, heard[-1] + 1)), "from the last mark on it is owed whole"


async def test_socket_io_4888_a_connection_lost_before_its_first_event_is_resumed_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """socket.io #4888: the client learnt its offset from the first message it received.

    A connection that was lost before had none, and could not be recovered. Here the acknowledgement of the
    subscription names where the stream stands, and REST is down besides: what is issued while nobody listens is owed
    from the first id.
    """
    async with world(rate_per_s=0) as w:
        w.publish(7)
        w.exchange.failures.switch("server_error", ServerErrorMode(enabled=True), SESSION)
        async with w.feed() as feed:
            await trio.sleep(2.0)
            assert feed.data == []
            w.network.refuse(w.ws_port)
            w.exchange.disconnect()
            await trio.sleep(1.0)
            w.publish(5)
            w.network.accept(w.ws_port)
            w.exchange.behave(SESSION)
            await trio.sleep(15.0)
            w.publish()
            await trio.sleep(0.5)
            assert feed.controller.state is State.CONNECTED
            assert sorted(number or 0 for number in feed.ids()) == [8, 9, 10, 11, 12, 13]
            assert feed.lost == []
            w.assert_contract(feed)
