"""Decompressing replies: what was compressed comes out, what would burst does not, what is broken says so."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gapless.controller import bodies
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


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED)
@pytest.mark.parametrize("length", [1, 10, -1])
def test_what_is_cut_off_or_no_such_form_says_so(
    encoding: str, compress: Callable[[bytes], bytes], length: int
) -> None:
    body = bytes(range(256)) * 3
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the library's)
        decompressed(compress(body)[:length], encoding, 10_000)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, streamed])
@given(
    parts=st.lists(st.binary(max_size=50), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 20), max_size=3),
    cut=st.integers(0, 200),
)
def test_of_several_members_all_come_out_or_it_is_said_that_they_do_not(
    compress: Callable[[bytes], bytes], parts: list[bytes], sizes: list[int], cut: int
) -> None:
    """Wherever it is cut; but for the places between two of them, where nothing tells."""
    encoding = "gzip" if compress is gzip.compress else "zstd"
    members = [compress(each) for each in parts]
    if encoding == "zstd":
        members += [b"\x5a\x2a\x4d\x18" + size.to_bytes(4, "little") + bytes(size) for size in sizes]
    raw = b"".join(members)
    assert decompressed(raw, encoding, 1_000) == b"".join(parts)
    kept = raw[: max(len(raw) - cut, 1)]
    ends = {sum(map(len, members[:count])): b"".join(parts[:count]) for count in range(len(members) + 1)}
    if len(kept) in ends:
        assert decompressed(kept, encoding, 1_000) == ends[len(kept)]
    elif encoding == "gzip" and len(kept) - 1 in ends and len(kept) > 1:
        assert len(decompressed(kept, encoding, 1_000)) <= 250, "one byte that may be anything's"
    else:
        with pytest.raises(ValueError, match=r"cut off|not begin like"):
            decompressed(kept, encoding, 1_000)


class Counted:
    """What zlib was given."""

    def __init__(self) -> None:
        self.objects = 0
        self.bytes = 0

    def decompressobj(self, form: int) -> "CountedObject":
        self.objects += 1
        return CountedObject(self, zlib.decompressobj(form))


class CountedObject:
    def __init__(self, counted: Counted, inflater: "zlib._Decompress") -> None:
        self._counted = counted
        self._inflater = inflater

    def decompress(self, raw: bytes, size_max: int) -> bytes:
        self._counted.bytes += len(raw)
        return self._inflater.decompress(raw, size_max)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        self._counted.bytes += len(self._inflater.unused_data)
        return self._inflater.unused_data


@pytest.mark.parametrize("member", [gzip.compress(b""), gzip.compress(b"x" * 10)], ids=["empty", "small"])
def test_a_bomb_of_members_costs_little(member: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two megabytes and more of them. Work is counted: to give each what is left of the whole would be terabytes."""
    counted = Counted()
    monkeypatch.setattr(bodies, "zlib", SimpleNamespace(**{**vars(zlib), "decompressobj": counted.decompressobj}))
    with pytest.raises(ValueError, match="expected at most 1024 members"):
        decompressed(member * 100_000, "gzip", 10_000_000)
    assert counted.objects <= 1_024
    assert counted.bytes <= 1_024 * 3 * 16_384
    counted.bytes = 0
    body = decompressed(member * 1_000, "gzip", 10_000_000)
    assert body == gzip.decompress(member) * 1_000
    assert counted.bytes <= 1_000 * 3 * 16_384


def test_a_large_reply_is_given_to_zlib_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    monkeypatch.setattr(bodies, "zlib", SimpleNamespace(**{**vars(zlib), "decompressobj": counted.decompressobj}))
    raw = gzip.compress(bytes(range(256)) * 10_000, compresslevel=0)
    assert len(decompressed(raw, "gzip", 10_000_000)) == 2_560_000
    assert counted.bytes == len(raw)


@pytest.mark.parametrize("frame", [zstandard.compress(b""), b"\x50\x2a\x4d\x18\0\0\0\0"], ids=["empty", "skippable"])
def test_a_bomb_of_frames_is_not_even_begun(frame: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decompressed(frame * 1_024, "zstd", 1_000) == b""
    monkeypatch.setattr("gapless.controller.zstd.ZstdDecompressor", None)
    with pytest.raises(ValueError, match="expected at most 1024 frames"):
        decompressed(frame * 1_025, "zstd", 1_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(raw=st.binary(min_size=1, max_size=200))
def test_nonsense_never_raises_anything_else(encoding: str, raw: bytes) -> None:
    with suppress(ValueError):
        assert len(decompressed(raw, encoding, 1_000)) <= 1_001


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "x" * 1_000])
def test_an_unknown_form_is_named(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"expected one of gzip, deflate, zstd, got Content-Encoding '{encoding[:3]}"):
        decompressed(b"body", encoding, 1_000)
