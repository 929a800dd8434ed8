"""Points in time as a venue writes them, made comparable. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_REMEMBERED: Final = 1_024
"""Texts whose meaning is remembered: of one message it is asked for several times, and again with the next one."""
_LENGTH_MAX: Final = 64
"""Characters of a text that is remembered; what is longer is no instant, and could fill the memory."""


def instant(text: str) -> float:
    """Unix seconds of an RFC 3339 text, to the microsecond; minus infinity where it is not one.

    Venues write the same instant with and without fractions, so that texts do not compare.
    """
    return _remembered(text) if len(text) <= _LENGTH_MAX else float("-inf")


@lru_cache(_REMEMBERED)
def _remembered(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return float("-inf")
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def rfc3339(unix_s: float) -> str:
    """The text of a point in time, in UTC with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
