"""Every reachable world is visited once: machine, mailbox, books, app, socket and REST; in each the contract holds.

Two facts are looked for: nothing that happens breaks the contract (:mod:`account` says what that is), and from
everywhere a venue that behaves leads back to a feed that is whole. Searches that must find a planted defect show that
they would.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from loguru import logger

from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.feed import LiveFeed
from gapless.controller.rest_entry import enter_page
from gapless.controller.subscription import Subscription
from gapless.controller.verdict import Verdict
from gapless.states import State, Trigger
from tests.exhaustive.account import ViolationError
from tests.exhaustive.plane import Plane, WitnessedLedger
from tests.exhaustive.search import Explored, search
from tests.exhaustive.world import Rules

pytestmark = pytest.mark.torture  # half a minute of a processor
NO_GUARD = 100
"""Ids that a jump may span: more than there are."""


@pytest.fixture(autouse=True)
def silent_log() -> Iterator[None]:
    logger.disable("gapless")
    yield
    logger.disable("gapless")


@contextmanager
def verdicts() -> Iterator[set[Verdict]]:
    """The verdicts of the ledgers meanwhile."""
    seen: set[Verdict] = set()
    WitnessedLedger.verdicts.clear()
    yield seen
    seen.update(WitnessedLedger.verdicts)


def explore(rules: Rules) -> Explored:
    explored = search(rules)
    print(f"{len(explored.worlds):,} worlds, {explored.edges:,} steps")  # noqa: T201
    assert explored.traps == []
    assert {rules.state(world) for world in explored.worlds} == set(State)
    assert {trigger for _, trigger in rules.desks.fired} == set(Trigger)
    return explored


def test_two_epochs_with_data_before_the_mark() -> None:
    with verdicts() as seen:
        explored = explore(Rules(Plane(jump_max=NO_GUARD), ids=2, epochs=2, frames_stray=False))
    assert seen == {Verdict.NEXT, Verdict.JUMPED, Verdict.LATE, Verdict.DUPLICATE}
    assert len(explored.worlds) > 50_000


def test_frames_that_stray_within_a_reorder_window() -> None:
    with verdicts() as seen:
        explore(Rules(Plane(jump_max=NO_GUARD, reorder_window_s=1.0), ids=3, data_precedes_mark=False))
    assert seen == set(Verdict) - {Verdict.SUSPECT}


def test_jumps_too_far_to_be_believed_at_once() -> None:
    with verdicts() as seen:
        explore(Rules(Plane(jump_max=1), ids=3, data_precedes_mark=False))
    assert seen == set(Verdict) - {Verdict.REORDERED}


def test_a_lagging_replica_that_speaks_of_an_epoch_nobody_knew() -> None:
    assert search(Rules(Plane(jump_max=NO_GUARD), ids=1, epochs=2, frames_stray=False, stranger=True)).traps == []


# -- planted defects --------------------------------------------------------------------------------------------------


class ForgetfulFeed(LiveFeed):
    """Forgets its gaps with each new socket."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self.known = books

    def start_generation(self, generation: int) -> None:
        super().start_generation(generation)
        for subscription in self.known.subscriptions:
            subscription.ledger.gaps.clear()


class DeafFeed(LiveFeed):
    """Does not hear what epoch a socket belongs to, once it knows one."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self.known = books

    def welcome(self, epoch: str | None) -> None:
        super().welcome(self.known.epoch or epoch)


class CredulousLedger(WitnessedLedger):
    """Takes whatever comes."""

    __slots__ = ()

    def accept(self, sequence_id: int, prev: int | None = None, *, live: bool = True) -> Verdict:
        verdict = super().accept(sequence_id, prev, live=live)
        return Verdict.REORDERED if verdict is Verdict.DUPLICATE else verdict


def enters_without_a_verdict(books: Books, subscription: Subscription, answer: Answer) -> Entry:
    """Takes the rows, and does not say what REST has no more."""
    rows = answer.page.rows
    if not rows:
        return Entry.ENTERED
    return enter_page(books, subscription, answer) if rows[0].sequence_id == answer.query.start_seq else Entry.STALE


def test_a_gap_forgotten_on_reconnect_is_found() -> None:
    with pytest.raises(ViolationError, match=r"the gaps that are open and those .* differ, after: .*"):
        search(Rules(Plane(jump_max=NO_GUARD, feed=ForgetfulFeed), ids=2))


def test_an_epoch_that_is_ignored_is_found() -> None:
    with pytest.raises(ViolationError, match=r"is delivered as one of e-0, after: .*the venue restarts"):
        search(Rules(Plane(jump_max=NO_GUARD, feed=DeafFeed), ids=2, epochs=2))


def test_a_duplicate_that_is_accepted_is_found() -> None:
    with pytest.raises(ViolationError, match=r"which was delivered or reported lost before, after: .*"):
        search(Rules(Plane(jump_max=NO_GUARD, ledger=CredulousLedger), ids=2))


def test_a_claim_of_resynced_that_is_not_asked_again_is_found() -> None:
    with pytest.raises(ViolationError, match=r"CONNECTED is claimed .* after: .*claim RESYNCED"):
        search(Rules(Plane(jump_max=NO_GUARD), ids=2, rechecks=False))


def test_a_reply_that_is_not_judged_is_found() -> None:
    """What is evicted would be asked for again and again; only a venue that keeps everything leads back."""
    rules = Rules(Plane(jump_max=NO_GUARD), ids=2, frames_stray=False, forgets=True, enter=enters_without_a_verdict)
    assert search(rules).traps != []
