"""The one background thread of a process: a trio run that holds every feed of every event loop.

It starts with the first feed. It ends when there is none, as soon as no host's limiter has anything to remember: to
close one feed and open another must not forget a ``Retry-After``. One lock guards who is in; it is never held while
anything is waited for.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Final, Protocol

import trio

from gapless.controller.host_limiters import anything_remembered
from gapless.controller.signal import Signal

NAME: Final = "gapless"
"""The thread's, for who looks at a list of threads."""
_LOOK_S: Final = 1.0
"""Seconds between two looks for event loops that were closed, and limiters that are clear. A closed loop tells nobody,
and its feed wastes a socket at most until then."""
_EXIT_MAX_S: Final = 5.0
"""Seconds that the interpreter's end waits for the thread, which takes milliseconds on a quiet machine. One that still
runs while the interpreter is taken down can hang it."""

_lock: Final = threading.Lock()
_current: "TrioThread | None" = None


class Guest(Protocol):
    """What lives in the thread for a while."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it works for."""
        ...

    async def run(self) -> None:
        """Runs in the thread; hands its errors to the loop and raises none."""
        ...

    def cancel(self) -> None:
        """Called in the thread: end soon."""
        ...

    def refuse(self) -> None:
        """Called in the thread instead of ``run``, which will never be: the thread is at its end."""
        ...


def admit(guest: Guest) -> "TrioThread":
    """Run ``guest`` in the process's thread, which is started where there is none. Does not wait."""
    global _current  # noqa: PLW0603  # one per process is the point of it
    with _lock:
        if _current is None:
            thread = TrioThread()
            thread.start()
            _current = thread
        _current.guests.add(guest)
        thread = _current
    thread.post(partial(thread.begin, guest, copy_context()))
    return thread


class TrioThread:
    """One trio run in a thread of its own. Methods are called in it, but for ``start``, ``post`` and ``join``."""

    def __init__(self) -> None:
        self.guests: Final[set[Guest]] = set()
        """Who is in; guarded by the lock."""
        self._backlog: list[Callable[[], object]] = []
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._changed = Signal()
        # A daemon: an app that ends without leaving its blocks must not be held up by a feed nobody reads.
        self._thread = threading.Thread(target=trio.run, args=(self._main,), name=NAME, daemon=True)

    def start(self) -> None:
        """Start it; what is posted before its run has begun waits."""
        self._thread.start()

    def post(self, word: Callable[[], object]) -> None:
        """Have ``word`` called in the thread, in order; nothing where the run is over. From any thread."""
        with _lock:
            if self._token is None:
                self._backlog.append(word)
                return
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(word)

    def stop(self) -> None:
        """Cancel all that is in."""
        self._scope.cancel()

    def join(self, max_s: float) -> None:
        """Wait for its end. From any other thread."""
        self._thread.join(max_s)

    def begin(self, guest: Guest, context: Context) -> None:
        """Start a guest's task; its log lines carry what the app had bound when it opened the feed."""
        if self._nursery is None:
            guest.refuse()
        else:
            context.run(self._nursery.start_soon, self._hold, guest)

    async def _main(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    self._take_backlog()
                    while not self._retire():
                        with trio.move_on_after(_LOOK_S):
                            await self._changed.wait()
                        self._end_what_has_no_loop()
        finally:
            self._nursery = None
            with _lock:
                self._step_down()

    def _take_backlog(self) -> None:
        with _lock:
            self._token = trio.lowlevel.current_trio_token()
            backlog, self._backlog = self._backlog, []
            for word in backlog:
                self._token.run_sync_soon(word)

    def _retire(self) -> bool:
        with _lock:
            if self.guests or anything_remembered():
                return False
            self._step_down()
            return True

    def _step_down(self) -> None:
        global _current  # noqa: PLW0603  # see admit
        if _current is self:
            _current = None

    def _end_what_has_no_loop(self) -> None:
        with _lock:
            guests = list(self.guests)
        for guest in guests:
            if guest.loop.is_closed():
                guest.cancel()

    async def _hold(self, guest: Guest) -> None:
        try:
            await guest.run()
        finally:
            with _lock:
                self.guests.discard(guest)
            self._changed.notify()


@atexit.register
def _stop_at_exit() -> None:
    with _lock:
        thread = _current
    if thread is not None:
        thread.post(thread.stop)
        thread.join(_EXIT_MAX_S)
