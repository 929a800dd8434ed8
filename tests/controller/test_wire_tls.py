"""``wss`` with the transport ``wire``: who is believed, what a goodbye of TLS means, and batches across records."""

import ssl
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gapless.controller.errors import LinkError
from gapless.controller.transports import WireTransport
from gapless.simulator.network import VirtualNetwork
from tests.controller.wire_peer import Line, peer
from tests.controller.wire_pieces import TEXT, frame

CERTIFICATE = Path(__file__).with_name("exchange_example.pem")
SIZE_MAX = 100_000
GONE = "reset or closed without a goodbye (1006)"


@pytest.fixture
def server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def trusting() -> WireTransport:
    """A client that trusts the test's certificate."""
    return WireTransport(message_size_max=SIZE_MAX, ssl_context=ssl.create_default_context(cafile=CERTIFICATE))


async def accept(line: Line) -> None:
    await line.accept(frame(TEXT, b"at once"))
    await line.send(frame(TEXT, b"later"))
    assert await line.text() == "hello"
    await line.send(frame(TEXT, b"heard"))


async def test_both_ways(server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock) -> None:
    seen: list[str | bytes] = []
    async with peer(accept, tls=server) as url, trusting.connect(url) as connection:
        while len(seen) < 2:
            seen += await connection.receive()
        await connection.send("hello")
        seen += await connection.receive()
        with pytest.raises(LinkError) as caught:
            await connection.receive()
    assert seen == [b"at once", b"later", b"heard"]
    assert str(caught.value) == GONE


async def test_records_that_came_together_are_one_batch(
    server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock
) -> None:
    """A record holds 16 KiB at most; a message may lie across two."""
    texts = [b"%d" % number * 50 for number in range(300)]

    async def say(line: Line) -> None:
        await line.accept()
        await line.send(b"".join(frame(TEXT, text) for text in texts))
        await trio.sleep(100)

    async with peer(say, tls=server) as url, trusting.connect(url) as connection:
        first = list(await connection.receive())
        assert len(b"".join(texts[: len(first)])) > 16_384
        while len(first) < 300:
            first += await connection.receive()
    assert first == texts


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_nobody_vouches_for_or_of_another_name(
    host: str, server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock
) -> None:
    # The default context trusts the machine's authorities alone; the trusting one misses the name.
    transport = WireTransport(message_size_max=SIZE_MAX) if host == "127.0.0.1" else trusting
    async with peer(accept, tls=server) as url:
        with pytest.raises(LinkError, match=r"^the handshake failed: .*CERTIFICATE_VERIFY_FAILED"):
            async with transport.connect(url.replace("127.0.0.1", host)):
                raise AssertionError("nobody should have been believed")


async def test_a_peer_that_speaks_no_tls(trusting: WireTransport, autojump_clock: MockClock) -> None:
    async def say(line: Line) -> None:
        await line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await trio.sleep(100)

    async with peer(say) as url:
        with pytest.raises(LinkError, match=r"^the handshake failed: .*SSL"):
            async with trusting.connect(url.replace("ws:", "wss:")):
                raise AssertionError("there is no TLS")


@pytest.mark.parametrize("answers", [False, True])
async def test_a_peer_that_ends_in_the_handshake(
    answers: bool, server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock
) -> None:
    """Before TLS agreed on keys, or after."""

    async def end(line: Line) -> None:
        if answers:
            await line.stream.receive_some()

    async with peer(end, tls=server if answers else None) as url:
        with pytest.raises(LinkError, match=r"^the handshake failed: (closed by the peer|.*reset by peer)$"):
            async with trusting.connect(url.replace("ws:", "wss:")):
                raise AssertionError("there is nobody")


async def test_a_goodbye_of_tls_is_the_end(
    server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock
) -> None:
    """Whatever the peer sends after it, it is neither read nor kept."""

    async def unwrap(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"last"))
        assert isinstance(line.stream, trio.SSLStream)
        raw, _ = await line.stream.unwrap()
        await raw.send_all(b"more")
        await trio.sleep(100)

    server.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    async with peer(unwrap, tls=server) as url, trusting.connect(url) as connection:
        assert await connection.receive() == [b"last"]
        with pytest.raises(LinkError) as caught:
            await connection.receive()
        assert str(caught.value) == GONE
        assert trio.current_time() < 10.0


async def test_a_full_buffer_holds_up_nothing_but_sending(
    server: ssl.SSLContext, trusting: WireTransport, autojump_clock: MockClock
) -> None:
    async def talk(line: Line) -> None:
        await line.accept()
        for number in range(20):
            await line.send(frame(TEXT, b"%d" % number))
            await trio.sleep(0.1)

    async with peer(talk, VirtualNetwork(send_buffer_bytes=3_000), tls=server) as url:
        async with trusting.connect(url) as connection, trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, "x" * 50_000)
            seen = 0
            while seen < 20:
                seen += len(await connection.receive())
            left_at = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() == left_at
