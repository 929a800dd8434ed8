"""The virtual network: names, the handshake, faults and bookkeeping, seen through raw trio streams."""

import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.network import ConnectionSnapshot, Direction, VirtualNetwork

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


async def test_a_name_has_the_same_address_in_every_network(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        first = await trio.socket.getaddrinfo(HOST, 443)
        other = await trio.socket.getaddrinfo("other.example", 443)
    with VirtualNetwork(seed=2).installed():
        again = await trio.socket.getaddrinfo(HOST.upper(), 443)
    assert first == again
    assert first != other
    ((*_, sockaddr),) = first
    assert str(sockaddr[0]).startswith("10.")
    assert sockaddr[1] == 443


@pytest.mark.parametrize(("dialled", "seen"), [("localhost", "127.0.0.1"), ("203.0.113.7", "203.0.113.7")])
async def test_the_loopback_and_literal_addresses_stay(autojump_clock: MockClock, dialled: str, seen: str) -> None:
    with VirtualNetwork().installed():
        (listener,) = await trio.open_tcp_listeners(8080, host=None)
        async with listener, await trio.open_tcp_stream(dialled, 8080) as client:
            assert client.socket.getpeername() == (seen, 8080)
            async with await listener.accept() as server:
                assert server.socket.getsockname() == (seen, 8080)
                assert server.socket.getpeername() == client.socket.getsockname()


async def test_port_0_picks_a_free_port_and_a_port_in_use_is_refused(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        (one,) = await trio.open_tcp_listeners(0, host=HOST)
        (two,) = await trio.open_tcp_listeners(0, host=HOST)
        port = one.socket.getsockname()[1]
        assert port != two.socket.getsockname()[1]
        for host in (HOST, "0.0.0.0"):  # noqa: S104 (virtual)
            with pytest.raises(OSError, match="in use") as caught:
                await trio.open_tcp_listeners(port, host=host)
            assert caught.value.errno == errno.EADDRINUSE
        await one.aclose()
        (again,) = await trio.open_tcp_listeners(port, host=HOST)
        await again.aclose()
        await two.aclose()


async def test_latency_is_exact(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        (listener,) = await trio.open_tcp_listeners(80, host=HOST)
        async with listener, await trio.open_tcp_stream(HOST, 80) as client:
            assert trio.current_time() == 2 * LATENCY_S
            async with await listener.accept() as server:
                assert trio.current_time() == 3 * LATENCY_S
                await server.send_all(b"tick")
                assert trio.current_time() == 3 * LATENCY_S
                assert await client.receive_some() == b"tick"
                assert trio.current_time() == 4 * LATENCY_S


async def test_where_nobody_listens_the_refusal_takes_a_round_trip(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        sock = trio.socket.socket()
        with pytest.raises(ConnectionRefusedError):
            await sock.connect((HOST, 80))
        assert trio.current_time() == 2 * LATENCY_S
        sock.close()
    assert network.open_sockets == 0


async def test_refusal_affects_new_connections_to_that_port_until_it_is_taken_back(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with linked(80) as old, linked(81):
            network.refuse(80)
            with pytest.raises(OSError, match="failed"):
                await trio.open_tcp_stream(HOST, 80)
            await (await trio.open_tcp_stream(HOST, 81)).aclose()
            await old.client.send_all(b"still here")
            assert await old.server.receive_some() == b"still here"
            network.refuse()
            network.accept(80)
            await (await trio.open_tcp_stream(HOST, 80)).aclose()
            with pytest.raises(OSError, match="failed"):
                await trio.open_tcp_stream(HOST, 81)
    assert network.open_sockets == 0


@pytest.mark.parametrize(("cut", "patience_s"), [(Direction.TO_SERVER, 3600), (Direction(0), 1.5 * LATENCY_S)])
async def test_a_cancelled_attempt_leaves_nothing_behind(
    autojump_clock: MockClock, cut: Direction, patience_s: float
) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        (listener,) = await trio.open_tcp_listeners(80, host=HOST)
        async with listener:
            network.black_hole(cut)
            with trio.move_on_after(patience_s) as patience:
                await trio.open_tcp_stream(HOST, 80)
            assert patience.cancelled_caught
            network.heal()
            with trio.move_on_after(1) as patience:
                await listener.accept()
            assert patience.cancelled_caught
    assert network.open_sockets == 0


async def test_cancelling_connect_closes_the_socket_as_trio_does(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        sock = trio.socket.socket()
        with trio.move_on_after(0.001):
            await sock.connect((HOST, 80))
        assert sock.fileno() == -1


@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [
        (trio.socket.AF_INET6, trio.socket.SOCK_STREAM, errno.EAFNOSUPPORT),
        (trio.socket.AF_INET, trio.socket.SOCK_DGRAM, errno.EPROTONOSUPPORT),
    ],
)
async def test_there_is_only_tcp_over_ipv4(autojump_clock: MockClock, family: int, kind: int, expected: int) -> None:
    with VirtualNetwork().installed():
        with pytest.raises(OSError, match="not supported") as caught:
            trio.socket.socket(family, kind)
        assert caught.value.errno == expected
        with pytest.raises(trio.socket.gaierror):
            await trio.socket.getaddrinfo(HOST, 80, family=family, type=kind)


async def test_a_full_accept_queue_resets_who_comes_next(autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        (listener,) = await trio.open_tcp_listeners(80, host=HOST, backlog=2)
        async with listener:
            clients = [await trio.open_tcp_stream(HOST, 80) for _ in range(3)]
            with pytest.raises(trio.BrokenResourceError):
                await clients[2].receive_some()
            async with await listener.accept() as first:
                await first.send_all(b"welcome")
                assert await clients[0].receive_some() == b"welcome"
        with pytest.raises(trio.BrokenResourceError):  # the listener closed before it accepted
            await clients[1].receive_some()
        for client in clients:
            await client.aclose()


@pytest.mark.parametrize("direction", [Direction.TO_SERVER, Direction.TO_CLIENT])
async def test_a_black_hole_holds_one_direction_and_healing_delivers_in_order(
    autojump_clock: MockClock, direction: Direction
) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        async with linked() as link:
            sender, receiver = (link.client, link.server)
            if direction is Direction.TO_CLIENT:
                sender, receiver = receiver, sender
            await sender.send_all(b"under way, ")
            network.black_hole(direction, 80)
            await sender.send_all(b"then sent, ")
            await receiver.send_all(b"the other way")
            assert await sender.receive_some() == b"the other way"
            with trio.move_on_after(3600) as patience:
                await receiver.receive_some()
            assert patience.cancelled_caught
            await sender.send_all(b"then the end")
            await sender.send_eof()
            network.heal(80)
            healed_at = trio.current_time()
            assert await receiver.receive_some() == b"under way, then sent, then the end"
            assert trio.current_time() == healed_at + LATENCY_S
            assert await receiver.receive_some() == b""


async def test_a_black_hole_is_dug_and_healed_by_port(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with linked(80) as cut, linked(81) as whole:
            network.black_hole(Direction.BOTH, 80)
            for link in (cut, whole):
                await link.client.send_all(b"hello")
            assert await whole.server.receive_some() == b"hello"
            assert not cut.server.socket.is_readable()
            network.heal(81)
            await trio.sleep(60)
            assert not cut.server.socket.is_readable()
            network.heal()
            assert await cut.server.receive_some() == b"hello"


@pytest.mark.parametrize("direction", Direction.BOTH)
async def test_a_handshake_falls_into_a_black_hole_too(autojump_clock: MockClock, direction: Direction) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        (listener,) = await trio.open_tcp_listeners(80, host=HOST)
        async with listener, trio.open_nursery() as nursery:
            network.black_hole(direction)
            connected_at = []

            async def connect() -> None:
                async with await trio.open_tcp_stream(HOST, 80):
                    connected_at.append(trio.current_time())

            nursery.start_soon(connect)
            await trio.sleep(100)
            assert connected_at == []
            assert network.connections == ()
            network.heal()
            await (await listener.accept()).aclose()
            # The client waits for the whole round trip, or for what was left of it.
            assert connected_at == [100 + (2 if direction is Direction.TO_SERVER else 1) * LATENCY_S]


async def test_a_fin_falls_into_a_black_hole_too(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with linked() as link:
            network.black_hole(Direction.TO_SERVER)
            await link.client.aclose()
            with trio.move_on_after(3600) as patience:
                await link.server.receive_some()
            assert patience.cancelled_caught
            assert len(network.connections) == 1
            network.heal()
            assert await link.server.receive_some() == b""


async def test_a_reset_breaks_both_sides_and_loses_what_is_pending(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    broken: list[BaseException | None] = []

    async def read(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.receive_some()
        broken.append(caught.value.__cause__)

    with network.installed():
        async with linked(80) as link, linked(81) as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, link.client)
                await link.client.send_all(b"arrived")
                await trio.sleep(1)
                await link.client.send_all(b"under way")
                assert network.reset(80) == 1
                await trio.sleep(1)
                nursery.start_soon(read, link.server)
            assert [type(error) for error in broken] == [ConnectionResetError] * 2
            for stream in link:
                with pytest.raises(trio.BrokenResourceError):
                    await stream.send_all(b"more")
            assert [each.server_address[1] for each in network.connections] == [81]
            await other.client.send_all(b"untouched")
            assert await other.server.receive_some() == b"untouched"
            assert network.reset() == 1
            assert network.reset() == 0
    assert network.open_sockets == 0


async def test_a_half_close_ends_one_direction_unknown_to_the_server(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed():
        async with linked() as link:
            await link.server.send_all(b"before")
            assert network.half_close(80) == 1
            await link.server.send_all(b"after")
            assert await link.client.receive_some() == b"before"
            assert await link.client.receive_some() == b""
            await link.client.send_all(b"still talking")
            assert await link.server.receive_some() == b"still talking"


async def test_connections_say_who_is_linked_to_whom_and_how_much_arrived(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(latency_s=LATENCY_S)
    with network.installed():
        async with linked() as link:
            await link.client.send_all(b"12345")
            await link.server.send_all(b"123")
            await trio.sleep(1)
            (snapshot,) = network.connections
            assert snapshot == ConnectionSnapshot(
                client_address=link.client.socket.getsockname(),
                server_address=link.client.socket.getpeername(),
                bytes_to_server=5,
                bytes_to_client=3,
                opened_at=2 * LATENCY_S,
            )
            assert network.open_sockets == 3
            await link.client.aclose()
            assert [each.bytes_to_server for each in network.connections] == [5]
            assert await link.server.receive_some() == b"12345"
    assert not network.connections
    assert network.open_sockets == 0


async def test_leaving_gives_the_real_sockets_back(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    with network.installed(), trio.socket.socket() as virtual:
        assert network.open_sockets == 1
    assert network.open_sockets == 0
    with trio.socket.socket() as real:
        assert type(real) is not type(virtual)
    assert trio.socket.set_custom_hostname_resolver(None) is None
    assert network.open_sockets == 0


async def test_after_leaving_nothing_arrives_any_more(autojump_clock: MockClock) -> None:
    network = VirtualNetwork()
    async with AsyncExitStack() as stack:
        with network.installed():
            link = await stack.enter_async_context(linked())
            await link.client.send_all(b"too late")
        await trio.sleep(60)
        assert not link.server.socket.is_readable()
    assert network.open_sockets == 0


@pytest.mark.parametrize("wrong", [{"latency_s": -1.0}, {"jitter_s": float("nan")}, {"send_buffer_bytes": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="|".join(wrong)):
        VirtualNetwork(**wrong)  # type: ignore[arg-type]  # wrong on purpose
