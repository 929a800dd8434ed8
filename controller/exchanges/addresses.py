"""Addresses of venues: checked at construction, and named alike however they are written. Pure."""

from string import punctuation
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import httpx

from gapless.controller.errors import ConfigurationError

_URL_LENGTH_MAX: Final = 8_192
"""Characters; the request line that common servers take."""


def checked_url(name: str, url: str, schemes: tuple[str, str]) -> SplitResult:
    """The parts of an address that can be dialled.

    Args:
        name: of the argument, for the error.
        url: what came.
        schemes: the two that are allowed.

    Raises:
        ConfigurationError: saying what is expected.
    """
    if len(url) > _URL_LENGTH_MAX:
        raise ConfigurationError(
            f"{name} is not allowed: expected at most {_URL_LENGTH_MAX} characters, got {len(url)}"
        )
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ConfigurationError(f"{name} = {url!r} is not a URL: it has blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        # Whoever dials encodes the host once more, each by rules of its own.
        (parts.hostname or "").encode("idna")
        _ = httpx.URL(url).host
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(f"{name} = {url!r} is not a URL: {error.__cause__ or error}") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        allowed = f"{schemes[0]}://HOST:PORT or {schemes[1]}://HOST:PORT"
        raise ConfigurationError(f"{name} = {url!r} is not allowed: expected {allowed}")
    return parts


def canonical_host(parts: SplitResult) -> str:
    """One name for one server, however its address is written; user and password are not part of it."""
    host = (parts.hostname or "").encode("idna").decode().rstrip(".")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def in_ascii(text: str) -> str:
    """Quote what a request line cannot hold; what is quoted already stays as it is."""
    return quote(text, safe=punctuation)
