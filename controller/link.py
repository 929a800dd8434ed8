"""The link: dials, subscribes, reads; owns the socket of one generation."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from loguru import logger

from gapless.controller.errors import InvalidMessageError, LinkError
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    MarketUpdate,
    Message,
    Pong,
    Rejected,
    Subscribed,
    Welcome,
)
from gapless.controller.stream import Stream
from gapless.controller.transports import Connection
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """One attempt and, if it succeeds, the life of its socket; claims LINK_LOST when that is over."""
    backoff, timeout_s = runtime.backoff, runtime.config.attempt_timeout
    await trio.sleep_until(backoff.earliest(trio.current_time()))
    backoff.attempt_started(trio.current_time())
    attempt = trio.CancelScope(deadline=trio.current_time() + timeout_s)
    session = _Session(runtime, lease, attempt)
    logger.info("attempt of generation {}", runtime.link.generation)
    try:
        with attempt:
            await session.run()
        reason = f"timed out: {session.phase} took more than {timeout_s:g} s"
    except LinkError as error:
        reason = str(error)
        if error.retry_after_s:
            backoff.floor(trio.current_time() + error.retry_after_s)
    finally:
        runtime.feed.socket_closed()
    logger.info("link of generation {} lost: {}", runtime.link.generation, reason)
    lease.emit(Trigger.LINK_LOST, reason)


_NAMELESS_GRACE_S: Final = 1.0
"""Seconds a SUBSCRIBED may follow a REJECTED that names no streams. They are sent together; a second is many round
trips."""


class _Session:
    """Reads one socket and enters what it says. ``attempt`` has a deadline until every stream is answered."""

    def __init__(self, runtime: "Runtime", lease: "Lease", attempt: trio.CancelScope) -> None:
        self._runtime = runtime
        self._attempt = attempt
        self._lease = lease
        self._link = runtime.link
        self._request_id = f"s-{runtime.link.generation}"
        self._acknowledged = False
        self._nameless: Rejected | None = None
        self._nameless_came = trio.Event()
        self.phase = "the handshake"

    async def run(self) -> None:
        """Dial, subscribe, read until the socket ends."""
        runtime = self._runtime
        runtime.feed.on_data = partial(self._lease.emit, Trigger.DATA_FLOWS, "market data")
        async with runtime.transport.connect(runtime.exchange.websocket_url) as connection:
            self._link.open(connection)
            logger.info("connected, generation {}", self._link.generation)
            self.phase = "the subscription"
            for frame in runtime.exchange.subscribe(runtime.streams, self._request_id):
                await connection.send(frame)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._settle_nameless)
                await self._read(connection)

    async def _read(self, connection: Connection) -> NoReturn:
        while True:
            frames = await connection.receive()
            if not self._lease.live:
                # The scope is cancelled already: what was read in the same instant has no effect.
                await trio.sleep_forever()
            self._enter(frames)

    def _enter(self, frames: Sequence[str | bytes]) -> None:
        """One batch: the clocks are read once."""
        now, received_at = trio.current_time(), self._runtime.wall_clock()
        decode, feed = self._runtime.exchange.decode, self._runtime.feed
        self._link.last_frame_at = now
        for frame in frames:
            try:
                message = decode(frame)
            except InvalidMessageError as error:
                self._runtime.books.stats.invalid_messages += 1
                logger.warning("a frame is skipped: {}", error)
                continue
            if isinstance(message, MarketUpdate):
                feed.market(message, now=now, received_at=received_at)
            elif isinstance(message, AccountUpdate):
                feed.account(message, now=now, received_at=received_at)
            else:
                self._control(message, now)

    def _control(self, message: Message, now: float) -> None:
        runtime = self._runtime
        match message:
            case Pong():
                round_trip_s = runtime.heartbeat.handle_pong(message.request_id, now)
                if round_trip_s is not None:
                    logger.debug("PONG {} after {:.3f} s", message.request_id, round_trip_s)
                    runtime.evidence.notify()
            case Welcome():
                runtime.feed.welcome(message.epoch)
            case Subscribed():
                marks = message.marks if message.marks is not None else dict.fromkeys(self._unanswered())
                for stream, mark in marks.items():
                    runtime.feed.acknowledge(stream, mark)
                if self._nameless is not None:
                    self._reject(self._unanswered(), self._nameless)
                self._acknowledged = True
                self._check_subscribed()
            case Rejected():
                if message.streams is not None:
                    self._reject(message.streams, message)
                elif self._acknowledged:
                    self._reject(self._unanswered(), message)
                else:
                    # It means the streams that SUBSCRIBED omits, and SUBSCRIBED is still to come.
                    self._nameless = message
                    self._nameless_came.set()
                self._check_subscribed()
            case Goodbye():
                logger.info("the server says goodbye: {} (retry after {} s)", message.reason, message.retry_after_s)
                runtime.backoff.floor(now + message.retry_after_s)
            case _:
                pass

    def _unanswered(self) -> list[Stream]:
        return [each.stream for each in self._runtime.books.subscriptions if not each.answered]

    def _reject(self, streams: Sequence[Stream], message: Rejected) -> None:
        for stream in streams:
            self._runtime.feed.reject(stream, message.code, message.message)

    async def _settle_nameless(self) -> None:
        """No SUBSCRIBED follows: then a REJECTED without names meant every stream."""
        await self._nameless_came.wait()
        await trio.sleep(_NAMELESS_GRACE_S)
        if self._nameless is not None and not self._acknowledged:
            self._acknowledged = True
            self._reject(self._unanswered(), self._nameless)
            self._check_subscribed()

    def _check_subscribed(self) -> None:
        if self._runtime.books.all_answered and not self._link.subscribed.is_set():
            self._link.mark_subscribed(trio.current_time())
            self._attempt.deadline = float("inf")
            logger.info("subscribed, generation {}", self._link.generation)
            if not self._runtime.books.market_desired:
                self._lease.emit(Trigger.DATA_FLOWS, "all streams acknowledged")
