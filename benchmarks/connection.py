"""One WebSocket connection of the measuring server: shake hands, answer, send the feed as its plan says."""

import base64
import hashlib
import json
import select
import socket
import ssl
import time
import zlib
from typing import Final

from benchmarks import frames
from benchmarks.sessions import Plan, Session, Sessions

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_POLL_S: Final = 0.002
"""Waits above this go through ``poll``, whose unit is the millisecond; below, the thread sleeps to the microsecond."""
_SLEEP_S: Final = 3_600.0
_LEAD_S: Final = 0.1
"""Between the answer to a subscription and the first message. A controller polls REST while it connects; a poll that is
answered in the middle of the first burst would deliver some of it, which is not what is measured."""
_AUTO_LEAD_S: Final = 1.0
"""The same for a client that does not say when it is ready."""


def serve_websocket(connection: socket.socket, sessions: Sessions) -> None:
    """Shake hands and serve until the client is gone."""
    head = _read_head(connection)
    target = head.split(b" ", 2)[1].decode()
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    }
    plan = Plan.of(target)
    deflate = plan.deflate and "permessage-deflate" in headers.get("sec-websocket-extensions", "")
    accept = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + _GUID).encode()).digest()).decode()  # noqa: S324
    reply = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    reply += f"Sec-WebSocket-Accept: {accept}\r\n"
    if deflate:
        reply += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    welcome = {"type": "WELCOME", "session_id": plan.session_id, "epoch": sessions.epoch}
    connection.sendall(reply.encode() + b"\r\n" + frames.text(welcome))
    session = sessions.get(plan.session_id)
    session.symbols = frames.symbols(plan.symbols)
    conversation = Conversation(connection, plan, session)
    conversation.await_start()
    conversation.listen(_AUTO_LEAD_S if plan.auto else _LEAD_S)
    if plan.rate:
        _send_at_rate(conversation, plan, session)
    else:
        _send_at_once(conversation, plan, session, sessions.prebuilt(plan, deflate=deflate))
    conversation.listen(_SLEEP_S)


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(4_096)
        if not data:
            raise ConnectionError("closed in the handshake")
        head += data
    return head


def _send_at_once(conversation: "Conversation", plan: Plan, session: Session, blocks: list[list[bytes]]) -> None:
    for block in blocks:
        conversation.send(block)
        conversation.listen(0)
    session.issued = plan.count


def _send_at_rate(conversation: "Conversation", plan: Plan, session: Session) -> None:
    """On an absolute schedule: a late wake-up delays what is due, never the messages after it."""
    mute, session.muted = (None if session.muted else plan.mute), plan.mute is not None
    skipped = {index for after, ids in plan.skip for index in range(after, after + ids)}
    index = session.issued
    end = plan.count + len(skipped) if plan.count else 1 << 62
    begun_at, sent = time.monotonic(), 0
    while index < end:
        conversation.listen(begun_at + sent / plan.rate - time.monotonic())
        due: list[bytes] = []
        while len(due) < plan.burst and index < end:
            is_mute = mute is not None and index >= mute and (plan.mute_all or index % plan.symbols == 0)
            if index in skipped:
                index += 1
                continue
            due.append(b"" if is_mute else frames.market(index, session.symbols, large=plan.large))
            index += 1
        session.issued = index
        sent += len(due)
        conversation.connection.sendall(b"".join(due))


class Conversation:
    """What a client says, and the answers. A client's frames are small, masked and whole.

    Args:
        connection: the socket, TLS or not.
        plan: of this connection.
        session: of this client.
    """

    def __init__(self, connection: socket.socket, plan: Plan, session: Session) -> None:
        self.connection = connection
        self._plan = plan
        self._session = session
        self._started = plan.auto
        self._buffer = b""
        self._inflater = zlib.decompressobj(wbits=-15)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def send(self, block: list[bytes]) -> None:
        """All buffers of a block."""
        if len(block) == 1 or isinstance(self.connection, ssl.SSLSocket):
            self.connection.sendall(b"".join(block))
            return
        sent = self.connection.sendmsg(block)
        if sent < sum(map(len, block)):
            self.connection.sendall(b"".join(block)[sent:])

    def await_start(self) -> None:
        """Until the first subscription."""
        while not self._started:
            self.listen(_SLEEP_S)

    def listen(self, wait_s: float) -> None:
        """Answer what comes within this time; at once where something came and nothing is started yet."""
        until = time.monotonic() + wait_s
        while True:
            left_s = until - time.monotonic()
            if 0 < left_s < _POLL_S:
                time.sleep(left_s)
                left_s = 0
            if self._is_readable(max(0.0, left_s)):
                started = self._started
                self._read()
                if self._started and not started:
                    return
            elif left_s < _POLL_S:
                return

    def _is_readable(self, wait_s: float) -> bool:
        if isinstance(self.connection, ssl.SSLSocket) and self.connection.pending():
            return True
        return bool(self._poll.poll(int(wait_s * 1_000)))

    def _read(self) -> None:
        data = self.connection.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        self._buffer += data
        while (message := self._next_message()) is not None:
            opcode, payload = message
            if opcode == 0x8:
                raise ConnectionError("closed politely")
            if opcode == 0x9:
                self.connection.sendall(frames.frame(payload, 0x8A))
            elif opcode == 0x1:
                self._answer(json.loads(payload))
            elif opcode == 0x41:
                self._answer(json.loads(self._inflater.decompress(payload + b"\x00\x00\xff\xff")))

    def _next_message(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
        end = at + 4 + size
        if len(buffer) < end:
            return None
        mask, masked = buffer[at : at + 4], buffer[at + 4 : end]
        self._buffer = buffer[end:]
        return buffer[0] & 0x4F, bytes(byte ^ mask[position & 3] for position, byte in enumerate(masked))

    def _answer(self, message: dict[str, object]) -> None:
        kind, request_id = message.get("type"), message.get("request_id")
        if kind == "PING":
            self.connection.sendall(frames.text({"type": "PONG", "request_id": request_id}))
        elif kind == "SUBSCRIBE":
            wanted = message["streams"]
            assert isinstance(wanted, list)
            streams = [each | {"sequence_id": self._session.last_id(each["symbol"])} for each in wanted]
            self.connection.sendall(frames.text({"type": "SUBSCRIBED", "request_id": request_id, "streams": streams}))
            self._started = True
