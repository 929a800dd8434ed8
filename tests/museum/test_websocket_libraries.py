"""What users of WebSocket libraries reported: slow handlers, closes that hang, PONGs that prove nothing."""

import trio
from trio.testing import MockClock

from gapless.controller import Source, State, Trigger
from gapless.controller.transports import TrioWebsocketTransport
from gapless.simulator import FailureMode, PingFloodMode
from gapless.simulator.network import Direction
from tests.kit import SESSION, Feed, world
from tests.scripted import Socket, Venue, history


async def read_slowly(feed: Feed, per_event_s: float) -> None:
    async for event in feed.controller:
        feed.events.append(event)
        await trio.sleep(per_event_s)


async def test_massive_client_python_844_a_slow_handler_does_not_keep_pings_from_being_answered(
    autojump_clock: MockClock,
) -> None:
    """massive client-python #844: with an app that could not keep up the keepalive PING timed out, once a minute.

    The maintainers saw a backlog in it: what is not handled in time keeps the PONG from being read. Here the app needs
    two seconds for each of five events a second: the heartbeat goes on, health never ends, and the one socket stays.
    """
    health: list[bool] = []
    async with (
        world(rate_per_s=5.0, symbols=("BTC/USD",)) as w,
        w.feed(consume=False, buffer_size=50, heartbeat_interval=5.0, on_health_change=health.append) as feed,
        trio.open_nursery() as nursery,
    ):
        w.exchange.failures.switch("ping_flood", PingFloodMode(enabled=True, pings_per_s=1.0), SESSION)
        nursery.start_soon(read_slowly, feed, 2.0)
        await trio.sleep(60.0)
        assert len(feed.events) < 40, "the app is hopelessly slow"
        assert feed.controller.stats.skipped > 100
        assert health == []
        assert feed.controller.round_trip_s is not None
        assert feed.controller.round_trip_s < 0.1
        assert feed.controller.generation == 1
        assert {move.after for move in feed.controller.history} <= {State.RESYNCING, State.CONNECTED}
        assert w.exchange.hub.sockets == 1
        nursery.cancel_scope.cancel()


async def test_trio_websocket_74_unread_messages_do_not_keep_a_connection_open(autojump_clock: MockClock) -> None:
    """trio-websocket #74: leaving ``open_websocket`` hung where messages were left unread.

    Its reader waited for room in the queue, so the close of the peer was never read. Here the queue, the buffer of the
    controller and the socket itself are full of what nobody reads, and leaving takes no time.
    """
    flooded = trio.Event()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(0)
        for issued in range(1, 400):
            await socket.data(issued)
        flooded.set()
        await trio.sleep_forever()

    venue = Venue(script, history(lambda: 400))
    async with venue.feed(buffer_size=2):
        await trio.sleep(1.0)
        async with trio.open_nursery() as nursery:
            entered = trio.Event()

            async def idle() -> None:
                async with TrioWebsocketTransport(message_size_max=100_000).connect(venue.ws_url) as connection:
                    await connection.send('{"type":"SUBSCRIBE","request_id":"s-1","streams":[]}')
                    entered.set()
                    await flooded.wait()
                    await trio.sleep(1.0)

            flooded = trio.Event()
            nursery.start_soon(idle)
            await entered.wait()
            await flooded.wait()
            await trio.sleep(1.0)
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 0.1
        leaving_at = trio.current_time()
    assert trio.current_time() - leaving_at <= 0.5


async def test_ws_2203_a_socket_whose_peer_does_not_answer_the_close_is_gone_at_once(
    autojump_clock: MockClock,
) -> None:
    """ws #2203: under load some sockets stayed in CLOSING for 30 s, although the other side had closed long before.

    The reporter feared zombies by the thousand. Here nothing comes back from the peer: each reconnect gives its socket
    back at once, and leaving the controller takes half a second at most.
    """
    async with world(rate_per_s=5.0, symbols=("BTC/USD",)) as w:
        async with w.feed(attempt_timeout=1.0, reconnect_max_backoff=1.0, reconnect_max_attempts=None) as feed:
            await feed.until_state(State.CONNECTED)
            await trio.sleep(6.0)
            w.network.black_hole(Direction.TO_CLIENT, w.ws_port)
            for _ in range(4):
                feed.controller.reconnect()
                await trio.sleep(2.0)
            assert feed.controller.generation >= 4
            assert w.exchange.hub.sockets <= 1, "the venue is rid of every socket that was replaced"
            leaving_at = trio.current_time()
        assert trio.current_time() - leaving_at <= 0.5


async def test_trio_websocket_184_pings_that_arrive_while_a_socket_closes_raise_nothing(
    autojump_clock: MockClock,
) -> None:
    """trio-websocket #184: a PING of the server arrived between our CLOSE and the end.

    Its automatic PONG may not be sent in that state; a LocalProtocolError escaped from a task of the library and took
    the app with it. Here fifty PINGs a second are under way while sockets are replaced, rotated and left.
    """
    async with world(rate_per_s=5.0, latency_s=0.2, symbols=("BTC/USD",)) as w:
        w.exchange.failures.switch("ping_flood", PingFloodMode(enabled=True, pings_per_s=50.0), SESSION)
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)
            feed.controller.reconnect()
            await trio.sleep(2.0)
            feed.controller.rotate()
            await trio.sleep(2.0)
            w.exchange.goodbye("maintenance")
            await trio.sleep(3.0)
            assert w.exchange.injected["ping_flood"] == len(w.exchange.handshakes) == 4
            assert feed.controller.state is State.CONNECTED
            w.assert_contract(feed, settled=False)
            leaving_at = trio.current_time()
        assert trio.current_time() - leaving_at <= 0.5


async def test_websocket_client_674_a_socket_that_answers_pings_and_sends_nothing_else_is_left(
    autojump_clock: MockClock,
) -> None:
    """websocket-client #674: once a day or once a month a stream stopped; PINGs were answered, messages did not come.

    A heartbeat that is content with a PONG never ends such a connection. Here PONGs keep coming every second, the
    silence of data is found within the idle window, REST shows that the market went on, and a new socket is dialled.
    """
    health: list[bool] = []
    async with (
        world(rate_per_s=5.0, symbols=("BTC/USD",)) as w,
        w.feed(heartbeat_interval=1.0, on_health_change=health.append) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6.0)
        w.exchange.failures.switch("pong_only", FailureMode(enabled=True, after_messages=0, count=1), SESSION)
        last_at = max(event.received_at for event in feed.data)
        await feed.until_state(State.SILENT, within_s=11.0)
        assert feed.moves[-1].trigger is Trigger.IDLE
        assert feed.moves[-1].at - last_at <= 10.2
        await feed.until_state(State.CONNECTED)
        verdicts = [move.trigger for move in feed.moves if move.before is State.SILENT]
        assert verdicts == [Trigger.SILENCE_CONFIRMED]
        assert health == [], "every PING was answered"
        await trio.sleep(1.0)
        assert feed.controller.generation == 2
        assert feed.ids(Source.POLL)
        assert feed.lost == []
        w.assert_contract(feed, settled=False)
