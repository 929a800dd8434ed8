"""Bodies of replies, decompressed within a bound. Pure.

A compressed reply is kept as it came, which is bounded, and decompressed when it is whole, into at most one byte more
than is allowed: a few kilobytes that would unpack into gigabytes cost no more than the largest reply that is taken.
(httpx decompresses each piece of a reply without a bound: 64 KiB of gzip become 64 MiB before anybody can look.)
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

Decompress = Callable[[bytes, int], bytes]
"""Decompresses, at most one byte more than the second argument; raises ValueError where it cannot."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"


def _gunzip(raw: bytes, size_max: int) -> bytes:
    body = bytearray()
    # What one program joins is several members.
    while raw.startswith(_GZIP_MAGIC) and len(body) <= size_max:
        part, raw = _inflated(raw, size_max - len(body), _GZIP)
        body += part
    if not body and not raw.startswith(_GZIP_MAGIC) and raw:
        raise ValueError("it does not begin like gzip")
    return bytes(body)


def _undeflate(raw: bytes, size_max: int) -> bytes:
    try:
        return _inflated(raw, size_max, zlib.MAX_WBITS)[0]
    except ValueError:
        # Some servers leave the wrapping out that RFC 9110 names.
        return _inflated(raw, size_max, _RAW)[0]


def _inflated(raw: bytes, size_max: int, form: int) -> tuple[bytes, bytes]:
    """What was compressed, and what follows it."""
    inflater = zlib.decompressobj(form)
    try:
        body = inflater.decompress(raw, size_max + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflater.eof and len(body) <= size_max:
        raise ValueError("it is cut off")
    return body, inflater.unused_data


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
