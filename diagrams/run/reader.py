"""Reads a run: lines of JSON in, typed lines out, and the place of what is wrong."""

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gapless.diagrams.run.lines import KINDS, AnyLine

_SHOWN_MAX: Final = 60
"""Letters of a bad line that an error repeats."""


class LineError(ValueError):
    """A line is no event. The message says which one, what was expected, and what came."""


class _Kind(msgspec.Struct):
    """As much of a line as tells what it is."""

    event: str


_line = msgspec.json.Decoder(AnyLine)
_kind = msgspec.json.Decoder(_Kind)


class LineReader:
    """Decodes lines one after the other, and counts what it left out.

    Attributes:
        unknown: kind -> how many lines of a kind that no picture shows; later versions may write such.
        cut_off: whether the last line had no end, as that of a process that was killed.
    """

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self.cut_off = False

    def read(self, lines: Iterable[bytes]) -> Iterator[AnyLine]:
        """Decode lines as a file gives them, each with its end; empty ones are passed over.

        Raises:
            LineError: a line is no event.
        """
        for number, raw in enumerate(lines, 1):
            if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise LineError("the file is UTF-16; expected UTF-8, one JSON object a line")
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            if not line.strip():
                continue
            try:
                yield _line.decode(line)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                self._excuse(number, line, error)

    def _excuse(self, number: int, line: bytes, error: Exception) -> None:
        """Count the line where it may be what it is; only the last line of all can lack its end."""
        try:
            kind = _kind.decode(line).event
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            if not line.endswith(b"\n") and number > 1 and not isinstance(error, msgspec.ValidationError):
                self.cut_off = True
                return
        else:
            if kind not in KINDS:
                self.unknown[kind] += 1
                return
        text = line.decode(errors="replace").strip()
        shown = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
        expected = "expected an event of `gapless watch --json`, one JSON object a line"
        raise LineError(f"line {number}: {expected}: {error}; got {shown!r}") from None
