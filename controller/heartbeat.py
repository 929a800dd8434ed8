"""PING and PONG: the books of the heartbeat (pure) and the activity that keeps it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio
from loguru import logger

from gapless.controller import lateness
from gapless.controller.errors import LinkError
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


class HeartbeatManager:
    """Which PINGs wait for their PONG, and whether the connection is healthy. Pure.

    Args:
        interval: seconds between two PINGs.
        timeout: seconds after which an unanswered PING is overdue.
        on_health_change: told when health changes.
        on_round_trip: told each round trip, seconds.
    """

    def __init__(
        self,
        interval: float = 60.0,
        timeout: float = 10.0,
        on_health_change: Callable[[bool], None] | None = None,
        on_round_trip: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.interval = interval
        self.timeout = timeout
        self._on_health_change = on_health_change
        self._on_round_trip = on_round_trip
        self._pending: dict[str, float] = {}
        self._sent = 0
        self.healthy = True
        self.round_trip_s: float | None = None
        """Of the last answered PING."""
        self.answered_sent_at = float("-inf")
        """When the last answered PING was sent."""
        self._subscribed_in_s: float | None = None
        self.unasked: str | None = None
        """The PING that whatever comes next answers: of a venue that has none, but speaks by itself."""

    def next_id(self) -> str:
        """An id no other PING of this controller has."""
        self._sent += 1
        return f"p-{self._sent}"

    def sent(self, request_id: str, now: float) -> None:
        """A PING leaves now."""
        self._pending[request_id] = now

    def frame_came(self, now: float) -> None:
        """Something came, of any kind: the answer to a PING that could not be said."""
        request_id, self.unasked = self.unasked, None
        if request_id is not None:
            self.handle_pong(request_id, now)

    def handle_pong(self, request_id: str, now: float) -> float | None:
        """A PONG came: its round trip in seconds, or None where no such PING waits."""
        sent_at = self._pending.pop(request_id, None)
        if sent_at is None:
            return None
        self.round_trip_s = now - sent_at
        self._on_round_trip(self.round_trip_s)
        self.answered_sent_at = sent_at
        self._set_health(healthy=True)
        return self.round_trip_s

    def subscribed_in(self, seconds: float) -> None:
        """A subscription was answered: a first measure of the round trip, long before the first PING."""
        self._subscribed_in_s = seconds

    @property
    def usual_s(self) -> float | None:
        """What a round trip takes: the last one, or what a subscription took; None: nothing was answered yet."""
        return self._subscribed_in_s if self.round_trip_s is None else self.round_trip_s

    def answered_since(self, since: float) -> float | None:
        """The last round trip, if its PING left at ``since`` or later."""
        return self.round_trip_s if self.answered_sent_at >= since else None

    def overdue_at(self) -> float:
        """When the oldest waiting PING becomes overdue; infinity where none waits."""
        return min(self._pending.values(), default=float("inf")) + self.timeout

    def take_overdue(self, now: float) -> float | None:
        """Take out the PINGs that are overdue; when the oldest of them was sent, or None."""
        late = [request_id for request_id, sent_at in self._pending.items() if now >= sent_at + self.timeout]
        times = [self._pending.pop(request_id) for request_id in late]
        return min(times, default=None)

    def unhealthy(self) -> None:
        """The peer no longer answers."""
        self._set_health(healthy=False)

    def forget(self) -> None:
        """A new connection: no PONG of the old one is awaited any more."""
        self._pending.clear()
        self.unasked = None

    def _set_health(self, *, healthy: bool) -> None:
        if healthy is not self.healthy:
            self.healthy = healthy
            if self._on_health_change is not None:
                self._on_health_change(healthy)


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Send PINGs by the clock, whatever else is sent, and claim PONG_OVERDUE."""
    manager = runtime.heartbeat
    await runtime.link.opened.wait()
    next_ping_at = trio.current_time() + manager.interval
    while True:
        await lateness.sleep_until(min(next_ping_at, manager.overdue_at()))
        now = trio.current_time()
        sent_at = manager.take_overdue(now)
        if sent_at is not None:
            _judge(runtime, lease, sent_at)
        if now >= next_ping_at:
            next_ping_at = now + manager.interval
            await send_ping(runtime, lease)


async def send_ping(runtime: "Runtime", lease: "Lease") -> str:
    """Send one PING; one that the send buffer has no room for until the time-out counts as unanswered."""
    manager, link = runtime.heartbeat, runtime.link
    request_id, sent_at = manager.next_id(), trio.current_time()
    manager.sent(request_id, sent_at)
    logger.debug("PING {}", request_id)
    frame = runtime.exchange.ping(request_id)
    if frame is None:
        manager.unasked = request_id
        return request_id
    with trio.move_on_after(manager.timeout) as scope:
        try:
            await link.send(frame)
        except LinkError as error:
            # The link reads the same end and says so; it alone speaks for the socket.
            logger.debug("PING {} could not be sent: {}", request_id, error)
    if scope.cancelled_caught:
        await lateness.let_link_read(scope.deadline)
        _judge(runtime, lease, sent_at)
    return request_id


def _judge(runtime: "Runtime", lease: "Lease", sent_at: float) -> None:
    manager = runtime.heartbeat

    def nothing_since() -> bool:
        # A successor that took over meanwhile is younger than the PING: its WELCOME is a frame since.
        return runtime.link.last_frame_at <= sent_at

    if not nothing_since():
        logger.warning("a PING was not answered within {} s, but frames came since", manager.timeout)
        return
    logger.warning("a PING was not answered within {} s, and nothing came since", manager.timeout)
    manager.unhealthy()
    lease.emit(
        Trigger.PONG_OVERDUE,
        f"no PONG within {manager.timeout:g} s and no frame since the PING",
        still_true=nothing_since,
    )
