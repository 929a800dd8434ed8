"""Virtual sockets: how bytes flow, wait and end, seen through raw trio streams."""

import errno
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gapless.simulator.network import Direction, VirtualNetwork

HOST = "exchange.example"
LATENCY_S = 0.25
"""A power of two: sums of it are exact, and so a test may compare times with ``==``."""


class Link(NamedTuple):
    """Both ends of one connection, in one test."""

    client: trio.SocketStream
    server: trio.SocketStream


@asynccontextmanager
async def linked(port: int = 80) -> AsyncIterator[Link]:
    (listener,) = await trio.open_tcp_listeners(port, host=HOST)
    async with listener, await trio.open_tcp_stream(HOST, port) as client, await listener.accept() as server:
        yield Link(client, server)


async def receive_exactly(stream: trio.SocketStream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += await stream.receive_some()
    return received


async def fill(stream: trio.SocketStream, size: int) -> int:
    """Send until the sender blocks; returns how many bytes were taken."""
    sent = 0
    with trio.move_on_after(60):
        while True:
            sent += await stream.socket.send(bytes(size))
    return sent


async def test_receive_takes_what_it_asks_for_and_leaves_the_rest(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        async with linked() as link:
            await link.client.send_all(b"abc")
            await link.client.send_all(b"defg")
            await trio.sleep(1)
            assert link.server.socket.is_readable()
            assert await link.server.receive_some(2) == b"ab"
            buffer = bytearray(8)
            assert await link.server.socket.recv_into(buffer, 3) == 3
            assert buffer == b"cde\0\0\0\0\0"
            assert await link.server.receive_some() == b"fg"
            assert not link.server.socket.is_readable()


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_sender_blocks_at_the_buffer_size(autojump_clock: MockClock, *, is_cut: bool) -> None:
    network = VirtualNetwork(send_buffer_bytes=1000)
    with network.installed():
        async with linked() as link:
            if is_cut:
                network.black_hole(Direction.TO_SERVER)
            assert await fill(link.client, 300) == 1000
            assert await fill(link.client, 300) == 0
            with trio.move_on_after(60) as patience:
                await link.client.wait_send_all_might_not_block()
            assert patience.cancelled_caught
            network.heal()
            await receive_exactly(link.server, 1000)
            await link.client.wait_send_all_might_not_block()


async def test_a_blocked_sender_goes_on_when_the_other_side_reads(autojump_clock: MockClock) -> None:
    with VirtualNetwork(latency_s=LATENCY_S, send_buffer_bytes=1000).installed():
        async with linked() as link, trio.open_nursery() as nursery:
            begin = trio.current_time()
            nursery.start_soon(link.client.send_all, bytes(1500))
            await trio.sleep(60)
            assert await link.server.receive_some() == bytes(1000)
            assert await link.server.receive_some() == bytes(500)
            assert trio.current_time() == begin + 60 + LATENCY_S


async def test_a_cancelled_receive_loses_nothing(autojump_clock: MockClock) -> None:
    with VirtualNetwork(latency_s=LATENCY_S).installed():
        async with linked() as link:
            await link.client.send_all(b"precious")
            for patience_s in (0, LATENCY_S / 2):
                with trio.move_on_after(patience_s):
                    await link.server.receive_some()
            await trio.sleep(LATENCY_S)
            with trio.CancelScope() as scope:
                scope.cancel()
                await link.server.receive_some()
            assert scope.cancelled_caught
            assert await link.server.receive_some() == b"precious"


async def test_lower_latency_lets_nothing_overtake(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(latency_s=8.0)
    with network.installed():
        async with linked() as link:
            sent_at = trio.current_time()
            await link.client.send_all(b"slow ")
            network.set_latency(LATENCY_S)
            await link.client.send_all(b"fast")
            assert await link.server.receive_some() == b"slow fast"
            assert trio.current_time() == sent_at + 8
            await link.client.send_all(b"!")
            assert await link.server.receive_some() == b"!"
            assert trio.current_time() == sent_at + 8 + LATENCY_S


def test_bytes_arrive_once_and_in_order() -> None:
    @settings(max_examples=40, deadline=None)
    @given(
        chunks=st.lists(st.binary(min_size=1, max_size=400), max_size=12),
        read_bytes=st.integers(min_value=1, max_value=500),
        seed=st.integers(min_value=0, max_value=1000),
    )
    def check(chunks: list[bytes], read_bytes: int, seed: int) -> None:
        received = trio.run(_through_a_bad_network, chunks, read_bytes, seed, clock=MockClock(autojump_threshold=0))
        assert received == b"".join(chunks)

    check()


async def test_a_seed_repeats_the_arrival_times(autojump_clock: MockClock) -> None:
    first = await _arrival_times(seed=7)
    assert first == await _arrival_times(seed=7)
    assert first == await _arrival_times(seed=7, with_company=True)
    assert first != await _arrival_times(seed=8)
    assert len({later - earlier for earlier, later in pairwise(first)}) > 1
    assert all(index + 0.5 <= delay <= index + 1.0 for index, delay in enumerate(first))


async def _through_a_bad_network(chunks: list[bytes], read_bytes: int, seed: int) -> bytes:
    """Send chunks over a connection that stutters, with a reader of whims of its own; returns what it read."""
    whims = Random(seed)
    network = VirtualNetwork(seed=seed, latency_s=0.1, jitter_s=1.0, send_buffer_bytes=256)
    received = b""

    async def send(stream: trio.SocketStream) -> None:
        for chunk in chunks:
            await stream.send_all(chunk)
            await trio.sleep(whims.choice((0, 0.3)))
        await stream.send_eof()

    async def stutter() -> None:
        while True:
            await trio.sleep(whims.uniform(0, 2))
            network.black_hole(whims.choice(tuple(Direction.BOTH)))
            network.set_latency(whims.uniform(0, 1), whims.uniform(0, 1))
            await trio.sleep(whims.uniform(0, 2))
            network.heal()

    with network.installed():
        async with linked() as link, trio.open_nursery() as nursery:
            nursery.start_soon(send, link.client)
            nursery.start_soon(stutter)
            while chunk := await link.server.receive_some(read_bytes):
                assert len(chunk) <= read_bytes
                received += chunk
                await trio.sleep(whims.choice((0, 0.5)))
            nursery.cancel_scope.cancel()
    assert network.open_sockets == 0
    return received


async def _arrival_times(*, seed: int, with_company: bool = False) -> list[float]:
    """When ten messages, sent a second apart, arrive, counted from the first one's departure."""
    network = VirtualNetwork(seed=seed, latency_s=0.5, jitter_s=0.5)
    arrivals = []
    with network.installed():
        async with linked(80) as link, trio.open_nursery() as nursery:
            departure = trio.current_time()

            async def send() -> None:
                for index in range(10):
                    await trio.sleep_until(departure + index)
                    await link.client.send_all(b"tick")

            async def chat() -> None:
                async with linked(81) as other:
                    while True:
                        await other.client.send_all(b"noise")
                        await other.server.receive_some()

            nursery.start_soon(send)
            if with_company:
                nursery.start_soon(chat)
            for _ in range(10):
                assert await link.server.receive_some() == b"tick"
                # Only what came after the departure: the clock differs from one call to the next.
                arrivals.append(round(trio.current_time() - departure, 9))
            nursery.cancel_scope.cancel()
    return arrivals


async def test_the_other_side_reads_what_was_sent_and_then_the_end(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with linked() as link:
            await link.client.send_all(b"last words")
            await link.client.aclose()
            assert await link.server.receive_some() == b"last words"
            assert await link.server.receive_some() == b""
            assert await link.server.receive_some() == b""
    assert network.connections == ()


async def test_sending_to_a_closed_side_fails_after_a_round_trip(autojump_clock: MockClock) -> None:
    with VirtualNetwork(latency_s=LATENCY_S).installed():
        async with linked() as link:
            await link.client.aclose()
            assert await link.server.receive_some() == b""
            await link.server.send_all(b"anybody?")
            await trio.sleep(2 * LATENCY_S)
            with pytest.raises(trio.BrokenResourceError) as caught:
                await link.server.send_all(b"hello?")
            assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_closing_with_unread_bytes_resets(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        async with linked() as link:
            await link.server.send_all(b"arrived")
            await link.client.send_all(b"never read")
            await trio.sleep(1)
            await link.server.aclose()
            await trio.sleep(1)
            assert await link.client.receive_some() == b"arrived"
            with pytest.raises(trio.BrokenResourceError) as caught:
                await link.client.receive_some()
            assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_linger_0_resets(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        async with linked() as link:
            link.server.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
            await link.server.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await link.client.receive_some()


async def test_after_an_eof_the_other_direction_works_on(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        async with linked() as link:
            await link.client.send_eof()
            await link.client.send_eof()
            assert await link.server.receive_some() == b""
            await link.server.send_all(b"answer")
            assert await link.client.receive_some() == b"answer"
            assert link.client.socket.did_shutdown_SHUT_WR
            with pytest.raises(BrokenPipeError):
                await link.client.socket.send(b"more")


async def test_close_wakes_every_task_that_waits_on_the_socket(autojump_clock: MockClock) -> None:
    woken: list[str] = []

    async def read(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        woken.append("reader")

    async def send(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(bytes(2000))
        woken.append("sender")

    async def accept(listener: trio.SocketListener) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()
        woken.append("acceptor")

    with VirtualNetwork(send_buffer_bytes=1000).installed():
        (listener,) = await trio.open_tcp_listeners(81, host=HOST)
        async with linked() as link, trio.open_nursery() as nursery:
            nursery.start_soon(read, link.client)
            nursery.start_soon(send, link.client)
            nursery.start_soon(accept, listener)
            await trio.sleep(1)
            link.client.socket.close()
            listener.socket.close()
        assert sorted(woken) == ["acceptor", "reader", "sender"]
        assert link.client.socket.fileno() == -1
        with pytest.raises(trio.ClosedResourceError):
            await link.client.receive_some()


async def test_misuse_gets_the_errors_of_real_sockets(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        fresh, listener, connected, closed = (trio.socket.socket() for _ in range(4))
        await listener.bind((HOST, 80))
        listener.listen()
        await connected.connect((HOST, 80))
        closed.close()
        for expected, call in (
            (errno.ENOTCONN, lambda: fresh.recv(1)),
            (errno.EPIPE, lambda: fresh.send(b"x")),
            (errno.EINVAL, fresh.accept),
            (errno.EINVAL, lambda: listener.bind((HOST, 81))),
            (errno.EISCONN, lambda: listener.connect((HOST, 80))),
            (errno.EBADF, lambda: closed.recv(1)),
            (errno.EBADF, lambda: closed.connect((HOST, 80))),
        ):
            with pytest.raises(OSError) as caught:  # noqa: PT011 (the number says more than the text)
                await call()
            assert caught.value.errno == expected
        for expected, act in (
            (errno.ENOTCONN, fresh.getpeername),
            (errno.ENOTCONN, lambda: fresh.shutdown(trio.socket.SHUT_WR)),
            (errno.EINVAL, lambda: connected.listen(1)),
            (errno.EBADF, closed.getsockname),
        ):
            with pytest.raises(OSError) as caught:  # noqa: PT011 (the number says more than the text)
                act()
            assert caught.value.errno == expected
        assert [each.getsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_ACCEPTCONN) for each in (fresh, listener)] == [
            0,
            1,
        ]
        for each in (fresh, listener, connected):
            each.close()


async def test_two_readers_at_once_are_a_bug_of_the_caller(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        async with linked() as link, trio.open_nursery() as nursery:
            nursery.start_soon(link.client.receive_some)
            await trio.sleep(1)
            with pytest.raises(trio.BusyResourceError):
                await link.client.receive_some()
            nursery.cancel_scope.cancel()
