"""The taps: a transport and an HTTP client that say what goes through them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import httpx
import msgspec
import trio

from gapless.controller.transports import Connection, Transport
from gapless.simulator.torture.observer import Answered, Asked, Heard, Watches


class _Data(msgspec.Struct, tag_field="type", tag="MARKET_DATA"):
    """As much of a frame as makes it market data beyond doubt."""

    channel: str
    symbol: str
    timestamp: str
    price: float
    sequence_id: int


_data = msgspec.json.Decoder(_Data)
_RESTARTS: Final = ("MARKET_DATA", "SUBSCRIBED")
"""What a frame must contain to be able to restart an idle window; corrupt ones may still contain it."""


class TappedTransport:
    """A transport whose sockets are watched."""

    def __init__(self, inner: Transport, watches: Watches) -> None:
        self._inner = inner
        self._watches = watches

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial through the transport within."""
        return self._connect(url)

    @asynccontextmanager
    async def _connect(self, url: str) -> AsyncIterator[Connection]:
        watches = self._watches
        watches.dialled(trio.current_time())
        async with self._inner.connect(url) as connection:
            watches.opened(trio.current_time())
            try:
                yield _Tapped(watches, connection)
            finally:
                watches.closed(trio.current_time())


class _Tapped:
    """A connection whose frames are looked at before they are handed on."""

    def __init__(self, watches: Watches, inner: Connection) -> None:
        self._watches = watches
        self._inner = inner

    async def receive(self) -> Sequence[str | bytes]:
        frames = await self._inner.receive()
        self._watches.heard(trio.current_time(), _heard(frames))
        return frames

    async def send(self, frame: str) -> None:
        await self._inner.send(frame)


def _heard(frames: Sequence[str | bytes]) -> Heard:
    streams: list[tuple[str, str]] = []
    perhaps = False
    for frame in frames:
        try:
            datum = _data.decode(frame)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            perhaps = perhaps or any(word in str(frame) for word in _RESTARTS)
        else:
            streams.append((datum.channel, datum.symbol))
    return Heard(streams=tuple(streams), perhaps=perhaps or bool(streams))


def tapped_client(watches: Watches, timeout_s: float) -> httpx.AsyncClient:
    """An HTTP client whose requests are watched.

    Its connections are kept for as long as the server keeps them: httpcore's own expiry follows the real clock, and a
    run would not be repeatable.
    """
    numbers = iter(range(1, 2**63))

    async def on_request(request: httpx.Request) -> None:
        asked = Asked(method=request.method, path=request.url.raw_path.decode("ascii"), number=next(numbers))
        request.extensions["gapless.asked"] = asked
        watches.asked(trio.current_time(), asked)

    async def on_response(response: httpx.Response) -> None:
        text = response.headers.get("retry-after", "")
        watches.answered(
            trio.current_time(),
            Answered(
                status=response.status_code,
                retry_after_s=float(text) if text.isdecimal() else None,
                asked=response.request.extensions["gapless.asked"],
            ),
        )

    return httpx.AsyncClient(
        trust_env=False,
        timeout=timeout_s,
        limits=httpx.Limits(keepalive_expiry=None),
        event_hooks={"request": [on_request], "response": [on_response]},
    )
