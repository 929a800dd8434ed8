"""Replies compressed by Zstandard: with the extra ``gapless[zstd]``."""

from typing import Final

from zstandard import ZstdDecompressor, ZstdError, get_frame_parameters

_WINDOW_MAX: Final = 8 * 1024 * 1024
"""Bytes. What RFC 9659 allows a server to make a client remember."""


def unzstd(raw: bytes, size_max: int) -> bytes:
    """Decompress, at most one byte more than ``size_max``.

    Raises:
        ValueError: it is not Zstandard's, or cut off.
    """
    try:
        told = get_frame_parameters(raw).content_size
        with ZstdDecompressor(max_window_size=_WINDOW_MAX).stream_reader(raw, read_across_frames=True) as reader:
            body: bytes = reader.read(size_max + 1)
    except ZstdError as error:
        raise ValueError(str(error)) from None
    if len(body) < min(told, size_max) and told != _UNTOLD:
        raise ValueError(f"{len(body)} of {told} bytes came")
    return body


_UNTOLD: Final = 2**64 - 1
"""The size of a frame that does not say it."""
