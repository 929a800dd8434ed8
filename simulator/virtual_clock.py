"""A clock for worlds without any real I/O: time passes only when nobody has anything to do.

:class:`trio.testing.MockClock` reaches the same by asking the run for its statistics before each jump; here the
question "how long may I sleep until this deadline?", which trio asks only when no task is runnable, is the sign to
jump. What that costs: :func:`trio.testing.wait_all_tasks_blocked` has no moment of its own and waits until no deadline
is left; a thread or a real socket would be overtaken. A world has neither.
"""

from math import inf

import trio

from gapless.simulator.agenda import Agenda

START_S = 1_767_225_600.0
"""What the wall clock of a world shows when it begins: 2026-01-01T00:00:00Z."""

_IDLE_LOOKS_MAX = 10_000
"""Looks at nothing but trio's own sockets before a world is called dead; about a tenth of a real second."""


class DeadlockError(Exception):
    """A world has come to a standstill: a defect in a test. Raised inside trio, which wraps it."""


class VirtualClock(trio.abc.Clock):
    """Monotonic seconds from 0, and two clocks beside it that a fault may set: the wall clock and the boot clock.

    It keeps the agenda of a virtual network, too: what arrives then arrives without a task that would have to wake up.
    """

    def __init__(self) -> None:
        self._agenda = Agenda()
        self._now = 0.0
        self._wall_offset_s = START_S
        self._slept_s = 0.0
        self._idle_looks = 0

    def start_clock(self) -> None:
        """Nothing is to be started."""

    def current_time(self) -> float:
        """Monotonic seconds."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump to the deadline instead of sleeping; if something is on the agenda before it, only so far."""
        due_at = self._agenda.due_at
        if due_at <= deadline and due_at < inf:
            self._now = max(self._now, due_at)
            self._agenda.run_due(self._now)
            return 0.0
        if deadline == inf:
            # trio's own housekeeping wakes itself through a socket when a run begins and ends.
            self._idle_looks += 1
            if self._idle_looks > _IDLE_LOOKS_MAX:
                raise DeadlockError("every task waits for another one, and no deadline will ever wake any of them")
            return 0.0
        self._idle_looks = 0
        self._now = max(self._now, deadline)
        return 0.0

    def keep(self, agenda: Agenda) -> None:
        """Let what is on this agenda happen when it is due, from now on; it replaces the one before."""
        self._agenda = agenda

    # -- faults --------------------------------------------------------------------------------------------------------

    def jump(self, seconds: float) -> None:
        """The whole process was stopped for so long: every timer that was due meanwhile comes late, all at once."""
        if not 0.0 <= seconds < inf:
            raise ValueError(f"a process is stopped for 0 seconds or more, not for {seconds}")
        self._now += seconds

    def sleep_machine(self, seconds: float) -> None:
        """The machine slept: the boot clock went on, the monotonic clock did not."""
        self._slept_s += seconds

    def set_wall(self, seconds: float) -> None:
        """Somebody set the wall clock forward, or back."""
        self._wall_offset_s += seconds

    # -- the clocks beside it ------------------------------------------------------------------------------------------

    def wall(self) -> float:
        """Unix seconds, as the client's machine shows them."""
        return self._now + self._slept_s + self._wall_offset_s

    def true_wall(self) -> float:
        """Unix seconds that nobody sets: the exchange's clock."""
        return self._now + self._slept_s + START_S

    def boot(self) -> float:
        """Seconds since boot, sleep included."""
        return self._now + self._slept_s
