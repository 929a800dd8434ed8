"""A frame scanner in plain Python: whole, unmasked, unfragmented text frames at the head of a buffer. Nothing else.

The floor under everything that reads WebSockets in Python; no library, since it knows neither control frames nor
fragments nor errors.
"""

from typing import Final

_TEXT: Final = 0x81


def scan(buffer: bytes | bytearray) -> tuple[list[memoryview], int]:
    """The payloads of all whole frames at the head of a buffer, and how many bytes they take.

    Raises:
        ValueError: a frame that is not a whole text message.
    """
    payloads: list[memoryview] = []
    view, at, size = memoryview(buffer), 0, len(buffer)
    add = payloads.append
    while size - at >= 2:
        if buffer[at] != _TEXT:
            raise ValueError(f"expected a text frame, got {buffer[at]:#x}")
        length = buffer[at + 1]
        start = at + 2
        if length == 126:
            if size - at < 4:
                break
            length = buffer[at + 2] << 8 | buffer[at + 3]
            start = at + 4
        elif length == 127:
            if size - at < 10:
                break
            length = int.from_bytes(view[at + 2 : at + 10], "big")
            start = at + 10
        end = start + length
        if end > size:
            break
        add(view[start:end])
        at = end
    return payloads, at
