"""REST over httpx: one request, its deadline, its size limit and its failures in our words."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httpx
import trio
from loguru import logger
from msgspec import structs

from gapless.controller.bodies import ACCEPTED, decompressed
from gapless.controller.circuit_breaker import Circuit
from gapless.controller.errors import RequestFailedError
from gapless.controller.events import NoticeKind
from gapless.controller.exchange import Outcome, ReplyReading, RestReply
from gapless.controller.metrics.histogram import Histograms
from gapless.controller.priority import Priority
from gapless.controller.rate_limiter import RestRateLimiter
from gapless.controller.waiting import asked_wait_s

_OK: Final = 200
_BANNED: Final = 418

OnNotice = Callable[[NoticeKind, ReplyReading, float | None], None]
"""Told what a venue said about limits or its condition, in words of its own, and for how many seconds it asked."""


@dataclass(slots=True)
class RestStats:
    """Requests by outcome, and the circuit breaker of their host.

    Alive: it goes on counting, and an app only reads it. What does not change any more is ``controller.metrics()``.
    """

    _limiter: RestRateLimiter = field(repr=False, compare=False)
    succeeded: int = 0
    refused: int = 0
    limited: int = 0
    failed: int = 0
    cancelled: int = 0
    """Given up in flight: a transition, or the app, wanted the reply no more. The host has counted them."""
    bytes_received: int = 0
    """Of bodies, as they came over the wire."""
    bytes_read: int = 0
    """Of bodies, decompressed."""
    circuit_opened: int = 0
    """How often it has opened since the controller was; a probe that fails is none."""

    @property
    def circuit(self) -> Circuit:
        """Whether the host is asked at all: closed, open, or probing. All who share the limiter read the same."""
        return self._limiter.circuit


class RestClient:
    """Fetches what an adapter asks for, inside the host's budget.

    Args:
        http: the client whose connection pool is used.
        limiter: the host's limiter.
        timeout_s: deadline of one request, whole reply included. httpx's own time-outs bound single reads only: a
            server that sends one byte a second would never run into them.
        reply_size_max: bytes of a reply, before and after decompression.
        compressed: whether to say that compressed replies are welcome; those that come are understood anyway.
        max_retries: how often one request is sent again.
        read: what a reply is good for; the venue's adapter knows.
        on_notice: told what the venue says about its limits and its condition.
        histograms: told how long requests take, and how long they wait.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        limiter: RestRateLimiter,
        timeout_s: float,
        reply_size_max: int,
        compressed: bool,
        max_retries: int,
        read: Callable[[RestReply], ReplyReading],
        on_notice: OnNotice,
        histograms: Histograms,
    ) -> None:
        self._read = read
        self._on_notice = on_notice
        self._histograms = histograms
        self._http = http
        self._limiter = limiter
        self._timeout_s = timeout_s
        self._reply_size_max = reply_size_max
        self._compressed = compressed
        self._max_retries = max_retries
        self.stats = RestStats(limiter)
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
            compressed=self._compressed,
            max_retries=0,
            read=self._read,
            on_notice=self._on_notice,
            histograms=self._histograms,
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

        reading: ReplyReading | None = None

        async def make_request() -> RestReply:
            nonlocal reading
            reading = None
            reply = await self._send(request, endpoint)
            reading = self._read(reply)
            meant = _as_meant(reply, reading)
            self._pass_on(meant, reading)
            return meant

        try:
            reply = await self._limiter.retry_request(
                make_request,
                endpoint,
                self._max_retries,
                priority=priority,
                weight=weight,
                client=id(self.stats),
                still_wanted=self.still_wanted,
                on_turn=self._histograms.limiter_wait.record,
            )
        except RequestFailedError as error:
            if reading is None or error.status is None or not reading.code:
                raise
            raise _in_its_words(endpoint, error.status, reading) from None
        if reply.status != _OK:
            raise _in_its_words(endpoint, reply.status, reading)
        return reply

    def _pass_on(self, meant: RestReply, reading: ReplyReading) -> None:
        """What a reply says that concerns everybody."""
        self._count(meant.status)
        if reading.used is not None:
            self._limiter.observe(reading.used)
        if reading.code and reading.outcome in {Outcome.LIMITED, Outcome.UNAVAILABLE}:
            kind: NoticeKind = "maintenance"
            if reading.outcome is Outcome.LIMITED:
                kind = "banned" if meant.status == _BANNED else "limited"
            self._on_notice(kind, reading, asked_wait_s(meant.headers) or None)

    async def _send(self, request: httpx.Request, endpoint: str) -> RestReply:
        sent_at = trio.current_time()
        was_cancelled = False
        try:
            with trio.fail_after(self._timeout_s):
                reply = await self._exchange(request)
        except trio.Cancelled:
            # It has no duration: how long it would have taken, nobody knows.
            was_cancelled = True
            self.stats.cancelled += 1
            raise
        except trio.TooSlowError:
            self.stats.failed += 1
            raise RequestFailedError(f"{endpoint}: no whole reply within {self._timeout_s} s") from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            self.stats.failed += 1
            raise RequestFailedError(f"{endpoint}: {type(error).__name__} {error}".rstrip()) from None
        except RequestFailedError:
            self.stats.failed += 1
            raise
        finally:
            if not was_cancelled:
                self._histograms.request_duration.record(trio.current_time() - sent_at)
        logger.debug("REST {}: HTTP {}, {} bytes", endpoint, reply.status, len(reply.body))
        return reply

    async def _exchange(self, request: httpx.Request) -> RestReply:
        # Saying nothing would allow any form.
        request.headers.setdefault("accept-encoding", ACCEPTED if self._compressed else "identity")
        response = await self._http.send(request, stream=True)
        encoding = response.headers.get("content-encoding", "")
        raw = bytearray()
        try:
            if response.is_stream_consumed:
                # A hook of the client that the app brought has read it, and so unpacked it.
                raw += response.content
                encoding = ""
            else:
                await self._read_raw(response, raw)
        finally:
            # The connection goes back to the pool, or is closed where the reply was not read to its end.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
                await response.aclose()
            self.stats.bytes_received += response.num_bytes_downloaded
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = self._body(request.url.path, bytes(raw), encoding)
        return RestReply(status=response.status_code, headers=headers, body=body)

    async def _read_raw(self, response: httpx.Response, raw: bytearray) -> None:
        """Read what comes over the wire into ``raw``, a chunk more than is allowed at most."""
        # Cancelled rather than left: httpx's generators must end by themselves, or they are collected half-way.
        with trio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                raw += chunk
                if len(raw) > self._reply_size_max:
                    reading.cancel()

    def _body(self, path: str, raw: bytes, encoding: str) -> bytes:
        size_max = self._reply_size_max
        try:
            body = raw if len(raw) > size_max else decompressed(raw, encoding, size_max)
        except ValueError as error:
            raise RequestFailedError(f"{path}: the reply cannot be decompressed: {error}") from None
        if len(body) > size_max:
            raise RequestFailedError(f"{path}: the reply is larger than {size_max} bytes")
        self.stats.bytes_read += len(body)
        return body

    def _count(self, status: int) -> None:
        if status == _OK:
            self.stats.succeeded += 1
        elif status in {418, 429}:
            self.stats.limited += 1
        elif status < 500:
            self.stats.refused += 1
        else:
            self.stats.failed += 1


