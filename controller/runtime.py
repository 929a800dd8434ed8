"""What the activities of one controller share."""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from gapless.controller.backoff import ReconnectBackoff
from gapless.controller.books import Books
from gapless.controller.collector import Collector
from gapless.controller.config import NetworkConfig
from gapless.controller.errors import LinkError
from gapless.controller.exchange import Exchange
from gapless.controller.fast_path import FastPath
from gapless.controller.feed import LiveFeed
from gapless.controller.fetch_pace import FetchPace
from gapless.controller.gate import Gate
from gapless.controller.heartbeat import HeartbeatManager
from gapless.controller.outbox import Outbox
from gapless.controller.rotation import Rotation
from gapless.controller.signal import Signal
from gapless.controller.silence import QuietMarket
from gapless.controller.stream_watch import StreamWatch
from gapless.controller.transports import Transport


class LinkStatus:
    """One connection generation, as the other activities see it."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.opened = trio.Event()
        """The handshake is done."""
        self.subscribed = trio.Event()
        """Every stream was acknowledged or rejected."""
        self.subscribed_at: float | None = None
        """Monotonic seconds of that."""
        self.last_frame_at = float("-inf")
        """Monotonic seconds of the last frame of any kind."""
        self._outbox: Outbox | None = None

    def open(self, outbox: Outbox) -> None:
        """The handshake is done."""
        self._outbox = outbox
        self.opened.set()

    def mark_subscribed(self, now: float) -> None:
        """Every stream was acknowledged or rejected."""
        self.subscribed_at = now
        self.subscribed.set()

    async def send(self, frame: str) -> None:
        """Send one frame. Blocks while the send buffer is full: the caller brings a deadline.

        Raises:
            LinkError: the socket is gone.
        """
        if self._outbox is None:
            raise LinkError("not connected")
        await self._outbox.send(frame)


@dataclass(slots=True, kw_only=True)
class Runtime:
    """The parts of one controller, and the little state that belongs to none of them."""

    config: NetworkConfig
    exchange: Exchange
    transport: Transport
    books: Books
    feed: LiveFeed
    fast_path: FastPath
    collector: Collector
    backoff: ReconnectBackoff
    heartbeat: HeartbeatManager
    pace: FetchPace | None
    """None: every stream is polled at the same interval."""
    quiet: QuietMarket
    rotation: Rotation
    stream_watch: StreamWatch
    wall_clock: Callable[[], float]
    evidence: Signal
    """Notified when REST has answered or a PONG came: what the verifier waits for."""
    examined: Signal
    """Notified when the examination of a silence begins."""
    connect_gate: Gate | None
    """Of the host that is dialled; None: it may be dialled at will."""
    prefix: str = ""
    """Of request ids: no two controllers that may share an adapter use the same; the first of a run has none."""
    link: LinkStatus = field(default_factory=lambda: LinkStatus(0))
    """The current generation."""
    retry_at: float | None = None
    """Monotonic seconds of the next attempt; None: no attempt is planned."""
    became_good: Signal = field(default_factory=Signal)
    """Notified when ``link_is_good`` becomes true."""
    link_is_good: bool = False
    """Whether the state says so: RESYNCING or CONNECTED."""
    verifying: bool = False
    """Whether REST is asked as a witness, ahead of everything else."""
