"""Compressed replies, to clients that accept them; as venues' front servers do it."""

import gzip
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Compression: TypeAlias = Literal["off", "gzip", "zstd"]

_SMALLEST: Final = 500
"""Bytes of a body below which compressing is not worth it: what starlette's own takes."""
_LEVEL: Final = 6
"""Of gzip: what nginx's users usually set; 9 takes three times as long for one per cent."""


def _gzipped(body: bytes) -> bytes:
    # Without the time: the same reply is the same bytes.
    return gzip.compress(body, _LEVEL, mtime=0)


try:
    from zstandard import ZstdCompressor
except ImportError:
    COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": _gzipped}
else:
    COMPRESSORS = {"gzip": _gzipped, "zstd": ZstdCompressor().compress}


def compressing(app: ASGIApp, compression: Compression) -> ASGIApp:
    """``app`` with its replies compressed; as it is where they are not to be."""
    return app if compression == "off" else _Compressing(app, compression)


class _Compressing:
    def __init__(self, app: ASGIApp, compression: str) -> None:
        self._app = app
        self._encoding = compression
        self._compress = COMPRESSORS[compression]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if self._encoding not in {word.partition(";")[0].strip() for word in accepted.split(",")}:
            await self._app(scope, receive, send)
            return
        head: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send(head, bytes(body), send)

        await self._app(scope, receive, collect)

    async def _send(self, head: Message, body: bytes, send: Send) -> None:
        if len(body) >= _SMALLEST:
            body = self._compress(body)
            headers = MutableHeaders(raw=list(head["headers"]))
            headers["content-encoding"] = self._encoding
            headers["content-length"] = str(len(body))
            headers.add_vary_header("accept-encoding")
            head = {**head, "headers": headers.raw}
        await send(head)
        await send({"type": "http.response.body", "body": body})
