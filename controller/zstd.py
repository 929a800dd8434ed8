"""Replies compressed by Zstandard: with the extra ``gapless[zstd]``.

The library reads within a bound without saying whether the last frame was whole, or says so without a bound. So the
body is read first; what is known to be short is then looked through once more, frame by frame.
"""

from typing import Final

from zstandard import ZstdDecompressor, ZstdError

from gapless.controller.members import MEMBERS_MAX, PIECE_BYTES

_WINDOW_MAX: Final = 8 * 1024 * 1024
"""Bytes. What RFC 9659 allows a server to make a client remember."""
_FRAME: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
"""The end of what a frame begins with that is to be skipped; the byte before is any of sixteen."""
_READ_BYTES: Final = 128 * 1024
"""What one block holds at most. To ask for the whole of what is allowed would take that memory for each reply."""


def unzstd(raw: bytes, size_max: int) -> bytes:
    """Decompress, at most one byte more than ``size_max``.

    Raises:
        ValueError: it is not Zstandard's, or cut off, or of more frames than anybody needs.
    """
    # In what is compressed these bytes occur by chance, too, hardly ever: once in 4 GB, and once in 16 MB.
    if raw.count(_FRAME) + raw.count(_SKIPPABLE) > MEMBERS_MAX:
        raise ValueError(f"expected at most {MEMBERS_MAX} frames")
    decompressor = ZstdDecompressor(max_window_size=_WINDOW_MAX)
    try:
        body = _read(decompressor, raw, size_max + 1)
        if len(body) <= size_max:
            _see_whole(decompressor, raw)
    except ZstdError as error:
        raise ValueError(str(error)) from None
    return body


def _read(decompressor: ZstdDecompressor, raw: bytes, size: int) -> bytes:
    body = bytearray()
    with decompressor.stream_reader(raw, read_across_frames=True) as reader:
        while part := reader.read(min(size - len(body), _READ_BYTES)):
            body += part
            if len(body) == size:
                break
    return bytes(body)


def _see_whole(decompressor: ZstdDecompressor, raw: bytes) -> None:
    at = 0
    while at < len(raw):
        frame = decompressor.decompressobj()
        while not frame.eof:
            piece = raw[at : at + PIECE_BYTES]
            if not piece:
                raise ValueError("it is cut off")
            frame.decompress(piece)
            at += len(piece)
        at -= len(frame.unused_data)
