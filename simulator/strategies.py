"""What goes wrong on an open socket: a class per failure, in the order a message passes them."""

from abc import abstractmethod
from collections.abc import Sequence
from random import Random
from typing import ClassVar, TypeVar

from gapless.simulator.failure_modes import FailureMode, ReorderMode, SelectMode
from gapless.simulator.failures import Rule
from gapless.simulator.messages import Frame
from gapless.simulator.seams import Cut, Outgoing, SocketStrategy

MessageT = TypeVar("MessageT")


class SilentConnectionStrategy:
    """After ``after_messages`` messages to a session everything more is dropped; the connection stays open.

    Usable alone; inside the exchange each connection has one of its own, so counts start anew with each connection.
    """

    def __init__(self, after_messages: int = 10) -> None:
        self.after_messages = after_messages
        self._session_counts: dict[str, int] = {}

    async def apply_outbound(self, message: MessageT, session_id: str) -> MessageT | None:
        """``message`` as it is, or None where it is dropped."""
        return None if self.silences(session_id) else message

    def silences(self, session_id: str) -> bool:
        """Count one message to this session and say whether it is dropped."""
        count = self._session_counts.get(session_id, 0) + 1
        self._session_counts[session_id] = count
        return count > self.after_messages


class _Muting(SocketStrategy):
    """Messages are swallowed. The rule acts once per connection, at the first of them; the others follow from it."""

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._muted = False

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """Nothing where the message is swallowed."""
        if self.passes(frame) or not self.rule.holds(now):
            return (frame,)
        if not self._muted:
            if not self.rule.may_act(self.session_id, now):
                return (frame,)
            self._muted = True
            self.rule.act(self.session_id, f"from {frame.type} on")
        return ()

    @abstractmethod
    def passes(self, frame: Frame) -> bool:
        """Whether this message is none of this failure's business. Asked once for each message."""


class Silent(_Muting):
    """Nothing at all after N messages."""

    kind: ClassVar[str] = "silent_connection"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._strategy = SilentConnectionStrategy(rule.mode(FailureMode).after_messages)

    def passes(self, frame: Frame) -> bool:  # noqa: ARG002
        """Whether the connection may still speak."""
        return not self._strategy.silences(self.session_id)


class AcknowledgedSilent(_Muting):
    """WELCOME and acknowledgements, then nothing: the attempt looks good and no data ever comes."""

    kind: ClassVar[str] = "acknowledged_silent"
    _ACKNOWLEDGEMENTS = frozenset({"WELCOME", "SUBSCRIBED", "UNSUBSCRIBED", "REJECTED"})

    def passes(self, frame: Frame) -> bool:
        """Whether it is an acknowledgement."""
        return frame.type in self._ACKNOWLEDGEMENTS


class PongOnly(_Muting):
    """After N messages nothing but PONGs: the heartbeat is content while the data has stopped."""

    kind: ClassVar[str] = "pong_only"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._left = rule.mode(FailureMode).after_messages

    def passes(self, frame: Frame) -> bool:
        """Whether it is a PONG, or one of the first messages."""
        self._left -= 1
        return frame.type == "PONG" or self._left >= 0


class Selecting(SocketStrategy):
    """Acts on single data messages, chosen as :class:`SelectMode` says."""

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._select = rule.mode(SelectMode)
        self._ids = frozenset(self._select.ids)
        self._seen = 0

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """What the failure makes of a chosen message; any other as it is."""
        if frame.stream is None or not self._chooses(frame) or not self.rule.may_act(self.session_id, now):
            return self.passed(frame)
        return self.chosen(frame, now)

    @abstractmethod
    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """What goes out in place of a chosen data message."""

    def passed(self, frame: Frame) -> Sequence[Outgoing]:
        """What goes out where ``frame`` was not chosen."""
        return (frame,)

    def note(self, frame: Frame, how: str = "") -> None:
        """Note that the failure happened to ``frame``."""
        self.rule.act(self.session_id, f"{frame.stream} {frame.sequence_id} {how}".rstrip())

    def _chooses(self, frame: Frame) -> bool:
        mode = self._select
        if mode.symbols and (frame.stream is None or frame.stream.symbol not in mode.symbols):
            return False
        self._seen += 1
        by_chance = mode.probability > 0.0 and self.rng.random() < mode.probability
        by_turn = mode.every_nth is not None and self._seen % mode.every_nth == 0
        return by_chance or by_turn or not self._ids.isdisjoint((frame.sequence_id, *frame.further_ids))


class Drop(Selecting):
    """A message never arrives."""

    kind: ClassVar[str] = "drop"

    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:  # noqa: ARG002
        """Nothing."""
        self.note(frame)
        return ()


class Duplicate(Selecting):
    """A message arrives twice."""

    kind: ClassVar[str] = "duplicate"

    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:  # noqa: ARG002
        """The message twice."""
        self.note(frame)
        return (frame, frame)


class Reorder(Selecting):
    """A message is overtaken by later ones."""

    kind: ClassVar[str] = "reorder"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(ReorderMode)
        self._held: Frame | None = None
        self._overtakers_left = 0
        self._due = super().due

    @property
    def due(self) -> float:
        """When the held message has waited long enough."""
        return self._due

    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """Nothing yet; with one held already, the message passes and overtakes it."""
        if self._held is not None:
            return self.passed(frame)
        self.note(frame)
        self._held = frame
        self._overtakers_left = self._mode.distance
        self._due = now + self._mode.hold_s
        return ()

    def passed(self, frame: Frame) -> Sequence[Outgoing]:
        """The message, and behind it the held one if enough have overtaken that."""
        if self._held is None or frame.stream is None:
            return (frame,)
        self._overtakers_left -= 1
        return (frame, *self.flush()) if self._overtakers_left <= 0 else (frame,)

    def release(self, now: float) -> Sequence[Outgoing]:
        """The held message, if too few came to overtake it in time."""
        return self.flush() if now >= self._due else ()

    def flush(self) -> Sequence[Outgoing]:
        """The held message, if there is one."""
        held, self._held = self._held, None
        self._due = super().due
        return () if held is None else (held,)


class Disconnect(SocketStrategy):
    """The connection drops after N messages."""

    kind: ClassVar[str] = "disconnect"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._left = rule.mode(FailureMode).after_messages

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """The message, and the end behind the last one."""
        self._left -= 1
        if self._left > 0 or not self.rule.may_act(self.session_id, now):
            return (frame,)
        self.rule.act(self.session_id, f"at {frame.type}")
        cut = Cut("failure: disconnect")
        return (frame, cut) if self._left == 0 else (cut,)
