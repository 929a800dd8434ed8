"""The one background thread of a process: a trio run that holds every feed of every event loop.

It starts with the first feed. It ends when there is none, as soon as no host's limiter has anything to remember: to
close one feed and open another must not forget a ``Retry-After``. However it ends, every guest that it did not run to
its end is told so.

One lock guards who is in; it is never held while anything is waited for. What is posted takes no lock: the garbage
collector may close a dropped coroutine, which then has its feed end, at any line of any thread, those under the lock
included.
"""

import asyncio
import atexit
import os
import threading
import time
from collections import deque
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
"""Seconds that the interpreter's end waits for its threads, which takes milliseconds on a quiet machine. One that still
runs while the interpreter is taken down can hang it."""

_lock = threading.Lock()
_current: "TrioThread | None" = None
_started: "tuple[TrioThread, ...]" = ()
"""Those that may run still: one that ends by itself is no longer the current one, and takes a moment longer."""


class Guest(Protocol):
    """What lives in the thread for a while."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it works for."""
        ...

    async def run(self) -> None:
        """Runs in the thread; hands its errors to the loop, and raises only what trio cancels it with."""
        ...

    def cancel(self) -> None:
        """Called in the thread: end soon."""
        ...

    def refuse(self, reason: BaseException | None) -> None:
        """Called in the thread, which has ended before ``run`` did, or could. None: it was told to."""
        ...


def admit(guest: Guest) -> "TrioThread":
    """Run ``guest`` in the process's thread, which is started where there is none. Does not wait.

    Where this raises, by Ctrl-C in the middle of it, say, the guest is not in.
    """
    try:
        with _lock:
            thread = _current or _start()
            thread.guests.add(guest)
        thread.post(partial(thread.begin, guest, copy_context()))
    except BaseException:
        _withdraw(guest)
        raise
    return thread


def _start() -> "TrioThread":
    global _current, _started  # noqa: PLW0603  # one per process is the point of it
    thread = TrioThread()
    _started = (*(each for each in _started if each.is_alive), thread)
    thread.start()
    _current = thread
    return thread


def _withdraw(guest: Guest) -> None:
    with _lock:
        threads = _started
        for thread in threads:
            thread.guests.discard(guest)
    for thread in threads:
        thread.post(guest.cancel)


class TrioThread:
    """One trio run in a thread of its own. Methods are called in it, but for ``start``, ``post`` and ``join``."""

    def __init__(self) -> None:
        self.guests: Final[set[Guest]] = set()
        """Who is in; guarded by the lock."""
        self._words: Final[deque[Callable[[], object]]] = deque()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._changed = Signal()
        self._done = threading.Event()
        # A daemon: an app that ends without leaving its blocks must not be held up by a feed nobody reads.
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        """Start it; what is posted before its run has begun waits."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread was started and has not ended; from any thread."""
        return self._thread.is_alive()

    def post(self, word: Callable[[], object]) -> None:
        """Have ``word`` called in the thread, in order; nothing where the run is over. From any thread, at any line."""
        # In this order: the run that begins just now tells its token first, and looks for words then.
        self._words.append(word)
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._heed, idempotent=True)
            except trio.RunFinishedError:
                self._words.clear()

    def stop(self) -> None:
        """Cancel all that is in."""
        self._scope.cancel()

    def join(self, max_s: float) -> None:
        """Wait for its end, whatever Ctrl-C comes meanwhile. From any other thread."""
        give_up_at = time.monotonic() + max_s
        while self.is_alive and not self._done.is_set() and (left_s := give_up_at - time.monotonic()) > 0:
            with suppress(KeyboardInterrupt):
                self._done.wait(left_s)
        # By itself, Ctrl-C would have it take a thread that runs for one that has ended: Python 3.11 does so.
        if self._done.is_set():
            self._thread.join()

    def forsake(self) -> None:
        """This process is the child of a fork, and has no such thread: what is posted leads nowhere."""
        self._token = None

    def begin(self, guest: Guest, context: Context) -> None:
        """Start a guest's task; its log lines carry what the app had bound when it opened the feed."""
        with _lock:
            is_in = guest in self.guests
        if is_in and self._nursery is not None:
            # Where the nursery was closed in this very moment, the guest is told with all others at the thread's end.
            with suppress(RuntimeError):
                context.run(self._nursery.start_soon, self._hold, guest)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            if not self._end(error):
                raise
        else:
            self._end(None)
        finally:
            self._done.set()

    def _end(self, reason: BaseException | None) -> bool:
        """Tells every guest that is still in; whether there was one."""
        with _lock:
            self._step_down()
            guests = list(self.guests)
            self.guests.clear()
        self._words.clear()
        for guest in guests:
            guest.refuse(reason)
        return bool(guests)

    async def _main(self) -> None:
        with self._scope:
            async with trio.open_nursery() as self._nursery:
                self._token = trio.lowlevel.current_trio_token()
                self._heed()
                while not self._retire():
                    with trio.move_on_after(_LOOK_S):
                        await self._changed.wait()
                    self._end_what_has_no_loop()

    def _heed(self) -> None:
        while self._words:
            word = self._words.popleft()
            try:
                word()
            except Exception as error:  # noqa: BLE001  # whatever is raised here would end the run, and all feeds
                report(error)

    def _retire(self) -> bool:
        with _lock:
            if self.guests or anything_remembered():
                return False
            self._step_down()
            return True

    def _step_down(self) -> None:
        global _current  # noqa: PLW0603  # see _start
        if _current is self:
            _current = None

    def _end_what_has_no_loop(self) -> None:
        with _lock:
            guests = list(self.guests)
        for guest in guests:
            if guest.loop.is_closed():
                guest.cancel()

    async def _hold(self, guest: Guest) -> None:
        # Whoever is cancelled with all others stays in, to be told at the end what for.
        await guest.run()
        with _lock:
            self.guests.discard(guest)
        self._changed.notify()


def report(error: BaseException) -> None:
    """Tell of a defect that nobody is there to be told of, as of one that ends a thread."""
    threading.excepthook(
        threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
    )


@atexit.register
def _stop_at_exit() -> None:
    give_up_at = time.monotonic() + _EXIT_MAX_S
    for thread in _started:
        thread.post(thread.stop)
    for thread in _started:
        thread.join(give_up_at - time.monotonic())


def _forget_the_parent() -> None:
    """In the child of a fork, which has the memory of its parent's thread but not the thread."""
    global _lock, _current, _started  # see _start
    for thread in _started:
        thread.forsake()
    _lock, _current, _started = threading.Lock(), None, ()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parent)
