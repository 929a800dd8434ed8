"""One dispatcher, one mailbox, one nursery: what runs agrees with the state.

An activity observes something and emits a trigger stamped with its *lease*. The dispatcher takes one claim at a time:

1. what a revoked lease sent is dropped;
2. a claim that is no longer true is dropped;
3. the machine is fired, synchronously, and the transition is made known, without awaiting;
4. the nursery converges on the table: what is no longer wanted is cancelled, its end is awaited, what is missing
starts.

Activities never fire or converge themselves. An exception that escapes an activity is a defect: it ends the run.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

import trio
from loguru import logger

from gapless.controller.signal import Signal
from gapless.states import ACTIVITIES, Activity, ActivityTable, Effect, Row, State, StateMachine, Trigger


def _always_true() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """A trigger on its way to the machine, and whether it still holds is asked when it gets there."""

    trigger: Trigger
    reason: str
    lease: "Lease | None" = None
    still_true: Callable[[], bool] = _always_true
    unverified: bool = False


class Lease:
    """One activity's permission to act, from its start until it is revoked."""

    __slots__ = ("_supervisor", "activity", "live", "over", "scope")

    def __init__(self, supervisor: "Supervisor", activity: Activity) -> None:
        self._supervisor = supervisor
        self.activity = activity
        self.live = True
        self.over = False
        """Whether the activity has ended, too: after it was revoked, or by itself."""
        self.scope = trio.CancelScope()

    def emit(
        self,
        trigger: Trigger,
        reason: str,
        *,
        still_true: Callable[[], bool] = _always_true,
        unverified: bool = False,
    ) -> None:
        """Put a claim in the mailbox; a revoked lease's claim goes nowhere.

        Raises:
            MalformedTableError: the activity table does not say that this activity may emit it.
        """
        if self.live:
            self._supervisor.post(
                Claim(trigger=trigger, reason=reason, lease=self, still_true=still_true, unverified=unverified)
            )


Runner = Callable[[Lease], Awaitable[None]]


class Supervisor:
    """Runs the activities of one controller.

    Args:
        run: runs the activity of a lease.
        on_transition: told of every row taken, before the nursery converges; must not await.
    """

    def __init__(
        self,
        *,
        run: Runner,
        on_transition: Callable[[Row, Claim], None],
        activities: ActivityTable = ACTIVITIES,
    ) -> None:
        self._run = run
        self._on_transition = on_transition
        self._activities = activities
        self._machine: Final = StateMachine()
        self.rows_taken: Final[Counter[tuple[State, Trigger]]] = Counter()
        """How often each row of the table was taken."""
        self._leases: dict[Activity, Lease] = {}
        # Keyed by trigger and lease: what is already claimed need not be claimed twice, so the mailbox is bounded.
        self._mailbox: dict[tuple[Trigger, Lease | None], Claim] = {}
        self._arrived = Signal()
        self._ended = Signal()

    @property
    def state(self) -> State:
        """Where the machine is."""
        return self._machine.state

    @property
    def running(self) -> frozenset[Activity]:
        """The activities that hold a lease."""
        return frozenset(self._leases)

    def post(self, claim: Claim) -> None:
        """Put a claim in the mailbox, unless the same claim waits there already.

        Raises:
            MalformedTableError: the activity table does not know it from there; the search has not seen it.
        """
        self._activities.require(None if claim.lease is None else claim.lease.activity, claim.trigger)
        self._mailbox.setdefault((claim.trigger, claim.lease), claim)
        self._arrived.notify()

    async def run(self, nursery: trio.Nursery) -> NoReturn:
        """Run for ever, the activities in ``nursery``; ends by cancellation or by an exception, and that with it."""
        for activity in _in_order(self._activities.wanted(self.state)):
            self._start(nursery, activity)
        while True:
            claim = await self._next_claim()
            if claim.lease is not None and not claim.lease.live:
                continue
            if not claim.still_true():
                logger.debug("{} is no longer true: {}", claim.trigger, claim.reason)
                continue
            await self._take(claim, nursery)

    async def _next_claim(self) -> Claim:
        while not self._mailbox:
            await self._arrived.wait()
        return self._mailbox.pop(next(iter(self._mailbox)))

    async def _take(self, claim: Claim, nursery: trio.Nursery) -> None:
        row = self._machine.fire(claim.trigger)
        self.rows_taken[row.source, row.trigger] += 1
        plan = self._activities.plan(row, self.running)
        revoked = [self._leases.pop(activity) for activity in _in_order(plan.stop)]
        for lease in revoked:
            lease.live = False
            lease.scope.cancel()
        if row.effect is not Effect.TOLERATED:
            self._on_transition(row, claim)
        while not all(lease.over for lease in revoked):
            await self._ended.wait()
        for activity in _in_order(plan.start):
            self._start(nursery, activity)

    def _start(self, nursery: trio.Nursery, activity: Activity) -> None:
        lease = Lease(self, activity)
        self._leases[activity] = lease
        nursery.start_soon(self._hold, lease, name=f"gapless.{activity.name}")

    async def _hold(self, lease: Lease) -> None:
        try:
            with lease.scope:
                await self._run(lease)
        finally:
            lease.over = True
            self._ended.notify()


def _in_order(activities: Iterable[Activity]) -> list[Activity]:
    """Always the same order: that of a set differs from process to process, and a run must be repeatable."""
    return sorted(activities, key=lambda each: each.name)
