"""Between h11 and ASGI: a request as a scope, an app's messages as bytes."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

import h11
import trio
from starlette.types import Message, Scope


class CutReplyError(Exception):
    """Raised by an app: what it has sent so far goes out, then the connection is dropped."""


class PeerGoneError(OSError):
    """The peer closed, reset or stalled the connection. An app sees it from ``send``, as ASGI prescribes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A whole request."""

    head: h11.Request
    body: bytes


def scope_of(request: Requested, stream: trio.SocketStream) -> Scope:
    """The ASGI scope of a request that came over ``stream``."""
    target, _, query = request.head.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.head.http_version.decode("ascii"),
        "method": request.head.method.decode("ascii"),
        "scheme": "http",
        "path": unquote(target.decode("ascii", "replace")),
        "raw_path": target,
        "query_string": query,
        "root_path": "",
        "headers": list(request.head.headers),
        "client": _address(stream.socket.getpeername),
        "server": _address(stream.socket.getsockname),
    }


class Reply:
    """What an app sends, framed: with a length where the whole body is known at once, chunked otherwise."""

    def __init__(self, http: h11.Connection, send: Callable[[bytes], Awaitable[None]], *, is_head: bool) -> None:
        self._http = http
        self._send = send
        self._is_head = is_head
        self._head: h11.Response | None = None
        self.is_begun = False

    async def send(self, message: Message) -> None:
        """ASGI's ``send``: the head is kept until the first piece of the body, so that both go out together."""
        if message["type"] == "http.response.start":
            self._head = _head(message["status"], list(message.get("headers", ())))
            return
        body: bytes = message.get("body", b"")
        is_last = not message.get("more_body", False)
        data = self._take_head(length=len(body) if is_last else None)
        if body and not self._is_head:
            data += self._http.send(h11.Data(data=body)) or b""
        if is_last:
            data += self._http.send(h11.EndOfMessage()) or b""
        await self._send(data)

    async def flush(self) -> None:
        """Send the head, if it is still waiting for a body."""
        if self._head is not None:
            await self._send(self._take_head(length=None))

    def _take_head(self, length: int | None) -> bytes:
        head, self._head = self._head, None
        if head is None:
            return b""
        self.is_begun = True
        names = {name for name, _ in head.headers}
        if length is not None and not names & {b"content-length", b"transfer-encoding"}:
            head = _head(head.status_code, [*head.headers, (b"content-length", str(length).encode())])
        return self._http.send(head) or b""


def _address(name: Callable[[], tuple[str, int]]) -> tuple[str, int] | None:
    with suppress(OSError):
        return name()[:2]
    return None


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> h11.Response:
    reason = HTTPStatus(status).phrase if status in _KNOWN else ""
    return h11.Response(status_code=status, headers=headers, reason=reason.encode())


_KNOWN = frozenset(HTTPStatus)
