"""The transport ``wire``: batches, what is sent while nothing moves, what a cancellation leaves, compression."""

import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode

from gapless.controller.errors import LinkError
from gapless.controller.transports import WireTransport
from gapless.simulator.network import VirtualNetwork
from tests.controller.wire_peer import Line, peer
from tests.controller.wire_pieces import CLOSE, CONT, PING, PONG, TEXT, frame

SIZE_MAX = 100_000


async def test_what_one_read_brings_is_one_batch(autojump_clock: MockClock) -> None:
    texts = [b'{"n":%d}' % number for number in range(300)]

    async def say(line: Line) -> None:
        await line.accept()
        await line.send(b"".join(frame(TEXT, text) for text in texts))
        await trio.sleep(100)

    async with peer(say) as url, WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
        assert await connection.receive() == texts


async def test_a_read_of_thousands_leaves_others_their_turn(autojump_clock: MockClock) -> None:
    """Compressed messages are small. The end that came with them comes after them."""
    texts = [b"%d" % number for number in range(3_000)]

    async def say(line: Line) -> None:
        await line.accept(b"".join(frame(TEXT, text) for text in texts) + frame(CLOSE, struct.pack("!H", 1001)))
        await trio.sleep(100)

    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    batches: list[Sequence[str | bytes]] = []
    async with (
        peer(say) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(take_turns)
        while sum(map(len, batches)) < len(texts):
            batches.append(await connection.receive())
        assert turns >= len(batches) - 1
        with pytest.raises(LinkError, match=r"^closed: 1001 "):
            await connection.receive()
        nursery.cancel_scope.cancel()
    assert max(map(len, batches)) < 500
    assert [text for batch in batches for text in batch] == texts


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (frame(CLOSE, struct.pack("!H", 1001) + b"maintenance"), 1001),
        (frame(TEXT, b"x" * (SIZE_MAX + 1)), 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(0xB, b""), 1002),
    ],
    ids=["goodbye", "too big", "not UTF-8", "reserved opcode"],
)
async def test_a_goodbye_is_answered_and_a_fault_named(last: bytes, code: int, autojump_clock: MockClock) -> None:
    heard: list[bytes] = []

    async def say(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"fine") + last)
        answer = await line.frame()
        assert answer.opcode is Opcode.CLOSE
        heard.append(bytes(answer.data))

    async with peer(say) as url:
        async with WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
            assert await connection.receive() == [b"fine"]
            with pytest.raises(LinkError, match=f"^closed: {code} "):
                await connection.receive()
        # The answer was sent before the error was raised; what is left of the connection does not matter.
        await trio.sleep(1.0)
    assert [int.from_bytes(each[:2]) for each in heard] == [code]


