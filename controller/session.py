"""One socket: dialled, subscribed, kept in line with what is desired, read.

A session either *leads*: what it says is entered at once; or it is a successor in waiting: it is subscribed like any
other, but what it says is kept until it takes the lead. So a rotation needs no second way of reading a socket.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from loguru import logger

from gapless.controller import lateness
from gapless.controller.errors import InvalidMessageError, LinkError
from gapless.controller.exchange import (
    AccountUpdate,
    Goodbye,
    HighWater,
    Leaving,
    MarketUpdate,
    Message,
    MustAnswer,
    Notice,
    Pong,
    Rejected,
    Several,
    SingleMessage,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from gapless.controller.outbox import Outbox
from gapless.controller.subscription_dialog import Change, Refusal, SubscriptionDialog
from gapless.controller.transports import Connection, PushConnection
from gapless.controller.waiting_room import WaitingRoom

if TYPE_CHECKING:
    from gapless.controller.runtime import LinkStatus, Runtime

_NAMELESS_GRACE_S: Final = 1.0
"""Seconds a SUBSCRIBED may follow a REJECTED that names no streams. They are sent together; a second is many round
trips."""


class Session:
    """One socket from dialling to its end.

    Args:
        link: its status, as the other activities see it once it leads.
        is_live: whether what it reads still has an effect; asked after every wait.
        on_change: called when its subscriptions have changed, and by a successor when it has kept something.
        leads: False: keep what the socket says until :meth:`lead`.
    """

    def __init__(
        self,
        runtime: "Runtime",
        link: "LinkStatus",
        *,
        name: str,
        is_live: Callable[[], bool],
        on_change: Callable[[], None],
        leads: bool = True,
    ) -> None:
        self._runtime = runtime
        self._is_live = is_live
        self._on_change = on_change
        self._dialog = SubscriptionDialog(name)
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery
        """While it runs. What is needed now and then starts then: a thousand idle sessions are to fit one process."""
        self._awaiting: trio.CancelScope | None = None
        """While answers are expected: what ends the wait for them."""
        self._settling_nameless = False
        self._answering = False
        self._outbox: Outbox
        """Once it is connected."""
        self._phase = "the handshake"
        self._asked_at: float | None = None
        self.link = link
        self.opened_at = float("inf")
        """Monotonic seconds of the handshake's end."""
        self.retired = False
        """Whether it is over: a successor has taken over, or it was a successor itself and failed."""
        self.waiting: WaitingRoom | None = None if leads else WaitingRoom()
        """Where a successor keeps what it heard; None: this session leads."""

    async def run(self) -> str:
        """Dial, subscribe, read until the socket ends; says why it ended."""
        reason = ""
        with self._scope:
            async with trio.open_nursery() as self._nursery:
                self._expect_answers()
                try:
                    await self._converse()
                except LinkError as error:
                    reason = str(error)
                    if error.retry_after_s:
                        self._runtime.backoff.floor(trio.current_time() + error.retry_after_s)
                self._nursery.cancel_scope.cancel()
        return reason or f"timed out: {self._phase} took more than {self._runtime.config.attempt_timeout:g} s"

    def retire(self) -> None:
        """End the socket: a successor has taken over."""
        self.retired = True
        self._scope.cancel()

    @property
    def is_subscribed(self) -> bool:
        """Whether every desired stream was asked for and answered on this socket."""
        change = self._dialog.change(self._runtime.books.subscriptions)
        return self.link.opened.is_set() and self._dialog.all_answered and not change.begin

    def lead(self) -> None:
        """Enter what was kept, in order; from now on everything is entered at once."""
        room, self.waiting = self.waiting, None
        if room is None:
            return
        self._runtime.feed.welcome(room.epoch)
        for stream, mark in room.marks.items():
            self._runtime.feed.acknowledge(stream, mark)
        for refusal in room.refusals:
            self._refuse(refusal)
        for message, now, received_at in room.data:
            self._data(message, now, received_at)

    async def _converse(self) -> None:
        runtime = self._runtime
        async with runtime.transport.connect(runtime.exchange.websocket_url) as connection:
            self._outbox = Outbox(connection.send, runtime.exchange.send_budget)
            self.link.open(self._outbox)
            self.opened_at = trio.current_time()
            logger.info("connected, {}", self._role())
            self._phase = "the subscription"
            self._nursery.start_soon(self._keep_desired)
            if runtime.books.reorder_window_s:
                self._nursery.start_soon(self._settle_jumps)
            await self._read(connection)

    def _role(self) -> str:
        return f"generation {self.link.generation}" if self.waiting is None else "as a successor"

    # -- what is said --------------------------------------------------------------------------------------------------

    async def _keep_desired(self) -> NoReturn:
        """Ask for what is desired and not asked for yet, end what is desired no more; again at each change."""
        books = self._runtime.books
        try:
            for frame in self._runtime.exchange.greeting():
                await self._outbox.send(frame)
            while True:
                change = self._dialog.change(books.subscriptions)
                if change.begin or change.end:
                    await self._ask(change)
                else:
                    self._check_answered()
                    await books.desires_changed.wait()
        except LinkError as error:
            # The reader meets the same end and says so.
            logger.debug("a subscription could not be sent: {}", error)
            await trio.sleep_forever()

    async def _ask(self, change: Change) -> None:
        exchange, dialog = self._runtime.exchange, self._dialog
        if change.end:
            dialog.ended(change.end)
            for frame in exchange.unsubscribe(change.end, dialog.next_id()):
                await self._outbox.send(frame)
        if change.begin:
            request_id = dialog.next_id()
            dialog.asked(request_id, change.begin)
            self._expect_answers()
            self._asked_at = trio.current_time()
            for frame in exchange.subscribe([each.stream for each in change.begin], request_id):
                await self._outbox.send(frame)

    def _expect_answers(self) -> None:
        """The peer has so long to answer; what is asked later in one attempt does not prolong it."""
        if self._awaiting is None:
            self._awaiting = trio.CancelScope()
            due_at = trio.current_time() + self._runtime.config.attempt_timeout
            self._nursery.start_soon(self._time_out, self._awaiting, due_at)

    async def _time_out(self, awaiting: trio.CancelScope, due_at: float) -> None:
        """End a socket whose answers are overdue. No deadline of a scope: it would strike before what came is read."""
        with awaiting:
            await lateness.sleep_until(due_at)
            self._scope.cancel()

    # -- what is heard -------------------------------------------------------------------------------------------------

    async def _read(self, connection: Connection) -> NoReturn:
        if isinstance(connection, PushConnection):
            await connection.push(self._enter)
        while True:
            self._enter(await connection.receive())

    def _enter(self, frames: Sequence[str | bytes]) -> None:
        """One batch: the clocks are read once."""
        if not self._is_live():
            # The scope is cancelled already: what was read in the same instant has no effect.
            return
        now, received_at = trio.current_time(), self._runtime.wall_clock()
        self.link.last_frame_at = now
        if self.waiting is None:
            if self._runtime.heartbeat.unasked is not None:
                self._runtime.heartbeat.frame_came(now)
                self._runtime.evidence.notify()

            def other(message: SingleMessage) -> None:
                self._other(message, now, received_at)

            self._runtime.fast_path.enter(frames, now=now, received_at=received_at, other=other, invalid=self._skip)
            return
        decode = self._runtime.exchange.decode
        for frame in frames:
            try:
                message = decode(frame)
            except InvalidMessageError as error:
                self._skip(error)
                continue
            self._keep(self.waiting, message, now, received_at)
        self._on_change()

    def _keep(self, room: WaitingRoom, message: Message, now: float, received_at: float) -> None:
        if isinstance(message, Several):
            for each in message.messages:
                self._keep(room, each, now, received_at)
        elif isinstance(message, MarketUpdate | AccountUpdate):
            room.keep(message, now, received_at)
        else:
            self._control(message, now)

    def _other(self, message: SingleMessage, now: float, received_at: float) -> None:
        """What is no market data."""
        if isinstance(message, AccountUpdate):
            self._data(message, now, received_at)
        else:
            self._control(message, now)

    def _skip(self, error: InvalidMessageError) -> None:
        self._runtime.books.stats.invalid_messages += 1
        if self.waiting is None:
            self._runtime.feed.unreadable()
        logger.warning("a frame is skipped: {}", error)

    def _data(self, message: MarketUpdate | AccountUpdate, now: float, received_at: float) -> None:
        if isinstance(message, MarketUpdate):
            self._runtime.feed.market(message, now=now, received_at=received_at)
        else:
            self._runtime.feed.account(message, now=now, received_at=received_at)

    def _control(self, message: SingleMessage, now: float) -> None:
        runtime = self._runtime
        match message:
            case Pong():
                round_trip_s = runtime.heartbeat.handle_pong(message.request_id, now)
                if round_trip_s is not None:
                    logger.debug("PONG {} after {:.3f} s", message.request_id, round_trip_s)
                    runtime.evidence.notify()
            case Welcome():
                self._welcome(message.epoch)
            case Subscribed():
                self._measure(now)
                for stream, mark in self._dialog.taken(message).items():
                    if self.waiting is not None:
                        self.waiting.mark(stream, mark)
                    else:
                        runtime.feed.acknowledge(stream, mark)
                self._conclude(self._dialog.refusals())
            case Rejected():
                self._measure(now)
                refusal = self._dialog.refused(message)
                self._conclude([refusal] if refusal is not None else self._dialog.refusals())
                if self._dialog.has_nameless and not self._settling_nameless:
                    self._settling_nameless = True
                    self._nursery.start_soon(self._settle_nameless)
            case Goodbye():
                logger.info("the server says goodbye: {} (retry after {} s)", message.reason, message.retry_after_s)
                runtime.backoff.floor(now + message.retry_after_s)
            case Unsubscribed():
                self._ended(message)
            case _:
                self._of_venue(message, now)

    def _of_venue(self, message: SingleMessage, now: float) -> None:
        """What only some venues say."""
        match message:
            case HighWater():
                self._high_water(message, now)
            case MustAnswer():
                if not self._answering:
                    self._answering = True
                    self._nursery.start_soon(self._answer, message.answer)
            case Leaving():
                logger.info("the venue leaves before long, {}: {}", self._role(), message.reason)
                if self.waiting is None:
                    self._runtime.rotation.ask(message.reason)
            case Notice():
                self._runtime.books.notice(message.kind, message.code, message.message)
            case _:
                self._runtime.books.stats.ignored += 1

    def _high_water(self, message: HighWater, now: float) -> None:
        for stream, mark in message.marks.items():
            if self.waiting is None:
                self._runtime.feed.high_water(stream, mark, now)
            else:
                self.waiting.mark(stream, mark)

    async def _answer(self, frame: str) -> None:
        """What the venue wants back. Many at once are one: who asks faster than it is answered has its sign of life."""
        try:
            await self._outbox.send(frame)
        except LinkError as error:
            logger.debug("an answer could not be sent: {}", error)
        finally:
            self._answering = False

    def _measure(self, now: float) -> None:
        """The first answer to what was asked last tells how long a round trip may take."""
        asked_at, self._asked_at = self._asked_at, None
        if asked_at is not None:
            self._runtime.heartbeat.subscribed_in(now - asked_at)

    def _welcome(self, epoch: str | None) -> None:
        if self.waiting is None:
            self._runtime.feed.welcome(epoch)
        else:
            self.waiting.epoch = epoch

    def _ended(self, message: Unsubscribed) -> None:
        logger.info("ended, {}: {}", self._role(), message.streams or "all that was asked for")
        if self.waiting is None:
            self._runtime.feed.unsubscribed(message.streams or ())

    def _conclude(self, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            if self.waiting is not None:
                self.waiting.refusals.append(refusal)
            else:
                self._refuse(refusal)
        self._check_answered()

    def _refuse(self, refusal: Refusal) -> None:
        for stream in refusal.streams:
            self._runtime.feed.reject(stream, refusal.code, refusal.message)

    async def _settle_jumps(self) -> NoReturn:
        """What was skipped and does not come within the reorder window is a gap."""
        feed = self._runtime.feed
        while True:
            with trio.move_on_at(settle_at := feed.settle_at):
                await feed.jumped.wait()
            await lateness.let_link_read(settle_at)
            feed.settle(trio.current_time())

    async def _settle_nameless(self) -> None:
        """No SUBSCRIBED follows: then a REJECTED without names meant every stream."""
        await trio.sleep(_NAMELESS_GRACE_S)
        self._settling_nameless = False
        self._conclude(self._dialog.refusals(grace_over=True))

    def _check_answered(self) -> None:
        if not self.is_subscribed:
            return
        if self._awaiting is not None:
            self._awaiting.cancel()
            self._awaiting = None
        if not self.link.subscribed.is_set():
            self.link.mark_subscribed(trio.current_time())
            logger.info("subscribed, {}", self._role())
        self._on_change()
