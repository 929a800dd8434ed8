"""A repeatable event: tell whoever waits that something changed."""

import trio


class Signal:
    """Wakes everyone who waits now, and remembers nothing.

    Look at the world first, then wait, with no await between the two. Costs nothing while nobody waits.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: trio.Event | None = None

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
