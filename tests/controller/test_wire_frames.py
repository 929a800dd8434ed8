"""The codec of the transport ``wire``: a loop for plain messages and a parser for the rest, as one reader."""

import struct
import tracemalloc
import zlib

import pytest
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from gapless.controller.transports.wire_frames import FrameCodec
from tests.controller.wire_differential import all_of, open_protocol, tally, unmasked
from tests.controller.wire_pieces import (
    BINARY,
    CLOSE,
    CONT,
    GOOD_CODES,
    PIECES,
    PING,
    PONG,
    RSV1,
    TEXT,
    Stream,
    frame,
    stream,
)

BLOCK = 5_000
ENDS = {"open", "1002", "1005", "1006", "1007", "1009"} | {str(code) for code in GOOD_CODES}
"""How a stream can end; the codes in between are those of a close frame."""

BOTH_WAYS = ("whole_and_in_fragments_with_context", "each_without_context")
"""The loop and the parser inflate by turns: with one memory, or without any."""


@pytest.mark.parametrize("first", range(0, 4 * BLOCK, BLOCK))
def test_it_reads_what_the_parser_alone_reads(first: int) -> None:
    """Messages, errors, close codes and answers, after each chunk. All that is meant to be tried was tried."""
    seen = tally(range(first, first + BLOCK))
    kinds = {piece.__name__ for piece in PIECES} | {"truncated", *BOTH_WAYS}
    assert {kind for kind, _ in seen} == kinds
    assert {end for _, end in seen} == ENDS
    # Each kind was also met where it alone can have been the end, or was no end at all.
    for kind, end in (
        ("texts", "open"),
        ("binary", "open"),
        ("not_minimal", "open"),
        ("fragments", "open"),
        ("compressed", "open"),
        ("compressed_run", "open"),
        ("compressed_empty", "open"),
        ("compressed_with_tail", "open"),
        ("compressed_badly", "open"),
        ("compressed_badly", "1009"),
        ("compressed_badly", "1002"),
        ("compressed_finally", "open"),
        ("garbage_in_a_compressed_run", "1002"),
        ("truncated_in_a_compressed_run", "1002"),
        ("bomb_in_a_compressed_run", "1009"),
        ("not_utf8_in_a_compressed_run", "1007"),
        *((both, "open") for both in BOTH_WAYS),
        ("compressed_fragments", "open"),
        ("compressed_not_utf8", "1007"),
        ("not_deflate", "1002"),
        ("bomb", "1009"),
        ("too_big", "1009"),
        ("too_big_in_fragments", "1009"),
        ("absurd_length", "1009"),
        ("masked", "1002"),
        ("reserved_bits", "1002"),
        ("reserved_opcode", "1002"),
        ("not_utf8", "1007"),
        ("not_utf8_in_fragments", "1007"),
        ("utf8_over_two_messages", "1007"),
        ("close_bad_code", "1002"),
        ("close_not_utf8", "1007"),
        ("close_empty", "1005"),
        ("truncated", "1006"),
    ):
        assert seen[kind, end] >= 3, f"{kind} hardly ever met {end}"


def test_a_seed_is_a_stream() -> None:
    assert [stream(seed) for seed in range(50)] == [stream(seed) for seed in range(50)]


def codec(limit: int = 100_000, *, deflates: bool = False) -> FrameCodec:
    of = Stream(limit=limit, deflates=deflates, keeps_context=True, chunks=(), kinds=frozenset(), ends=False)
    return FrameCodec(open_protocol(of), message_size_max=limit)


def test_one_read_is_one_batch() -> None:
    texts = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n % 300)) for n in range(300)]
    assert codec().receive_data(b"".join(frame(TEXT, text) for text in texts)) == texts


def test_order_is_kept_between_the_loop_and_the_parser() -> None:
    sent = (
        frame(TEXT, b"1")
        + frame(BINARY, b"\xff2")
        + fragmented_text(b"3")
        + frame(TEXT, "é4".encode())
        + frame(PING, b"now")
        + frame(TEXT, b"5" * 70_000)
        + frame(TEXT, b"6")
    )
    for step in (1, 2, 3, 7, 1_000, len(sent)):
        reader = codec()
        got = [message for at in range(0, len(sent), step) for message in reader.receive_data(sent[at : at + step])]
        assert got == [b"1", b"\xff2", b"3", "é4".encode(), b"5" * 70_000, b"6"]
        assert unmasked(reader.take_to_send()) == (PONG, b"now")


def fragmented_text(text: bytes) -> bytes:
    return frame(TEXT, b"", flags=0) + frame(PONG, b"") + frame(CONT, text, flags=0) + frame(CONT, b"")


