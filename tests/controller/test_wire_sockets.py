"""The transport ``wire`` on real sockets, which it reads in another way than virtual ones. Milliseconds each."""

import socket
import struct
from contextlib import suppress

import pytest
import trio

from gapless.controller.errors import LinkError
from gapless.controller.transports import WireTransport
from tests.controller.wire_peer import Line, real_peer
from tests.controller.wire_pieces import PING, PONG, TEXT, frame

SIZE_MAX = 100_000
PATIENCE_S = 10.0
GONE = "reset or closed without a goodbye (1006)"


async def test_everything_arrives_in_batches_and_others_have_their_turn() -> None:
    """The peer sends as fast as it can: a task beside the reader runs once a batch at least."""
    count = 20_000
    turns = batches = 0
    largest = 0

    async def flood(line: Line) -> None:
        await line.accept()
        for begin in range(0, count, 1_000):
            await line.send(b"".join(frame(TEXT, b"%d" % number) for number in range(begin, begin + 1_000)))

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    seen: list[str | bytes] = []
    with trio.fail_after(PATIENCE_S):
        async with (
            real_peer(flood) as url,
            WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(take_turns)
            while len(seen) < count:
                batch = await connection.receive()
                batches += 1
                largest = max(largest, len(batch))
                seen += batch
            with pytest.raises(LinkError) as caught:
                await connection.receive()
            nursery.cancel_scope.cancel()
    assert str(caught.value) == GONE
    assert seen == [b"%d" % number for number in range(count)]
    assert largest > 100
    assert turns >= batches


@pytest.mark.parametrize(("size", "batch_min", "batch_max"), [(20_000, 14, 40), (100, 300, 660)])
async def test_large_messages_are_read_by_the_dozen_and_small_ones_not_by_the_thousand(
    size: int, batch_min: int, batch_max: int
) -> None:
    """With as much as can be read waiting, always."""
    texts = [b"%d" % number + b"x" * size for number in range(20_000_000 // size)]

    async def flood(line: Line) -> None:
        await line.accept()
        await line.send(b"".join(frame(TEXT, text) for text in texts))

    largest = 0
    seen: list[str | bytes] = []
    with trio.fail_after(PATIENCE_S):
        async with real_peer(flood) as url, WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
            while len(seen) < len(texts):
                batch = await connection.receive()
                largest = max(largest, len(batch))
                seen += batch
    assert seen == texts
    assert batch_min <= largest <= batch_max


async def test_talk_both_ways_and_a_reset() -> None:
    async def talk(line: Line) -> None:
        await line.accept()
        await line.send(frame(PING, b"there?"))
        answer = await line.frame()
        assert (answer.opcode, bytes(answer.data)) == (PONG, b"there?")
        await line.send(frame(TEXT, b"go on"))
        assert await line.text() == "x" * 1_000_000
        await line.send(frame(TEXT, b"well"))
        assert isinstance(line.stream, trio.SocketStream)
        line.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with trio.fail_after(PATIENCE_S):
        async with (
            real_peer(talk) as url,
            WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
        ):
            assert await connection.receive() == [b"go on"]
            await connection.send("x" * 1_000_000)
            # A reset may overtake the last message.
            with suppress(LinkError):
                assert await connection.receive() == [b"well"]
            with pytest.raises(LinkError) as caught:
                await connection.receive()
            assert str(caught.value) == GONE


async def test_a_silent_peer_is_left_at_once() -> None:
    async def accept(line: Line) -> None:
        await line.accept()
        await trio.sleep(PATIENCE_S)

    with trio.fail_after(PATIENCE_S):
        async with real_peer(accept) as url:
            async with WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
                with trio.move_on_after(0.01) as scope:
                    await connection.receive()
                assert scope.cancelled_caught
                left_at = trio.current_time()
            assert trio.current_time() - left_at < 0.5
