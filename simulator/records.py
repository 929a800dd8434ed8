"""What an exchange remembers for a checker: what it issued, what it owes, what was asked of it."""

from collections import deque
from typing import Literal, TypeAlias

import msgspec

from gapless.simulator.messages import Frame, StreamKey


class SubscriptionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted subscription: every id above ``mark`` is owed to ``session_id`` in ``epoch``."""

    session_id: str
    epoch: str
    channel: str
    symbol: str
    mark: int


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One REST request. ``time_s`` is unix seconds; ``session_id`` is empty where the client sent none."""

    time_s: float
    method: str
    path: str
    query: str
    session_id: str
    status: int


HandshakeOutcome: TypeAlias = Literal["accepted", "rejected", "refused", "stalled", "abandoned"]
"""``rejected``: with an HTTP error; ``refused``: dropped unanswered; ``stalled``: never answered; ``abandoned``: the
client was gone, or did not read, before it had the answer."""


class HandshakeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to open a WebSocket. ``time_s`` is unix seconds, when the request came.

    Whoever sends no request that is understood leaves no record, unless too many connections are open: then it is
    ``refused`` unheard, and ``session_id`` is empty.
    """

    time_s: float
    session_id: str
    outcome: HandshakeOutcome
    status: int | None = None
    """The HTTP status, 101 where it was accepted; None where there was no answer."""
    retry_after_s: int | None = None
    """The ``Retry-After`` that went with it."""


class IssuedLog:
    """Which ids were issued: per epoch and stream all from 1 to the last, without a hole."""

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self._last: dict[str, dict[StreamKey, int]] = {}
        self._texts: dict[tuple[str, StreamKey], list[str]] = {}

    @property
    def epochs(self) -> tuple[str, ...]:
        """Every epoch so far, oldest first."""
        return tuple(self._last)

    def streams(self, epoch: str) -> tuple[StreamKey, ...]:
        """The streams that issued anything in ``epoch``."""
        return tuple(self._last.get(epoch, {}))

    def last_id(self, epoch: str, channel: str, symbol: str) -> int:
        """The last id issued there, 0 if none was."""
        return self._last.get(epoch, {}).get(StreamKey(channel, symbol), 0)

    def payload(self, epoch: str, channel: str, symbol: str, sequence_id: int) -> str:
        """The JSON message issued under this id.

        Raises:
            LookupError: it was never issued, or the configuration does not say ``record``.
        """
        if not self._record:
            raise LookupError("payloads are kept only where the configuration says record = true")
        texts = self._texts.get((epoch, StreamKey(channel, symbol)), [])
        if not 1 <= sequence_id <= len(texts):
            raise LookupError(f"{epoch} {channel}:{symbol} issued ids 1..{len(texts)}, not {sequence_id}")
        return texts[sequence_id - 1]

    def forget_payloads(self) -> None:
        """Drop the payloads, and keep none from now on: whoever wanted to compare them has done so."""
        self._record = False
        self._texts.clear()

    def begin(self, epoch: str) -> None:
        """Open the record of a new epoch."""
        self._last[epoch] = {}

    def add(self, epoch: str, key: StreamKey, frame: Frame) -> None:
        """Note that ``frame`` was issued."""
        self._last[epoch][key] = frame.sequence_id
        if self._record:
            self._texts.setdefault((epoch, key), []).append(frame.text)


HANDSHAKES_MAX = 10_000
"""Handshakes remembered; older ones are forgotten."""
REQUESTS_MAX = 10_000
"""REST requests remembered; older ones are forgotten."""
SUBSCRIPTIONS_MAX = 100_000
"""Subscriptions remembered; a checker of a longer run must take them out as it goes."""


def handshake_log() -> deque[HandshakeRecord]:
    """An empty bounded log of handshakes."""
    return deque(maxlen=HANDSHAKES_MAX)


def request_log() -> deque[RequestRecord]:
    """An empty bounded log of requests."""
    return deque(maxlen=REQUESTS_MAX)


def subscription_log() -> deque[SubscriptionRecord]:
    """An empty bounded log of subscriptions."""
    return deque(maxlen=SUBSCRIPTIONS_MAX)
