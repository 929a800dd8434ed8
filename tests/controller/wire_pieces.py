"""What a server may send, well or badly: pieces of a stream of bytes, and streams made of them, each from a seed."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
LARGE: Final = 70_000
"""Bytes of the largest limit: a message may need the longest form of a length."""
LIMITS: Final = (0, 16, 124, 125, 126, 127, 300, 300, 1_000, 1_000, 5_000, 5_000, LARGE)
"""Around each border between the forms of a length, and what leaves room for much."""
GOOD_CODES: Final = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
BAD_CODES: Final = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
_ASCII: Final = (b'{"type":"MARKET_DATA","price":50005.71,"n":1}\n' * (LARGE // 40))[: LARGE + 100]
_WIDE: Final = "é€😀a\u0000\u07ff\uffff\U0010ffff"
_NOT_UTF8: Final = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"ok\xe2\x82",
    b"\xc3(",
    b"\xf8",
)


@dataclass(slots=True)
class Server:
    """What the pieces of one stream have in common."""

    random: Random
    limit: int
    deflates: bool
    keeps_context: bool
    window_bits: int
    _compressor: "zlib._Compress | None" = None

    def deflated(self, data: bytes, *, final: bool = False) -> bytes:
        """As permessage-deflate wants it; ``final``: the stream of DEFLATE ends with this message."""
        if self._compressor is None or not self.keeps_context:
            self._compressor = zlib.compressobj(wbits=-self.window_bits)
        compressor = self._compressor
        if final:
            self._compressor = None
            return compressor.compress(data) + compressor.flush()
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def size(self) -> int:
        """Of a message that is allowed; the limits themselves are likely."""
        if self.random.random() < 0.15:
            return self.limit if self.limit < LARGE else 65_535 + self.random.randrange(2)
        return self.random.randrange(min(self.limit, 300) + 1)

    def text(self, size: int) -> bytes:
        """Valid UTF-8 of about so many bytes, never more."""
        if self.random.random() < 0.7:
            begin = self.random.randrange(50)
            return _ASCII[begin : begin + size]
        wide = "".join(self.random.choices(_WIDE, k=min(size, 40) // 4))
        return (wide.encode() + _ASCII)[:size]

    def controls(self) -> bytes:
        return b"".join(ping_or_pong(self) for _ in range(self.random.choice((0, 0, 0, 1, 2))))


def frame(opcode: int, payload: bytes, *, flags: int = FIN, form: int = 0, mask: int = 0) -> bytes:
    """A frame as bytes; ``form``: at least 126 or 127 says so in the second byte, needed or not."""
    size = len(payload)
    if size > 65_535 or form == 127:
        return struct.pack("!BBQ", flags | opcode, mask | 127, size) + payload
    if size > 125 or form == 126:
        return struct.pack("!BBH", flags | opcode, mask | 126, size) + payload
    return struct.pack("!BB", flags | opcode, mask | size) + payload


def fragmented(server: Server, opcode: int, payload: bytes, *, first_flags: int = 0) -> bytes:
    """A message in two to five frames, cut anywhere, with control frames in between."""
    random = server.random
    cuts = sorted(random.randrange(len(payload) + 1) for _ in range(random.randint(1, 4)))
    parts = [payload[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    sent = frame(opcode, parts[0], flags=first_flags)
    for part in parts[1:-1]:
        sent += server.controls() + frame(CONT, part, flags=0)
    return sent + server.controls() + frame(CONT, parts[-1])


def text(server: Server) -> bytes:
    return frame(TEXT, server.text(server.size()))


def texts(server: Server) -> bytes:
    return b"".join(text(server) for _ in range(server.random.randint(2, 6)))


def binary(server: Server) -> bytes:
    return frame(BINARY, server.random.randbytes(server.size()))


def tiny(server: Server) -> bytes:
    return frame(server.random.choice((TEXT, BINARY)), b"x"[: server.random.randrange(2) & server.limit])


def not_minimal(server: Server) -> bytes:
    size = server.random.randrange(min(server.limit, 130) + 1)
    return frame(TEXT, server.text(size), form=server.random.choice((126, 127)))


def ping_or_pong(server: Server) -> bytes:
    size = server.random.choice((0, 1, 8, 125))
    return frame(server.random.choice((PING, PING, PONG)), server.random.randbytes(size))


def fragments(server: Server) -> bytes:
    if server.random.random() < 0.3:
        return fragmented(server, BINARY, server.random.randbytes(server.size()))
    return fragmented(server, TEXT, server.text(server.size()))


def empty_fragments(server: Server) -> bytes:
    middle = frame(CONT, b"", flags=0) * server.random.randrange(20)
    return frame(TEXT, b"", flags=0) + middle + frame(CONT, server.text(server.size()))


def compressed(server: Server) -> bytes:
    payload = server.deflated(server.text(server.size()))
    return frame(TEXT, payload, flags=FIN | RSV1)


def compressed_run(server: Server) -> bytes:
    """Texts and binary messages, some of them empty."""
    sent = b""
    for _ in range(server.random.randint(2, 6)):
        payload = server.text(server.random.choice((0, server.size(), server.size())))
        sent += frame(server.random.choice((TEXT, TEXT, BINARY)), server.deflated(payload), flags=FIN | RSV1)
    return sent


def compressed_empty(server: Server) -> bytes:
    """An empty message in its shortest form, which has no byte of DEFLATE."""
    return frame(TEXT, b"", flags=FIN | RSV1)


def compressed_with_tail(server: Server) -> bytes:
    """The four bytes that should have been left out are there, once or twice: blocks that hold nothing."""
    payload = server.deflated(server.text(server.size() // 2)) + b"\x00\x00\xff\xff"
    return frame(TEXT, payload + server.random.choice((b"", b"\x00\x00\x00\xff\xff")), flags=FIN | RSV1)


def compressed_badly(server: Server) -> bytes:
    """What hardly becomes smaller, near the limit or somewhat above it; and its window may be larger than agreed on."""
    size = min(server.limit + server.random.choice((-1, 0, 0, 0, 1)), 9_000)
    payload = server.random.randbytes(max(size, 0) // 2).hex().encode() if size % 2 else _ASCII[: size // 2] * 2
    return frame(TEXT, server.deflated(payload), flags=FIN | RSV1)


def compressed_finally(server: Server) -> bytes:
    """Nothing can follow the end of a stream of DEFLATE."""
    return frame(TEXT, server.deflated(server.text(server.size()), final=True) + b"more", flags=FIN | RSV1)


def garbage_in_a_compressed_run(server: Server) -> bytes:
    return compressed_run(server) + not_deflate(server) + compressed_run(server)


def truncated_in_a_compressed_run(server: Server) -> bytes:
    payload = server.deflated(server.text(server.size()))[: -server.random.randint(1, 5)]
    return compressed(server) + frame(TEXT, payload, flags=FIN | RSV1) + compressed_run(server)


def bomb_in_a_compressed_run(server: Server) -> bytes:
    return compressed_run(server) + bomb(server) + compressed_run(server)


def not_utf8_in_a_compressed_run(server: Server) -> bytes:
    """A bomb or nonsense behind it is not looked at."""
    after = server.random.choice((compressed_run, bomb, not_deflate))
    return compressed_run(server) + compressed_not_utf8(server) + after(server)


def compressed_fragments(server: Server) -> bytes:
    return fragmented(server, TEXT, server.deflated(server.text(server.size())), first_flags=RSV1)


def compressed_not_utf8(server: Server) -> bytes:
    return frame(TEXT, server.deflated(server.random.choice(_NOT_UTF8)), flags=FIN | RSV1)


def not_deflate(server: Server) -> bytes:
    return frame(TEXT, server.random.randbytes(min(server.limit, 20)), flags=FIN | RSV1)


def bomb(server: Server) -> bytes:
    return frame(TEXT, server.deflated(b"0" * (server.limit + server.random.choice((1, 1000)))), flags=FIN | RSV1)


def close(server: Server) -> bytes:
    reason = server.text(server.random.choice((0, 5, 100))) if server.random.random() < 0.7 else "fin, 再见".encode()
    return frame(CLOSE, struct.pack("!H", server.random.choice(GOOD_CODES)) + reason)


def close_empty(server: Server) -> bytes:
    return frame(CLOSE, b"")


def close_bad_code(server: Server) -> bytes:
    return frame(CLOSE, struct.pack("!H", server.random.choice(BAD_CODES)) + b"why")


def close_short(server: Server) -> bytes:
    return frame(CLOSE, b"\x03")


def close_not_utf8(server: Server) -> bytes:
    return frame(CLOSE, struct.pack("!H", 1000) + server.random.choice(_NOT_UTF8))


def masked(server: Server) -> bytes:
    opcode = server.random.choice((TEXT, BINARY, PING, CLOSE, CONT))
    return frame(opcode, b"abcd" + server.text(min(server.limit, 9)), mask=0x80)


def reserved_bits(server: Server) -> bytes:
    flags = server.random.choice((RSV2, RSV3, RSV2 | RSV3, RSV1 | RSV2))
    return frame(server.random.choice((TEXT, BINARY, PING, CLOSE)), b"", flags=FIN | flags)


def compressed_control(server: Server) -> bytes:
    return frame(server.random.choice((PING, PONG, CLOSE)), b"", flags=FIN | RSV1)


def compressed_continuation(server: Server) -> bytes:
    return frame(TEXT, b"", flags=0) + frame(CONT, b"", flags=FIN | RSV1)


def reserved_opcode(server: Server) -> bytes:
    return frame(server.random.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), server.text(server.size()))


def too_big(server: Server) -> bytes:
    form = server.random.choice((0, 126, 127)) if server.limit < 60_000 else 127
    return frame(
        server.random.choice((TEXT, BINARY)), _ASCII[: server.limit + server.random.choice((1, 50))], form=form
    )


def too_big_in_fragments(server: Server) -> bytes:
    return frame(TEXT, server.text(server.limit), flags=0) + server.controls() + frame(CONT, b"more")


def absurd_length(server: Server) -> bytes:
    return struct.pack("!BBQ", FIN | TEXT, 127, server.random.choice((1 << 63, (1 << 64) - 1, 1 << 40))) + b"..."


def not_utf8(server: Server) -> bytes:
    bad = server.random.choice(_NOT_UTF8)
    return frame(TEXT, server.text(max(0, server.size() - len(bad))) + bad)


def not_utf8_in_fragments(server: Server) -> bytes:
    return fragmented(server, TEXT, server.random.choice(_NOT_UTF8))


def utf8_over_two_messages(server: Server) -> bytes:
    """Together they are valid; each by itself is not."""
    return frame(TEXT, b"a\xe2\x82") + frame(TEXT, b"\xacb")


def long_control(server: Server) -> bytes:
    return frame(server.random.choice((PING, PONG, CLOSE)), bytes(126))


def control_in_fragments(server: Server) -> bytes:
    return frame(server.random.choice((PING, PONG, CLOSE)), b"", flags=0)


def stray_continuation(server: Server) -> bytes:
    return frame(CONT, server.text(min(server.limit, 5)), flags=server.random.choice((0, FIN)))


def data_within_fragments(server: Server) -> bytes:
    return frame(TEXT, b"", flags=0) + frame(server.random.choice((TEXT, BINARY)), b"")


def close_within_fragments(server: Server) -> bytes:
    return frame(TEXT, b"", flags=0) + close(server)


def garbage(server: Server) -> bytes:
    return server.random.randbytes(server.random.randint(1, 40))


PIECES: Final[dict[Callable[[Server], bytes], float]] = {
    text: 20.0,
    texts: 12.0,
    binary: 6.0,
    tiny: 4.0,
    not_minimal: 4.0,
    ping_or_pong: 8.0,
    fragments: 6.0,
    empty_fragments: 1.0,
    compressed: 6.0,
    compressed_run: 6.0,
    compressed_empty: 1.0,
    compressed_with_tail: 1.0,
    compressed_badly: 3.0,
    compressed_finally: 0.4,
    garbage_in_a_compressed_run: 0.3,
    truncated_in_a_compressed_run: 0.4,
    bomb_in_a_compressed_run: 0.3,
    not_utf8_in_a_compressed_run: 0.4,
    compressed_fragments: 3.0,
    compressed_not_utf8: 0.2,
    not_deflate: 0.3,
    bomb: 0.25,
    close: 0.5,
    close_empty: 0.2,
    close_bad_code: 0.25,
    close_short: 0.15,
    close_not_utf8: 0.2,
    masked: 0.25,
    reserved_bits: 0.25,
    compressed_control: 0.2,
    compressed_continuation: 0.2,
    reserved_opcode: 0.25,
    too_big: 0.35,
    too_big_in_fragments: 0.25,
    absurd_length: 0.15,
    not_utf8: 0.35,
    not_utf8_in_fragments: 0.25,
    utf8_over_two_messages: 0.25,
    long_control: 0.2,
    control_in_fragments: 0.2,
    stray_continuation: 0.2,
    data_within_fragments: 0.2,
    close_within_fragments: 0.15,
    garbage: 0.25,
}
_COMPRESSED: Final = {
    compressed,
    compressed_run,
    compressed_empty,
    compressed_with_tail,
    compressed_badly,
    compressed_finally,
    garbage_in_a_compressed_run,
    truncated_in_a_compressed_run,
    bomb_in_a_compressed_run,
    not_utf8_in_a_compressed_run,
    compressed_fragments,
    compressed_not_utf8,
    not_deflate,
    bomb,
}
_NAMES: Final = tuple(PIECES)
_WEIGHTS: Final = tuple(PIECES.values())
_WEIGHTS_UNCOMPRESSED: Final = tuple(
    weight * (0.05 if piece in _COMPRESSED else 1.0) for piece, weight in PIECES.items()
)
"""Where compression was not agreed on, its frames are a fault, and end the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a server sends after the handshake, as it is read."""

    limit: int
    deflates: bool
    keeps_context: bool
    chunks: tuple[bytes, ...]
    kinds: frozenset[str]
    ends: bool
    """Whether the server then ends the connection."""
    window_bits: int = 15
    """What was agreed on; a server may do with less, or break its word."""


def stream(seed: int) -> Stream:
    """The stream of this seed, always the same."""
    random = Random(seed)
    server = Server(
        random,
        limit=random.choice(LIMITS),
        deflates=random.random() < 0.4,
        keeps_context=random.random() < 0.5,
        window_bits=random.choice((9, 12, 15)),
    )
    pieces = random.choices(_NAMES, _WEIGHTS if server.deflates else _WEIGHTS_UNCOMPRESSED, k=random.randint(1, 12))
    sent = b"".join(piece(server) for piece in pieces)
    kinds = {piece.__name__ for piece in pieces}
    if server.deflates and "compressed_fragments" in kinds and not kinds.isdisjoint({"compressed", "compressed_run"}):
        kinds.add("whole_and_in_fragments_with_context" if server.keeps_context else "each_without_context")
    if sent and random.random() < 0.15:
        kinds.add("truncated")
        sent = sent[: random.randrange(len(sent))]
    return Stream(
        limit=server.limit,
        deflates=server.deflates,
        keeps_context=server.keeps_context,
        chunks=_cut(random, sent),
        kinds=frozenset(kinds),
        ends=random.random() < 0.7,
        window_bits=server.window_bits if random.random() < 0.8 else 10,
    )


def _cut(random: Random, sent: bytes) -> tuple[bytes, ...]:
    """Whole, byte by byte, or at a few random places."""
    how = random.random()
    if how < 0.2:
        return (sent,)
    if how < 0.3 and len(sent) < 400:
        return tuple(sent[at : at + 1] for at in range(len(sent)))
    cuts = sorted(random.randrange(len(sent) + 1) for _ in range(random.randint(1, 8)))
    return tuple(sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True))
