"""A small HTTP/1.1 server: an ASGI app over trio streams, framed by h11.

Why not hypercorn or anycorn: they bind stdlib sockets, so they cannot run on a virtual network, and they cannot cut a
reply in the middle, which an exchange that misbehaves must. This one serves whatever ``trio.serve_listeners`` hands it.

What it does: keep-alive and pipelining, ``100-continue``, replies with a length or chunked, a bound on headers, on
bodies and on every wait for the peer. A request is read whole before the app sees it. What a peer does wrong ends its
own connection, with a 4xx where one can still be sent; what the app does wrong is a 500, or a cut where the reply has
begun.
"""

from contextlib import suppress
from dataclasses import dataclass

import h11
import msgspec
import trio
from loguru import logger
from starlette.types import ASGIApp

from gapless.simulator.http_asgi import CutReplyError, PeerGoneError, Reply, Requested, scope_of
from gapless.simulator.replies import ErrorBody, ErrorDetail

RECEIVE_BYTES = 65_536
"""Read from TCP at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bounds on what one peer may take; generous for a program that asks for pages of prices."""

    connections_max: int = 1_000
    header_bytes_max: int = 16_384
    body_bytes_max: int = 1_048_576
    idle_timeout_s: float = 75.0
    """Between requests: nginx's keep-alive timeout."""
    request_timeout_s: float = 30.0
    """From the first byte of a request to the last of its body."""
    send_timeout_s: float = 30.0
    """For the peer to take one piece of a reply."""
    linger_s: float = 1.0
    """Reading on after a refused request, so that a TCP reset does not overtake the refusal."""
    drop_grace_s: float = 0.1
    """For a request that is being answered when :meth:`HttpServer.drop_all` is called."""


class HttpServer:
    """Serves one app on any number of connections."""

    def __init__(self, app: ASGIApp, limits: HttpLimits | None = None) -> None:
        self._app = app
        self._limits = limits or HttpLimits()
        self._connections: dict[_Connection, None] = {}

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends; never raises for what a peer or the app did. The caller closes it."""
        if len(self._connections) >= self._limits.connections_max:
            logger.warning("an HTTP connection is closed at once: {} are open", len(self._connections))
            return
        connection = _Connection(self._app, stream, self._limits)
        self._connections[connection] = None
        try:
            await connection.run()
        finally:
            del self._connections[connection]

    def drop_all(self) -> None:
        """End every connection now; one that is being answered has a moment to finish its reply."""
        for connection in self._connections:
            connection.drop()


class _RefusedError(Exception):
    """The request is answered by the server itself, and the connection is over."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _Connection:
    """One connection: requests, one after another."""

    def __init__(self, app: ASGIApp, stream: trio.SocketStream, limits: HttpLimits) -> None:
        self._app = app
        self._stream = stream
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes_max)
        self._scope = trio.CancelScope()
        self._answering = False
        self._dropped = False
        self._ended = False

    def drop(self) -> None:
        self._dropped = True
        if self._answering:
            self._scope.deadline = trio.current_time() + self._limits.drop_grace_s
        else:
            self._scope.cancel()

    async def run(self) -> None:
        with self._scope:
            try:
                while await self._serve_one():
                    self._http.start_next_cycle()
            except h11.RemoteProtocolError as error:
                await self._refuse(_RefusedError(error.error_status_hint, "bad_request", str(error)))
            except _RefusedError as refused:
                await self._refuse(refused)
            except PeerGoneError as gone:
                logger.debug("an HTTP peer is gone: {}", gone)

    async def _serve_one(self) -> bool:
        """One request and its reply; whether another may follow."""
        request = await self._next_request()
        if request is None:
            return False
        self._answering = True
        try:
            return await self._answer(request) and not self._dropped
        finally:
            self._answering = False

    async def _next_request(self) -> Requested | None:
        """The next whole request, None where the peer is done."""
        if not self._http.trailing_data[0]:
            with trio.move_on_after(self._limits.idle_timeout_s) as idle:
                await self._receive()
            if idle.cancelled_caught:
                return None
        with trio.move_on_after(self._limits.request_timeout_s):
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return None  # ConnectionClosed: the only other thing a cycle can begin with
            return Requested(head=head, body=await self._body())
        raise _RefusedError(408, "timeout", f"the request was not complete after {self._limits.request_timeout_s} s")

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > self._limits.body_bytes_max:
                raise _RefusedError(413, "body_too_large", f"a body may have {self._limits.body_bytes_max} bytes")
        return bytes(body)

    async def _next_event(self) -> h11.Event:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                await self._send(self._http.send(go_on))
            await self._receive()

    async def _answer(self, request: Requested) -> bool:
        reply = Reply(self._http, self._send, is_head=request.head.method == b"HEAD")
        given = False

        async def receive() -> dict[str, object]:
            nonlocal given
            if given:
                await self._wait_gone()
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        try:
            await self._app(scope_of(request, self._stream), receive, reply.send)
        except CutReplyError:
            await reply.flush()
            return False
        except PeerGoneError:
            raise
        except Exception:  # noqa: BLE001 (whatever an app raises must not end the server)
            logger.exception("the app failed on {} {}", request.head.method, request.head.target)
        if not reply.is_begun:
            raise _RefusedError(500, "internal_error", "the exchange failed on this request")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _refuse(self, refused: _RefusedError) -> None:
        """Answer in the app's place if nothing was answered yet, then read on for a moment."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        logger.debug("an HTTP request is refused: {} {}", refused.status, refused)
        body = msgspec.json.encode(ErrorBody(ErrorDetail(refused.code, str(refused))))
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        with suppress(PeerGoneError):
            await self._send(
                self._http.send(h11.Response(status_code=refused.status, headers=headers))
                + self._http.send(h11.Data(data=body))
                + self._http.send(h11.EndOfMessage())
            )
            with trio.move_on_after(self._limits.linger_s), suppress(trio.BrokenResourceError):
                await self._stream.send_eof()
                while await self._stream.receive_some(RECEIVE_BYTES):
                    pass

    async def _wait_gone(self) -> None:
        """Return when the peer has closed; what it sends meanwhile is kept for the next request, within bounds."""
        while not self._ended:
            if len(self._http.trailing_data[0]) > self._limits.header_bytes_max:
                await trio.sleep_forever()
            await self._receive()

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGoneError(str(error)) from error
        self._ended = not data
        self._http.receive_data(data)

    async def _send(self, data: bytes) -> None:
        try:
            with trio.fail_after(self._limits.send_timeout_s):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGoneError(str(error)) from error
        except trio.TooSlowError:
            raise PeerGoneError(f"it took nothing for {self._limits.send_timeout_s} s") from None
