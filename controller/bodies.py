"""Bodies of replies, decompressed within a bound. Pure.

A compressed reply is kept as it came, which is bounded, and decompressed when it is whole, into at most one byte more
than is allowed: a few kilobytes that would unpack into gigabytes cost no more than the largest reply that is taken.
(httpx decompresses each piece of a reply without a bound: 64 KiB of gzip become 64 MiB before anybody can look.)
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

from gapless.controller.members import MEMBERS_MAX, PIECE_BYTES

Decompress = Callable[[bytes, int], bytes]
"""Decompresses, at most one byte more than the second argument; raises ValueError where it cannot."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"


def _gunzip(raw: bytes, size_max: int) -> bytes:
    body = bytearray()
    at = members = 0
    # What one program joins is several members.
    while raw.startswith(_GZIP_MAGIC, at) and len(body) <= size_max:
        if members == MEMBERS_MAX:
            raise ValueError(f"expected at most {MEMBERS_MAX} members")
        members += 1
        at = _inflate(raw, at, body, size_max, _GZIP)
    if not members and raw:
        raise ValueError("it does not begin like gzip")
    return bytes(body)


def _undeflate(raw: bytes, size_max: int) -> bytes:
    body = bytearray()
    try:
        _inflate(raw, 0, body, size_max, zlib.MAX_WBITS)
    except ValueError:
        # Some servers leave the wrapping out that RFC 9110 names.
        body.clear()
        _inflate(raw, 0, body, size_max, _RAW)
    return bytes(body)


def _inflate(raw: bytes, start: int, body: bytearray, size_max: int, form: int) -> int:
    """Add what was compressed, until the body is one byte too long; where what follows it begins."""
    inflater = zlib.decompressobj(form)
    at = start
    while not inflater.eof and len(body) <= size_max:
        piece = raw[at : at + PIECE_BYTES]
        if not piece:
            raise ValueError("it is cut off")
        try:
            body += inflater.decompress(piece, size_max + 1 - len(body))
        except zlib.error as error:
            raise ValueError(str(error)) from None
        at += len(piece)
    return at - len(inflater.unused_data)


try:
    from gapless.controller.zstd import unzstd
except ImportError:
    _FORMS: Mapping[str, Decompress] = {"gzip": _gunzip, "deflate": _undeflate}
else:
    _FORMS = {"gzip": _gunzip, "deflate": _undeflate, "zstd": unzstd}

ACCEPTED: Final = ", ".join(_FORMS)
"""What a request says it understands."""


def decompressed(raw: bytes, encoding: str, size_max: int) -> bytes:
    """The body of a reply.

    Args:
        raw: as it came over the wire.
        encoding: its ``Content-Encoding``; "" or ``identity``: it is not compressed.
        size_max: bytes; of a longer body the result has one more than that, and says no more.

    Raises:
        ValueError: it cannot be decompressed, or by nothing that is installed here.
    """
    form = encoding.strip().lower().removeprefix("x-")
    if form in {"", "identity"}:
        return raw
    decompress = _FORMS.get(form)
    if decompress is None:
        raise ValueError(f"expected one of {ACCEPTED}, got Content-Encoding {encoding[:40]!r}")
    return decompress(raw, size_max)
