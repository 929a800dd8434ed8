"""The REST half of the measuring server: price history, by id. HTTP/1.1 with keep-alive, nothing else."""

import json
import socket
from urllib.parse import parse_qs, urlsplit

from benchmarks import frames
from benchmarks.sessions import Session, Sessions

_PAGE_MAX = 1_000


def serve_rest(connection: socket.socket, sessions: Sessions) -> None:
    """Answer requests until the client is gone."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            data = connection.recv(65_536)
            if not data:
                return
            buffer += data
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        session = sessions.get(headers.get("x-session-id", ""))
        body = _answer(request_line.split(" ")[1], session, sessions.epoch)
        status = "200 OK" if body else "404 Not Found"
        connection.sendall(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


def _answer(target: str, session: Session, epoch: str) -> bytes:
    parts = urlsplit(target)
    if parts.path != "/api/v1/prices":
        return b""
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    symbol = query.get("symbol", "")
    session.requests[symbol] += 1
    last = session.last_id(symbol)
    limit = min(int(query.get("limit", _PAGE_MAX)), _PAGE_MAX)
    start = max(1, int(query.get("start_seq", 1)))
    end = min(last, int(query.get("end_seq", last)), start + limit - 1)
    which, count = session.symbols.index(symbol) if symbol in session.symbols else 0, len(session.symbols)
    rows = b",".join(
        frames.payload((number - 1) * count + which, session.symbols, frames.STAMP_BASE_US)
        for number in range(start, end + 1)
    )
    known = json.dumps({"epoch": epoch, "first_seq": 1, "last_seq": last})
    return b'{"prices":[' + rows + b"]," + known[1:].encode()
