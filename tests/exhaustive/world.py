"""A small world round the data plane: the machine, a venue, one socket, one REST request in flight.

The venue issues ids 1..N of one stream in each of its epochs. Its socket loses, repeats or swaps frames and dies; its
REST answers whole, short, with a hole, evicted, stale, of another epoch, or not at all. A step that no healthy venue
would take is marked a fault.
"""

from collections.abc import Iterator
from typing import NamedTuple

from gapless.controller.epochs import VOTES
from gapless.controller.rest_entry import enter_page
from gapless.controller.subscription import Asked
from gapless.states import ACTIVITIES, TABLE, Activity, State
from tests.exhaustive.account import NOTHING_YET, Account, ViolationError
from tests.exhaustive.desk import DATA_FLOWS, GAP_FOUND, LINK_LOST, ROTATED, Claim, Desks
from tests.exhaustive.operations import (
    EPOCHS,
    Acknowledged,
    Begun,
    Closed,
    EnterPage,
    Examined,
    Reply,
    Rotated,
    Settled,
    Shown,
    Welcomed,
)
from tests.exhaustive.plane import Operation, Plane, View
from tests.exhaustive.venue import HEALTHY, Wire, current, forgotten, of_the_old_epoch, ways

_GOOD = frozenset({State.RESYNCING, State.CONNECTED})


class Request(NamedTuple):
    """On its way to REST, under the lease of whoever sent it."""

    mends: bool
    """Sent by the reconciler, not by the fetch loop."""
    start: int | None
    end: int | None
    asked: int


class World(NamedTuple):
    """Everything there is. Machine, and books with what the app was told, are numbers: they are hashed often."""

    desk: int
    told: int
    epoch: int
    issued: int
    wire: Wire | None = None
    request: Request | None = None


class Step(NamedTuple):
    """What may happen next, and whether it takes an unhealthy venue."""

    name: str
    world: World
    fault: bool = False


class Result(NamedTuple):
    """What the data plane made of something."""

    told: int
    claims: tuple[Claim, ...]
    refused: bool


