"""An app that embeds the dashboard: docs/dashboard.md runs, leaving ends it all, and its failures are nobody else's."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConnectionController, State, Stream, open_controller
from gapless.dashboard import CannotListenError, Picture, Sample, open_faults, serve_dashboard, witnessed_client
from gapless.dashboard.rest_witness import Witness
from gapless.dashboard.wire import PictureWire
from gapless.simulator import FailuresConfig, RateLimitMode, SelectMode, ServerErrorMode
from gapless.simulator.testkit import World, open_world, virtual_wall_clock
from tests.dashboard.pages import events

DOCUMENT = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text()
(EMBED,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
TICKER = Stream("ticker", "BTC/USD")
HOST = "127.0.0.1"


def picture() -> Picture:
    return Picture(began_at=virtual_wall_clock(), run="r")


@asynccontextmanager
async def feed(
    world: World, shown: Picture, http: httpx.AsyncClient | None = None, *, connected: bool = True
) -> AsyncIterator[ConnectionController]:
    async with (
        open_controller(
            ws_url=world.ws_url, rest_url=world.rest_url, streams=[TICKER], session_id="app", http=http
        ) as controller,
        trio.open_nursery() as nursery,
    ):

        async def enter() -> None:
            async for event in controller:
                shown.enter(event)

        nursery.start_soon(enter)
        if connected:
            await controller.wait_for(State.CONNECTED)
        yield controller
        nursery.cancel_scope.cancel()


async def shown_at(url: str) -> PictureWire:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return msgspec.json.decode((await http.get("/api/picture")).content, type=PictureWire)


async def test_the_documents_app_shows_its_feed(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Callable[[str, str], Awaitable[None]]] = {}
    exec(compile(EMBED, "docs/dashboard.md", "exec"), namespace)  # noqa: S102  # our own document
    async with open_world(rate_per_s=5.0) as world, trio.open_nursery() as nursery:
        nursery.start_soon(namespace["main"], world.ws_url, world.rest_url)
        await trio.sleep(10)
        url = capsys.readouterr().out.strip()
        assert url == "http://127.0.0.1:8099/"
        shown = await shown_at(url)
        assert (shown.state.name, shown.title, shown.interval_s) == (State.CONNECTED, "BTC", 60)
        assert shown.streams[0].live > 40
        assert shown.streams[0].freshness_s is not None
        assert "rest" in {item.kind for item in shown.items}
        assert sum(bar.n for bar in shown.candles["BTC/USD"]) == shown.streams[0].live
        nursery.cancel_scope.cancel()


def test_embedding_is_short() -> None:
    body = EMBED[EMBED.index("async def main") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


async def test_a_browser_sees_the_feed_break_and_heal(autojump_clock: MockClock) -> None:
    shown = picture()
    async with (
        open_world(rate_per_s=5.0) as world,
        feed(world, shown) as controller,
        serve_dashboard(controller, shown, wall_clock=virtual_wall_clock) as url,
        events(HOST, int(url.rstrip("/").rpartition(":")[2])) as stream,
    ):
        assert (await stream.next()).whole
        world.exchange.disconnect("app")
        seen: list[State] = []
        while trio.current_time() < 60 and (State.RESYNCING not in seen or seen[-1] is not State.CONNECTED):
            seen += [each.after for each in (await stream.next()).transitions]
        assert (seen[0], seen[-1]) == (State.REST_FALLBACK, State.CONNECTED)


async def test_figures_are_never_older_than_the_state_beside_them(autojump_clock: MockClock) -> None:
    shown = picture()
    async with (
        open_world(rate_per_s=0.0) as world,
        feed(world, shown, connected=False) as controller,
        serve_dashboard(controller, shown, wall_clock=virtual_wall_clock) as url,
    ):
        world.publish()
        await controller.wait_for(State.CONNECTED)
        world.fail(
            FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(3,))), "app"
        )
        await trio.sleep(1.0)
        await shown_at(url)
        world.publish(4)
        await controller.wait_for(State.RESYNCING)
        now = await shown_at(url)
        assert (now.state.name, now.streams[0].missing) == (State.RESYNCING, 1)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_leaving_and_being_cancelled_take_a_moment_with_a_page_open(
    cancelled: bool, autojump_clock: MockClock
) -> None:
    shown = picture()
    async with open_world(rate_per_s=5.0) as world, feed(world, shown) as controller, trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        ended = trio.Event()
        ports: list[int] = []

        async def serve() -> None:
            with scope:
                async with serve_dashboard(controller, shown) as url:
                    ports.append(int(url.rstrip("/").rpartition(":")[2]))
                    await trio.sleep(20)
                    if cancelled:
                        await trio.sleep_forever()
            ended.set()

        nursery.start_soon(serve)
        await trio.sleep(1)
        async with await trio.open_tcp_stream(HOST, ports[0]) as deaf:
            await deaf.send_all(b"GET /events HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (HOST.encode(), ports[0]))
            await trio.sleep(19)
            if cancelled:
                scope.cancel()
            with trio.fail_after(0.6):
                await ended.wait()
        with pytest.raises(OSError, match=r"refused|failed"):
            await trio.open_tcp_stream(HOST, ports[0])
        assert controller.state is State.CONNECTED


async def test_an_error_of_the_app_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    shown = picture()
    async with open_world() as world, feed(world, shown) as controller:
        with pytest.raises(LookupError, match="the app's own"):
            async with serve_dashboard(controller, shown):
                raise LookupError("the app's own")
        with pytest.raises(ExceptionGroup) as raised:
            async with serve_dashboard(controller, shown):
                raise ExceptionGroup("the app's own", [ValueError(), KeyError()])
        assert raised.value.message == "the app's own"


class Broken(Picture):
    """A picture with a defect: it takes some samples, then no more."""

    def observe(self, sample: Sample) -> None:
        if sample.counters["live"] > 20:
            raise ArithmeticError("a defect")
        super().observe(sample)


async def test_a_defect_is_raised_out_of_the_block(autojump_clock: MockClock) -> None:
    shown = Broken(began_at=0.0, run="r")
    async with open_world(rate_per_s=5.0) as world, feed(world, shown) as controller:
        with pytest.raises(ArithmeticError, match="a defect"):
            async with serve_dashboard(controller, shown):
                await trio.sleep_forever()
        assert controller.state is State.CONNECTED


async def test_a_feed_can_outlive_its_page(autojump_clock: MockClock) -> None:
    shown, failures = Broken(began_at=0.0, run="r"), list[Exception]()
    async with (
        open_world(rate_per_s=5.0) as world,
        feed(world, shown) as controller,
        serve_dashboard(controller, shown, on_failure=failures.append) as url,
    ):
        await trio.sleep(10)
        assert [str(each) for each in failures] == ["a defect"]
        with pytest.raises(httpx.ConnectError):
            await shown_at(url)
        live = controller.stats.live
        await trio.sleep(10)
        assert controller.stats.live > live


async def test_a_defect_in_one_reply_is_a_500_and_nothing_else(autojump_clock: MockClock) -> None:
    class Unshowable(Picture):
        def whole(self, now: float) -> PictureWire:  # noqa: ARG002
            raise ArithmeticError("a defect")

    shown = Unshowable(began_at=0.0, run="r")
    async with (
        open_world() as world,
        feed(world, shown) as controller,
        serve_dashboard(controller, shown) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        assert (await http.get("/api/picture")).status_code == 500
        with pytest.raises(httpx.HTTPError):
            await http.get("/events")
        assert (await http.get("/")).status_code == 200
        assert controller.state is State.CONNECTED


async def test_behind_a_reverse_proxy_the_page_is_seen_and_its_buttons_are_pressed(autojump_clock: MockClock) -> None:
    shown, notes = picture(), list[str]()
    browser = {"Host": "dash.example.com", "Origin": "https://dash.example.com", "Sec-Fetch-Site": "same-origin"}
    async with (
        open_world() as world,
        feed(world, shown) as controller,
        open_faults(rest_url=world.rest_url, session_id="app", note=notes.append, quiet_symbol="X") as faults,
        serve_dashboard(controller, shown, faults=faults, public_url="https://dash.example.com/") as url,
        serve_dashboard(controller, shown, faults=faults) as private_url,
        httpx.AsyncClient(headers=browser, trust_env=False) as http,
    ):
        assert (await http.get(f"{url}api/picture")).status_code == 200
        assert (await http.post(f"{url}api/faults/behave")).status_code == 204
        assert (await http.post(f"{private_url}api/faults/behave")).status_code == 403
    assert notes == ["Behave"]


async def test_a_public_url_that_is_none_is_refused_before_anything_is_served(autojump_clock: MockClock) -> None:
    shown = picture()
    async with open_world() as world, feed(world, shown) as controller:
        with pytest.raises(ValueError, match="public_url = '/dash' is not allowed"):
            async with serve_dashboard(controller, shown, public_url="/dash"):
                pytest.fail("it was served")


async def test_a_port_in_use_is_one_line(autojump_clock: MockClock) -> None:
    shown = picture()
    async with (
        open_world() as world,
        feed(world, shown) as controller,
        serve_dashboard(controller, shown, port=8099),
    ):
        with pytest.raises(CannotListenError, match=r"^cannot serve the dashboard at 127\.0\.0\.1:8099: .*in use"):
            async with serve_dashboard(controller, shown, port=8099):
                pytest.fail("it was served")


async def test_rest_requests_show_with_what_became_of_them(autojump_clock: MockClock) -> None:
    shown = picture()
    async with (
        open_world(rate_per_s=5.0) as world,
        witnessed_client(shown, wall_clock=virtual_wall_clock) as http,
        feed(world, shown, http),
    ):

        async def kinds_after(failures: FailuresConfig) -> set[str]:
            since = shown.revision
            world.exchange.failures.set(failures, "app")
            await trio.sleep(5)
            return {item.kind for item in shown.changes(since, virtual_wall_clock()).items}

        hole = SelectMode(enabled=True, probability=1.0, count=2)
        assert "rest" in await kinds_after(FailuresConfig(drop=hole))
        limited = RateLimitMode(enabled=True, count=1)
        assert {"rate_limited", "rest"} <= await kinds_after(FailuresConfig(drop=hole, rate_limited=limited))
        down = ServerErrorMode(enabled=True, count=1)
        assert {"rest_failed", "rest"} <= await kinds_after(FailuresConfig(drop=hole, server_error=down))


@pytest.mark.parametrize(
    ("patience_s", "told"),
    [(10.0, [("/slow", None)]), (3.0, [])],
    ids=["ran into its deadline", "was no longer wanted"],
)
async def test_a_request_that_is_cancelled(
    patience_s: float, told: list[tuple[str, int | None]], autojump_clock: MockClock
) -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002
            await trio.sleep_forever()

    class Told:
        def __init__(self) -> None:
            self.requests: list[tuple[str, int | None]] = []

        def rest_request(self, at: float, path: str, status: int | None) -> None:  # noqa: ARG002
            self.requests.append((path, status))

    witness = Told()
    async with httpx.AsyncClient(transport=Witness(Silent(), witness, timeout_s=10.0)) as http:
        with trio.move_on_after(patience_s):
            await http.get("http://x/slow?symbol=secret")
    assert witness.requests == told


async def test_a_request_that_gets_no_answer_shows(autojump_clock: MockClock) -> None:
    shown = picture()
    async with open_world(), witnessed_client(shown, wall_clock=virtual_wall_clock) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://exchange.example:1/nothing")
    assert [item.kind for item in shown.whole(virtual_wall_clock()).items] == ["attempt", "rest_failed"]
