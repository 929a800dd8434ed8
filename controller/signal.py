"""Repeatable events: tell whoever waits that something changed."""

from functools import partial

import trio


class Signal:
    """Wakes everyone who waits now, and remembers nothing.

    Look at the world first, then wait, with no await between the two. Costs nothing while nobody waits, and little for
    each who does: an idle controller is mostly tasks that wait for one.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[trio.lowlevel.Task] | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def notify(self) -> None:
        """Wake all waiters."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            for each in waiting:
                trio.lowlevel.reschedule(each)

    async def wait(self) -> None:
        """Wait for the next :meth:`notify`."""
        task = trio.lowlevel.current_task()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(task)
        await trio.lowlevel.wait_task_rescheduled(partial(self._give_up, task))

    def _give_up(self, task: trio.lowlevel.Task, _raise_cancel: object) -> trio.lowlevel.Abort:
        if self._waiting is not None:
            self._waiting.remove(task)
        return trio.lowlevel.Abort.SUCCEEDED


class Wakeup:
    """Wakes the one task that waits, if one does, and remembers nothing: a :class:`Signal` for the hot path.

    Parks the task itself instead of making an event for each wait: half the price.
    """

    __slots__ = ("_sleeper",)

    def __init__(self) -> None:
        self._sleeper: trio.lowlevel.Task | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits."""
        return self._sleeper is not None

    def notify(self) -> None:
        """Wake the waiter."""
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            trio.lowlevel.reschedule(sleeper)

    async def wait(self) -> None:
        """Wait for the next :meth:`notify`.

        Raises:
            trio.BusyResourceError: another task waits already.
        """
        if self._sleeper is not None:
            raise trio.BusyResourceError("another task waits already")
        self._sleeper = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED
