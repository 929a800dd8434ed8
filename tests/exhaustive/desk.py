"""The machine and its mailbox: the real tables under the supervisor's rules, worked out once and remembered.

One claim at a time, oldest first; what a revoked lease sent is gone; a claim is asked whether it still holds; the same
claim waits once. Claims that follow from data are made in the same step, and wait while other things happen.

Two reductions lose nothing. A claim that follows from the time alone (IDLE, PONG_OVERDUE, a verdict, the app's wish)
can be made at any time; made behind others, it has the effect it would have if it were made when they have been
dispatched, or none if its lease is revoked by them: so it is made only when the mailbox is empty. And a claim that will
find a tolerating row, since nothing before it in the mailbox leads elsewhere, is taken at once.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from gapless.states import ACTIVITIES, TABLE, Activity, Effect, Row, State, Trigger


class Claim(NamedTuple):
    trigger: Trigger
    sender: Activity | None


DATA_FLOWS = Claim(Trigger.DATA_FLOWS, Activity.LINK)
LINK_LOST = Claim(Trigger.LINK_LOST, Activity.LINK)
ROTATED = Claim(Trigger.ROTATED, Activity.LINK)
GAP_FOUND = Claim(Trigger.GAP_FOUND, None)


class Desk(NamedTuple):
    """The machine and its mailbox."""

    state: State
    mailbox: tuple[Claim, ...]


class Dispatched(NamedTuple):
    """What became of the oldest claim."""

    desk: int
    row: Row | None
    """None: the claim no longer held."""
    stopped: frozenset[Activity]


class Desks:
    """All desks that were met, by number.

    Args:
        rechecks: whether RESYNCED is asked, when it is fired, whether it still holds.
    """

    def __init__(self, *, rechecks: bool = True) -> None:
        self._rechecks = rechecks
        self._desks: list[Desk] = []
        self._numbers: dict[Desk, int] = {}
        self.fired: set[tuple[State, Trigger]] = set()
        """What was fired: state and trigger."""
        # Asked millions of times about a few hundred desks.
        self.posted = cache(self._posted)
        self.dispatched = cache(self._dispatched)
        self.claimed = cache(self._claimed)
        self.data_came = cache(self._data_came)

    def __getitem__(self, number: int) -> Desk:
        return self._desks[number]

    def number(self, state: State, mailbox: tuple[Claim, ...] = ()) -> int:
        """The number of a desk."""
        desk = Desk(state, mailbox)
        number = self._numbers.setdefault(desk, len(self._desks))
        if number == len(self._desks):
            self._desks.append(desk)
        return number

    def _posted(self, number: int, claim: Claim) -> int:
        """A claim is put in the mailbox."""
        desk = self._desks[number]
        if claim in desk.mailbox or (claim is GAP_FOUND and self._tolerates(desk, claim)):
            return number
        return self.number(desk.state, (*desk.mailbox, claim))

    def _data_came(self, number: int) -> int:
        """A claim of IDLE is not true any more when its turn comes."""
        desk = self._desks[number]
        return self.number(desk.state, tuple(each for each in desk.mailbox if each.trigger is not Trigger.IDLE))

    def _tolerates(self, desk: Desk, claim: Claim) -> bool:
        """Whether this claim is without effect whenever its turn comes: only RESYNCED leads to CONNECTED."""
        if any(each.trigger is Trigger.RESYNCED for each in desk.mailbox):
            return False
        if TABLE.row(desk.state, claim.trigger).effect is not Effect.TOLERATED:
            return False
        self.fired.add((desk.state, claim.trigger))
        return True

    def _claimed(self, number: int, *, subscribed: bool, whole: bool) -> list[tuple[str, int]]:
        """The desks with a claim more for which the time, or somebody's wish, is reason enough."""
        desk = self._desks[number]
        return [
            (f"claim {claim.trigger}", self.number(desk.state, (claim,)))
            for claim in _claims(desk.state, subscribed=subscribed, whole=whole)
            if not self._tolerates(desk, claim)
        ]

    def _dispatched(self, number: int, *, whole: bool) -> Dispatched:
        """The oldest claim is taken: dropped, or fired."""
        state, mailbox = self._desks[number]
        claim, rest = mailbox[0], mailbox[1:]
        no_longer_true = whole if claim is GAP_FOUND else claim.trigger is Trigger.RESYNCED and not whole
        if no_longer_true and (claim is GAP_FOUND or self._rechecks):
            return Dispatched(self.number(state, rest), None, frozenset())
        row = TABLE.row(state, claim.trigger)
        self.fired.add((state, claim.trigger))
        plan = ACTIVITIES.plan(row, ACTIVITIES.wanted(state))
        kept = tuple(each for each in rest if each.sender not in plan.stop)
        return Dispatched(self.number(row.target, kept), row, plan.stop)


def _claims(state: State, *, subscribed: bool, whole: bool) -> Iterator[Claim]:
    running = ACTIVITIES.wanted(state)
    yield Claim(Trigger.RECONNECT_REQUESTED, None)
    if Activity.HEARTBEAT in running:
        yield Claim(Trigger.PONG_OVERDUE, Activity.HEARTBEAT)
    if Activity.BACKOFF in running:
        yield Claim(Trigger.RETRY_DUE, Activity.BACKOFF)
    if Activity.IDLE_WATCH in running and subscribed:
        yield Claim(Trigger.IDLE, Activity.IDLE_WATCH)
    if Activity.SILENCE_VERIFIER in running:
        yield Claim(Trigger.MARKET_QUIET, Activity.SILENCE_VERIFIER)
        yield Claim(Trigger.SILENCE_CONFIRMED, Activity.SILENCE_VERIFIER)
    if Activity.RECONCILER in running and whole:
        yield Claim(Trigger.RESYNCED, Activity.RECONCILER)
