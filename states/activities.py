"""What each state keeps running, and who may emit which trigger.

On a transition the supervisor stops what the new state does not list, waits for it to end, starts what is missing and
leaves the rest untouched. ``RESTART`` marks an activity that is ended and started anew on entry: a new attempt must not
inherit the socket, the PINGs or the timers of the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique

from gapless.states.errors import MalformedTableError
from gapless.states.states import Activity, State, Trigger
from gapless.states.table import TABLE, Effect, Row, TransitionTable


@unique
class Mode(Enum):
    """How a state keeps an activity."""

    KEEP = "keep"
    """Runs; left untouched if it ran before."""
    RESTART = "restart"
    """Runs; ended and started anew on entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityTable:
    """State -> activity -> mode, checked against the transition table it belongs to.

    Raises:
        MalformedTableError: a state is missing, an activity never runs, or what may be emitted in a state is not
            declared there by the transition table.
    """

    cells: Mapping[State, Mapping[Activity, Mode]]
    emits: Mapping[Activity, frozenset[Trigger]]
    transitions: TransitionTable
    leaseless: frozenset[Trigger] = frozenset()
    """What may be posted without a lease: in every state, by whoever observes it."""

    def __post_init__(self) -> None:
        missing = [state.name for state in State if state not in self.cells]
        if missing:
            raise MalformedTableError(f"no activities are declared for {', '.join(missing)}")
        for activity in Activity:
            if all(activity not in self.cells[state] for state in State):
                raise MalformedTableError(f"{activity.name} runs in no state")
        for state, activity in ((state, activity) for state, cell in self.cells.items() for activity in cell):
            for trigger in self.emits.get(activity, frozenset()):
                if self.transitions.find(state, trigger) is None and (activity, state, trigger) not in _NOT_YET:
                    raise MalformedTableError(
                        f"{activity.name} in {state.name} may emit {trigger}, which is undeclared"
                    )
        for state, trigger in ((state, trigger) for state in State for trigger in self.leaseless):
            if self.transitions.find(state, trigger) is None:
                raise MalformedTableError(f"{trigger} may come in any state, and is undeclared in {state.name}")

    def require(self, activity: Activity | None, trigger: Trigger) -> None:
        """Refuse a trigger that this activity (None: nobody with a lease) is not known to emit.

        Raises:
            MalformedTableError: the table does not say so; the search has not seen what the program does.
        """
        known = self.leaseless if activity is None else self.emits.get(activity, frozenset())
        if trigger not in known:
            sender = "without a lease" if activity is None else f"by {activity.name}"
            expected = ", ".join(sorted(known)) or "nothing"
            raise MalformedTableError(f"{trigger} was emitted {sender}; expected there: {expected}")

    def wanted(self, state: State) -> frozenset[Activity]:
        """The activities that run while the controller is in ``state``."""
        return frozenset(self.cells[state])

    def restarted(self, state: State) -> frozenset[Activity]:
        """The activities that are ended and started anew when ``state`` is entered."""
        return frozenset(activity for activity, mode in self.cells[state].items() if mode is Mode.RESTART)

    def plan(self, row: Row, running: frozenset[Activity]) -> "Plan":
        """What to end and what to start, in that order, after ``row`` was taken while ``running`` ran."""
        if row.effect is not Effect.MOVES:
            return Plan(stop=frozenset(), start=frozenset())
        wanted = self.wanted(row.target)
        stop = (running - wanted) | (running & self.restarted(row.target))
        return Plan(stop=stop, start=wanted - (running - stop))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The way from what runs to what a state wants. ``stop`` has ended before ``start`` begins."""

    stop: frozenset[Activity]
    start: frozenset[Activity]


# A link rotates only after its data flowed, and DATA_FLOWS left the mailbox first: it cannot be in RECONNECTING then.
_NOT_YET = frozenset({(Activity.LINK, State.RECONNECTING, Trigger.ROTATED)})

EMITS: Mapping[Activity, frozenset[Trigger]] = {
    Activity.LINK: frozenset({Trigger.DATA_FLOWS, Trigger.LINK_LOST, Trigger.ROTATED}),
    Activity.HEARTBEAT: frozenset({Trigger.PONG_OVERDUE}),
    Activity.IDLE_WATCH: frozenset({Trigger.IDLE, Trigger.RECONNECT_REQUESTED}),
    # Its PING may find the send buffer full until the time-out, which is an overdue PONG like any other.
    Activity.SILENCE_VERIFIER: frozenset({Trigger.MARKET_QUIET, Trigger.SILENCE_CONFIRMED, Trigger.PONG_OVERDUE}),
    Activity.FETCH_LOOP: frozenset(),
    Activity.RECONCILER: frozenset({Trigger.RESYNCED}),
    Activity.BACKOFF: frozenset({Trigger.RETRY_DUE}),
}
"""What each activity may emit under its lease."""

LEASELESS: frozenset[Trigger] = frozenset({Trigger.GAP_FOUND, Trigger.RECONNECT_REQUESTED})
"""What comes without a lease. ``GAP_FOUND`` is the ledger's, whoever fed it: a socket, a REST reply, the app that
subscribes. ``RECONNECT_REQUESTED`` is the app's own and a wake's, besides the idle watch's."""

ACTIVITIES = ActivityTable(
    transitions=TABLE,
    emits=EMITS,
    leaseless=LEASELESS,
    cells={
        State.RECONNECTING: {
            Activity.LINK: Mode.RESTART,
            Activity.HEARTBEAT: Mode.RESTART,
            Activity.IDLE_WATCH: Mode.RESTART,
            Activity.FETCH_LOOP: Mode.KEEP,
        },
        State.RESYNCING: {
            Activity.LINK: Mode.KEEP,
            Activity.HEARTBEAT: Mode.KEEP,
            Activity.IDLE_WATCH: Mode.KEEP,
            Activity.RECONCILER: Mode.KEEP,
        },
        State.CONNECTED: {
            Activity.LINK: Mode.KEEP,
            Activity.HEARTBEAT: Mode.KEEP,
            Activity.IDLE_WATCH: Mode.KEEP,
        },
        State.SILENT: {
            Activity.LINK: Mode.KEEP,
            Activity.HEARTBEAT: Mode.KEEP,
            Activity.SILENCE_VERIFIER: Mode.KEEP,
            Activity.FETCH_LOOP: Mode.KEEP,
        },
        State.REST_FALLBACK: {
            Activity.FETCH_LOOP: Mode.KEEP,
            Activity.BACKOFF: Mode.KEEP,
        },
    },
)
