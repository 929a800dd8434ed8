"""Libraries that are written for real sockets run on virtual ones unchanged."""

import ssl
import threading

import h11
import httpx
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
)

from gapless.simulator.network import Direction, VirtualNetwork
from tests.simulator.conftest import BTC, served

HOST = "exchange.example"
LATENCY_S = 0.25
"""A power of two: sums of it are exact, and so a test may compare times with ``==``."""


async def test_trio_websocket_echoes(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, _echo, None, 8765, None)
            async with open_websocket_url(f"ws://{HOST}:8765/feed") as ws:
                begin = trio.current_time()
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
                assert trio.current_time() == begin + 2 * LATENCY_S
                await ws.send_message("x" * 500_000)
                assert len(await ws.get_message()) == 500_000
                await ws.ping()
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0
    assert not network.connections


async def test_all_of_it_runs_without_a_thread(autojump_clock: MockClock) -> None:
    """Names are resolved and sockets opened in the one thread there is; trio would keep one that it had used."""
    before = threading.enumerate()
    async with served(rate_per_s=10.0) as world, world.welcomed() as client, world.rest() as rest:
        await client.subscribe(BTC)
        assert len(await client.ids(20)) == 20
        assert (await rest.get("/api/v1/prices?symbol=BTC/USD")).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await rest.get(f"http://{HOST}:1/")
        assert threading.enumerate() == before


async def test_trio_websocket_sees_a_reset_and_a_refusal(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, _echo, None, 8765, None)
            # trio-websocket leaves the socket open when the connection breaks; so the stream is one of our own.
            async with await trio.open_tcp_stream(HOST, 8765) as stream:
                ws = await wrap_client_stream(nursery, stream, HOST, "/feed")
                network.reset(8765)
                with pytest.raises(ConnectionClosed):
                    await ws.get_message()
            network.refuse(8765)
            with pytest.raises((OSError, HandshakeError)):
                async with open_websocket_url(f"ws://{HOST}:8765/feed"):
                    pytest.fail("the connection was not refused")
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0


async def test_httpx_keeps_a_connection_and_notices_when_the_server_closed_it(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_tcp, _serve_http, 80)
            async with _http_client() as client:
                for _ in range(2):
                    response = await client.get(f"http://{HOST}/prices")
                    assert response.text == "GET /prices"
                (first,) = network.connections
                await trio.sleep(60)  # longer than the server keeps an idle connection
                assert (await client.get(f"http://{HOST}/prices")).text == "GET /prices"
                (second,) = network.connections
                assert first.client_address != second.client_address
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0


async def test_httpx_times_out_in_a_black_hole(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_tcp, _serve_http, 80)
            async with _http_client() as client:
                await client.get(f"http://{HOST}/prices")
                network.black_hole(Direction.TO_CLIENT)
                begin = trio.current_time()
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(f"http://{HOST}/prices")
                assert trio.current_time() == pytest.approx(begin + 5)
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0


async def _echo(request: WebSocketRequest) -> None:
    ws: WebSocketConnection = await request.accept()
    try:
        while True:
            await ws.send_message(await ws.get_message())
    except ConnectionClosed:
        pass


def _http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=5)


async def _serve_http(stream: trio.SocketStream) -> None:
    """Answer with the request line; close a connection that was idle for 30 s."""
    http = h11.Connection(h11.SERVER)
    body = b""
    async with stream:
        while not isinstance(event := http.next_event(), h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                with trio.move_on_after(30) as patience:
                    http.receive_data(await stream.receive_some())
                if patience.cancelled_caught:
                    return
            elif isinstance(event, h11.Request):
                body = event.method + b" " + event.target
            elif isinstance(event, h11.EndOfMessage):
                response = h11.Response(status_code=200, headers=[("content-length", str(len(body)))])
                answer = [http.send(part) or b"" for part in (response, h11.Data(data=body), h11.EndOfMessage())]
                await stream.send_all(b"".join(answer))
                http.start_next_cycle()
