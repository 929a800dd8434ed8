"""The WebSocket side: from an accepted TCP connection to a session, and its end.

Hazards of trio-websocket this is built around: its own timeouts do not cover a silent peer, and a polite close can hang
or lose a cancellation. So every wait has a scope of this module, and a connection ends by cancelling its nursery and
closing its stream forcefully, never by a close handshake.
"""

import trio
from loguru import logger
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, WebSocketRequest, wrap_server_stream
from wsproto.utilities import ProtocolError

from gapless.simulator.fault_line import FaultLine
from gapless.simulator.handshakes import refusal
from gapless.simulator.hub import SESSION_ID_MAX
from gapless.simulator.messages import MalformedMessageError
from gapless.simulator.ping_flood import PingFlood
from gapless.simulator.records import HandshakeOutcome, HandshakeRecord
from gapless.simulator.seams import How, Refusal
from gapless.simulator.served import Caller, Conversation, Served
from gapless.simulator.session import Session

INBOUND_QUEUE = 64
"""Messages of a client buffered by trio-websocket; they are handled without waiting, so this is only for bursts."""
RECEIVE_BYTES = 65_536
"""Read from TCP at once."""
PEER_FAULTS = (ConnectionClosed, HandshakeError, ProtocolError, UnicodeError, trio.BrokenResourceError)
"""What trio-websocket and wsproto raise for what a peer sent; a Host header that is not IDNA is a UnicodeError."""
STALL_MAX_S = 600.0
"""How long an unanswered handshake is kept: beyond any client's patience, and a bound."""


class WebSocketServer:
    """Makes sessions of one exchange out of TCP connections."""

    def __init__(self, exchange: Served) -> None:
        self._exchange = exchange

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends; never raises for what a peer did. The caller closes ``stream``."""
        hub = self._exchange.hub
        if hub.sockets >= self._exchange.config.sessions_max:
            logger.warning("a connection is closed at once: {} are open", hub.sockets)
            self._note(self._exchange.now(), "", "refused")
            return
        with trio.CancelScope() as scope:
            hub.open_socket(scope)
            try:
                await self._converse(stream, scope)
            except* PEER_FAULTS as errors:
                logger.info("a connection failed: {}", errors.exceptions)
            finally:
                hub.close_socket(scope)

    async def _converse(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            request = await self._await_request(nursery, stream)
            if request is not None:
                await self._answer(request, _caller(request, stream), scope)
            nursery.cancel_scope.cancel()

    async def _await_request(self, nursery: trio.Nursery, stream: trio.SocketStream) -> WebSocketRequest | None:
        config = self._exchange.config
        with trio.move_on_after(config.handshake_timeout_s):
            return await wrap_server_stream(
                nursery,
                stream,
                message_queue_size=INBOUND_QUEUE,
                max_message_size=config.message_bytes_max,
                receive_buffer_size=RECEIVE_BYTES,
            )
        logger.info("a connection is closed: no handshake within {} s", config.handshake_timeout_s)
        return None

    async def _answer(self, request: WebSocketRequest, caller: Caller, scope: trio.CancelScope) -> None:
        came_at = self._exchange.now()
        visit = self._exchange.admit(caller)
        session_id = visit.session_id
        if visit.status is not None:
            self._note(came_at, session_id[:SESSION_ID_MAX], "rejected", visit.status, visit.retry_after_s)
            await self._reject(request, visit.status, visit.message, visit.retry_after_s)
            return
        if len(session_id) > SESSION_ID_MAX or not session_id.isprintable():
            self._note(came_at, session_id[:SESSION_ID_MAX], "rejected", 400)
            await self._reject(request, 400, f"expected a session_id of up to {SESSION_ID_MAX} printable characters")
            return
        verdict = refusal(self._exchange.failures, session_id, trio.current_time())
        if verdict is not None:
            await self._refuse(request, verdict, came_at, session_id)
            return
        socket: WebSocketConnection | None = None
        try:
            with trio.move_on_after(self._exchange.config.handshake_timeout_s):
                socket = await request.accept()
        finally:
            if socket is None:
                self._note(came_at, session_id, "abandoned")
        if socket is not None:
            self._note(came_at, session_id, "accepted", 101)
            await self._serve(socket, session_id, caller, scope)

    async def _refuse(self, request: WebSocketRequest, verdict: Refusal, came_at: float, session_id: str) -> None:
        match verdict.how:
            case How.STALL:
                self._note(came_at, session_id, "stalled")
                await trio.sleep(STALL_MAX_S)
            case How.REJECT:
                self._note(came_at, session_id, "rejected", verdict.status, verdict.retry_after_s)
                message = "the exchange takes no connections"
                await self._reject(request, verdict.status, message, verdict.retry_after_s)
            case How.CLOSE:
                self._note(came_at, session_id, "refused")

    def _note(
        self,
        came_at: float,
        session_id: str,
        outcome: HandshakeOutcome,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        self._exchange.handshakes.append(
            HandshakeRecord(
                time_s=came_at, session_id=session_id, outcome=outcome, status=status, retry_after_s=retry_after_s
            )
        )

    async def _reject(
        self, request: WebSocketRequest, status: int, message: str, retry_after_s: int | None = None
    ) -> None:
        headers = [] if retry_after_s is None else [(b"Retry-After", str(retry_after_s).encode())]
        with trio.move_on_after(self._exchange.config.handshake_timeout_s):
            await request.reject(status, extra_headers=headers, body=message.encode())

    async def _serve(
        self, socket: WebSocketConnection, session_id: str, caller: Caller, scope: trio.CancelScope
    ) -> None:
        session = self._open_session(session_id, scope)
        conversation = self._exchange.converse(session, caller)
        conversation.begin()
        logger.info("{} is open", session)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, socket, session, conversation)
                for duty in conversation.duties(socket):
                    nursery.start_soon(duty)
                nursery.start_soon(PingFlood(self._exchange.failures, session.session_id, socket, nursery).run)
                session.cut(await session.pump(socket))
        finally:
            self._exchange.hub.leave(session)
            conversation.end()

    def _open_session(self, session_id: str, scope: trio.CancelScope) -> Session:
        config, hub = self._exchange.config, self._exchange.hub
        connection = hub.number_connection(session_id)
        session = Session(
            session_id=session_id,
            connection=connection,
            scope=scope,
            line=FaultLine(self._exchange.failures, session_id, f"{config.seed}/{session_id}/{connection}"),
            queue_max=config.outbound_queue_max,
            send_timeout_s=config.send_timeout_s,
        )
        hub.join(session)
        return session

    async def _read(self, socket: WebSocketConnection, session: Session, conversation: Conversation) -> None:
        while True:
            try:
                text = await socket.get_message()
            except ConnectionClosed as closed:
                session.cut(f"the client is gone: {closed.reason}")
                return
            try:
                conversation.receive(text)
            except MalformedMessageError as malformed:
                self._exchange.ignored += 1
                logger.warning("{} sent what is ignored: {}; the message: {}", session, malformed, text[:200])


def _caller(request: WebSocketRequest, stream: trio.SocketStream) -> Caller:
    path, _, query = request.path.partition("?")
    try:
        address = str(stream.socket.getpeername()[0])
    except OSError:  # it is gone already
        address = ""
    return Caller(path=path, query=query, address=address)
