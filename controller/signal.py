"""Repeatable events: tell whoever waits that something changed."""

import trio


class Signal:
    """Wakes everyone who waits now, and remembers nothing.

    Look at the world first, then wait, with no await between the two. Costs nothing while nobody waits.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: trio.Event | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits, or has waited since the last :meth:`notify`."""
        return self._event is not None

    def notify(self) -> None:
        """Wake all waiters."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next :meth:`notify`."""
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()


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
