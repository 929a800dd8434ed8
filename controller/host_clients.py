"""One httpx client per host: whoever talks to the same host in one trio run shares its connections.

A client of one's own costs 30 ms and 700 KiB, nearly all of it the certificates of its TLS context. Per host and not
one for all: a host that keeps its connections hanging then takes none of another's.
"""

from functools import cache
from http.cookiejar import DefaultCookiePolicy
from ssl import SSLContext
from typing import Final

import httpx
import trio

_CLOSE_S: Final = 0.25
"""Seconds for closing pooled connections; leaving a controller takes at most half a second altogether."""


class _Shared:
    """A client and how many use it."""

    def __init__(self) -> None:
        # Proxies of the environment are not used: the WebSocket would not pass them either. Time-outs come from whoever
        # asks: those of a client do not reach requests that an adapter has built.
        self.client: Final = httpx.AsyncClient(trust_env=False, verify=_tls())
        # Nobody sends a cookie back, and a jar that is never emptied grows for as long as the client lives.
        self.client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.users = 0


_hosts: "trio.lowlevel.RunVar[dict[str, _Shared]]" = trio.lowlevel.RunVar("gapless REST clients")


@cache
def _tls() -> SSLContext:
    """One for all clients of the process: what it holds of the certificates is the same for all."""
    return httpx.create_ssl_context(trust_env=False)


def join(host: str) -> httpx.AsyncClient:
    """The host's client, made by the first who asks. Every call is answered by one of :func:`leave`."""
    try:
        hosts = _hosts.get()
    except LookupError:
        hosts = {}
        _hosts.set(hosts)
    shared = hosts.get(host)
    if shared is None:
        shared = hosts[host] = _Shared()
    shared.users += 1
    return shared.client


async def leave(host: str) -> None:
    """Use it no more; the last one closes its connections."""
    hosts = _hosts.get()
    shared = hosts[host]
    shared.users -= 1
    if not shared.users:
        del hosts[host]
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
            await shared.client.aclose()