class Rules:
    """What can happen, and what must hold whenever it has.

    Args:
        ids: the venue issues 1..ids in each epoch.
        epochs: 1, or 2 where the venue may restart.
        data_precedes_mark: whether frames, or rows of REST, may come before the first SUBSCRIBED. A guard against far
            jumps that is as narrow as the world is, would take what came first for corrupt.
        frames_stray: whether frames come twice or overtake each other; without that, one frame on the wire is enough.
        stranger: whether REST may speak of an old epoch that the books have never heard of.
        forgets: whether REST keeps the newest id alone, and says so.
        rechecks: whether RESYNCED is asked, when it is fired, whether it still holds.
        enter: how a reply is entered.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        ids: int,
        epochs: int = 1,
        data_precedes_mark: bool = True,
        frames_stray: bool = True,
        stranger: bool = False,
        forgets: bool = False,
        rechecks: bool = True,
        enter: EnterPage = enter_page,
    ) -> None:
        self._plane = plane
        self._ids = ids
        self._epochs = epochs
        self._data_precedes_mark = data_precedes_mark
        self._frames_stray = frames_stray
        self._stranger = stranger
        self._forgets = forgets
        self._enter = enter
        self.desks = Desks(rechecks=rechecks)
        self._told: list[tuple[int, Account]] = []
        self._told_numbers: dict[tuple[int, Account], int] = {}
        self._asked: list[Asked] = []
        self._results: dict[tuple[object, ...], Result] = {}

    def start(self) -> World:
        told = self._number((self._plane.begin(), NOTHING_YET))
        return self._after(World(self.desks.number(TABLE.initial), told, 0, 0), Begun())

    def state(self, world: World) -> State:
        return self.desks[world.desk].state

    def view(self, world: World) -> View:
        return self._plane.views[self._told[world.told][0]]

    def is_whole(self, world: World) -> bool:
        """CONNECTED, and the app has been told of everything there is."""
        view = self.view(world)
        return (
            self.state(world) is State.CONNECTED
            and world.wire is not None
            and view.epoch == EPOCHS[world.epoch]
            and view.whole
            and not view.tentative
            and view.next_id == world.issued + 1
        )

    def steps(self, world: World) -> Iterator[Step]:
        """Everything that can happen in a world."""
        desk, view = self.desks[world.desk], self.view(world)
        running = ACTIVITIES.cells[desk.state]
        if desk.mailbox:
            yield Step("dispatch", self._dispatched(world, view))
        else:
            subscribed = world.wire is not None and world.wire.mark is None
            for name, number in self.desks.claimed(world.desk, subscribed=subscribed, whole=view.whole):
                yield Step(name, World(number, *world[1:]))
        if Activity.LINK in running:
            if world.wire is not None:
                yield from self._of_the_socket(world, world.wire)
            elif LINK_LOST not in desk.mailbox:
                yield Step("dial", self._dialled(world, world.epoch))
                yield Step("refused", self._lost(world), fault=True)
                if world.epoch and view.left_first_epoch and view.votes + 1 < VOTES:
                    # Replicas lag, but not three in a row.
                    yield Step("an epoch already left", self._dialled(world, 0), fault=True)
        yield from self._of_the_venue(world)
        if world.request is not None:
            yield from self._of_rest(world, world.request)
        elif Activity.FETCH_LOOP in running or (Activity.RECONCILER in running and view.answered and view.has_gap):
            yield from self._to_rest(world, view, mends=Activity.RECONCILER in running)

    def _dispatched(self, world: World, view: View) -> World:
        desk, row, stopped = self.desks.dispatched(world.desk, whole=view.whole)
        world = world._replace(desk=desk)
        if row is None or row.source is row.target:
            return world
        if row.target is State.CONNECTED and not view.whole:
            raise ViolationError("CONNECTED is claimed while something is known to be missing")
        if world.request is not None and _sender(world.request) in stopped:
            world = world._replace(request=None)
        if row.target is State.RECONNECTING:
            world = self._after(world, Begun())
        elif row.target is State.SILENT:
            world = self._after(world, Examined())
        if Activity.LINK in stopped and world.wire is not None:
            world = self._after(world._replace(wire=None), Closed())
        return world

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _of_the_socket(self, world: World, wire: Wire) -> Iterator[Step]:
        if wire.mark is not None:
            after = world._replace(wire=Wire(None, wire.frames))
            yield Step("SUBSCRIBED", self._after(after, Acknowledged(wire.mark)))
        if wire.frames and (wire.mark is None or self._data_precedes_mark):
            number = wire.frames[0]
            after = world._replace(desk=self.desks.data_came(world.desk), wire=Wire(wire.mark, wire.frames[1:]))
            yield Step(f"frame {number}", self._after(after, Shown(number, world.epoch)))
        if self.view(world).tentative:
            yield Step("overdue", self._after(world, Settled()))
        yield Step("the socket dies", self._lost(world), fault=True)
        desk = self.desks[world.desk]
        if wire.mark is None and desk.state in _GOOD and ROTATED not in desk.mailbox:
            after = world._replace(desk=self.desks.posted(world.desk, ROTATED), wire=Wire(None))
            yield Step("rotation", self._after(after, Rotated(world.epoch, world.issued)))

    def _dialled(self, world: World, epoch: int) -> World:
        after = self._after(world._replace(wire=Wire(mark=world.issued)), Welcomed(epoch))
        if self._results[world.told, Welcomed(epoch)].refused:
            return self._lost(after)
        if epoch != world.epoch:
            raise ViolationError("a socket of an epoch already left is let in")
        return after

    def _lost(self, world: World) -> World:
        """The socket is gone; the link says so, and nothing of it arrives any more."""
        after = self._after(world._replace(wire=None), Closed())
        return after._replace(desk=self.desks.posted(after.desk, LINK_LOST))

    # -- the venue -----------------------------------------------------------------------------------------------------

    def _of_the_venue(self, world: World) -> Iterator[Step]:
        wire = world.wire
        if world.issued < self._ids:
            number = world.issued + 1
            after = world._replace(issued=number)
            if wire is None:
                yield Step(f"issue {number}", after)
            else:
                yield Step(f"{number} is dropped", after, fault=True)
                for name, sent, fault in ways(wire, number, stray=self._frames_stray):
                    yield Step(name, after._replace(wire=sent), fault)
        if world.epoch + 1 < self._epochs:
            after = world._replace(epoch=world.epoch + 1, issued=0)
            yield Step("the venue restarts", after if wire is None else self._lost(after), fault=True)

    # -- REST ----------------------------------------------------------------------------------------------------------

    def _to_rest(self, world: World, view: View, *, mends: bool) -> Iterator[Step]:
        start, end = view.next_id, None
        if start is None and not self._data_precedes_mark:
            return
        if view.gaps:
            start, end = view.gaps[0][0], view.gaps[-1][1]
        elif not view.has_gap and view.next_id == world.issued + 1 and view.epoch == EPOCHS[world.epoch]:
            # A poll that has nothing to tell.
            return
        if view.asked not in self._asked:
            self._asked.append(view.asked)
        request = Request(mends, start, end, self._asked.index(view.asked))
        yield Step("REST is asked", world._replace(request=request))

    def _of_rest(self, world: World, request: Request) -> Iterator[Step]:
        after = world._replace(request=None)
        yield Step("REST fails", after, fault=True)
        replies = list(current(world.epoch, world.issued, request.start, request.end))
        if self._forgets:
            replies = [forgotten(world.epoch, world.issued, request.start)]
        if world.epoch and (self._stranger or self.view(world).knows_first_epoch):
            replies.append(of_the_old_epoch(self._ids, request.start))
        for name, epoch, first, last, ids in replies:
            asked = self._asked[request.asked]
            # Numbers tell one question from another: its state of the books is hashed only where the answer is new.
            what = ("reply", request[1:], epoch, first, last, ids)
            told = self._after(after, Reply(self._enter, *request[1:3], asked, epoch, first, last, ids), what)
            yield Step(f"REST answers {name}", told, fault=name not in HEALTHY)

    # -- the data plane ------------------------------------------------------------------------------------------------

    def _after(self, world: World, operation: Operation, what: object = None) -> World:
        """The data plane does something: what it says is entered in the account, what it found goes to the mailbox."""
        what = what or operation
        key = (world.told, what)
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = self._happens(world.told, operation, what)
        desk = world.desk
        for claim in result.claims:
            desk = self.desks.posted(desk, claim)
        return World(desk, result.told, *world[2:])

    def _happens(self, told: int, operation: Operation, what: object) -> Result:
        books, account = self._told[told]
        outcome = self._plane.apply(books, operation, what)
        for event in outcome.events:
            account = account.heard(event)
        if isinstance(operation, Acknowledged):
            account = account.acknowledged(operation.mark)
        account.must_agree_with(self._plane.views[outcome.books])
        claims = ((DATA_FLOWS,) if outcome.data_flows else ()) + ((GAP_FOUND,) if outcome.gap_found else ())
        return Result(self._number((outcome.books, account)), claims, outcome.refused)

    def _number(self, told: tuple[int, Account]) -> int:
        number = self._told_numbers.setdefault(told, len(self._told))
        if number == len(self._told):
            self._told.append(told)
        return number


def _sender(request: Request) -> Activity:
    return Activity.RECONCILER if request.mends else Activity.FETCH_LOOP
