"""Decompressing replies: what was compressed comes out, what would burst does not, what is broken says so."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gapless.controller.bodies import ACCEPTED, decompressed


def deflated(body: bytes, form: int = zlib.MAX_WBITS) -> bytes:
    deflater = zlib.compressobj(wbits=form)
    return deflater.compress(body) + deflater.flush()


def streamed(body: bytes) -> bytes:
    """Zstandard as a server writes it that does not know the size yet."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(body) + compressor.flush()


WAYS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    (" GZIP ", gzip.compress),
    ("gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
    ("deflate", deflated),
    ("deflate", lambda body: deflated(body, -zlib.MAX_WBITS)),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", streamed),
]
COMPRESSED = [(encoding, way) for encoding, way in WAYS if encoding not in {"", "identity"}]


def test_what_is_accepted() -> None:
    assert ACCEPTED == "gzip, deflate, zstd"


@pytest.mark.parametrize(("encoding", "compress"), WAYS)
@given(body=st.binary(max_size=300))
def test_what_was_compressed_comes_out(encoding: str, compress: Callable[[bytes], bytes], body: bytes) -> None:
    assert decompressed(compress(body), encoding, 1_000) == body


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED)
def test_exactly_what_is_allowed_is_taken_and_one_byte_more_is_seen(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    assert decompressed(compress(b"x" * 1_000), encoding, 1_000) == b"x" * 1_000
    for size in (1_001, 5_000_000):
        assert len(decompressed(compress(b"x" * size), encoding, 1_000)) == 1_001


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED)
def test_a_bomb_takes_no_more_memory_than_what_is_allowed(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """200 MB in some kilobytes. (What the libraries take by themselves is not traced: a window of at most 8 MB.)"""
    bomb = compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        decompressed(bomb, encoding, 100_000)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + len(bomb)


@pytest.mark.parametrize(("encoding", "compress"), [each for each in COMPRESSED if each[1] is not streamed])
@pytest.mark.parametrize("length", [1, 10, -1])
def test_what_is_cut_off_or_no_such_form_says_so(
    encoding: str, compress: Callable[[bytes], bytes], length: int
) -> None:
    body = bytes(range(256)) * 3
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the library's)
        decompressed(compress(body)[:length], encoding, 10_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(raw=st.binary(min_size=1, max_size=200))
def test_nonsense_never_raises_anything_else(encoding: str, raw: bytes) -> None:
    with suppress(ValueError):
        assert len(decompressed(raw, encoding, 1_000)) <= 1_001


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "x" * 1_000])
def test_an_unknown_form_is_named(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"expected one of gzip, deflate, zstd, got Content-Encoding '{encoding[:3]}"):
        decompressed(b"body", encoding, 1_000)