def test_what_comes_before_a_fault_counts_and_what_comes_after_it_does_not() -> None:
    reader = codec()
    faulty = frame(TEXT, b"good") + frame(TEXT, b"bad \xff") + frame(PING, b"late") + frame(TEXT, b"late")
    assert reader.receive_data(faulty) == [b"good"]
    assert reader.end == (1007, "invalid start byte at position 4")
    assert unmasked(reader.take_to_send()) == (CLOSE, struct.pack("!H", 1007) + b"invalid start byte at position 4")
    assert reader.receive_data(frame(TEXT, b"later")) == []
    reader.receive_eof()
    assert reader.end == (1007, "invalid start byte at position 4")
    assert not reader.has_to_send


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (b"\x83\x7e", 1002),
        (b"\x81\xfe", 1002),
        (b"\x81\x7e\x03\xe9", 1009),
        (b"\x82\x7f" + bytes(5) + b"\x01\x00\x00", 1009),
    ],
    ids=["reserved opcode", "masked", "too big", "far too big"],
)
def test_a_fault_is_known_by_the_first_bytes_that_show_it(shown: bytes, code: int) -> None:
    """The rest of the header, or of the message, may never come."""
    for step in (1, len(shown)):
        reader = codec(limit=1_000)
        for at in range(0, len(shown), step):
            assert reader.end is None
            assert reader.receive_data(shown[at : at + step]) == []
        assert reader.end is not None
        assert reader.end.code == code


def test_of_a_flood_of_pings_the_latest_is_answered() -> None:
    reader = codec()
    flood = b"".join(frame(PING, struct.pack("!I", number)) for number in range(5_000))
    assert all_of(reader, flood) == []
    assert unmasked(reader.take_to_send()) == (PONG, struct.pack("!I", 4_999))
    assert reader.take_to_send() == b""


def test_a_call_gives_the_parser_so_many_frames_and_goes_on_from_there() -> None:
    reader = codec()
    pieces = [frame(TEXT, b"first"), *[frame(PING, b"")] * 1_000, frame(TEXT, b"last"), frame(CLOSE, b"")]
    calls = [reader.receive_data(b"".join(pieces))]
    while reader.has_more:
        assert reader.end is None
        calls.append(reader.receive_data(b""))
    assert [message for call in calls for message in call] == [b"first", b"last"]
    assert 4 <= len(calls) <= 5
    assert reader.end is not None


@pytest.mark.parametrize(
    "endless",
    [
        frame(CONT, b"", flags=0) * 1_000,
        frame(PING, b"x" * 125) * 1_000,
        frame(PONG, b"") * 1_000,
    ],
    ids=["empty fragments", "pings", "pongs"],
)
def test_what_never_becomes_a_message_takes_no_memory(endless: bytes) -> None:
    reader = codec()
    all_of(reader, frame(TEXT, b"", flags=0) + endless)
    tracemalloc.start()
    try:
        for _ in range(6):
            assert all_of(reader, endless) == []
        # A pointer for each frame would be 48 kB.
        assert tracemalloc.get_traced_memory()[0] < 30_000
    finally:
        tracemalloc.stop()


def test_a_small_frame_may_inflate_to_the_limit_and_no_further() -> None:
    of = Stream(limit=1_000, deflates=True, keeps_context=False, chunks=(), kinds=frozenset(), ends=False)
    for size, expected in ((1_000, None), (1_001, 1009), (10_000_000, 1009)):
        reader = FrameCodec(open_protocol(of), message_size_max=1_000)
        messages = reader.receive_data(frame(TEXT, deflated(b"0" * size), flags=0x80 | RSV1))
        assert [len(message) for message in messages] == ([size] if expected is None else [])
        assert (reader.end.code if reader.end else None) == expected


class Watched(ClientProtocol):
    """Knows how much it had to read."""

    bytes_read = 0

    def receive_data(self, data: bytes | bytearray) -> None:
        self.bytes_read += len(data)
        super().receive_data(data)


@pytest.mark.parametrize("keeps_context", [True, False])
def test_whole_messages_need_no_parser_compressed_or_not(keeps_context: bool) -> None:
    texts = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n % 300)) for n in range(300)]
    of = Stream(limit=1_000, deflates=True, keeps_context=keeps_context, chunks=(), kinds=frozenset(), ends=False)
    protocol = Watched(parse_uri("ws://exchange.example/ws"), state=State.OPEN, max_size=of.limit)
    protocol.extensions = open_protocol(of).extensions
    reader = FrameCodec(protocol, message_size_max=of.limit)
    shared = zlib.compressobj(wbits=-15)
    sent = b"".join(
        frame(TEXT, deflated(text, shared if keeps_context else None), flags=0x80 | RSV1) + frame(TEXT, b"plain")
        for text in texts
    )
    got = [message for at in range(0, len(sent), 777) for message in reader.receive_data(sent[at : at + 777])]
    assert got[::2] == texts
    assert set(got[1::2]) == {b"plain"}
    assert protocol.bytes_read == 0


def deflated(data: bytes, shared: "zlib._Compress | None" = None) -> bytes:
    compressor = shared or zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
