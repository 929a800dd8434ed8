"""The seam, whatever library is behind it: what a peer does, and what the link is told."""

import ssl
import struct
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gapless.controller.errors import LinkError
from gapless.controller.transports import Connection, Transport, TrioWebsocketTransport, WireTransport
from gapless.simulator.network import Direction, VirtualNetwork
from tests.controller.wire_peer import Line, peer
from tests.controller.wire_pieces import CLOSE, CONT, PING, TEXT, frame

VENUE_TIME_S = 1_767_225_600.0
"""What the venue's clock shows, Unix seconds; years away from the clock of the machine that runs the test."""
SIZE_MAX = 1_024


@pytest.fixture(params=[TrioWebsocketTransport, WireTransport])
def transport(request: pytest.FixtureRequest) -> Transport:
    made: Transport = request.param(message_size_max=SIZE_MAX)
    return made


async def refused_with(transport: Transport, *headers: str) -> LinkError:
    """Dial a peer that answers the handshake with 503 and these headers."""

    async def refuse(line: Line) -> None:
        await line.stream.receive_some()
        await line.send("\r\n".join(("HTTP/1.1 503 Busy", *headers, "Content-Length: 0", "", "")).encode())

    async with peer(refuse) as url:
        return await failure(transport, url, match="refused: HTTP 503")


async def failure(transport: Transport, url: str, match: str) -> LinkError:
    """What the dialling ends with."""
    with pytest.raises(LinkError, match=match) as caught:
        async with transport.connect(url):
            raise AssertionError("the peer does not shake hands")
    return caught.value


def as_bytes(messages: Sequence[str | bytes]) -> list[bytes]:
    """Which of the two a transport hands over is its own business."""
    return [each.encode() if isinstance(each, str) else each for each in messages]


async def read_to_the_end(connection: Connection) -> tuple[list[bytes], str]:
    """All messages, and the reason of the end."""
    messages: list[bytes] = []
    try:
        while True:
            messages += as_bytes(await connection.receive())
    except LinkError as error:
        return messages, str(error)


# -- the handshake -----------------------------------------------------------------------------------------------------


async def test_retry_after_in_seconds(transport: Transport, autojump_clock: MockClock) -> None:
    error = await refused_with(transport, "Retry-After: 20")
    assert error.retry_after_s == 20.0


async def test_a_date_is_measured_by_the_clock_of_the_peer_that_wrote_it(
    transport: Transport, autojump_clock: MockClock
) -> None:
    date, retry_at = (formatdate(at, usegmt=True) for at in (VENUE_TIME_S, VENUE_TIME_S + 300))
    error = await refused_with(transport, f"Date: {date}", f"Retry-After: {retry_at}")
    assert error.retry_after_s == 300.0


@pytest.mark.parametrize("headers", [(), ("Retry-After: soon",), ("Retry-After: \xff",), ("Date: x", "Retry-After: x")])
async def test_what_asks_for_nothing_is_no_floor(
    headers: tuple[str, ...], transport: Transport, autojump_clock: MockClock
) -> None:
    error = await refused_with(transport, *headers)
    assert error.retry_after_s == 0.0


async def test_nobody_listens(transport: Transport, autojump_clock: MockClock) -> None:
    with VirtualNetwork().installed():
        await failure(transport, "ws://127.0.0.1:1/ws", match="^refused: ")


