"""SVG and PNG, drawn by Graphviz from the DOT and signed with the digest of it.

The bytes of a drawing depend on the machine (its fonts, its Graphviz), the digest does not. So whether a drawing is
stale is decided by the digest it carries: in a comment of the SVG, in a ``tEXt`` chunk of the PNG.
"""

import re
import struct
import zlib
from hashlib import sha256
from typing import Final, Literal

from gapless.diagrams.dot import dot
from gapless.states import ACTIVITIES, TABLE, ActivityTable, TransitionTable

_PNG_DPI: Final = 144
"""Two pixels a point: sharp on a dense screen at README width, still about 200 kB."""

_KEY: Final = "gapless-dot-sha256"
_SVG_DIGEST: Final = re.compile(rf"<!-- {_KEY} ([0-9a-f]{{64}}) -->")
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_END: Final = 33
"""The signature (8 bytes) and IHDR, which always comes first (4 + 4 + 13 + 4)."""


class DrawingError(RuntimeError):
    """SVG and PNG cannot be drawn here. Mermaid and DOT still can."""


def svg(table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES) -> str:
    """The state machine as an SVG document, with ids a page can highlight.

    Raises:
        DrawingError: pygraphviz is not installed, or failed.
    """
    text = dot(table, activities)
    drawn = _draw(text, "svg").decode()
    # Graphviz puts "a_" before the id of a label's cell; the names on the arrows are to be found by the plain id.
    drawn = drawn.replace('id="a_edge_', 'id="edge_')
    before, tag, after = drawn.partition("<svg ")
    return f"{before}<!-- {_KEY} {digest(text)} -->\n{tag}{after}"


def png(table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES) -> bytes:
    """The state machine as a PNG with transparent corners.

    Raises:
        DrawingError: pygraphviz is not installed, or failed.
    """
    text = dot(table, activities)
    drawn = _draw(text, "png")
    chunk = _png_chunk(b"tEXt", f"{_KEY}\0{digest(text)}".encode("latin-1"))
    return drawn[:_PNG_HEADER_END] + chunk + drawn[_PNG_HEADER_END:]


def digest(text: str) -> str:
    """SHA-256 of a DOT text, in hex."""
    return sha256(text.encode()).hexdigest()


def svg_digest(drawn: str) -> str | None:
    """The digest an SVG carries, or None."""
    found = _SVG_DIGEST.search(drawn)
    return found.group(1) if found else None


def png_digest(drawn: bytes) -> str | None:
    """The digest a PNG carries, or None; also None where the file is no whole PNG."""
    if not drawn.startswith(_PNG_SIGNATURE):
        return None
    found, offset = None, len(_PNG_SIGNATURE)
    while offset + 12 <= len(drawn):
        (length,) = struct.unpack_from(">I", drawn, offset)
        kind, body = drawn[offset + 4 : offset + 8], drawn[offset + 8 : offset + 8 + length]
        if drawn[offset : offset + length + 12] != _png_chunk(kind, body):
            return None
        key, _, value = body.partition(b"\0")
        if kind == b"tEXt" and key == _KEY.encode():
            found = value.decode("latin-1")
        if kind == b"IEND":
            return found
        offset += length + 12
    return None


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    """Length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _draw(text: str, form: Literal["svg", "png"]) -> bytes:
    """The one place that knows pygraphviz, which has no types."""
    try:
        from pygraphviz import AGraph  # noqa: PLC0415 - not there on Windows, and needed by drawings only
    except ImportError as error:
        raise DrawingError(f"drawing {form} needs pygraphviz ({error}); mermaid and dot do without") from error
    try:
        graph = AGraph(string=text)
        if form == "png":
            graph.graph_attr["dpi"] = str(_PNG_DPI)
        drawn = graph.draw(format=form, prog="nop2")
    except (ValueError, OSError) as error:
        raise DrawingError(f"Graphviz could not draw the {form}: {error}") from error
    if not isinstance(drawn, bytes):
        raise DrawingError(f"pygraphviz was expected to return the {form} as bytes and returned {type(drawn).__name__}")
    return drawn
