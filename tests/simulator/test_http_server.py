"""The HTTP server under clients that behave and clients that do not, with small apps of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import h11
import httpx
import pytest
import trio
from starlette.types import Message, Receive, Scope, Send
from trio.testing import MockClock

from gapless.simulator.http_asgi import CutReplyError
from gapless.simulator.http_server import HttpLimits, HttpServer
from gapless.simulator.network import Direction, VirtualNetwork
from tests.simulator.conftest import ended

HOST = "exchange.example"
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
LIMITS = HttpLimits(header_bytes_max=2_000, body_bytes_max=10_000, idle_timeout_s=20.0, request_timeout_s=5.0)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path and the body; ``/fail``, ``/half``, ``/cut`` and others misbehave."""
    body = (await receive())["body"]
    match scope["path"]:
        case "/fail":
            raise RuntimeError("the app is broken")
        case "/mute":
            return
        case "/half":
            await send(_start((b"content-length", b"1000")))
            await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
            raise RuntimeError("the app is broken")
        case "/cut":
            await send(_start((b"content-length", b"1000")))
            await send({"type": "http.response.body", "body": b"x" * 400, "more_body": True})
            raise CutReplyError
        case "/cut-at-once":
            raise CutReplyError
        case "/cut-head":
            await send(_start((b"content-length", b"1000")))
            raise CutReplyError
        case "/stream":
            await send(_start())
            for number in range(3):
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
                await trio.sleep(1)
            await send({"type": "http.response.body", "body": b""})
        case "/slow":
            await trio.sleep(30)
            await _answer(send, b"at last")
        case "/wait":
            assert (await receive())["type"] == "http.disconnect"
            scope["app_saw"].append("gone")
        case "/big":
            await _answer(send, b"x" * 5_000_000)
        case path:
            await _answer(send, f"{scope['method']} {path}?{scope['query_string'].decode()} ".encode() + body)


def _start(*headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


async def _answer(send: Send, body: bytes) -> None:
    await send(_start())
    await send({"type": "http.response.body", "body": body})


class Served:
    """A server for :func:`echo` on a network of its own."""

    def __init__(self, network: VirtualNetwork, server: HttpServer, seen: list[str]) -> None:
        self.network = network
        self.server = server
        self.seen = seen

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://{HOST}", timeout=60.0, trust_env=False)

    @asynccontextmanager
    async def tcp(self) -> AsyncIterator[trio.SocketStream]:
        async with await trio.open_tcp_stream(HOST, 80) as stream:
            yield stream

    async def is_alive(self) -> bool:
        async with self.client() as client:
            return (await client.get("/alive")).status_code == 200


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    network = VirtualNetwork(seed=1)
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo({**scope, "app_saw": seen}, receive, send)

    with network.installed():
        async with trio.open_nursery() as nursery:
            server = HttpServer(app, LIMITS)
            listeners = await trio.open_tcp_listeners(80, host=HOST)
            nursery.start_soon(trio.serve_listeners, server.handle, listeners)
            served = Served(network, server, seen)
            yield served
            assert await served.is_alive(), "one peer's faults must not end the server"
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0


async def replies(stream: trio.SocketStream, count: int) -> list[tuple[int, bytes]]:
    """Parse ``count`` replies with h11, as a client."""
    client = h11.Connection(h11.CLIENT)
    found: list[tuple[int, bytes]] = []
    for number in range(count):
        if number:
            client.start_next_cycle()
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        status, body = 0, b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                client.receive_data(await stream.receive_some())
        found.append((status, body))
    return found


async def test_a_connection_is_kept_for_the_next_request(autojump_clock: MockClock) -> None:
    async with serving() as served, served.client() as client:
        for number in range(3):
            reply = await client.post(f"/a%20b/{number}?x=1", content=b"body")
            assert reply.text == f"POST /a b/{number}?x=1 body"
            assert len(served.network.connections) == 1


async def test_requests_sent_together_are_answered_in_order(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3)))
        assert [body for _, body in await replies(stream, 3)] == [b"GET /0? ", b"GET /1? ", b"GET /2? "]