async def test_the_certificates_of_the_machine_are_read_once(
    transport: Transport, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all connections, of either transport."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(Path(__file__).with_name("exchange_example.pem"))

    async def accept(line: Line) -> None:
        await line.accept()

    def read_again() -> ssl.SSLContext:
        raise AssertionError("they were read already")

    async with peer(accept, tls=server) as url:
        await failure(transport, url, match="CERTIFICATE_VERIFY_FAILED")
        monkeypatch.setattr(ssl, "create_default_context", read_again)
        await failure(transport, url, match="CERTIFICATE_VERIFY_FAILED")
        await failure(TrioWebsocketTransport(message_size_max=SIZE_MAX), url, match="CERTIFICATE_VERIFY_FAILED")
        await failure(WireTransport(message_size_max=SIZE_MAX), url, match="CERTIFICATE_VERIFY_FAILED")


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 101 Switching"])
async def test_a_peer_that_ends_in_the_handshake_is_noticed_at_once(
    before: bytes, transport: Transport, autojump_clock: MockClock
) -> None:
    async def end(line: Line) -> None:
        await line.stream.receive_some()
        if before:
            await line.send(before)
        await line.end()
        await trio.sleep(100)

    async with peer(end) as url:
        await failure(transport, url, match="^the handshake failed: closed by the peer$")
        assert trio.current_time() < 1.0


@pytest.mark.parametrize("garbage", [b"\x00\xff garbage", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 101 OK\r\n\r\n"])
async def test_an_answer_that_is_none_is_a_failed_handshake(
    garbage: bytes, transport: Transport, autojump_clock: MockClock
) -> None:
    async def answer(line: Line) -> None:
        await line.stream.receive_some()
        await line.send(garbage)
        await line.end()
        await trio.sleep(100)

    async with peer(answer) as url:
        await failure(transport, url, match="^the handshake failed: ")


async def test_a_peer_that_says_nothing_is_left_when_the_caller_s_time_is_up(
    transport: Transport, autojump_clock: MockClock
) -> None:
    network = VirtualNetwork()

    async def say_nothing(line: Line) -> None:
        await trio.sleep(100)

    async with peer(say_nothing, network) as url:
        with trio.move_on_after(3.0) as scope:
            async with transport.connect(url):
                raise AssertionError("the peer does not shake hands")
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(3.0, abs=0.02)
        assert network.open_sockets == 2, "the listener and the peer's end"


# -- an open connection ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (frame(CLOSE, struct.pack("!H", 1001) + b"maintenance"), "closed: 1001 GOING_AWAY, 'maintenance'"),
        (frame(CLOSE, struct.pack("!H", 1000)), "closed: 1000 NORMAL_CLOSURE"),
        (frame(CLOSE, struct.pack("!H", 4321) + b"ours"), "closed: 4321 PRIVATE_RESERVED, 'ours'"),
        (frame(CLOSE, b""), "closed: 1005 NO_STATUS_RCVD"),
        (b"", "reset or closed without a goodbye (1006)"),
        (frame(TEXT, b"cut off")[:-1], "reset or closed without a goodbye (1006)"),
    ],
)
async def test_what_came_before_the_end_is_read_and_the_end_has_a_reason(
    last: bytes, reason: str, transport: Transport, autojump_clock: MockClock
) -> None:
    async def say(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"one") + frame(TEXT, b"two", flags=0) + frame(CONT, b"!") + last)

    async with peer(say) as url, transport.connect(url) as connection:
        assert await read_to_the_end(connection) == ([b"one", b"two!"], reason)
        with pytest.raises(LinkError) as again:
            await connection.receive()
        with pytest.raises(LinkError) as unsent:
            await connection.send("too late")
        assert str(again.value) == str(unsent.value) == reason


async def test_a_reset_ends_the_connection(transport: Transport, autojump_clock: MockClock) -> None:
    network = VirtualNetwork()

    async def accept(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"one"))
        await trio.sleep(1.0)
        network.reset()

    async with peer(accept, network) as url, transport.connect(url) as connection:
        assert await read_to_the_end(connection) == ([b"one"], "reset or closed without a goodbye (1006)")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (frame(TEXT, b"x" * (SIZE_MAX + 1)), "closed: 1009 MESSAGE_TOO_BIG"),
        (frame(TEXT, b"\xff"), "closed: 1007 INVALID_FRAME_PAYLOAD_DATA"),
        (frame(0xB, b""), "closed: 1002 PROTOCOL_ERROR"),
        (frame(TEXT, b"masked", mask=0x80), "closed: 1002 PROTOCOL_ERROR"),
    ],
    ids=["too big", "not UTF-8", "reserved opcode", "masked"],
)
async def test_a_fault_of_the_peer_ends_the_connection(
    fault: bytes, reason: str, transport: Transport, autojump_clock: MockClock
) -> None:
    async def say(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"fine") + fault)
        await trio.sleep(100)

    async with peer(say) as url, transport.connect(url) as connection:
        messages, why = await read_to_the_end(connection)
        assert why.startswith(reason)
        # trio-websocket loses what came in the same read as a fault.
        assert messages in ([b"fine"], [])


