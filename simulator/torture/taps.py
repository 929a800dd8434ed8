"""The taps: a transport and an HTTP client that say what goes through them."""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NoReturn

import httpx
import msgspec
import trio

from gapless.controller import LinkError, Stream
from gapless.controller.transports import Connection, PushConnection, Transport
from gapless.simulator.testkit.deliveries import Point
from gapless.simulator.torture.observer import Answered, Asked, Heard, Watches


class _Data(msgspec.Struct, tag_field="type", tag="MARKET_DATA"):
    """As much of a frame as makes it market data beyond doubt."""

    channel: str
    symbol: str
    timestamp: str
    price: float
    sequence_id: int
    bid: float | None = None
    ask: float | None = None
    volume_24h: float | None = None

    @property
    def point(self) -> Point:
        """What it says, but for its name."""
        return Point(self.timestamp, self.price, self.bid or 0.0, self.ask or 0.0, self.volume_24h or 0.0)


class _Mark(msgspec.Struct):
    channel: str
    symbol: str
    sequence_id: int | None = None


class _Welcome(msgspec.Struct, tag_field="type", tag="WELCOME"):
    epoch: str = "-"


class _Subscribed(msgspec.Struct, tag_field="type", tag="SUBSCRIBED"):
    request_id: str
    streams: list[_Mark]


class _Goodbye(msgspec.Struct, tag_field="type", tag="GOODBYE"):
    retry_after_s: float = 0.0


class _Subscribe(msgspec.Struct, tag_field="type", tag="SUBSCRIBE"):
    request_id: str


_data = msgspec.json.Decoder(_Data)
_control = msgspec.json.Decoder(_Welcome | _Subscribed | _Goodbye)
_subscribe = msgspec.json.Decoder(_Subscribe)
_CONTROL: Final = ('"WELCOME"', '"SUBSCRIBED"', '"GOODBYE"')
_ANSWERS: Final = ('"SUBSCRIBED"', '"REJECTED"')
_OFTEN: Final = 2
"""Times in a row: what a socket says more often is no news to anybody, even where the first was not taken."""


