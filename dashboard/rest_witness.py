"""The app's own httpx client, with a witness: what is asked over REST, and how it ended, shows on the time line.

The controller takes a client (``open_controller(http=...)``) and uses it as it would its own; it is not asked, and
nothing it does depends on the witness.
"""

from collections.abc import Callable
from time import time
from typing import Final, Protocol

import httpx
import trio

_ALMOST: Final = 0.9
"""A request that was cancelled later than at this share of its deadline has run into it; one that was cancelled earlier
was no longer wanted, which is no failure."""


class RestPicture(Protocol):
    """Where requests are entered; :class:`~gapless.dashboard.picture.Picture` is one."""

    def rest_request(self, at: float, path: str, status: int | None) -> None:
        """A request was answered with an HTTP status; None: with none."""
        ...


def witnessed_client(
    picture: RestPicture, timeout_s: float = 10.0, *, wall_clock: Callable[[], float] = time
) -> httpx.AsyncClient:
    """An httpx client for a controller, to be opened and closed with ``async with``.

    Args:
        picture: what is told of each request.
        timeout_s: the controller's ``rest_timeout``.
        wall_clock: Unix seconds.
    """
    # As the controller's own: proxies of the environment are not used, the WebSocket would not pass them either.
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    return httpx.AsyncClient(
        transport=Witness(transport, picture, timeout_s=timeout_s, wall_clock=wall_clock),
        trust_env=False,
        timeout=timeout_s,
    )


class Witness(httpx.AsyncBaseTransport):
    """A transport around another: tells a picture what became of each request.

    A reply is told when its head is there; a body that breaks off later is the controller's to notice.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        picture: RestPicture,
        *,
        timeout_s: float,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        self._inner = inner
        self._picture = picture
        self._timeout_s = timeout_s
        self._wall_clock = wall_clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        began_at, path = trio.current_time(), request.url.path
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx.HTTPError, OSError):
            self._picture.rest_request(self._wall_clock(), path, None)
            raise
        except trio.Cancelled:
            if trio.current_time() - began_at >= _ALMOST * self._timeout_s:
                self._picture.rest_request(self._wall_clock(), path, None)
            raise
        self._picture.rest_request(self._wall_clock(), path, response.status_code)
        return response

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()
