"""A browser's side of the stream, for tests: what is sent, decoded. httpx's generators cannot be left half-way."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import msgspec
import trio

from gapless.dashboard.wire import PictureWire


class Stream:
    """An open ``/events``."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.comments = 0
        self.content_type = ""
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=65_536)
        self._rest = b""
        self._pictures: deque[PictureWire] = deque()

    async def ask(self, host: str) -> None:
        request = h11.Request(method="GET", target="/events", headers=[("Host", host)])
        await self._stream.send_all((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        while not self.content_type:
            await self._receive()

    async def next(self) -> PictureWire:
        """The next picture, within a minute; an ``EOFError`` where the server has ended the stream."""
        with trio.fail_after(60):
            while not self._pictures:
                await self._receive()
        return self._pictures.popleft()

    async def _receive(self) -> None:
        match self._http.next_event():
            case h11.NEED_DATA:
                try:
                    self._http.receive_data(await self._stream.receive_some(65_536))
                except trio.BrokenResourceError:
                    raise EOFError from None
            case h11.Response() as response:
                self.content_type = dict(response.headers)[b"content-type"].decode()
            case h11.Data() as data:
                *pieces, self._rest = (self._rest + bytes(data.data)).split(b"\n\n")
                for piece in pieces:
                    self._take(piece)
            case _:
                raise EOFError

    def _take(self, piece: bytes) -> None:
        if piece.startswith(b"event: picture\ndata: "):
            self._pictures.append(msgspec.json.decode(piece.partition(b"data: ")[2], type=PictureWire))
        self.comments += piece.startswith(b":")


@asynccontextmanager
async def events(host: str, port: int) -> AsyncIterator[Stream]:
    """Open the stream of a page."""
    async with await trio.open_tcp_stream(host, port) as tcp:
        stream = Stream(tcp)
        await stream.ask(f"{host}:{port}")
        yield stream
