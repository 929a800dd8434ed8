"""The dashboard as commands serve it: where it listens, an empty picture, and the buttons of a demo."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Final, NoReturn, Self
from uuid import uuid4

import click
import httpx
import trio

from gapless.cli.story import BEHAVES
from gapless.controller import AnyEvent, ConnectionController, Stream
from gapless.dashboard import Faults, Picture, open_faults, serve_dashboard, witnessed_client
from gapless.dashboard.wire import Mode

PORT: Final = click.IntRange(0, 65_535)
CANDLE_S: Final = 5
"""Seconds a candle is wide: a demo of a minute shows a dozen."""
_NAMED_MAX: Final = 3
"""Symbols in the title of a page; more would not fit in a tab."""
_FOLLOW_EVERY_S: Final = 0.2
"""As often as a page is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a page is served, and what a candle is."""

    host: str = "127.0.0.1"
    port: int = 0
    candle_s: int = CANDLE_S
    public_url: str | None = None
    """Where a reverse proxy shows it."""

    def picture(self, streams: Sequence[Stream], mode: Mode, wall_clock: Callable[[], float] = time) -> Picture:
        """An empty picture of these streams."""
        symbols = symbols_of(streams)
        more = f" +{len(symbols) - _NAMED_MAX}" if len(symbols) > _NAMED_MAX else ""
        return Picture(
            began_at=wall_clock(),
            run=uuid4().hex[:12],
            mode=mode,
            title=", ".join(symbols[:_NAMED_MAX]) + more or "gapless",
            interval_s=self.candle_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Whose failures the buttons switch, and where."""

    rest_url: str
    session_id: str


def symbols_of(streams: Sequence[Stream]) -> Sequence[str]:
    """What is traded there, each once."""
    return list(dict.fromkeys(stream.symbol for stream in streams if stream.symbol != "*"))


def buttons(
    picture: Picture, control: Control, streams: Sequence[Stream], wall_clock: Callable[[], float] = time
) -> AbstractAsyncContextManager[Faults]:
    """The buttons of a demo, each press noted on the time line."""
    return open_faults(
        rest_url=control.rest_url,
        session_id=control.session_id,
        note=lambda text: picture.fault(wall_clock(), text),
        quiet_symbol=symbols_of(streams)[-1],
    )


class Shown:
    """The page of a demo that tells a story.

    Attributes:
        http: the client the controller is to use, so that its requests show.
    """

    def __init__(self, page: Page, picture: Picture, http: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self.http = http
        self._page = page
        self._picture = picture
        self._clock = clock
        self._faults: Faults | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, page: Page, streams: Sequence[Stream], *, has_buttons: bool, timeout_s: float, clock: Callable[[], float]
    ) -> AsyncIterator[Self]:
        """A page that nobody sees yet."""
        picture = page.picture(streams, "demo" if has_buttons else "feed", clock)
        async with witnessed_client(picture, timeout_s, wall_clock=clock) as http:
            yield cls(page, picture, http, clock)

    @asynccontextmanager
    async def served(self, controller: ConnectionController, *, control: Control | None) -> AsyncIterator[str]:
        """Serve it, and yield the URL. A page that fails does not end the demo; one that cannot be served does."""
        async with AsyncExitStack() as stack:
            if control is not None:
                self._faults = await stack.enter_async_context(
                    buttons(self._picture, control, controller.streams, self._clock)
                )
                # Pressed during the story, a button would spoil what is to be checked.
                self._faults.held = "the demo tells its story first; the buttons work when it is checked"
            yield await stack.enter_async_context(
                serve_dashboard(
                    controller,
                    self._picture,
                    host=self._page.host,
                    port=self._page.port,
                    public_url=self._page.public_url,
                    faults=self._faults,
                    on_failure=_say_it_failed,
                    wall_clock=self._clock,
                )
            )

    def enter(self, events: Iterable[AnyEvent]) -> None:
        """Show what came."""
        for event in events:
            self._picture.enter(event)

    async def follow(self, told: Sequence[tuple[float, str]]) -> NoReturn:
        """Show what the story has told (on trio's clock) and goes on to tell."""
        shown = 0
        while True:
            for at, what in told[shown:]:
                shown += 1
                if what != BEHAVES:
                    self._picture.fault(self._clock() + at - trio.current_time(), f"the exchange {what}")
            await trio.sleep(_FOLLOW_EVERY_S)

    def release(self) -> None:
        """The story is over: the buttons work from now on."""
        if self._faults is not None:
            self._faults.held = ""


def _say_it_failed(error: Exception) -> None:
    click.echo(f"the dashboard failed and is closed: {type(error).__name__}: {error}", err=True)
