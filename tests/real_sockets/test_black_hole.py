"""A link that carries packets to nobody: a router that died, a tunnel that was torn down, a mobile network's shadow.

Both kernels believe in the connection and send again and again; virtual time has black holes, but no retransmission
that could hide one or bring old data back when it heals.
"""

import sys
import time
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import quote

import pytest

from gapless.controller import State, Trigger
from tests.kit import SESSION
from tests.real_sockets.books import Books
from tests.real_sockets.namespaces import SERVER_IP, UnavailableError, linked_namespaces, run
from tests.real_sockets.processes import exchange_process, watching

IDLE_S: Final = 1.0
QUICK: Final = {
    "ws_idle_timeout": IDLE_S,
    "heartbeat_timeout": 1.0,
    "attempt_timeout": 1.0,
    "rest_timeout": 0.5,
    "rest_fetch_interval": 0.5,
    "circuit_breaker_pause": 0.5,
    "rate_limit_initial_backoff": 0.2,
    "rate_limit_max_backoff": 0.5,
    "reconnect_max_backoff": 1.0,
}
_GET: Final = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=10).read())"


async def test_a_black_hole_is_found_and_what_fell_into_it_comes_once_it_has_healed() -> None:
    """Everything that was sent into it is still in the kernels' buffers when packets pass again."""
    async with AsyncExitStack() as stack:
        try:
            link = await stack.enter_async_context(linked_namespaces())
        except UnavailableError as error:
            pytest.skip(f"no network namespaces here: {error}")

        async def get(url: str) -> bytes:
            return await run(sys.executable, "-c", _GET, quote(url, safe=":/?&="), within=link.client)

        _, ready = await stack.enter_async_context(exchange_process("--host", SERVER_IP, within=link.server))
        watcher = await stack.enter_async_context(
            watching(ready.ws_url, ready.rest_url, SESSION, QUICK, within=link.client)
        )
        await watcher.until_state(State.CONNECTED)

        await link.cut()
        cut_at = time.time()
        # Until a new connection has failed as well as the old one.
        await watcher.until(lambda: any("handshake" in move.reason for move in watcher.moves))
        silent, fallback = [move for move in watcher.moves if move.at > cut_at][:2]
        assert (silent.trigger, fallback.trigger) == (Trigger.IDLE, Trigger.SILENCE_CONFIRMED)
        assert fallback.reason == "no PONG within 1 s"
        assert watcher.data[-1].received_at < cut_at + 0.5

        await link.heal()
        await watcher.until_state(State.CONNECTED)
        books = Books(SESSION, get)
        newest = await books.read(ready.rest_url)
        await watcher.until_id(ready.epoch, newest)

        assert books.broken_promises(watcher.events, *State) == ()
        assert watcher.lost == []
