"""The server under browsers that behave and browsers that do not, on a virtual network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import trio
from starlette.types import Message, Receive, Scope, Send
from trio.testing import MockClock

from gapless.dashboard.guard import Door, Guard
from gapless.dashboard.server import ServerLimits, listen, port_of, serving
from gapless.simulator.network import VirtualNetwork

HOST = "page.example"
LIMITS = ServerLimits(connections_max=3)
GET = b"GET /%s HTTP/1.1\r\nHost: page.example\r\n\r\n"


class App:
    """Answers with its path; ``/flood`` sends for ever, ``/wait`` waits for ever, ``/fail`` fails.

    As ASGI has it, what has no end watches for the disconnect: a send to a browser that is gone is no error.
    """

    def __init__(self) -> None:
        self.gone: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            if path == "/fail":
                raise RuntimeError("a defect")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_gone, receive, nursery.cancel_scope)
                while path == "/flood":
                    await send(body(b"x" * 100_000))
                    await trio.lowlevel.checkpoint()
                if path == "/wait":
                    await send(body(b"so far"))
                    await trio.sleep_forever()
                await send(body(path.encode(), more=False))
                nursery.cancel_scope.cancel()
        finally:
            self.gone.append(path)

    async def _until_gone(self, receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def body(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Served:
    def __init__(self, port: int, app: App, closing: trio.Event) -> None:
        self.port = port
        self.app = app
        self.closing = closing

    async def open(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(HOST, self.port)

    async def get(self, path: str) -> str:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{self.port}", trust_env=False) as http:
            return (await http.get(path)).text


@asynccontextmanager
async def served(limits: ServerLimits = LIMITS) -> AsyncIterator[Served]:
    network, app, closing = VirtualNetwork(seed=1), App(), trio.Event()
    with network.installed():
        listeners = await listen(HOST, 0)
        async with serving(app, listeners, closing=closing, limits=limits):
            yield Served(port_of(listeners), app, closing)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        while piece := await stream.receive_some(65_536):
            data += piece
    except trio.BrokenResourceError:
        pass
    return data


async def test_it_answers(autojump_clock: MockClock) -> None:
    async with served() as page:
        assert await page.get("/one") == "/one"
        assert await page.get("/two") == "/two"


async def test_a_browser_that_never_reads_is_given_up_and_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with served() as page, await page.open() as deaf:
        await deaf.send_all(GET % b"flood")
        await trio.sleep(29)
        assert page.app.gone == []
        began_at = trio.current_time()
        assert await page.get("/one") == "/one"
        assert trio.current_time() - began_at < 0.1
        await trio.sleep(2)
        assert page.app.gone == ["/one", "/flood"]


@pytest.mark.parametrize("path", [b"flood", b"wait"])
async def test_leaving_takes_a_moment_whatever_browsers_do(path: bytes, autojump_clock: MockClock) -> None:
    async with served() as page:
        stream = await page.open()
        await stream.send_all(GET % path)
        await trio.sleep(1)
        left_at = trio.current_time()
    assert trio.current_time() - left_at < 0.5
    assert page.app.gone == [f"/{path.decode()}"]


async def test_being_cancelled_ends_it_as_well(autojump_clock: MockClock) -> None:
    app: App | None = None
    with trio.move_on_after(1) as scope:
        async with served() as page:
            app = page.app
            stream = await page.open()
            await stream.send_all(GET % b"flood")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() - scope.deadline < 0.5
    assert app is not None
    assert app.gone == ["/flood"]


async def test_connections_have_a_limit(autojump_clock: MockClock) -> None:
    async with served() as page:
        streams = [await page.open() for _ in range(3)]
        for stream in streams:
            await stream.send_all(GET % b"wait")
        await trio.sleep(0.1)
        assert await read_all(await page.open()) == b""
        for stream in streams:
            await stream.aclose()
        await trio.sleep(1)
        assert await page.get("/one") == "/one"


async def test_half_sent_requests_keep_nobody_out(autojump_clock: MockClock) -> None:
    async with served() as page, await page.open() as asking:
        await asking.send_all(GET % b"wait")
        await trio.sleep(0.1)
        half_sent = [await page.open() for _ in range(10)]
        for stream in half_sent:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"GET /one HTTP/1.1\r\nHost:")
        began_at = trio.current_time()
        assert await page.get("/one") == "/one"
        assert trio.current_time() - began_at < 0.1
        assert page.app.gone == ["/one"], "what is being answered is not cut"
        for stream in half_sent[:8]:
            assert await read_all(stream) == b""
        assert trio.current_time() - began_at < 0.1, "the oldest are cut first"


async def test_one_that_waits_for_its_next_request_makes_room_if_no_other_does(autojump_clock: MockClock) -> None:
    async with served() as page, await page.open() as idle:
        await idle.send_all(GET % b"one")
        await trio.sleep(0.1)
        for _ in range(2):
            await (await page.open()).send_all(GET % b"wait")
        await trio.sleep(0.1)
        assert await page.get("/two") == "/two"
        assert b"/one" in await read_all(idle)


@pytest.mark.parametrize("rubbish", [b"", b"GET / HT", b"\x16\x03\x01\x02\x00", b"GET /one HTTP/1.1\r\n", b"\r\n" * 99])
async def test_who_sends_no_request_is_gone_soon(rubbish: bytes, autojump_clock: MockClock) -> None:
    async with served() as page, await page.open() as stream:
        await stream.send_all(rubbish)
        with trio.fail_after(LIMITS.idle_timeout_s + 1):
            await read_all(stream)
        assert await page.get("/one") == "/one"


async def test_what_the_app_does_wrong_ends_one_connection(autojump_clock: MockClock) -> None:
    async with served() as page, await page.open() as stream:
        await stream.send_all(GET % b"fail")
        assert b"500" in await read_all(stream)
        assert await page.get("/one") == "/one"


async def test_a_websocket_and_http2_do_no_harm(autojump_clock: MockClock) -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: page.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nbytes straight after"
    )
    async with served() as page:
        for greeting in (upgrade, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9):
            stream = await page.open()
            await stream.send_all(greeting)
            with trio.move_on_after(10):
                await read_all(stream)
            await stream.aclose()
        assert await page.get("/one") == "/one"


async def test_a_websocket_is_answered_403(autojump_clock: MockClock) -> None:
    upgrade = (
        b"GET /events HTTP/1.1\r\nHost: page.example:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    network = VirtualNetwork(seed=1)
    with network.installed():
        listeners = await listen(HOST, 0)
        port = port_of(listeners)
        async with serving(Guard(App(), Door(HOST, port)), listeners, closing=trio.Event()):
            stream = await trio.open_tcp_stream(HOST, port)
            await stream.send_all(upgrade % port)
            assert (await read_all(stream)).startswith(b"HTTP/1.1 403 ")


async def test_a_port_in_use_is_one_line() -> None:
    (taken, *_) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with taken:
        port = port_of([taken])
        with pytest.raises(OSError, match=f"cannot serve the dashboard at 127.0.0.1:{port}: Address already in use"):
            await listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1", "\udcff"])
async def test_a_host_that_is_none_of_this_machine_is_one_line(host: str) -> None:
    with pytest.raises(OSError, match="cannot serve the dashboard at") as raised:
        await listen(host, 0)
    assert "\n" not in str(raised.value)


async def test_every_address_of_a_name_gets_the_same_port() -> None:
    listeners = await listen("localhost", 0)
    try:
        assert {each.socket.getsockname()[1] for each in listeners} == {port_of(listeners)}
    finally:
        for each in listeners:
            await each.aclose()
