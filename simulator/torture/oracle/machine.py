"""The state machine seen from outside: legal steps, one owner, what runs, who acts."""

from collections.abc import Iterator
from typing import ClassVar, Final

import trio

from gapless.controller import AnyEvent, MarketData, NetworkConfig, Source, State, StateChanged, Trigger
from gapless.simulator.torture.observer import Watch
from gapless.states import ACTIVITIES, TABLE, Effect

_TASK_PREFIX: Final = "gapless."


class LegalSteps(Watch):
    """Every transition follows the one before and is a row of the table; each says why, and how long it waits."""

    promise: ClassVar[str] = "every transition is a row of the table and says why"

    def __init__(self) -> None:
        super().__init__()
        self._state = TABLE.initial

    def transition(self, now: float, event: StateChanged) -> None:
        """Compare with the table."""
        step = f"{event.before.name} -> {event.after.name} by {event.trigger}"
        if event.before is not self._state:
            self.broken(now, f"{step} came while the state was {self._state.name}")
        row = TABLE.find(event.before, event.trigger)
        if row is None or row.target is not event.after or row.effect is Effect.TOLERATED:
            self.broken(now, f"{step} is not in the table")
        if not event.reason:
            self.broken(now, f"{step} gave no reason")
        self._state = event.after


class RunsAsStated(Watch):
    """A moment after each transition, the tasks that trio runs are those that the table wants."""

    promise: ClassVar[str] = "what runs agrees with the state"

    def __init__(self, tasks_max: int) -> None:
        super().__init__()
        self._state = TABLE.initial
        self._tasks_max = tasks_max
        self._excused_until = 0.0

    def transition(self, now: float, event: StateChanged) -> None:  # noqa: ARG002
        """Remember what should run."""
        self._state = event.after

    def excused(self, until: float) -> None:
        """After a stop everything that was due happens in one instant, in no order."""
        self._excused_until = until

    def settled(self, now: float) -> None:
        """Compare what runs with the table."""
        if now < self._excused_until:
            return
        names = [task.name.removeprefix(_TASK_PREFIX) for task in running_tasks() if task.name.startswith(_TASK_PREFIX)]
        running = sorted(name for name in names if name.isupper())
        wanted = sorted(activity.name for activity in ACTIVITIES.wanted(self._state))
        if running != wanted:
            self.broken(now, f"{self._state.name} wants {wanted}, running are {running}")
        count = sum(1 for name in names if not name.startswith("simulator."))
        if count > self._tasks_max:
            self.broken(now, f"{count} tasks of the controller run; never more than {self._tasks_max} should")


def running_tasks() -> Iterator[trio.lowlevel.Task]:
    """Every task of the run."""
    root = trio.lowlevel.current_root_task()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)


class OneOwner(Watch):
    """One socket at a time; two while a successor is taking over. None while the state says that there is none."""

    promise: ClassVar[str] = "one connection owner"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._open = 0
        self._two_since: float | None = None
        # The longest a rotation takes: an attempt, a second for the marks, and closing.
        self._handover_s = config.attempt_timeout + 2.0
        self._state = TABLE.initial

    def opened(self, now: float) -> None:
        """Count it."""
        self._open += 1
        if self._open > 2:
            self.broken(now, f"{self._open} sockets are open")
        elif self._open == 2:
            self._two_since = now
            if self._state not in {State.CONNECTED, State.RESYNCING, State.SILENT}:
                self.broken(now, f"a second socket was opened in {self._state.name}")

    def closed(self, now: float) -> None:
        """Count it, and see how long there were two."""
        self._open -= 1
        if self._open < 2 and self._two_since is not None:
            if now - self._two_since > self._handover_s:
                self.broken(now, f"two sockets were open for {now - self._two_since:.1f} s")
            self._two_since = None

    def transition(self, now: float, event: StateChanged) -> None:  # noqa: ARG002
        """Follow the state."""
        self._state = event.after

    def settled(self, now: float) -> None:
        """A state without a link has no socket."""
        if self._state is State.REST_FALLBACK and self._open:
            self.broken(now, f"{self._open} sockets are open in REST_FALLBACK")

    def ended(self, now: float) -> None:
        """Nothing is left."""
        if self._open:
            self.broken(now, f"{self._open} sockets were left open")


class NothingOfTheDead(Watch):
    """Live data belongs to the generation that was announced last; the dead say nothing.

    With ``ordering="sequence"`` what a generation said may be handed over when it is long dead; then only the
    transitions are looked at.
    """

    promise: ClassVar[str] = "nothing of a dead generation acts"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._in_turn = config.ordering == "arrival"
        self._generation = 1
        self._overtaking = ""
        """What spoke of a successor before ROTATED was announced."""

    def received(self, now: float, event: AnyEvent) -> None:
        """Events come in order: a datum lies behind the transition that began its generation."""
        if isinstance(event, StateChanged):
            if event.generation < self._generation:
                self.broken(now, f"{event.trigger} speaks of generation {event.generation} after {self._generation}")
            self._follow(now, event)
        elif isinstance(event, MarketData) and event.source is Source.LIVE and self._is_of_the_dead(event.generation):
            self.broken(
                now,
                f"{event.symbol} {event.sequence_id} is live data of generation {event.generation} "
                f"in generation {self._generation}",
            )

    def _follow(self, now: float, event: StateChanged) -> None:
        """A generation begins with RECONNECTING or ROTATED.

        ROTATED is claimed when the successor leads already: what overtakes it in the mailbox speaks of the successor,
        and then ROTATED is the next that is announced, unless the link was given up meanwhile.
        """
        begins = event.after is State.RECONNECTING or event.trigger is Trigger.ROTATED
        if self._overtaking and not (begins or event.after is State.REST_FALLBACK):
            self.broken(now, f"{self._overtaking}, and {event.trigger} came next")
        self._overtaking = ""
        ahead = event.generation - self._generation
        if ahead > (2 if event.after is State.RECONNECTING else 1):
            self.broken(now, f"{event.trigger} began generation {event.generation} after {self._generation}")
        elif ahead > 0 and not begins and event.after is not State.REST_FALLBACK:
            self._overtaking = f"{event.trigger} began generation {event.generation} after {self._generation}"
        self._generation = event.generation

    def _is_of_the_dead(self, generation: int) -> bool:
        # ROTATED is announced a moment after the successor's first data.
        return self._in_turn and generation not in {self._generation, self._generation + 1}
