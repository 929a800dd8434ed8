"""REST over httpx: one request, its deadline, its size limit and its failures in our words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx
import trio
from loguru import logger

from gapless.controller.errors import RequestFailedError
from gapless.controller.exchange import RestReply
from gapless.controller.priority import Priority
from gapless.controller.rate_limiter import RestRateLimiter

_OK: Final = 200


@dataclass(slots=True)
class RestStats:
    """Requests by outcome."""

    succeeded: int = 0
    refused: int = 0
    limited: int = 0
    failed: int = 0


class RestClient:
    """Fetches what an adapter asks for, inside the host's budget.

    Args:
        http: the client whose connection pool is used.
        limiter: the host's limiter.
        timeout_s: deadline of one request, whole reply included. httpx's own time-outs bound single reads only: a
            server that sends one byte a second would never run into them.
        reply_size_max: bytes of a reply, after decompression.
        max_retries: how often one request is sent again.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        limiter: RestRateLimiter,
        timeout_s: float,
        reply_size_max: int,
        max_retries: int,
    ) -> None:
        self._http = http
        self._limiter = limiter
        self._timeout_s = timeout_s
        self._reply_size_max = reply_size_max
        self._max_retries = max_retries
        self.stats = RestStats()
        self.charge: Callable[[int], None] | None = None
        """Told the weight of each request before it queues up."""
        self.still_wanted: Callable[[], bool] = lambda: True
        """Asked for each request when its turn has come."""

    def once(self, charge: Callable[[int], None], still_wanted: Callable[[], bool]) -> "RestClient":
        """One that sends each request once, where it is ``still_wanted`` when its turn has come.

        It tells ``charge`` what each one weighs before it queues up; the limiter sees the same client.
        """
        client = RestClient(
            http=self._http,
            limiter=self._limiter,
            timeout_s=self._timeout_s,
            reply_size_max=self._reply_size_max,
            max_retries=0,
        )
        client.stats, client.charge, client.still_wanted = self.stats, charge, still_wanted
        return client

    async def fetch(self, request: httpx.Request, *, priority: Priority, weight: int = 1) -> RestReply:
        """Send until a reply of status 200 came.

        Raises:
            RequestFailedError: refused (4xx), out of retries, or not sent because the host is left alone.
            RequestWithdrawnError: not sent, nobody wants it any more.
        """
        if self.charge is not None:
            self.charge(weight)
        endpoint = f"{request.method} {request.url.raw_path.decode('ascii', 'replace')}"

        async def make_request() -> RestReply:
            return await self._send(request, endpoint)

        reply = await self._limiter.retry_request(
            make_request,
            endpoint,
            self._max_retries,
            priority=priority,
            weight=weight,
            client=id(self.stats),
            still_wanted=self.still_wanted,
        )
        if reply.status != _OK:
            raise RequestFailedError(f"{endpoint}: HTTP {reply.status}", status=reply.status)
        return reply

    async def _send(self, request: httpx.Request, endpoint: str) -> RestReply:
        try:
            with trio.fail_after(self._timeout_s):
                reply = await self._exchange(request)
        except trio.TooSlowError:
            self.stats.failed += 1
            raise RequestFailedError(f"{endpoint}: no whole reply within {self._timeout_s} s") from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            self.stats.failed += 1
            raise RequestFailedError(f"{endpoint}: {type(error).__name__} {error}".rstrip()) from None
        except RequestFailedError:
            self.stats.failed += 1
            raise
        self._count(reply.status)
        logger.debug("REST {}: HTTP {}, {} bytes", endpoint, reply.status, len(reply.body))
        return reply

    async def _exchange(self, request: httpx.Request) -> RestReply:
        response = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            # Cancelled rather than left: httpx's generators must end by themselves, or they are collected half-way.
            with trio.CancelScope() as reading:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > self._reply_size_max:
                        reading.cancel()
            if len(body) > self._reply_size_max:
                raise RequestFailedError(f"{request.url.path}: the reply is larger than {self._reply_size_max} bytes")
        finally:
            # The connection goes back to the pool, or is closed where the reply was not read to its end.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
                await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return RestReply(status=response.status_code, headers=headers, body=bytes(body))

    def _count(self, status: int) -> None:
        if status == _OK:
            self.stats.succeeded += 1
        elif status in {418, 429}:
            self.stats.limited += 1
        elif status < 500:
            self.stats.refused += 1
        else:
            self.stats.failed += 1


_CLOSE_S: Final = 0.1
"""Seconds. Closing a socket is immediate; TLS would like to say goodbye, and a dead peer does not answer."""
