"""What each address answers, asked of the app itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

from gapless.dashboard import Faults, Picture
from gapless.dashboard.app import dashboard_app, static_files
from gapless.dashboard.guard import Door
from gapless.dashboard.wire import PictureWire
from gapless.diagrams import COMMITTED
from tests.dashboard.happenings import datum

AT = 1_767_225_600.0
URL = "http://127.0.0.1:8099"


@asynccontextmanager
async def browser(picture: Picture | None = None, faults: Faults | None = None) -> AsyncIterator[httpx.AsyncClient]:
    app = dashboard_app(
        picture or Picture(began_at=AT, run="r"),
        Door("127.0.0.1", 8099),
        closing=trio.Event(),
        faults=faults,
        wall_clock=lambda: AT + 1,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http:
        yield http


async def test_the_page_and_all_it_names_are_there() -> None:
    async with browser() as http:
        index = await http.get("/")
        assert index.status_code == 200
        assert index.headers["content-type"] == "text/html; charset=utf-8"
        for name in static_files():
            reply = await http.get(f"/static/{name}")
            assert (reply.status_code, len(reply.content) > 0) == (200, True), name


async def test_the_chart_library_and_the_diagram_come_from_this_machine() -> None:
    async with browser() as http:
        chart = await http.get("/static/lightweight-charts.js")
        diagram = await http.get("/static/states.svg")
    assert chart.headers["content-type"].startswith("text/javascript")
    assert b"TradingView Lightweight Charts" in chart.content
    assert diagram.headers["content-type"] == "image/svg+xml"
    assert diagram.content == (COMMITTED / "states.svg").read_bytes()


@pytest.mark.parametrize(
    "path",
    ["/static/nope.js", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/", "/nope"],
)
async def test_there_is_nothing_else(path: str) -> None:
    async with browser() as http:
        reply = await http.get(path)
    assert reply.status_code == 404
    assert reply.headers["content-type"].startswith("text/plain")


def test_only_files_of_known_kinds_are_served(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("page.html", "more/code.js", "secret.py", "notes"):
        (tmp_path / name).write_text("x")

    assert set(static_files(tmp_path)) == {"page.html", "more/code.js", "lightweight-charts.js", "states.svg"}


async def test_a_file_the_browser_has_is_not_sent_again() -> None:
    async with browser() as http:
        etag = (await http.get("/static/states.svg")).headers["etag"]
        again = await http.get("/static/states.svg", headers={"If-None-Match": etag})
        changed = await http.get("/static/states.svg", headers={"If-None-Match": '"other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


async def test_a_head_of_the_stream_is_answered_at_once() -> None:
    async with browser() as http:
        with trio.fail_after(5):
            reply = await http.head("/events")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-type"].startswith("text/event-stream")


async def test_the_picture_is_all_there_is() -> None:
    picture = Picture(began_at=AT, run="r", title="BTC")
    picture.enter(datum(1))
    async with browser(picture) as http:
        reply = await http.get("/api/picture")
    assert reply.headers["cache-control"] == "no-store"
    shown = msgspec.json.decode(reply.content, type=PictureWire)
    assert shown == picture.whole(AT + 1)
    assert shown.whole


async def test_without_faults_there_are_no_buttons() -> None:
    async with browser() as http:
        assert (await http.get("/api/faults")).status_code == 404
        assert (await http.post("/api/faults/silent")).status_code == 404


async def test_nothing_but_a_button_takes_anything() -> None:
    async with browser() as http:
        for path in ("/", "/api/picture", "/static/states.svg", "/events"):
            assert (await http.post(path)).status_code == 405


async def test_strangers_stay_outside_every_route() -> None:
    async with browser() as http:
        for path in ("/", "/static/states.svg", "/events", "/api/picture", "/api/faults", "/nope"):
            reply = await http.get(path, headers={"Host": "evil.example"})
            assert (reply.status_code, "evil.example" in reply.text) == (403, True)
            assert (await http.get(path, headers={"Origin": "http://evil.example"})).status_code == 403
