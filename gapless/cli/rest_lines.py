"""What ``gapless watch --requests`` prints besides the events: a line for each REST request."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx
import msgspec
import trio

from gapless.cli.output import Output

_WAITING_MAX: Final = 1_000
"""Lines that wait for a reader who does not read; more are dropped, the controller does not wait for a witness."""


_CLOSE_S: Final = 0.25
"""Seconds for closing pooled connections, as the controller takes for its own."""


class RestRequest(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """One REST request.

    Attributes:
        path: with the query, as it was sent.
        status: HTTP's; None: no reply came.
        error: what happened instead of a reply.
        seconds: until the head of the reply, or until that failed; None: not measured.
        at: Unix s, when it left.
    """

    path: str
    status: int | None
    error: str | None = None
    seconds: float | None = None
    at: float


class Witness(httpx.AsyncBaseTransport):
    """An HTTP transport that says what goes through it."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(trust_env=False)
        self._send, self._receive = trio.open_memory_channel[RestRequest](_WAITING_MAX)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the transport within."""
        at, began_s = time.time(), time.monotonic()
        # A request that is cancelled, because nobody wants its reply any more, was sent all the same.
        status: int | None = None
        error: str | None = "cancelled"
        try:
            response = await self._inner.handle_async_request(request)
            status, error = response.status_code, None
        except httpx.TransportError as failure:
            error = type(failure).__name__
            raise
        finally:
            path = request.url.raw_path.decode("ascii")
            line = RestRequest(path=path, status=status, error=error, seconds=time.monotonic() - began_s, at=at)
            with suppress(trio.WouldBlock):
                self._send.send_nowait(line)
        return response

    async def aclose(self) -> None:
        """Close the transport within; what waits to be printed still is."""
        self._send.close()
        await self._inner.aclose()

    async def print_to(self, out: Output) -> None:
        """Write a line for each request, until the transport is closed and all are written."""
        encoder = msgspec.json.Encoder()
        async for request in self._receive:
            await out.write(encoder.encode_lines([request]))


@asynccontextmanager
async def client_through(witness: Witness | None, timeout_s: float) -> AsyncIterator[httpx.AsyncClient | None]:
    """An HTTP client like the controller's own that a witness looks at; without one, None: the controller's own."""
    if witness is None:
        yield None
        return
    client = httpx.AsyncClient(transport=witness, trust_env=False, timeout=timeout_s)
    try:
        yield client
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
            await client.aclose()