def _as_meant(reply: RestReply, reading: ReplyReading) -> RestReply:
    """With the status and the header that say what the venue meant: some answer errors with 200."""
    status, headers = reply.status, reply.headers
    if reading.retry_after_s is not None and "retry-after" not in headers:
        headers = {**headers, "retry-after": f"{reading.retry_after_s:g}"}
    match reading.outcome:
        case Outcome.OK:
            status = _OK
        case Outcome.LIMITED if status not in {_BANNED, 429}:
            status = 429
        case Outcome.UNAVAILABLE if status < 500:
            status = 503
        case Outcome.REFUSED | Outcome.NO_SUCH_STREAM if not 400 <= status < 500:
            status = 400
        case _:
            pass
    return structs.replace(reply, status=status, headers=headers)


def _in_its_words(endpoint: str, status: int, reading: ReplyReading | None) -> RequestFailedError:
    if reading is None:
        return RequestFailedError(f"{endpoint}: HTTP {status}", status=status)
    words = f" ({reading.code}: {reading.message})" if reading.code else ""
    return RequestFailedError(
        f"{endpoint}: HTTP {status}{words}",
        status=status,
        code=reading.code,
        message=reading.message,
        unknown_stream=reading.outcome is Outcome.NO_SUCH_STREAM,
    )


_CLOSE_S: Final = 0.1
"""Seconds. Closing a socket is immediate; TLS would like to say goodbye, and a dead peer does not answer."""
