"""Telling a dead socket from a quiet market. Pure: time is an argument.

The verifier has two witnesses: the PONG to a PING it sends at once, and the fetch loop's replies. REST *has moved on*
when it knows an id above the last one this socket delivered, or speaks of another epoch, and the socket still has not
shown it one round trip and a little later. A socket that is merely slow thereby keeps its good name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from gapless.controller.instants import instant
from gapless.controller.stream import Stream
from gapless.controller.subscription import Subscription

CATCH_UP_S: Final = 0.25
"""Seconds a live socket may lag behind REST, beyond one round trip: venues batch their pushes, 100 ms being common
(Binance depth, Deribit trades), and REST replicas run ahead by as much."""


SPARSE_AHEAD: Final = 8
"""Data of REST that a socket which leaves some out must have kept back to be taken for dead. Where it leaves out 17 %
(Kraken), so many in a row happen once in a million."""


@unique
class Judgement(Enum):
    """What a silence is."""

    PENDING = "pending"
    DEAD = "dead"
    QUIET = "quiet"
    UNKNOWN = "unknown"
    """The PONG came, but REST said nothing."""


@dataclass(slots=True, kw_only=True)
class Silence:
    """One silence under examination.

    Attributes:
        began_at: monotonic seconds at which the examination began.
        timeout_s: it is decided within this time.
        pong_rtt_s: round trip of the verifying PING; None while unanswered.
        usual_rtt_s: the round trip as known before; None: not at all, and then only a PONG or the time-out decides.
    """

    began_at: float
    timeout_s: float
    pong_rtt_s: float | None = None
    usual_rtt_s: float | None = None
    _newer_since: float | None = None
    _newer: str = ""
    _first_heads: dict[Stream, int] = field(default_factory=dict)

    def judge(self, now: float, streams: Sequence[Subscription], epoch: str | None) -> tuple[Judgement, str]:
        """The verdict so far, and its reason."""
        self._look(now, streams, epoch)
        if self._newer_since is not None and now >= self._newer_since + self.patience_s:
            return Judgement.DEAD, f"REST has moved on: {self._newer}"
        heard = [each for each in streams if self.has_heard(each)]
        if self._newer_since is None and self.pong_rtt_s is not None and streams and len(heard) == len(streams):
            return Judgement.QUIET, "PONG answered and REST has nothing newer"
        if now < self.began_at + self.timeout_s:
            return Judgement.PENDING, ""
        if self.pong_rtt_s is None:
            return Judgement.DEAD, f"no PONG within {self.timeout_s:g} s"
        if self._newer_since is not None:
            return Judgement.DEAD, f"REST has moved on: {self._newer}"
        if heard:
            return (
                Judgement.QUIET,
                f"PONG answered and REST has nothing newer on {len(heard)} of {len(streams)} streams",
            )
        return Judgement.UNKNOWN, "PONG answered, but REST said nothing"

    @property
    def patience_s(self) -> float:
        """How long the socket may still show what REST already has; infinity while no round trip is known."""
        round_trip_s = self.usual_rtt_s if self.pong_rtt_s is None else self.pong_rtt_s
        return float("inf") if round_trip_s is None else round_trip_s + CATCH_UP_S

    def next_look_at(self) -> float:
        """When to judge again if nothing new is heard."""
        ends_at = self.began_at + self.timeout_s
        return ends_at if self._newer_since is None else min(ends_at, self._newer_since + self.patience_s)

    def _look(self, now: float, streams: Sequence[Subscription], epoch: str | None) -> None:
        newer = [text for text in (self._newer_than_live(each, epoch) for each in streams) if text]
        self._newer = newer[0] if newer else ""
        if not newer:
            self._newer_since = None
        elif self._newer_since is None:
            self._newer_since = now

    def has_heard(self, subscription: Subscription) -> bool:
        """Whether REST was asked about this stream since it began, and answered."""
        head = subscription.rest_head
        return head is not None and head.asked_at >= self.began_at

    def _newer_than_live(self, subscription: Subscription, epoch: str | None) -> str:
        head = subscription.rest_head
        if head is None or head.asked_at < self.began_at:
            return ""
        if head.epoch is not None and epoch is not None and head.epoch != epoch:
            return f"it speaks of epoch {head.epoch}, the socket of {epoch}"
        if subscription.ledger.is_sparse and subscription.sequenced and subscription.ahead < SPARSE_AHEAD:
            return ""
        if head.last_seq is not None:
            # A socket that gave neither a mark nor data is measured by what REST knew first.
            shown = subscription.live_head
            if shown is None:
                shown = self._first_heads.setdefault(subscription.stream, head.last_seq)
            return f"{subscription.stream} has id {head.last_seq}, the socket {shown}" if head.last_seq > shown else ""
        if instant(head.timestamp) > instant(subscription.last_live_timestamp):
            return f"{subscription.stream} has data of {head.timestamp}"
        return ""


class QuietMarket:
    """What quiet verdicts in a row lead to: a longer idle window, and less patience where REST is no witness."""

    def __init__(self, *, window_s: float, window_max_s: float) -> None:
        self._window_s = window_s
        self._window_max_s = max(window_s, window_max_s)
        self._streak = 0
        self._unverified = False
        self._last_at = float("-inf")

    def found(self, now: float, last_data_at: float, *, unverified: bool) -> None:
        """A verdict of quiet was passed; the streak begins anew if data came since the last one."""
        self._streak = 1 if last_data_at > self._last_at else self._streak + 1
        self._unverified = unverified
        self._last_at = now

    def window_s(self, last_data_at: float) -> float:
        """The idle window now: doubled by each quiet verdict, back to normal when data came since."""
        streak = self._streak if last_data_at <= self._last_at else 0
        return float(min(self._window_s * 2.0 ** min(streak, 32), self._window_max_s))

    def was_unverified(self, last_sign_at: float) -> bool:
        """Whether the last verdict was an unverified one, and the socket gave no sign of life since."""
        return self._unverified and last_sign_at <= self._last_at
