"""A frame scanner in plain Python: whole, unmasked, unfragmented text frames at the head of a buffer. Nothing else.

The floor under everything that reads WebSockets in Python; no library, since it knows neither control frames nor
fragments nor errors.
"""

from struct import Struct
from typing import Final

_TEXT: Final = 0x81
_head = Struct("!BBH").unpack_from


def scan(buffer: bytes) -> tuple[list[bytes], int]:
    """The payloads of all whole frames at the head of a buffer, and how many bytes they take.

    Raises:
        ValueError: a frame that is not a whole text message.
    """
    payloads: list[bytes] = []
    add, at, size = payloads.append, 0, len(buffer)
    last = size - 4
    while at <= last:
        first, length, medium = _head(buffer, at)
        if first != _TEXT:
            raise ValueError(f"expected a text frame, got {first:#x}")
        start = at + 2
        if length == 126:
            start, length = at + 4, medium
        elif length == 127:
            if size - at < 10:
                break
            length = int.from_bytes(buffer[at + 2 : at + 10], "big")
            start = at + 10
        end = start + length
        if end > size:
            break
        add(buffer[start:end])
        at = end
    return payloads, at
