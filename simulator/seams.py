"""Where a failure can take hold: a connection's handshake, what a socket says, a REST request.

A strategy is one small class: a ``kind`` (its field in :class:`FailuresConfig`), a rule that says whether it may act,
and one method. Socket strategies are pure, take ``now`` as an argument and own no task: they return what goes out
instead of a message, may hold messages back until ``due``, and end a connection by returning a :class:`Cut`.

What takes hold elsewhere has a module of its own: :mod:`rejections`, :mod:`ping_flood`, :mod:`scheduled_restart`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, unique
from random import Random
from typing import ClassVar, TypeAlias

import msgspec
from starlette.responses import Response

from gapless.simulator.failures import Rule
from gapless.simulator.messages import Frame


class Cut(msgspec.Struct, frozen=True):
    """In place of a message: drop the connection here, without a close frame."""

    reason: str


Outgoing: TypeAlias = Frame | Cut


class SocketStrategy(ABC):
    """One failure on one connection."""

    kind: ClassVar[str]

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        self.rule = rule
        self.session_id = session_id
        self.rng = rng

    @property
    def due(self) -> float:
        """When :meth:`release` has something to let go."""
        return math.inf

    @abstractmethod
    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """What goes out in place of ``frame``."""

    def release(self, now: float) -> Sequence[Outgoing]:  # noqa: ARG002
        """What was held back and is due."""
        return ()

    def flush(self) -> Sequence[Outgoing]:
        """All that is held back: the strategy is being switched off."""
        return ()


@unique
class How(Enum):
    """How a connection attempt fails."""

    CLOSE = "dropped unanswered"
    REJECT = "answered with an HTTP error"
    STALL = "never answered"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A connection attempt is not accepted. ``status`` and ``retry_after_s`` go with ``REJECT``."""

    how: How
    status: int = 503
    retry_after_s: int | None = None


class HandshakeStrategy(ABC):
    """One failure of connection attempts."""

    kind: ClassVar[str]

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @abstractmethod
    def decide(self) -> Refusal:
        """How an attempt fails on which the rule acts."""


class RestForm(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange writes what a failure answers in its place."""

    error: Callable[[int, str, str, Mapping[str, str]], Response]
    """An error reply from its status, a code, a message, and headers such as ``Retry-After``."""
    wrong: Mapping[str, str]
    """Bodies that no client can use, by the ways of ``WrongReplyMode``."""
    lags: bool = False
    """Whether its endpoints themselves leave out as many of the last ids as :attr:`RestCall.hints` says."""


BEHIND = "behind"
"""The hint that a reply is to end so many ids ago."""


class RestCall(msgspec.Struct, frozen=True, kw_only=True):
    """One REST request, as a strategy sees it."""

    method: str
    path: str
    session_id: str
    form: RestForm
    hints: dict[str, int] = {}
    """What a strategy tells the endpoint; it finds them in the ASGI scope, under :data:`HINTS`."""


HINTS = "gapless.hints"
SESSION = "gapless.session_id"
"""Where in the ASGI scope an endpoint finds whose request it is."""


class RestStrategy(ABC):
    """One failure of REST requests. It wraps the request: it may answer instead, wait, or change the reply."""

    kind: ClassVar[str]

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        self.rule = rule
        self.session_id = session_id
        self.rng = rng

    @abstractmethod
    async def around(self, call: RestCall, proceed: Callable[[], Awaitable[Response]]) -> Response:
        """The reply to ``call``; ``proceed`` is what the exchange, or the next strategy, would answer."""
