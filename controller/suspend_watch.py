"""Notices that the machine slept: every clock the controller waits by stood still, and so did its sockets.

A laptop's lid, a paused container, a migrated virtual machine. Two signs, both looked at every few seconds: the boot
clock, which counts while the machine sleeps, has gained on the monotonic clock, which does not; or a timer came far too
late, which is how a stopped process looks from inside. What the socket received meanwhile is read first; then a PING
decides.

The look is the only timer of an idle controller that polls, so all controllers of a trio run share it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from loguru import logger

from gapless.controller.errors import LinkError
from gapless.controller.supervisor import Claim
from gapless.states import State, Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import LinkStatus, Runtime
    from gapless.controller.supervisor import Supervisor

_LOOKS: Final = 4
"""Looks in the time that counts as a sleep. Nothing tells of a wake, so this one thing is polled, and each look wakes
an idle process. Fewer would miss stops that are hardly longer: a timer is late by the stop less up to one look."""
_TICK_MIN_S: Final = 0.25
_TICK_MAX_S: Final = 2.5
"""Seconds between two looks, whatever ``suspend_after`` says: a wake is found within so many. 2.5 is a quarter of the
default of 10."""
_DRAIN_S: Final = 0.05
"""Seconds for the link to read what lies in the socket's buffer."""
_PROOF_S: Final = 2.0
"""Seconds a socket has to prove that it lived through the sleep: ten round trips round the world."""


def boot_clock() -> float:
    """Seconds since boot, sleep included; where the platform has no such clock, the monotonic one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class SuspendDetector:
    """Compares two clocks and a timer. Pure.

    Args:
        threshold_s: clocks that part by more than this mean that the machine slept.
    """

    def __init__(self, threshold_s: float, *, now: float, boot: float) -> None:
        self._threshold_s = threshold_s
        self._now = now
        self._boot = boot

    def look(self, *, now: float, boot: float, due_at: float) -> float:
        """Seconds slept since the last look, as far as can be told; 0.0: awake. The timer was set for ``due_at``."""
        gained_s = (boot - self._boot) - (now - self._now)
        self._now, self._boot = now, boot
        slept_s = max(gained_s, now - due_at)
        return slept_s if slept_s > self._threshold_s else 0.0


def tick_s(suspend_after_s: float) -> float:
    """Seconds between two looks at the clocks."""
    return min(max(suspend_after_s / _LOOKS, _TICK_MIN_S), _TICK_MAX_S)


@contextmanager
def watched(
    nursery: trio.Nursery, runtime: "Runtime", supervisor: "Supervisor", clock: Callable[[], float]
) -> Iterator[None]:
    """Watch in every state; what follows from a wake runs in the ``nursery``."""
    watches = _watches_of_this_run()
    key = (clock, runtime.config.suspend_after)
    watch = watches.get(key)
    if watch is None:
        watch = watches[key] = _Watch(clock, runtime.config.suspend_after, partial(watches.pop, key, None))
        trio.lowlevel.spawn_system_task(watch.run, name="gapless.suspend_watch")

    def wakes(slept_s: float) -> None:
        nursery.start_soon(_decide, runtime, supervisor, f"the machine slept for {slept_s:.0f} s")

    def fails(error: Exception) -> None:
        nursery.start_soon(_fail, error)

    listener = (wakes, fails)
    watch.listeners.append(listener)
    try:
        yield
    finally:
        watch.listeners.remove(listener)
        if not watch.listeners:
            watch.scope.cancel()
            # Unless it has ended by itself and somebody has begun another one.
            if watches.get(key) is watch:
                del watches[key]


class _Watch:
    """One timer for all controllers of a trio run that ask the same clock alike.

    It is a task of the run's own, for it outlives the controller that was the first; the last one ends it.
    """

    def __init__(self, clock: Callable[[], float], suspend_after_s: float, forget: Callable[[], object]) -> None:
        self._clock = clock
        self.forget: Final = forget
        """Makes room for another one."""
        self._suspend_after_s = suspend_after_s
        self.scope: Final = trio.CancelScope()
        self.listeners: Final[list[tuple[Callable[[float], None], Callable[[Exception], None]]]] = []

    async def run(self) -> None:
        """Look at the clocks until cancelled. A clock that raises ends the controllers, not the trio run."""
        with self.scope:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  # it goes on where somebody can catch it
                # Whoever comes now begins a watch of its own, and learns of the clock by itself.
                self.forget()
                for _, fails in self.listeners:
                    fails(error)

    async def _look(self) -> NoReturn:
        detector = SuspendDetector(self._suspend_after_s, now=trio.current_time(), boot=self._clock())
        every_s = tick_s(self._suspend_after_s)
        while True:
            due_at = trio.current_time() + every_s
            await trio.sleep_until(due_at)
            slept_s = detector.look(now=trio.current_time(), boot=self._clock(), due_at=due_at)
            if slept_s:
                logger.warning("the machine slept for {:.0f} s", slept_s)
                for wakes, _ in self.listeners:
                    wakes(slept_s)


_watches: "trio.lowlevel.RunVar[dict[tuple[Callable[[], float], float], _Watch]]" = trio.lowlevel.RunVar(
    "gapless suspend watches"
)


def _watches_of_this_run() -> dict[tuple[Callable[[], float], float], _Watch]:
    try:
        return _watches.get()
    except LookupError:
        watches: dict[tuple[Callable[[], float], float], _Watch] = {}
        _watches.set(watches)
        return watches


async def _fail(error: Exception) -> NoReturn:
    raise error


async def _decide(runtime: "Runtime", supervisor: "Supervisor", reason: str) -> None:
    await trio.sleep(_DRAIN_S)
    link = runtime.link
    if supervisor.state is not State.REST_FALLBACK:
        asked_at = trio.current_time()
        with trio.move_on_after(min(runtime.config.heartbeat_timeout, _PROOF_S)):
            await _prove(runtime, link, asked_at)
            logger.info("the connection lived through the sleep, or is younger")
            return
        if link is not runtime.link or not link.opened.is_set():
            return  # Another generation by now, or an attempt under way: whoever dialled it knew.
    supervisor.post(Claim(trigger=Trigger.RECONNECT_REQUESTED, reason=reason))


async def _prove(runtime: "Runtime", link: "LinkStatus", asked_at: float) -> None:
    """Wait for a PONG to a PING sent now; for ever, where the socket is dead. A handshake since then proves as much."""
    if not link.opened.is_set():
        await link.opened.wait()
        return
    request_id = runtime.heartbeat.next_id()
    runtime.heartbeat.sent(request_id, asked_at)
    frame = runtime.exchange.ping(request_id)
    if frame is None:
        runtime.heartbeat.unasked = request_id
    else:
        try:
            await runtime.link.send(frame)
        except LinkError:
            await trio.sleep_forever()
    while runtime.heartbeat.answered_since(asked_at) is None:
        await runtime.evidence.wait()