async def test_a_refusal_without_an_end_is_known_by_its_head(autojump_clock: MockClock) -> None:
    async def refuse(line: Line) -> None:
        await line.stream.receive_some()
        await line.send(b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 1000000\r\n\r\nplease")
        await trio.sleep(100)

    async with peer(refuse) as url:
        with pytest.raises(LinkError, match=r"^refused: HTTP 429$") as caught:
            async with WireTransport(message_size_max=SIZE_MAX).connect(url):
                raise AssertionError("the peer refused")
        assert trio.current_time() < 1.0
    assert caught.value.retry_after_s == 7.0


async def test_an_answer_that_has_no_end_is_none(autojump_clock: MockClock) -> None:
    async def drivel(line: Line) -> None:
        await line.stream.receive_some()
        await line.send(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            await line.send(b"X-Drivel: " + b"x" * 1_000 + b"\r\n")

    async with peer(drivel) as url:
        with pytest.raises(LinkError, match=r"^the handshake failed: did not receive a valid HTTP response"):
            async with WireTransport(message_size_max=SIZE_MAX).connect(url):
                raise AssertionError("the peer did not agree")


# -- what is sent while nothing moves ----------------------------------------------------------------------------------


async def test_pings_hold_up_nothing_and_the_latest_is_answered(autojump_clock: MockClock) -> None:
    """The peer pings and does not read; its messages are read all the same, and the memory stays what it is."""
    pongs: list[int] = []

    async def flood(line: Line) -> None:
        await line.accept()
        for number in range(1_000):
            await line.send(frame(PING, struct.pack("!I", number)) + frame(TEXT, b"%d" % number))
            await trio.sleep(0.001)
        await trio.sleep(1.0)
        while True:
            answer = await line.frame()
            assert answer.opcode is Opcode.PONG
            pongs.append(int.from_bytes(answer.data))

    async with (
        peer(flood, VirtualNetwork(send_buffer_bytes=400)) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
    ):
        seen = 0
        while seen < 1_000:
            seen += len(await connection.receive())
        assert pongs == [], "the peer has not read yet"
        with trio.move_on_after(5.0):
            await connection.receive()
        assert pongs == sorted(pongs)
        assert len(pongs) < 60, "what fits into the buffers, and one more"
        assert pongs[-1] == 999


@pytest.mark.parametrize("empty", [frame(PING, b""), frame(PONG, b""), frame(CONT, b"", flags=0)])
async def test_a_flood_of_empty_frames_leaves_others_their_turn(empty: bytes, autojump_clock: MockClock) -> None:
    """A read of 64 KiB holds 32,000 of them: half a second in which nobody could leave."""
    turns = 0

    async def flood(line: Line) -> None:
        begin = frame(TEXT, b"", flags=0) if empty[0] == CONT else b""
        await line.accept(begin + empty * 10_000 + frame(CONT if begin else TEXT, b"at last"))
        await trio.sleep(100)

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    transport = WireTransport(message_size_max=SIZE_MAX)
    async with peer(flood) as url, transport.connect(url) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        assert await connection.receive() == [b"at last"]
        nursery.cancel_scope.cancel()
    assert turns >= 20


async def test_a_message_that_waits_for_room_does_not_hold_up_reading(autojump_clock: MockClock) -> None:
    async def talk(line: Line) -> None:
        await line.accept()
        for number in range(100):
            await line.send(frame(TEXT, b"%d" % number))
            await trio.sleep(0.1)

    async with (
        peer(talk, VirtualNetwork(send_buffer_bytes=400)) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(connection.send, "x" * 10_000)
        seen = 0
        while seen < 100:
            seen += len(await connection.receive())
        nursery.cancel_scope.cancel()


# -- what a cancellation leaves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_message_cancelled_while_it_is_sent_is_sent_whole(compressed: bool, autojump_clock: MockClock) -> None:
    """A next one would be read as the rest of it. Nobody needs to send again for it to be finished."""
    heard: list[str] = []
    reads = trio.Event()

    async def read_late(line: Line) -> None:
        await line.accept(extensions=[ServerPerMessageDeflateFactory()] if compressed else None)
        await reads.wait()
        while True:
            heard.append(await line.text())

    begun, last = ("".join(chr(33 + (n * n * step) % 90) for n in range(3_000)) for step in (7, 31))
    async with (
        peer(read_late, VirtualNetwork(send_buffer_bytes=100)) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
    ):
        with trio.move_on_after(1.0) as scope:
            await connection.send(begun)
        assert scope.cancelled_caught
        # One that begins after it waits for the rest of it, and is not sent in part either.
        with trio.move_on_after(1.0) as scope:
            await connection.send("lost")
        assert scope.cancelled_caught
        reads.set()
        await trio.sleep(5.0)
        assert heard == [begun]
        await connection.send(last)
        await trio.sleep(5.0)
    assert heard == [begun, last]


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_message_cancelled_before_it_began_was_never_sent(compressed: bool, autojump_clock: MockClock) -> None:
    """Not a byte of it, and compression, which remembers what it has seen, does not remember it."""
    heard: list[str] = []
    reads, done = trio.Event(), trio.Event()

    async def read_late(line: Line) -> None:
        await line.accept(extensions=[ServerPerMessageDeflateFactory()] if compressed else None)
        await reads.wait()
        while len(heard) < 2:
            heard.append(await line.text())
        done.set()

    first, lost, last = ("".join(chr(33 + (n * step) % 90) for n in range(3_000)) for step in (7, 31, 53))
    async with (
        peer(read_late, VirtualNetwork(send_buffer_bytes=100)) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(connection.send, first)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1.0) as scope:
            await connection.send(lost)
        assert scope.cancelled_caught
        nursery.start_soon(connection.send, lost[:1_500] + last)
        reads.set()
        await done.wait()
    assert heard == [first, lost[:1_500] + last]


async def test_a_message_that_waits_for_the_first_room_may_be_cancelled(autojump_clock: MockClock) -> None:
    """The lock is free, and the buffer full to the last byte."""
    heard: list[str] = []
    reads, done = trio.Event(), trio.Event()

    async def read_late(line: Line) -> None:
        await line.accept()
        await reads.wait()
        while len(heard) < 2:
            heard.append(await line.text())
        done.set()

    # A masked frame of 392 bytes has a header of 8.
    async with (
        peer(read_late, VirtualNetwork(send_buffer_bytes=400)) as url,
        WireTransport(message_size_max=SIZE_MAX).connect(url) as connection,
    ):
        await connection.send("x" * 392)
        with trio.move_on_after(1.0) as scope:
            await connection.send("lost")
        assert scope.cancelled_caught
        reads.set()
        await connection.send("last")
        await done.wait()
    assert heard == ["x" * 392, "last"]


async def test_who_is_cancelled_while_reading_loses_nothing(autojump_clock: MockClock) -> None:
    texts = [b"%d" % number for number in range(100)]

    async def talk(line: Line) -> None:
        await line.accept()
        for text in texts:
            await line.send(frame(TEXT, text))
            await trio.sleep(0.01)

    seen: list[str | bytes] = []
    async with peer(talk) as url, WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
        with suppress(LinkError):
            while True:
                with trio.move_on_after(0.003):
                    seen += await connection.receive()
    assert seen == texts


# -- compression -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_context", [True, False])
async def test_compression_is_spoken_where_the_peer_knows_it(keeps_context: bool, autojump_clock: MockClock) -> None:
    texts = [f'{{"price":{number},"é":"{"x" * number}"}}' for number in range(50)]
    heard: list[str] = []

    async def talk(line: Line) -> None:
        await line.accept(extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=not keeps_context)])
        for text in texts:
            await line.send_text(text)
            # A frame that is not compressed in between is allowed, and remembered by nobody.
            await line.send(frame(TEXT, b"plain"))
        heard.extend([await line.text() for _ in range(2)])

    seen: list[str | bytes] = []
    async with peer(talk) as url, WireTransport(message_size_max=SIZE_MAX).connect(url) as connection:
        while len(seen) < 100:
            seen += await connection.receive()
        await connection.send("hello " * 100)
        await connection.send("hello " * 100)
        await trio.sleep(1.0)
    assert seen[::2] == [text.encode() for text in texts]
    assert set(seen[1::2]) == {b"plain"}
    assert heard == ["hello " * 100] * 2
