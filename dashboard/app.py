"""The routes of the page. Pure ASGI: it serves on whatever calls it, and knows no socket.

``GET /``, ``/static/...``, ``/events`` (:mod:`~gapless.dashboard.sse`), ``/api/picture``; with faults, ``/api/faults``
and ``POST /api/faults/{name}``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from time import time
from typing import Final

import msgspec
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gapless.dashboard.faults import FaultError, Faults, UnknownFaultError
from gapless.dashboard.guard import Door, Guard
from gapless.dashboard.sse import EventStreams, Source, StreamLimits
from gapless.dashboard.wire import PictureWire
from gapless.diagrams import COMMITTED

STATIC: Final = Path(__file__).parent / "static"
"""The page's own files."""
INDEX: Final = "index.html"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""By ending; what is not here is not served. The system's own table differs from machine to machine."""


def dashboard_app(
    source: Source,
    door: Door,
    *,
    closing: trio.Event,
    faults: Faults | None = None,
    wall_clock: Callable[[], float] = time,
    limits: StreamLimits | None = None,
) -> ASGIApp:
    """The page of one picture, behind its door.

    Args:
        source: the picture.
        door: whose requests are answered.
        closing: ends every stream when it is set.
        faults: the buttons that break things; None: there are none, and no route for them.
        wall_clock: Unix seconds.
        limits: of the streams.
    """
    streams = EventStreams(source, closing=closing, wall_clock=wall_clock, limits=limits)
    page = _Page(static_files(), lambda: source.whole(wall_clock()), streams)
    routes = [
        Route("/", page.index),
        Route("/static/{name:path}", page.static),
        Route("/events", page.events),
        Route("/api/picture", page.picture),
    ]
    if faults is not None:
        buttons = _Buttons(faults)
        routes += [
            Route("/api/faults", buttons.list),
            Route("/api/faults/{name}", buttons.press, methods=["POST"]),
        ]
    app = Starlette(routes=routes)
    # A path with a slash too many is a 404: a redirect would name the Host the request came with.
    app.router.redirect_slashes = False
    return Guard(app, door)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served."""

    content: bytes
    media_type: str
    etag: str


def static_files(folder: Path = STATIC) -> Mapping[str, StaticFile]:
    """Path below ``/static/`` -> file: the page's own, the chart library's script, and the state diagram.

    They are read once, when the server starts: no request ever names a path of the file system.
    """
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found["lightweight-charts.js"] = (resources.files("litecharts") / "js" / "lightweight-charts.js").read_bytes()
    found["states.svg"] = (COMMITTED / "states.svg").read_bytes()
    return {
        name: StaticFile(content, _TYPES[Path(name).suffix], f'"{sha256(content).hexdigest()[:32]}"')
        for name, content in found.items()
        if Path(name).suffix in _TYPES
    }


class _Page:
    """What everybody may see."""

    def __init__(
        self, files: Mapping[str, StaticFile], whole: Callable[[], PictureWire], streams: EventStreams
    ) -> None:
        self._files = files
        self._whole = whole
        self._streams = streams

    async def index(self, request: Request) -> Response:
        return self._file(request, INDEX)

    async def static(self, request: Request) -> Response:
        return self._file(request, request.path_params["name"])

    def _file(self, request: Request, name: str) -> Response:
        """A file, or the word that the browser has it. ``no-cache``: it asks each time, so an update shows at once."""
        file = self._files.get(name)
        if file is None:
            raise HTTPException(404, f"there is no file {name!a} here")
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    async def events(self, request: Request) -> Response:
        # A HEAD has no body that could last.
        return Response(media_type="text/event-stream") if request.method == "HEAD" else self._streams.open()

    async def picture(self, _: Request) -> Response:
        return _json(self._whole())


class _Buttons:
    """What only a demo has."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def list(self, _: Request) -> Response:
        return _json(self._faults.buttons)

    async def press(self, request: Request) -> Response:
        try:
            await self._faults.press(request.path_params["name"])
        except UnknownFaultError as error:
            raise HTTPException(404, str(error)) from None
        except FaultError as error:
            return PlainTextResponse(f"{error}\n", 409)
        return Response(status_code=204)


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"})