async def test_a_request_may_come_in_single_bytes(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
            await stream.send_all(bytes([byte]))
        assert await replies(stream, 1) == [(200, b"POST /a? hi")]


async def test_a_chunked_body_is_understood(autojump_clock: MockClock) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with serving() as served, served.client() as client:
        assert (await client.post("/a", content=body())).text == "POST /a? one two"


async def test_a_client_that_waits_for_100_is_told_to_go_on(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hi")
        assert await replies(stream, 1) == [(200, b"POST /a? hi")]


async def test_a_reply_in_pieces_is_chunked_and_sent_as_it_comes(autojump_clock: MockClock) -> None:
    async with serving() as served, served.client() as client, client.stream("GET", "/stream") as reply:
        assert reply.headers["transfer-encoding"] == "chunked"
        pieces: list[bytes] = []
        times: list[float] = []
        async for piece in reply.aiter_raw():
            pieces.append(piece)
            times.append(trio.current_time())
        assert pieces == [b"0", b"1", b"2"]
        assert times[2] - times[0] == pytest.approx(2.0)


async def test_head_has_a_length_and_no_body(autojump_clock: MockClock) -> None:
    async with serving() as served, served.client() as client:
        for _ in range(2):
            reply = await client.head("/a")
            assert (reply.headers["content-length"], reply.content) == ("9", b"")


async def test_an_old_client_gets_its_connection_closed(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(b"GET /a HTTP/1.0\r\n\r\n")
        assert b"GET /a? " in await stream.receive_some()
        assert await ended(stream)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 5_000, 431),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"y" * 20_000, 413),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"800\r\n" + b"y" * 2_048, 408),
        (b"GET /a HTT", 408),
    ],
    ids=lambda sent: repr(sent[:16]) if isinstance(sent, bytes) else str(sent),
)
async def test_a_bad_request_is_answered_and_ends_its_connection(
    autojump_clock: MockClock, request_bytes: bytes, status: int
) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(request_bytes)
        ((answered, body),) = await replies(stream, 1)
        assert answered == status
        assert body.startswith(b'{"error":{"code":')
        with trio.fail_after(LIMITS.linger_s + 0.5):
            assert await ended(stream)


async def test_an_endless_body_is_cut_off(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with trio.fail_after(30), suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"400\r\n" + b"y" * 1_024 + b"\r\n")


async def test_an_idle_connection_is_closed(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        begin = trio.current_time()
        assert await ended(stream)
        assert trio.current_time() - begin == pytest.approx(LIMITS.idle_timeout_s, abs=0.1)


@pytest.mark.parametrize("path", ["/fail", "/mute"])
async def test_an_app_that_fails_is_a_500(autojump_clock: MockClock, path: str) -> None:
    async with serving() as served, served.client() as client:
        reply = await client.get(path)
        assert reply.status_code == 500
        assert reply.json()["error"]["code"] == "internal_error"


@pytest.mark.parametrize(("path", "heard"), [("/half", 10), ("/cut", 400), ("/cut-head", 0)])
async def test_a_reply_cut_in_the_middle(autojump_clock: MockClock, path: str, heard: int) -> None:
    async with serving() as served, served.client() as client, client.stream("GET", path) as reply:
        got: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await _collect(reply, got)
        assert len(b"".join(got)) == heard


async def _collect(reply: httpx.Response, into: list[bytes]) -> None:
    async for piece in reply.aiter_raw():
        into.append(piece)  # noqa: PERF401 (what came before the cut is kept)


async def test_a_reply_cut_before_it_begins(autojump_clock: MockClock) -> None:
    async with serving() as served, served.client() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.get("/cut-at-once")


@pytest.mark.parametrize("path", ["/slow", "/stream", "/big", "/a"])
async def test_a_client_that_vanishes(autojump_clock: MockClock, path: str) -> None:
    async with serving() as served:
        async with served.tcp() as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await trio.sleep(0.5)
        await trio.sleep(60)
        assert not served.network.connections


async def test_an_app_can_wait_for_its_client_to_vanish(autojump_clock: MockClock) -> None:
    async with serving() as served:
        async with served.tcp() as stream:
            await stream.send_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await trio.sleep(10)
            assert not served.seen
        await trio.sleep(1)
        assert served.seen == ["gone"]


async def test_a_client_that_takes_nothing_is_dropped(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as stream:
        await stream.send_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(0.5)
        served.network.black_hole(Direction.TO_CLIENT)
        await trio.sleep(LIMITS.send_timeout_s + 1)
        served.network.heal()
        with trio.fail_after(5):
            assert await ended(stream)


async def test_a_drop_ends_idle_connections_and_lets_a_quick_reply_finish(autojump_clock: MockClock) -> None:
    async with serving() as served, served.tcp() as idle, served.tcp() as busy:
        await busy.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(1)
        served.server.drop_all()
        with trio.fail_after(LIMITS.drop_grace_s + 0.1):
            assert await ended(idle)
            assert await ended(busy)


async def test_only_so_many_connections(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(seed=1)
    with network.installed():
        async with trio.open_nursery() as nursery:
            server = HttpServer(echo, HttpLimits(connections_max=1))
            listeners = await trio.open_tcp_listeners(80, host=HOST)
            nursery.start_soon(trio.serve_listeners, server.handle, listeners)
            async with await trio.open_tcp_stream(HOST, 80), await trio.open_tcp_stream(HOST, 80) as second:
                assert await ended(second)
            nursery.cancel_scope.cancel()


async def test_the_same_on_a_real_socket() -> None:
    """The one test here without a virtual network: it shows that the server runs on the kernel's sockets too."""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, HttpServer(echo).handle, [listener])
            port: int = listener.socket.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                assert (await client.post("/a", content=b"body")).text == "POST /a? body"
                assert len((await client.get("/big")).content) == 5_000_000
                assert (await client.get("/fail")).status_code == 500
            nursery.cancel_scope.cancel()
