"""Showing a controller: sample its figures, serve the page, for as long as a block lasts.

The app hands each event it takes to ``picture.enter(event)`` itself, in the loop it has anyway: a controller has one
consumer, and the app is it. docs/dashboard.md has the whole of it in fifteen lines.

What goes wrong with one browser or one request ends that, and is logged. What goes wrong with the dashboard as such (a
defect of ours) is not hidden: by default it is raised out of the block, as it would be from any other task of the app.
An app whose feed must outlive its page gives ``on_failure``: then the page is closed and the app goes on.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time
from typing import Final, NoReturn

import trio
from loguru import logger

from gapless.controller import ConnectionController
from gapless.dashboard.app import dashboard_app
from gapless.dashboard.faults import Faults
from gapless.dashboard.guard import Door
from gapless.dashboard.picture import Picture, Sample
from gapless.dashboard.public_origin import PublicOrigin
from gapless.dashboard.server import at, listen, port_of, serving
from gapless.dashboard.wire import PictureWire

SAMPLE_EVERY_S: Final = 0.2
"""As often as a page is told."""


@asynccontextmanager
async def serve_dashboard(
    controller: ConnectionController,
    picture: Picture,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    public_url: str | None = None,
    faults: Faults | None = None,
    on_failure: Callable[[Exception], None] | None = None,
    wall_clock: Callable[[], float] = time,
) -> AsyncIterator[str]:
    """Serve the page of a controller until the block is left; then every task and socket of it is gone, within 0.5 s.

    Args:
        controller: what is shown; only read.
        picture: what the app enters the events into.
        host: where to listen. Other than loopback, everybody who can reach the port sees the page, and there is no
            password: put a reverse proxy before it.
        port: 0 takes a free one.
        public_url: where a reverse proxy shows the page, as browsers know it: ``https://dash.example.com``. Without it,
            what comes through the proxy is refused with 403.
        faults: the buttons of a demo; None: no buttons.
        on_failure: called with a defect of the dashboard, which is then closed, while the block goes on; None: the
            defect is raised out of the block.
        wall_clock: Unix seconds; the controller's, where it has one of its own.

    Yields:
        The page's URL.

    Raises:
        CannotListenError: the port is in use, or the host is none of this machine; one line says which. An OSError.
        ValueError: ``public_url`` is none, or has a path; one line says so.
    """
    public = None if public_url is None else PublicOrigin.of(public_url)
    listeners = await listen(host, port)
    chosen = port_of(listeners)
    closing = trio.Event()
    source = _Sampled(controller, picture, wall_clock)
    door = Door(host, chosen, public)
    app = dashboard_app(source, door, closing=closing, faults=faults, wall_clock=wall_clock)

    async def show() -> None:
        try:
            async with serving(app, listeners, closing=closing):
                await _sample(source)
        except ExceptionGroup as group:
            failure = _alone(group)
            logger.opt(exception=failure).error("the dashboard failed and is closed")
            if on_failure is None or not isinstance(failure, Exception):
                raise failure from failure.__cause__
            on_failure(failure)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, name="gapless.dashboard")
            yield f"http://{at(_reachable(host), chosen)}/"
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = _alone(group)
        raise error from error.__cause__


class _Sampled:
    """A picture that looks at its controller before it is told: its figures are never older than the state beside."""

    def __init__(self, controller: ConnectionController, picture: Picture, wall_clock: Callable[[], float]) -> None:
        self._controller = controller
        self._picture = picture
        self._wall_clock = wall_clock

    def look(self) -> None:
        self._picture.observe(Sample.of(self._controller, self._wall_clock()))

    @property
    def revision(self) -> int:
        return self._picture.revision

    def whole(self, now: float) -> PictureWire:
        self.look()
        return self._picture.whole(now)

    def changes(self, since: int, now: float) -> PictureWire:
        self.look()
        return self._picture.changes(since, now)


async def _sample(source: _Sampled) -> NoReturn:
    """With no page open, too: who opens one late sees the heartbeats before."""
    while True:
        source.look()
        await trio.sleep(SAMPLE_EVERY_S)


def _reachable(host: str) -> str:
    """A server that listens on every address is found on loopback."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that a nursery of ours wrapped; several stay a group, and so does a group of the app's own."""
    _cancelled, rest = group.split(trio.Cancelled)
    if rest is None:
        return group
    return rest.exceptions[0] if len(rest.exceptions) == 1 else rest
