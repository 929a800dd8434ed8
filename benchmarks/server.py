"""The exchange that everybody is measured against: sends prebuilt frames as fast as they are taken, or at a fixed rate.

A process of its own, a thread per connection, no framework: it must never be the bottleneck. How it treats a connection
is said in the query of the WebSocket's address, so one process serves every scenario:

======================  ================================================================================================
``symbols=50``          how many streams the feed has
``count=100000``        messages to send (at once: rounded up to a block); then the connection stays open
``rate=5000``           messages per second; 0: as fast as they are taken
``burst=20``            messages sent with one system call, at that mean rate
``large=1``             20 kB messages
``deflate=1``           accept permessage-deflate where it is offered
``auto=1``              begin at once, without a SUBSCRIBE
``skip=1000:10``        after message 1000 the next ten are issued but not sent (several: ``1000:10,1015:10``)
``mute=3000``           from this message on the first symbol is issued but not sent (``mute_all=1``: all of them)
``session_id=x``        what REST knows it by; a later connection of the session goes on where the one before ended
======================  ================================================================================================

``python -m benchmarks.server [PORT [CERTIFICATE]]`` prints its addresses as one line of JSON and ends with its standard
input, so that it never outlives who started it.
"""

import json
import os
import socket
import ssl
import sys
import threading
import time
from typing import Final

from benchmarks.connection import serve_websocket
from benchmarks.server_rest import serve_rest
from benchmarks.sessions import Sessions

_BACKLOG: Final = 1_024
"""More than the clients that one measurement connects at once."""


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; a port of 0 means any."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


def tls_context(certificate: str) -> ssl.SSLContext:
    """Serve with a PEM file that holds key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _accept(listener: socket.socket, sessions: Sessions, tls: ssl.SSLContext | None, *, rest: bool) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(client, sessions, tls, rest), daemon=True).start()


def _serve(client: socket.socket, sessions: Sessions, tls: ssl.SSLContext | None, rest: bool) -> None:
    try:
        with tls.wrap_socket(client, server_side=True) if tls else client as connection:
            (serve_rest if rest else serve_websocket)(connection, sessions)
    except OSError:
        pass  # The client is gone, which is how every measurement ends.
    except Exception as error:  # noqa: BLE001  # one client's fault is one line, and ends one connection
        print(f"server: {error!r}", file=sys.stderr, flush=True)


def main() -> None:
    """Serve until standard input ends."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    certificate = sys.argv[2] if len(sys.argv) > 2 else None
    # With one port given the other two follow it: a restarted server has the addresses of the one before.
    plain, rest = listen(port), listen(port + 1 if port else 0)
    secure = listen(port + 2 if port else 0) if certificate else None
    threading.stack_size(256 * 1024)
    sessions = Sessions(epoch=f"e-{time.time_ns()}")
    for listener, tls, is_rest in (
        (plain, None, False),
        (rest, None, True),
        *([(secure, tls_context(certificate), False)] if secure and certificate else []),
    ):
        threading.Thread(target=_accept, args=(listener, sessions, tls), kwargs={"rest": is_rest}, daemon=True).start()
    addresses = {
        "ws_url": f"ws://127.0.0.1:{plain.getsockname()[1]}/ws",
        "rest_url": f"http://127.0.0.1:{rest.getsockname()[1]}",
        "wss_url": f"wss://localhost:{secure.getsockname()[1]}/ws" if secure else "",
    }
    print(json.dumps(addresses), flush=True)
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
