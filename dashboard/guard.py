"""Who may ask: only a page of this very server. The door before every route.

A dashboard on loopback is reachable by every page the user's browser has open. Such a page can send requests, and, by
making its own name resolve to 127.0.0.1, even read the replies. Both show: the request names a foreign ``Host``, a
foreign ``Origin``, or says ``Sec-Fetch-Site``.
"""

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final

from loguru import logger
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapless.dashboard.public_origin import PublicOrigin

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_HTTP_PORT: Final = 80
_FOREIGN: Final = ("cross-site", "same-site")
"""Another port of this machine is the same site, but another server."""
_SHOWN_MAX: Final = 100

_POLICY: Final = (
    # The chart sets the style of its attribution mark, and the diagram of its gradients, from within.
    b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""On every reply: what a browser may load and run for us (our own files), and who may frame or embed us (nobody)."""


class Door:
    """Which hosts this server answers to. Pure.

    Args:
        host: what it is bound to. Bound to every address (``0.0.0.0``, ``::``), it answers to any address that is
            written in digits: an attack by name resolution needs a name.
        port: where.
        public: where a reverse proxy shows it; None: there is none.
    """

    def __init__(self, host: str, port: int, public: PublicOrigin | None = None) -> None:
        bound = f"[{host}]" if ":" in host else host
        self._any_address = host in {"", "0.0.0.0", "::"}  # noqa: S104 (compared, not bound)
        self._port = port
        self._public = public
        self._hosts = {each.lower() for each in (*_LOOPBACK, bound) if each}

    def refusal(self, headers: Headers, path: str) -> str:
        """Why a request with these headers is refused; empty where it is not."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._origins(hosts[0]):
            return f"this dashboard answers to {self._named()}; the request's Host is {_shown(hosts)}"
        origins = headers.getlist("origin")
        if len(origins) > 1 or any(each not in self._origins(hosts[0]) for each in origins):
            return f"this dashboard answers to its own page only; the request's Origin is {_shown(origins)}"
        site = headers.get("sec-fetch-site", "")
        if site in _FOREIGN and path != "/":
            return "this dashboard answers to its own page only; the request comes from another site"
        return ""

    def _origins(self, host: str) -> Collection[str]:
        """The origins whose page may ask with this ``Host``; none where the host is foreign.

        A proxy may pass the browser's ``Host`` on, or put its own name for this server there; the origin of the page
        is the public one either way.
        """
        public = self._public
        if public is not None and host.lower() in public.hosts:
            return [public.origin]
        if not self._knows(host):
            return []
        return [f"http://{host}", *([] if public is None else [public.origin])]

    def _knows(self, host: str) -> bool:
        name, port = _split(host.lower())
        if port != self._port:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))

    def _named(self) -> str:
        named = f"{', '.join(sorted(self._hosts))} at port {self._port}"
        return named if self._public is None else f"{self._public.origin}, and {named}"


class Guard:
    """An ASGI app around another: refuses foreign requests, marks every reply, and lets no defect through."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. There is no WebSocket here: one is refused with 403."""
        if scope["type"] == "websocket":
            refusal = self._door.refusal(Headers(scope=scope), scope["path"])
            logger.info("refused: {}", refusal or "a WebSocket; there is none here")
            # Closed before it is accepted: the server answers 403.
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            return
        began = False

        async def send_marked(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        refusal = self._door.refusal(Headers(scope=scope), scope["path"])
        if refusal:
            logger.info("refused: {}", refusal)
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, send_marked)
            return
        try:
            await self._app(scope, receive, send_marked)
        except Exception:  # noqa: BLE001 (a defect in one reply must not end the server, still less the app)
            logger.exception("the dashboard failed on {} {}", scope["method"], scope["path"])
            if not began:
                await PlainTextResponse("the dashboard failed on this request\n", 500)(scope, receive, send_marked)


def _split(host: str) -> tuple[str, int]:
    """Name and port; port -1 where it is none."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        return host, _HTTP_PORT
    return name, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _shown(values: Iterable[str]) -> str:
    """As it came, but short and in ASCII."""
    text = " and ".join(ascii(each) for each in values) or "missing"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
