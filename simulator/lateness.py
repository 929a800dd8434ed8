"""Failures of time on one connection: data that is late, symbols that fall silent, connections that never live long."""

import math
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from gapless.simulator.failure_modes import DelayMode, FlappingMode, SymbolSilentMode
from gapless.simulator.failures import Rule
from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.seams import Cut, Outgoing, SocketStrategy


class Delay(SocketStrategy):
    """Data messages come late, in the order they were issued; everything else is on time."""

    kind: ClassVar[str] = "delay"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(DelayMode)
        self._held: deque[tuple[float, Frame]] = deque()
        self._burst_ends_at = -math.inf

    @property
    def due(self) -> float:
        """When the first held message is to go."""
        return self._held[0][0] if self._held else math.inf

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """Nothing yet, where the message is held."""
        if frame.stream is None:
            return (frame,)
        late = self._is_late(frame, now)
        if not late and not self._held:
            return (frame,)
        # What is not late any more waits behind what is: nothing overtakes.
        due = now + self._mode.delay_s + self.rng.uniform(0.0, self._mode.jitter_s) if late else now
        self._held.append((max(due, self._held[-1][0] if self._held else due), frame))
        return ()

    def _is_late(self, frame: Frame, now: float) -> bool:
        if now < self._burst_ends_at and self.rule.holds(now):
            return True
        if not self.rule.may_act(self.session_id, now):
            return False
        self._burst_ends_at = now + self._mode.delay_s + self._mode.jitter_s
        self.rule.act(self.session_id, f"from {frame.stream} {frame.sequence_id} on")
        return True

    def release(self, now: float) -> Sequence[Outgoing]:
        """What has waited long enough."""
        out: list[Frame] = []
        while self._held and now >= self._held[0][0]:
            out.append(self._held.popleft()[1])
        return out

    def flush(self) -> Sequence[Outgoing]:
        """All that is held."""
        out = [frame for _, frame in self._held]
        self._held.clear()
        return out


class SymbolSilent(SocketStrategy):
    """Some streams say nothing more while the others go on: a subscription that the venue has lost."""

    kind: ClassVar[str] = "symbol_silent"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(SymbolSilentMode)
        self._said: dict[StreamKey, int] = {}
        self._muted: set[StreamKey] = set()

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """Nothing, where the stream is silent."""
        if frame.type == "SUBSCRIBED" and self._mode.until == "resubscribe":
            self._begin_anew(frame)
        if frame.stream is None or frame.stream.symbol not in self._mode.symbols or not self.rule.holds(now):
            return (frame,)
        self._said[frame.stream] = self._said.get(frame.stream, 0) + 1
        if frame.stream not in self._muted:
            if self._said[frame.stream] <= self._mode.after_messages or not self.rule.may_act(self.session_id, now):
                return (frame,)
            self._muted.add(frame.stream)
            self.rule.act(self.session_id, f"{frame.stream} from {frame.sequence_id} on")
        return ()

    def _begin_anew(self, frame: Frame) -> None:
        for key in frame.begun:
            self._muted.discard(key)
            self._said.pop(key, None)


class Flapping(SocketStrategy):
    """The connection is dropped after a short life, and so is the next."""

    kind: ClassVar[str] = "flapping"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        mode = rule.mode(FlappingMode)
        self._life_s = rng.uniform(mode.up_min_s, mode.up_max_s)
        self._ends_at = math.inf

    @property
    def due(self) -> float:
        """When the connection's life is over."""
        return self._ends_at

    def outbound(self, frame: Frame, now: float) -> Sequence[Outgoing]:
        """The message; with the first one the connection's time begins."""
        if self._ends_at == math.inf and self.rule.may_act(self.session_id, now):
            self._ends_at = now + self._life_s
        return (frame,)

    def release(self, now: float) -> Sequence[Outgoing]:
        """The end."""
        if now < self._ends_at or not self.rule.may_act(self.session_id, now):
            self._ends_at = math.inf if now >= self._ends_at else self._ends_at
            return ()
        self._ends_at = math.inf
        self.rule.act(self.session_id, f"after {self._life_s:.3f} s")
        return (Cut("failure: flapping"),)
