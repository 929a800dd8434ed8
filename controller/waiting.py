"""How long a peer asks us to wait. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final

RETRY_AFTER_MAX_S: Final = 3 * 86_400.0
"""Seconds. The longest documented ban is three days (Binance, 418); more is a mistake of the peer's, not a floor."""


def retry_after_s(header: str | None, *, now: float | None = None) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number of seconds, or an HTTP date.

    Args:
        header: the header's value; None or unreadable counts as 0.0.
        now: Unix seconds, needed for the date form.
    """
    text = (header or "").strip()
    if not text:
        return 0.0
    if "_" in text:
        # A number to Python, not to HTTP.
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now)
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if isfinite(seconds) else 0.0


def asked_wait_s(headers: Mapping[str, str]) -> float:
    """Seconds that a reply's ``Retry-After`` asks for.

    A date is measured against the reply's own ``Date``, where it has one: the two clocks are the same.

    Args:
        headers: names in lower case.
    """
    return retry_after_s(headers.get("retry-after"), now=_unix_s(headers.get("date")))


def _unix_s(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _until(text: str, now: float | None) -> float:
    try:
        at = parsedate_to_datetime(text)
        at_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return at_s - (datetime.now(UTC).timestamp() if now is None else now)
