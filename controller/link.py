"""The link: owns the socket that leads, and replaces it by a successor when a rotation is due.

A rotation is the link's own business: the state machine only hears that it happened. The successor is dialled and
subscribed while its predecessor delivers. It takes the lead once the predecessor has passed each of the successor's
marks, so that nothing lies between the two; what both delivered drops as duplicates. A predecessor that is slow is
waited for a second: then the difference is a gap like any other. A successor that fails changes nothing.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from loguru import logger

from gapless.controller.runtime import LinkStatus
from gapless.controller.session import Session
from gapless.controller.waiting_room import WaitingRoom
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease

_PASSED_WITHIN_S: Final = 1.0
"""Seconds a predecessor has to pass the marks of its successor; many round trips."""


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """One attempt and, if it succeeds, the life of its sockets; claims LINK_LOST when that is over."""
    await _may_dial(runtime)
    logger.info("attempt of generation {}", runtime.link.generation)
    link = _Link(runtime, lease)
    try:
        reason = await link.run()
    finally:
        runtime.feed.socket_closed()
    logger.info("link of generation {} lost: {}", runtime.link.generation, reason)
    lease.emit(Trigger.LINK_LOST, reason)


async def _may_dial(runtime: "Runtime") -> None:
    """Wait until the backoff and the venue's budget of connections allow an attempt, and note that it begins."""
    await trio.sleep_until(runtime.backoff.earliest(trio.current_time()))
    if runtime.connect_gate is not None:
        await runtime.connect_gate.turn()
    runtime.backoff.attempt_started(trio.current_time())


class _Link:
    """The session that leads, and now and then its successor."""

    def __init__(self, runtime: "Runtime", lease: "Lease") -> None:
        self._runtime = runtime
        self._lease = lease
        self._leader = self._session(runtime.link, f"{runtime.prefix}s-{runtime.link.generation}", leads=True)
        self._lost = ""

    async def run(self) -> str:
        """Live until the leading session ends; says why it ended."""
        self._runtime.feed.on_data = partial(self._lease.emit, Trigger.DATA_FLOWS, "market data")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, self._leader, nursery)
            await self._rotate_when_due(nursery)
        return self._lost

    def _session(self, link: LinkStatus, name: str, *, leads: bool) -> Session:
        session: Session

        def is_live() -> bool:
            return self._lease.live and not session.retired

        def on_change() -> None:
            self._advance(session)

        session = Session(self._runtime, link, name=name, is_live=is_live, on_change=on_change, leads=leads)
        return session

    async def _carry(self, session: Session, nursery: trio.Nursery) -> None:
        reason = await session.run()
        if session is self._leader:
            self._lost = reason
            nursery.cancel_scope.cancel()
        elif not session.retired:
            session.retired = True
            self._runtime.rotation.failed(reason)

    def _advance(self, session: Session) -> None:
        """Something about the subscriptions of a session, or the data a successor keeps, has changed."""
        if session is not self._leader:
            self._runtime.rotation.changed.notify()
            return
        self._runtime.stream_watch.changed.notify()
        if session.is_subscribed and not self._runtime.books.market_desired:
            self._lease.emit(Trigger.DATA_FLOWS, "all streams acknowledged")

    # -- rotation ------------------------------------------------------------------------------------------------------

    async def _rotate_when_due(self, nursery: trio.Nursery) -> None:
        """Replace the leading socket each time it has grown old, or the app asks."""
        rotation = self._runtime.rotation
        while True:
            await self._leader.link.subscribed.wait()
            reason = await rotation.wait_due(self._leader.opened_at)
            await self._until_good()
            await _may_dial(self._runtime)
            logger.info("rotation: {}", reason)
            successor = self._session(LinkStatus(0), f"{self._runtime.prefix}r-{rotation.begun}", leads=False)
            nursery.start_soon(self._carry, successor, nursery)
            if await self._may_lead(successor):
                self._take_over(successor, reason)
            elif not successor.retired:
                successor.retire()
                rotation.failed("the socket in use is in doubt, or the new one speaks of an epoch already left")

    async def _until_good(self) -> None:
        """A socket that has proven nothing yet, or is in doubt, gets no successor: the state machine decides on it."""
        while not self._runtime.link_is_good:
            await self._runtime.became_good.wait()

    async def _may_lead(self, successor: Session) -> bool:
        """Wait until the successor may lead; False: it failed, or the leading socket is not proven good."""
        while not successor.retired:
            if successor.is_subscribed and successor.waiting is not None:
                passed_by = (successor.link.subscribed_at or 0.0) + _PASSED_WITHIN_S
                if self._passed(successor.waiting) or trio.current_time() >= passed_by:
                    return self._runtime.link_is_good and not self._is_of_the_past(successor.waiting)
            else:
                passed_by = float("inf")
            with trio.move_on_at(passed_by):
                await self._runtime.rotation.changed.wait()
        return False

    def _is_of_the_past(self, room: WaitingRoom) -> bool:
        return room.epoch is not None and self._runtime.books.epochs.was_left(room.epoch)

    def _passed(self, room: WaitingRoom) -> bool:
        """Whether nothing lies between what the leading socket has delivered and what the successor will."""
        books = self._runtime.books
        if room.is_full or room.epoch != books.epoch:
            return True
        known = ((books.find(stream.channel, stream.symbol), mark) for stream, mark in room.marks.items())
        return all(mark is None or each is None or (each.ledger.highest_issued or 0) >= mark for each, mark in known)

    def _take_over(self, successor: Session, reason: str) -> None:
        """Synchronous: no frame of either socket is read between the last of the one and the first of the other."""
        runtime, predecessor = self._runtime, self._leader
        link = successor.link
        link.generation = runtime.link.generation + 1
        # An account feed earns its next retry by the age of its subscription, which a rotation does not interrupt.
        link.subscribed_at = predecessor.link.subscribed_at
        runtime.link = link
        runtime.heartbeat.forget()
        runtime.feed.rotate(link.generation)
        self._leader = successor
        predecessor.retire()
        successor.lead()
        runtime.stream_watch.changed.notify()
        runtime.rotation.done()
        self._lease.emit(Trigger.ROTATED, reason)
