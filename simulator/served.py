"""What every exchange here is to its servers, and what a test may do to any of them.

The reference exchange and the venues differ in what they say and in what REST shows; they are served by the same
WebSocket server, fault line and REST gate, which know them as a :class:`Served`. Each WebSocket is a
:class:`Conversation` in the exchange's own language.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qs

import msgspec
import trio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Scope
from trio_websocket import WebSocketConnection

from gapless.simulator.config import ServingConfig
from gapless.simulator.failure_modes import FailureMode, Mode
from gapless.simulator.failures import KINDS, OF_ALL_SESSIONS, FailureControl
from gapless.simulator.hub import SESSION_ID_MAX, Hub
from gapless.simulator.records import (
    HandshakeRecord,
    RequestRecord,
    SubscriptionRecord,
    handshake_log,
    request_log,
    subscription_log,
)
from gapless.simulator.seams import RestCall, RestForm
from gapless.simulator.session import Session
from gapless.simulator.skewed_clock import SkewedClock


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a WebSocket, and what for. ``path`` and ``query`` as sent; ``address`` without the port."""

    path: str
    query: str
    address: str

    def asked(self, name: str) -> str:
        """The first value of a query parameter, empty where there is none."""
        return parse_qs(self.query).get(name, [""])[0]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an exchange takes a caller for. With a ``status`` it does not let it in, and says why."""

    session_id: str
    status: int | None = None
    message: str = ""
    retry_after_s: int | None = None


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange's own limits make of a REST request: headers for whatever is answered, or the answer itself."""

    headers: Mapping[str, str]
    reply: Response | None = None


class Conversation(ABC):
    """One WebSocket, in the language of its exchange. All but what the duties do is synchronous."""

    @abstractmethod
    def begin(self) -> None:
        """Say what is said first."""

    @abstractmethod
    def receive(self, text: str | bytes) -> None:
        """Do what one message asks for.

        Raises:
            MalformedMessageError: it asks for nothing this language knows; nothing was done.
        """

    def duties(self, socket: WebSocketConnection) -> Sequence[Callable[[], Awaitable[None]]]:  # noqa: ARG002
        """What runs beside it as long as it lasts."""
        return ()

    def end(self) -> None:  # noqa: B027 (most have nothing to do then)
        """The connection is gone."""


class Served(ABC):
    """An exchange, as its servers see it, with all that is the same for each.

    Methods by kind: what it is, operations, and what its servers call.
    """

    def __init__(self, config: ServingConfig, wall_clock: Callable[[], float]) -> None:
        self._settings = config
        self.failures = FailureControl(config.failures)
        self.subscriptions: deque[SubscriptionRecord] = subscription_log()
        """Every accepted subscription, oldest first, bounded; a repeated one is not one."""
        self.handshakes: deque[HandshakeRecord] = handshake_log()
        """Every attempt to open a WebSocket, oldest first, bounded; noted when its outcome is known."""
        self.requests: deque[RequestRecord] = request_log()
        """Every REST request answered, oldest first, bounded; the control API's too."""
        self.ignored = 0
        """Messages of clients that were not understood."""
        self.hub = Hub()
        self.clock = SkewedClock(self.failures, wall_clock)
        self._up_at = -math.inf
        self._restarted = trio.Event()

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def config(self) -> ServingConfig:
        """What kind of exchange it is."""
        return self._settings

    @property
    def injected(self) -> Counter[str]:
        """How often each kind of failure happened: a connection gone silent, a message dropped, a request refused."""
        return self.failures.injected

    @property
    def is_down(self) -> bool:
        """Whether it is in the downtime of a restart."""
        return trio.current_time() < self._up_at

    def now(self) -> float:
        """The exchange's wall clock, unix seconds."""
        return self.clock.true_s()

    @property
    @abstractmethod
    def rest_form(self) -> RestForm:
        """How it writes what failures answer in its place."""

    @property
    @abstractmethod
    def ws_path(self) -> str:
        """Where a client dials its WebSocket."""

    # --- operations -------------------------------------------------------------------------------------------------

    @abstractmethod
    def restart(self, downtime_s: float = 0.0) -> str | None:
        """Drop every socket and refuse connections for so long; the name of the new epoch, where it has any."""

    @abstractmethod
    def goodbye(self, reason: str, retry_after_s: float = 0.0, session_id: str | None = None) -> int:
        """Announce a planned close to all sessions, or one, and close them behind it. Returns to how many."""

    def disconnect(self, session_id: str | None = None) -> int:
        """Drop the sockets of all sessions, or one, without a word. Returns how many."""
        sessions = self.hub.of(session_id)
        for session in sessions:
            session.cut("disconnected by the exchange")
        return len(sessions)

    def go_silent(self, session_id: str | None = None, *, connections: int | None = 1) -> None:
        """From now on the connection of one session, or of each, says nothing; TCP stays open.

        Args:
            session_id: whose; None: everybody's, whatever was set for single sessions.
            connections: the one that is open and the next to come, so many in all; None: all to come.
        """
        if session_id is None:
            for each in self.failures.session_ids:
                self.failures.switch("silent_connection", None, each)
        silent = FailureMode(enabled=True, after_messages=0, count=connections)
        self.failures.switch("silent_connection", silent, session_id)

    def behave(self, session_id: str | None = None) -> None:
        """Switch every failure off, of one session or of all.

        What holds for all sessions then no longer holds for this one, except what concerns the exchange as a whole: a
        restart, a clock that is off.
        """
        if session_id is None:
            self.failures.clear()
            return
        own, of_all = self.failures.get(session_id), self.failures.get()
        for kind in KINDS:
            mode: Mode | None = getattr(of_all, kind)
            if kind not in OF_ALL_SESSIONS and (mode is not None or getattr(own, kind) is not None):
                self.failures.switch(kind, None if mode is None else type(mode)(), session_id)

    # --- what its servers call --------------------------------------------------------------------------------------

    @abstractmethod
    def admit(self, caller: Caller) -> Visit:
        """Whom this is, and whether it may have a WebSocket."""

    @abstractmethod
    def converse(self, session: Session, caller: Caller) -> Conversation:
        """Talk to a client that was let in; ``session`` is known to the hub."""

    @abstractmethod
    def rest_app(self) -> ASGIApp:
        """The endpoints, without failures; the control API among them."""

    @abstractmethod
    async def run(self) -> None:
        """Its market and whatever else happens by itself, for ever."""

    def session_of(self, scope: Scope) -> str:
        """Whose REST request this is."""
        return Headers(scope=scope).get("x-session-id", "")[:SESSION_ID_MAX]

    def meter(self, call: RestCall, scope: Scope) -> Metered | None:  # noqa: ARG002
        """Count a REST request against the exchange's own limits; None where it has none."""
        return None

    async def wait_restart(self) -> None:
        """Return after the next :meth:`restart`."""
        await self._restarted.wait()

    async def wait_up(self) -> None:
        """Return when it is not, or no longer, down."""
        while self.is_down:  # noqa: ASYNC110 (another restart may have moved the end)
            await trio.sleep_until(self._up_at)

    def drop_for(self, downtime_s: float) -> None:
        """Drop every socket; until ``downtime_s`` are over connections are refused, WebSocket and REST."""
        self._up_at = trio.current_time() + downtime_s
        self.hub.drop_all()
        self._restarted.set()
        self._restarted = trio.Event()
