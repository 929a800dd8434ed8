"""Clients that misbehave on the WebSocket side hurt themselves, nobody else."""

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.network import Direction
from tests.simulator.conftest import BTC, HANDSHAKE, UPGRADE, ended, served


async def test_a_client_that_does_not_read_is_cut_and_stalls_nobody(autojump_clock: MockClock) -> None:
    async with served(outbound_queue_max=100) as world, world.welcomed("slow") as slow, world.welcomed("b") as other:
        await slow.subscribe(BTC)
        await other.subscribe(BTC)
        for _ in range(40):
            world.publish(50)
            await other.hear_many(50)
        assert len(world.exchange.hub.sessions) == 1
        assert world.exchange.hub.sessions[0].session_id == "b"


async def test_a_client_that_takes_nothing_for_too_long_is_cut(autojump_clock: MockClock) -> None:
    async with served(send_timeout_s=5.0, outbound_queue_max=100_000) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.network.black_hole(Direction.TO_CLIENT)
        world.publish(1_000)
        await trio.sleep(4.9)
        assert world.exchange.hub.sessions
        await trio.sleep(0.2)
        assert not world.exchange.hub.sessions
        world.network.heal()


async def test_a_client_that_never_finishes_its_handshake_is_dropped(autojump_clock: MockClock) -> None:
    async with served(handshake_timeout_s=3.0) as world, world.tcp(world.endpoints.ws_url) as stream:
        await stream.send_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        begin = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - begin == pytest.approx(3.0, abs=0.1)
        assert world.exchange.hub.sockets == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x00\xff" * 20,
        b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"x" * 100_000,
        b"GET //[ HTTP/1.1\r\nHost: x" + UPGRADE,
        b"GET /ws HTTP/1.1\r\nHost: \xff" + UPGRADE,
        b"",
    ],
    ids=lambda sent: repr(sent[:24]),
)
async def test_garbage_in_place_of_a_handshake_hurts_nobody(autojump_clock: MockClock, garbage: bytes) -> None:
    async with served() as world:
        async with world.tcp(world.endpoints.ws_url) as stream:
            await stream.send_all(garbage)
            await stream.send_eof()
            with trio.fail_after(30):
                assert await ended(stream)
        async with world.welcomed():
            pass


async def test_garbage_after_the_handshake_ends_its_own_connection(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("b") as other:
        async with world.tcp(world.endpoints.ws_url) as stream:
            await stream.send_all(HANDSHAKE)
            assert b"101" in await stream.receive_some()
            await stream.send_all(b"\xff\xff" * 500)
            with trio.fail_after(30):
                assert await ended(stream)
        await other.ping()
        assert (await other.hear())["type"] == "PONG"
        await trio.sleep(1)
        assert len(world.exchange.hub.sessions) == 1


async def test_more_connections_than_allowed_are_closed_at_once(autojump_clock: MockClock) -> None:
    async with served(sessions_max=1) as world, world.welcomed(), world.tcp(world.endpoints.ws_url) as stream:
        with trio.fail_after(1):  # not when a handshake is overdue
            assert await stream.receive_some() == b""


async def test_nothing_is_kept_of_a_client_that_left(autojump_clock: MockClock) -> None:
    async with served() as world:
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            session = weakref.ref(world.exchange.hub.sessions[0])
        await trio.sleep(1)
        world.publish(1)
        gc.collect()
        assert session() is None
        assert world.exchange.hub.sockets == 0
