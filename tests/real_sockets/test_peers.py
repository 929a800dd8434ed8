"""Peers that hold up their end of a TCP connection and no more: what the kernel then tells the client is not modelled.

Seconds of real time each, so they are few; everything about behaviour is tested in virtual time.
"""

import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from math import inf
from typing import Final
from urllib.parse import urlsplit

import trio

from gapless.controller import State, Trigger
from tests.kit import SESSION
from tests.real_sockets.app import App, app
from tests.real_sockets.books import Books
from tests.real_sockets.processes import Ready, exchange_process
from tests.real_sockets.proxy import Proxy, proxied
from tests.real_sockets.seen import PATIENCE_S

NOWHERE: Final = "http://127.0.0.1:1"
"""A REST server that is not there."""
_LOOK_S: Final = 0.02
_FULL_FOR_S: Final = 0.5
"""A buffer that is nearly full takes a few PINGs more; this is time for hundreds."""


@asynccontextmanager
async def peer(handle: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does ``handle`` with each connection; its WebSocket URL."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, handle, [listener]))
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def exchange_behind_a_proxy() -> AsyncIterator[tuple[Ready, Proxy]]:
    async with exchange_process() as (_, ready), proxied(urlsplit(ready.ws_url).port or 0) as proxy:
        yield ready, proxy


async def assert_whole(seen: App, ready: Ready) -> None:
    """Everything issued until now comes, once."""
    books = Books(SESSION)
    newest = await books.read(ready.rest_url)
    await seen.until_id(ready.epoch, newest)
    assert books.broken_promises(seen.events, State.CONNECTED) == ()
    assert seen.lost == []


async def test_a_peer_that_says_nothing_in_the_handshake_costs_an_attempt_and_no_more() -> None:
    """The kernel has accepted, so dialling succeeds, and trio-websocket's own time-out does not cover what follows."""
    accepted, accepted_again = trio.Event(), trio.Event()

    async def say_nothing(_: trio.SocketStream) -> None:
        (accepted_again if accepted.is_set() else accepted).set()
        await trio.sleep_forever()

    async with peer(say_nothing) as ws_url, app(ws_url, NOWHERE, {"attempt_timeout": 1.0}) as seen:
        began_at = trio.current_time()
        await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)))
        assert 1.0 <= trio.current_time() - began_at < 5.0
        assert seen.moved(State.REST_FALLBACK)[0].reason == "timed out: the handshake took more than 1 s"

        # The block is left in the middle of the second attempt.
        with trio.fail_after(10):
            await accepted_again.wait()


async def test_a_peer_that_half_closes_in_the_handshake_is_noticed_at_once() -> None:
    """The kernel reports an end of file on a socket that can still be written to: no error, and no answer either."""

    async def end_after_the_request(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_eof()
        await trio.sleep_forever()

    async with peer(end_after_the_request) as ws_url, app(ws_url, NOWHERE, {"attempt_timeout": 20.0}) as seen:
        await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)), within_s=10.0)
        assert seen.moved(State.REST_FALLBACK)[0].reason == "the handshake failed: closed by the peer"


async def test_a_peer_that_half_closes_an_open_connection_is_noticed_at_once() -> None:
    """An end of file without a close frame, while everything that the client sends still arrives."""
    async with exchange_behind_a_proxy() as (ready, proxy), app(proxy.ws_url, ready.rest_url) as seen:
        await seen.until_state(State.CONNECTED)

        await proxy.lines[0].half_close()
        await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)), within_s=5.0)
        lost = seen.moved(State.REST_FALLBACK)[0]
        assert (lost.before, lost.trigger) == (State.CONNECTED, Trigger.LINK_LOST)

        await seen.until_state(State.CONNECTED)
        await assert_whole(seen, ready)


async def test_a_peer_that_never_reads_holds_up_neither_pings_nor_the_end() -> None:
    """The buffers of both kernels are full, and a PING waits for room that never comes.

    Virtual time has full buffers too; here a socket in this condition is taken out of trio-websocket's hands.
    """
    pinging = {"heartbeat_interval": 0.002, "heartbeat_timeout": 1.0, "ws_idle_timeout": 1.0}
    async with exchange_behind_a_proxy() as (ready, proxy):
        with small_send_buffers(proxy.port) as client:
            async with app(proxy.ws_url, ready.rest_url, pinging) as seen:
                await seen.until_state(State.CONNECTED)

                proxy.lines[0].stop_reading()
                await client.fill_up()
                # What the peer says still arrives: nobody calls it dead.
                came = len(seen.data)
                await seen.until(lambda: len(seen.data) >= came + 10)
                assert seen.controller.state is State.CONNECTED
                assert len(proxy.lines) == 1

                proxy.lines[0].stop_sending()
                await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)))
                await seen.until_state(State.CONNECTED)
                await assert_whole(seen, ready)

                # The block is left while a PING waits.
                proxy.lines[-1].stop_reading()
                await client.fill_up()


class SmallSendBuffers(trio.abc.SocketFactory):
    """Real sockets that the kernel lets buffer little of what is sent.

    Args:
        port: the peer's, of the connections to look at.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._made: list[socket.socket] = []

    def socket(
        self,
        family: socket.AddressFamily | int = socket.AF_INET,
        type: socket.SocketKind | int = socket.SOCK_STREAM,  # noqa: A002 (trio's name)
        proto: int = 0,
    ) -> trio.socket.SocketType:
        made = socket.socket(family, type, proto)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._made.append(made)
        return trio.socket.from_stdlib_socket(made)

    async def fill_up(self) -> None:
        """Wait until the open connection to the port has taken nothing for a while."""
        (connection,) = [each for each in self._made if each.fileno() >= 0 and each.getpeername()[1] == self._port]
        full_since = inf
        with trio.fail_after(PATIENCE_S):
            while trio.current_time() < full_since + _FULL_FOR_S:
                await trio.sleep(_LOOK_S)
                takes_more = bool(select.select([], [connection], [], 0)[1])
                full_since = inf if takes_more else min(full_since, trio.current_time())


@contextmanager
def small_send_buffers(port: int) -> Iterator[SmallSendBuffers]:
    factory = SmallSendBuffers(port)
    before = trio.socket.set_custom_socket_factory(factory)
    try:
        yield factory
    finally:
        trio.socket.set_custom_socket_factory(before)
