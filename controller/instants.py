"""Points in time as a venue writes them, made comparable. Pure."""

from datetime import UTC, datetime


def instant(text: str) -> float:
    """Unix seconds of an RFC 3339 text, to the microsecond; minus infinity where it is not one.

    Venues write the same instant with and without fractions, so that texts do not compare.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return float("-inf")
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def rfc3339(unix_s: float) -> str:
    """The text of a point in time, in UTC with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