class TappedTransport:
    """A transport whose sockets are watched.

    Args:
        refused: seconds to wait, as the exchange answered the last handshake that it refused, if it was just now.
    """

    def __init__(self, inner: Transport, watches: Watches, refused: Callable[[], float | None]) -> None:
        self._inner = inner
        self._watches = watches
        self._refused = refused
        self._open: list[object] = []
        """A mark for each socket that is open, the oldest first."""

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Dial through the transport within."""
        return self._connect(url)

    @asynccontextmanager
    async def _connect(self, url: str) -> AsyncIterator[Connection]:
        watches = self._watches
        watches.dialled(trio.current_time())
        is_open = False
        try:
            async with self._inner.connect(url) as connection:
                is_open, mark = True, object()
                self._open.append(mark)
                watches.opened(trio.current_time())
                try:
                    yield _Tapped(watches, connection, lambda: self._open[0] is mark)
                finally:
                    self._open.remove(mark)
                    watches.closed(trio.current_time())
        except LinkError:
            wait_s = None if is_open else self._refused()
            if wait_s:
                watches.told_to_wait(trio.current_time(), trio.current_time() + wait_s)
            raise


class _Shown:
    """What a socket has shown of one stream."""

    def __init__(self) -> None:
        self._highest = 0
        self._last = 0
        self._times = 0

    def subscribed(self, mark: int) -> None:
        """Asked for anew, above ``mark``; what was shown before may be shown anew."""
        self._highest = max(self._highest, mark)
        self._times = 0

    def enter(self, sequence_id: int) -> tuple[bool, bool]:
        """One datum: whether it is news beyond doubt, and whether it may be."""
        self._times = self._times + 1 if sequence_id == self._last else 1
        self._last = sequence_id
        is_news = sequence_id > self._highest
        self._highest = max(self._highest, sequence_id)
        return is_news, self._times <= _OFTEN


class _Tapped:
    """A connection whose frames are looked at before they are handed on."""

    def __init__(self, watches: Watches, inner: Connection, leads: Callable[[], bool]) -> None:
        self._watches = watches
        self._inner = inner
        self._leads = leads
        self._epoch = "-"
        self._sent_at: dict[str, float] = {}
        """Request id of a SUBSCRIBE -> when it was sent."""
        self._shown: dict[tuple[str, str], _Shown] = {}

    async def receive(self) -> Sequence[str | bytes]:
        frames = await self._inner.receive()
        self._look(frames)
        return frames

    async def push(self, enter: Callable[[Sequence[str | bytes]], None]) -> NoReturn:
        """As the connection within does it, where it can."""

        def look_and_enter(frames: Sequence[str | bytes]) -> None:
            self._look(frames)
            enter(frames)

        if isinstance(self._inner, PushConnection):
            await self._inner.push(look_and_enter)
        while True:
            look_and_enter(await self._inner.receive())

    def _look(self, frames: Sequence[str | bytes]) -> None:
        now = trio.current_time()
        ids: list[tuple[str, str, int]] = []
        points: list[Point] = []
        streams: list[tuple[str, str]] = []
        perhaps = doubtful = False
        for frame in frames:
            try:
                datum = _data.decode(frame)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
                doubtful = doubtful or "MARKET_DATA" in text
                perhaps = perhaps or doubtful or any(word in text for word in _ANSWERS)
                if any(word in text for word in _CONTROL):
                    self._control(now, text)
            else:
                key = (datum.channel, datum.symbol)
                is_news, may_be_news = self._of(*key).enter(datum.sequence_id)
                ids.append((*key, datum.sequence_id))
                points.append(datum.point)
                streams += [key] if is_news else []
                perhaps = perhaps or may_be_news
        heard = Heard(
            epoch=self._epoch,
            ids=tuple(ids),
            points=tuple(points),
            streams=tuple(streams),
            perhaps=perhaps,
            doubtful=doubtful,
            leads=self._leads(),
        )
        self._watches.heard(now, heard)

    def _of(self, channel: str, symbol: str) -> _Shown:
        return self._shown.setdefault((channel, symbol), _Shown())

    def _control(self, now: float, text: str) -> None:
        match _control.decode(text):
            case _Welcome(epoch=epoch):
                self._epoch = epoch
            case _Goodbye(retry_after_s=wait_s):
                self._watches.told_to_wait(now, now + wait_s)
            case _Subscribed(request_id=request_id, streams=streams):
                sent_at = self._sent_at.get(request_id, now)
                for each in streams:
                    self._of(each.channel, each.symbol).subscribed(each.sequence_id or 0)
                    if each.sequence_id is not None:
                        stream = Stream(each.channel, each.symbol)
                        self._watches.acknowledged(now, stream, self._epoch, each.sequence_id, sent_at)

    async def send(self, frame: str) -> None:
        if '"SUBSCRIBE"' in frame:
            self._sent_at[_subscribe.decode(frame).request_id] = trio.current_time()
        elif '"PING"' in frame:
            self._watches.pinged(trio.current_time())
        await self._inner.send(frame)


def tapped_client(watches: Watches, timeout_s: float) -> httpx.AsyncClient:
    """An HTTP client whose requests are watched.

    Its connections are kept for as long as the server keeps them: httpcore's own expiry follows the real clock, and a
    run would not be repeatable.
    """

    async def on_request(request: httpx.Request) -> None:
        asked = Asked(path=request.url.raw_path.decode("ascii"))
        watches.asked(trio.current_time(), asked)

    async def on_response(response: httpx.Response) -> None:
        text = response.headers.get("retry-after", "")
        watches.answered(
            trio.current_time(),
            Answered(
                status=response.status_code,
                retry_after_s=float(text) if text.isdecimal() else None,
            ),
        )

    return httpx.AsyncClient(
        # Nothing here is encrypted; the default would read every certificate authority there is, for each world.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
        timeout=timeout_s,
        limits=httpx.Limits(keepalive_expiry=None),
        event_hooks={"request": [on_request], "response": [on_response]},
    )
