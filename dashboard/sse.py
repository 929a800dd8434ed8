"""Server-sent events: each browser is told what changed since it was told last, at the pace at which it reads.

There is no queue. A browser's task asks the picture for what is newer than the revision it sent; while a send waits for
a slow browser, nothing collects: what comes next is a later, merged change. So a slow browser costs one task, their
number is bounded, and one that takes nothing at all is given up.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from time import time
from typing import Final, Protocol

import msgspec
import trio
from loguru import logger
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gapless.dashboard.wire import PictureWire

_KEEP_ALIVE: Final = b": keep-alive\n\n"
_PIECES_MAX: Final = 4
"""Encoded events kept: pages in step lack the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """The pace, and how much browsers may take."""

    clients_max: int = 32
    """Open streams; more are refused with 503. A browser has up to six for one host."""
    update_every_s: float = 0.2
    """Five pictures a second: faster than that nobody reads."""
    keep_alive_every_s: float = 10.0
    """Of silence until a comment is sent: what lies between may cut a connection that says nothing."""
    send_timeout_s: float = 30.0
    """For a browser to take one piece. The server's own deadline is the same; this one holds on any server."""
    reconnect_after_s: float = 1.0
    """What browsers are told to wait before they come back."""


class Source(Protocol):
    """Where pictures come from; :class:`~gapless.dashboard.picture.Picture` is one."""

    @property
    def revision(self) -> int:
        """Grows with each change."""
        ...

    def whole(self, now: float) -> PictureWire:
        """Everything; ``now`` in Unix seconds."""
        ...

    def changes(self, since: int, now: float) -> PictureWire:
        """What changed after revision ``since``; everything where that is not known any more."""
        ...


class EventStreams:
    """All open streams of one server.

    Args:
        source: what is sent.
        closing: set when the server is closed; every stream ends at once.
        wall_clock: Unix seconds.
        limits: the pace and the bounds.
    """

    def __init__(
        self,
        source: Source,
        *,
        closing: trio.Event,
        wall_clock: Callable[[], float] = time,
        limits: StreamLimits | None = None,
    ) -> None:
        self._source = source
        self._closing = closing
        self._wall_clock = wall_clock
        self._limits = limits or StreamLimits()
        self._encoder = msgspec.json.Encoder()
        self._pieces: OrderedDict[tuple[int, int], tuple[float, int, bytes]] = OrderedDict()
        self.clients = 0
        """Open streams."""

    def open(self) -> Response:
        """A stream for one more browser, or the refusal where there are too many."""
        if self.clients >= self._limits.clients_max:
            logger.warning("a stream of the dashboard is refused: {} are open", self.clients)
            text = f"{self.clients} pages are open, and no more are allowed: close one of them\n"
            return PlainTextResponse(text, 503, headers={"Retry-After": "5"})
        return _EventStream(self)

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve one browser until it is gone, is given up, or the server is closed."""
        self.clients += 1
        try:
            async with trio.open_nursery() as nursery:

                async def ended(wait: Callable[[], Awaitable[None]]) -> None:
                    await wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(ended, self._closing.wait)
                nursery.start_soon(ended, lambda: _gone(receive))
                await self._tell(send)
                nursery.cancel_scope.cancel()
        finally:
            self.clients -= 1

    async def _tell(self, send: Send) -> None:
        """Tell one browser of every change; returns when it is given up."""
        limits = self._limits
        known, event = self._event(-1)
        retry = b"retry: %d\n\n" % (limits.reconnect_after_s * 1_000)
        piece, told_at = retry + event, trio.current_time()
        while True:
            if piece:
                with trio.move_on_after(limits.send_timeout_s) as patience:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if patience.cancelled_caught:
                    return
                told_at = trio.current_time()
            # All pages in step, so that they lack the same.
            await trio.sleep_until((round(trio.current_time() / limits.update_every_s) + 1) * limits.update_every_s)
            piece = b""
            if self._source.revision != known:
                known, piece = self._event(known)
            elif trio.current_time() - told_at >= limits.keep_alive_every_s:
                piece = _KEEP_ALIVE

    def _event(self, since: int) -> tuple[int, bytes]:
        """What a page at revision ``since`` (-1: none) lacks: the revision it has then, and the event.

        Encoded once for all pages that lack the same. JSON has no line break outside its strings, and within them they
        are escaped: one ``data`` line.
        """
        now = trio.current_time()
        asked = (since, self._source.revision)
        made_at, revision, piece = self._pieces.get(asked, (-inf, 0, b""))
        if now - made_at >= self._limits.update_every_s:
            wall = self._wall_clock()
            picture = self._source.whole(wall) if since < 0 else self._source.changes(since, wall)
            revision, piece = picture.revision, b"event: picture\ndata: " + self._encoder.encode(picture) + b"\n\n"
            # Looking may find news: whoever asks next asks for that revision.
            self._pieces[since, revision] = now, revision, piece
            if len(self._pieces) > _PIECES_MAX:
                self._pieces.popitem(last=False)
        return revision, piece


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _EventStream(Response):
    """One browser's stream as a response."""

    media_type = "text/event-stream"

    def __init__(self, streams: EventStreams) -> None:
        self._streams = streams
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._streams.serve(receive, send)
        with trio.move_on_after(_END_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


_END_S: Final = 0.1
"""Seconds for the last byte of a stream: a browser that reads has it at once, and the others will miss nothing."""
