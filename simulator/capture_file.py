"""Files of recorded traffic: plain or gzipped, a message a line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TIME_NS_MAX: Final = 2**63 - 1
"""A signed 64-bit integer, as every store and language can hold it: as a time, the year 2262."""


class CaptureError(Exception):
    """A capture cannot be used; the message names the file, the line and what was expected."""


def capture_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line of a file with its number, from 1.

    Raises:
        CaptureError: it is missing, truncated or broken.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                number += 1
                yield number, line
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureError(f"{path}, after line {number}: expected a readable capture: {error}") from error