async def test_what_comes_together_with_the_handshake_is_not_lost(
    transport: Transport, autojump_clock: MockClock
) -> None:
    async def say(line: Line) -> None:
        await line.accept(frame(TEXT, b"at once") + frame(TEXT, b"and then")[:4])
        await line.send(frame(TEXT, b"and then")[4:])
        await trio.sleep(100)

    async with peer(say) as url, transport.connect(url) as connection:
        got: list[bytes] = []
        while len(got) < 2:
            got += as_bytes(await connection.receive())
        assert got == [b"at once", b"and then"]


async def test_a_ping_is_answered_while_the_app_waits(transport: Transport, autojump_clock: MockClock) -> None:
    answers: list[bytes] = []

    async def ping(line: Line) -> None:
        await line.accept()
        for payload in (b"", b"first", b"x" * 125):
            await line.send(frame(PING, payload))
            answers.append(bytes((await line.frame()).data))
        await line.send(frame(TEXT, b"done"))
        await trio.sleep(100)

    async with peer(ping) as url, transport.connect(url) as connection:
        assert len(await connection.receive()) == 1
    assert answers == [b"", b"first", b"x" * 125]


async def test_messages_of_many_tasks_do_not_mix(transport: Transport, autojump_clock: MockClock) -> None:
    """Each is many times as long as the buffers, and the peer pings in between."""
    texts = {f"{number:03}" * 1_000 for number in range(20)}
    seen: set[str] = set()
    done = trio.Event()

    async def read(line: Line) -> None:
        await line.accept()
        while seen < texts:
            await line.send(frame(PING, b"?"))
            received = await line.frame()
            if received.opcode == TEXT:
                seen.add(bytes(received.data).decode())
        done.set()
        await trio.sleep(100)

    async with (
        peer(read, VirtualNetwork(send_buffer_bytes=200)) as url,
        transport.connect(url) as connection,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(read_to_the_end, connection)
        for text in texts:
            nursery.start_soon(connection.send, text)
        await done.wait()
        nursery.cancel_scope.cancel()
    assert seen == texts


@pytest.mark.parametrize("condition", ["idle", "black hole", "full buffers", "unread"])
async def test_leaving_ends_the_socket_at_once(condition: str, transport: Transport, autojump_clock: MockClock) -> None:
    network = VirtualNetwork(send_buffer_bytes=4_096)

    async def flood(line: Line) -> None:
        await line.accept()
        if condition == "unread":
            for _ in range(1_000):
                await line.send(frame(TEXT, b"x" * 1_000))
        await trio.sleep(100)

    async def send_for_ever(connection: Connection) -> None:
        while True:
            await connection.send("x" * 1_000)

    async with peer(flood, network) as url:
        async with transport.connect(url) as connection, trio.open_nursery() as nursery:
            if condition == "full buffers":
                nursery.start_soon(send_for_ever, connection)
            if condition == "black hole":
                network.black_hole(Direction.BOTH)
            await trio.sleep(5.0)
            left_at = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() == left_at
        assert network.open_sockets <= 2, "the listener, and the peer's end if it was not told"


async def test_the_end_met_in_a_nursery_of_the_block_is_a_link_error(
    transport: Transport, autojump_clock: MockClock
) -> None:
    """The link reads in a nursery of its own, and catches one type around the whole."""

    async def accept(line: Line) -> None:
        await line.accept()

    async def read(connection: Connection) -> None:
        while True:
            await connection.receive()

    async with peer(accept) as url:
        with pytest.raises(LinkError, match=r"\(1006\)"):  # noqa: PT012 (the block is what is tested)
            async with transport.connect(url) as connection, trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await read(connection)


async def test_an_error_in_the_block_stays_what_it_is(transport: Transport, autojump_clock: MockClock) -> None:
    async def accept(line: Line) -> None:
        await line.accept()
        await trio.sleep(100)

    async with peer(accept) as url:
        mine = KeyError("the app's own")
        with pytest.raises(KeyError) as caught:
            async with transport.connect(url):
                raise mine
        assert caught.value is mine
