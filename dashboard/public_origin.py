"""Where a reverse proxy shows the page: the URL that browsers know, as the ``Host`` and ``Origin`` they send. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_SHOWN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PublicOrigin:
    """An origin, and the ``Host`` values that mean it."""

    origin: str
    hosts: frozenset[str]

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL like ``https://dash.example.com`` or ``http://10.0.0.2:8080/``.

        Raises:
            ValueError: it is no origin. One line says why.
        """
        shown = ascii(url) if len(url) <= _SHOWN_MAX else f"{url[:_SHOWN_MAX]!a}..."
        refusal = ValueError(
            f"public_url = {shown} is not allowed: it is written https://HOST or https://HOST:PORT (or http), "
            "without a path; a name that is not ASCII as xn--..."
        )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise refusal from None
        scheme = parts.scheme
        default = _PORTS.get(scheme)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        rebuilt = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
        # What is not written back as it came has a user, a query, a blank, an empty port, or the like.
        if default is None or port == 0 or not _HOST.fullmatch(host) or url.lower() not in {rebuilt, f"{rebuilt}/"}:
            raise refusal
        if port in {None, default}:
            return cls(f"{scheme}://{host}", frozenset({host, f"{host}:{default}"}))
        return cls(rebuilt, frozenset({f"{host}:{port}"}))
