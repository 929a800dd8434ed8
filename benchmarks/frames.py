"""The bytes that every contender reads: frames of the reference wire format, ready to be sent.

Message ``i`` of a feed of ``n`` symbols belongs to symbol ``i % n`` and has the id ``i // n + 1``: round robin, each
stream +1. A message has about 190 bytes. ``volume_24h`` carries the time at which it was sent, in microseconds of the
host's monotonic clock plus :data:`STAMP_BASE_US`: a field that every contender decodes anyway, so latency costs no byte
and no contender a special parser. Standard library only: peers' environments import this file, too.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

STAMP_BASE_US: Final = 1_000_000_000_000
"""Makes a stamp 13 digits long on a machine that has been up for less than 285 years: all messages have one length."""
LARGE_BYTES: Final = 20_000
"""A large message: the same fields and a text that fills it up, which no contender needs."""
BLOCK_MESSAGES: Final = 2_000
"""Messages in one prebuilt block, 380 kB: few enough system calls that the server is never the bottleneck."""

_TEXT: Final = 0x81
_COMPRESSED_TEXT: Final = 0xC1


def symbols(count: int) -> list[str]:
    """The names of the first ``count`` symbols, all of one length."""
    return [f"S{number:04d}/USD" for number in range(count)]


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One unmasked, unfragmented frame."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", opcode, 126, size) + payload
    return struct.pack("!BBQ", opcode, 127, size) + payload


def text(message: object) -> bytes:
    """A message that is not market data, framed."""
    return frame(json.dumps(message, separators=(",", ":")).encode())


def now_stamp() -> int:
    """What ``volume_24h`` says of this moment."""
    return STAMP_BASE_US + time.monotonic_ns() // 1_000


def age_us(volume_24h: float) -> float:
    """Microseconds since a message with this stamp was sent."""
    return time.monotonic_ns() / 1_000 - (volume_24h - STAMP_BASE_US)


def payload(index: int, names: list[str], stamp: int, *, large: bool = False) -> bytes:
    """Message ``index`` as JSON."""
    number, which = divmod(index, len(names))
    price = 50_000 + index % 997
    head = (
        f'{{"type":"MARKET_DATA","channel":"ticker","symbol":"{names[which]}","sequence_id":{number + 1},'
        f'"timestamp":"2026-01-01T00:{index // 60_000 % 60:02d}:{index // 1_000 % 60:02d}.{index % 1_000:03d}Z",'
        f'"price":{price}.5,"bid":{price}.0,"ask":{price + 1}.0,"volume_24h":{stamp}.0'
    ).encode()
    return head + (_filling() if large else b"}")


@lru_cache(maxsize=1)
def _filling() -> bytes:
    return b',"note":"' + b"x" * (LARGE_BYTES - 200) + b'"}'


def market(index: int, names: list[str], *, large: bool = False) -> bytes:
    """Message ``index``, stamped now and framed."""
    return frame(payload(index, names, now_stamp(), large=large))


def blocks(count: int, symbol_count: int, *, large: bool = False, deflate: bool = False) -> Iterator[list[bytes]]:
    """The first ``count`` messages, framed, several to a block; compressed with context takeover where asked for.

    A block is a list of buffers to be sent with one call: large messages share what fills them up, so that the server
    reads from the processor's cache rather than from a gigabyte of memory.
    """
    names = symbols(symbol_count)
    step = 64 if large else BLOCK_MESSAGES
    compressor = zlib.compressobj(wbits=-15)
    for start in range(0, count, step):
        texts = (payload(index, names, STAMP_BASE_US, large=large) for index in range(start, min(start + step, count)))
        if large:
            filling = _filling()
            yield [part for each in texts for part in (frame(each).removesuffix(filling), filling)]
        elif deflate:
            yield [b"".join(frame(_deflated(compressor, each), _COMPRESSED_TEXT) for each in texts)]
        else:
            yield [b"".join(map(frame, texts))]


def _deflated(compressor: "zlib._Compress", message: bytes) -> bytes:
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
