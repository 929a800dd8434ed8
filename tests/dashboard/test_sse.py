"""The stream of pictures: the pace, the bounds, and browsers that do not read. On a virtual network."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.dashboard import Picture
from gapless.dashboard.app import dashboard_app
from gapless.dashboard.guard import Door
from gapless.dashboard.server import ServerLimits, listen, port_of, serving
from gapless.dashboard.sse import StreamLimits
from gapless.dashboard.wire import PictureWire
from gapless.simulator.network import VirtualNetwork
from tests.dashboard.happenings import datum
from tests.dashboard.pages import Stream, events

AT = 1_767_225_600.0
HOST = "page.example"


class Page:
    def __init__(self, url: str, port: int, picture: Picture, closing: trio.Event) -> None:
        self.url = url
        self.closing = closing
        self.port = port
        self.picture = picture

    def trade(self, *ids: int) -> None:
        for number in ids:
            self.picture.enter(datum(number, sequence_id=number))

    async def deaf(self) -> trio.SocketStream:
        """A browser that asks for the stream and never reads it."""
        stream = await trio.open_tcp_stream(HOST, self.port)
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (HOST.encode(), self.port))
        return stream


@asynccontextmanager
async def page(limits: StreamLimits | None = None) -> AsyncIterator[Page]:
    network, closing = VirtualNetwork(seed=1), trio.Event()
    picture = Picture(began_at=AT, run="r")
    with network.installed():
        listeners = await listen(HOST, 0)
        port = port_of(listeners)
        app = dashboard_app(
            picture, Door(HOST, port), closing=closing, limits=limits, wall_clock=lambda: AT + trio.current_time()
        )
        async with serving(app, listeners, closing=closing, limits=ServerLimits()):
            yield Page(f"http://{HOST}:{port}", port, picture, closing)


async def test_a_browser_gets_everything_and_then_what_changes(autojump_clock: MockClock) -> None:
    async with page() as p:
        p.trade(1, 2)
        async with events(HOST, p.port) as stream:
            assert stream.content_type.startswith("text/event-stream")
            whole = await stream.next()
            assert (whole.whole, whole.revision, whole.streams[0].last_id) == (True, 2, 2)
            p.trade(3)
            change = await stream.next()
            assert (change.whole, change.revision, change.streams[0].last_id) == (False, 3, 3)


async def test_updates_come_five_times_a_second_at_most_and_only_if_something_changed(
    autojump_clock: MockClock,
) -> None:
    async with page() as p, events(HOST, p.port) as stream:
        await stream.next()
        began_at, number = trio.current_time(), 0

        async def trade_often() -> None:
            nonlocal number
            while True:
                number += 1
                p.trade(number)
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trade_often)
            pictures = [await stream.next() for _ in range(10)]
            nursery.cancel_scope.cancel()
        assert 1.9 < trio.current_time() - began_at < 2.3
        assert [each.revision for each in pictures] == sorted({each.revision for each in pictures})
        while pictures[-1].revision < p.picture.revision:
            pictures.append(await stream.next())
        with trio.move_on_after(5):
            await stream.next()
            pytest.fail("nothing changed")


async def test_pages_that_lack_the_same_cost_one_picture(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    changes = Picture.changes

    def counted(self: Picture, since: int, now: float) -> PictureWire:
        made.append(since)
        return changes(self, since, now)

    monkeypatch.setattr(Picture, "changes", counted)
    async with page() as p, AsyncExitStack() as stack:
        streams: list[Stream] = []
        for _ in range(8):
            streams.append(await stack.enter_async_context(events(HOST, p.port)))
            await streams[-1].next()
            await trio.sleep(0.03)
        for number in (1, 2, 3):
            p.trade(number)
            assert {(await stream.next()).revision for stream in streams} == {number}
    assert made == [0, 1, 2]


async def test_a_quiet_stream_says_that_it_is_there(autojump_clock: MockClock) -> None:
    async with page() as p, events(HOST, p.port) as stream:
        await stream.next()
        await _pass(stream, 45)
        assert stream.comments == 4


async def test_a_browser_that_reads_late_gets_one_merged_change(autojump_clock: MockClock) -> None:
    """What waits is what the sockets hold, never a queue of ours; what it is told in the end is the newest."""
    async with page() as p, events(HOST, p.port) as stream:
        await stream.next()
        for number in range(1, 2_001):
            p.trade(number)
            await trio.sleep(0.01)
        newest = p.picture.revision
        pictures: list[PictureWire] = []
        while not pictures or pictures[-1].revision < newest:
            pictures.append(await stream.next())
        assert len(pictures) <= 20 * 5 + 1
        assert pictures[-1].streams[0].last_id == 2_000


async def test_a_browser_that_never_reads_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with page(StreamLimits(clients_max=2)) as p:
        deaf = await p.deaf()
        async with events(HOST, p.port) as stream:
            await stream.next()
            refused = await _get(p.url)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert "2 pages are open" in refused.text
            for number in range(1, 4_000):
                p.trade(number)
                for extra in range(30):
                    p.picture.fault(AT + number, f"{extra}" * 100)
                await trio.sleep(0.05)
                if number % 4 == 0:
                    assert (await stream.next()).revision > number
            assert trio.current_time() > 100
            # The deaf one was given up meanwhile, so there is room.
            async with events(HOST, p.port) as another:
                assert (await another.next()).whole
        await deaf.aclose()


async def test_a_browser_that_comes_back_gets_everything(autojump_clock: MockClock) -> None:
    async with page() as p:
        for number in (1, 2, 3):
            async with events(HOST, p.port) as stream:
                p.trade(number)
                picture = await stream.next()
                assert picture.whole
        await trio.sleep(1)
        async with events(HOST, p.port) as stream:
            assert (await stream.next()).streams[0].last_id == 3


async def test_closing_the_server_ends_every_stream_at_once(autojump_clock: MockClock) -> None:
    async with page() as p, events(HOST, p.port) as stream, events(HOST, p.port) as another:
        await stream.next()
        await another.next()
        await trio.sleep(1)
        closed_at = trio.current_time()
        p.closing.set()
        for each in (stream, another):
            with pytest.raises(EOFError):
                await each.next()
        assert trio.current_time() - closed_at < 0.1


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return await http.get("/events")


async def _pass(stream: Stream, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await stream.next()
