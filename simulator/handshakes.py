"""What goes wrong before a WebSocket is open."""

from typing import ClassVar

from gapless.simulator.failure_modes import RefuseMode
from gapless.simulator.failures import FailureControl
from gapless.simulator.seams import HandshakeStrategy, How, Refusal


class Refuse(HandshakeStrategy):
    """The connection is dropped unanswered, or answered with 503 or 429."""

    kind: ClassVar[str] = "refuse"

    def decide(self) -> Refusal:
        """As the mode says."""
        mode = self.rule.mode(RefuseMode)
        if mode.how == "close":
            return Refusal(how=How.CLOSE)
        status = 429 if mode.how == "http_429" else 503
        return Refusal(how=How.REJECT, status=status, retry_after_s=mode.retry_after_s)


class StalledHandshake(HandshakeStrategy):
    """TCP is accepted and the upgrade never answered."""

    kind: ClassVar[str] = "stalled_handshake"

    def decide(self) -> Refusal:
        """Never answer."""
        return Refusal(how=How.STALL)


HANDSHAKE_STRATEGIES: tuple[type[HandshakeStrategy], ...] = (Refuse, StalledHandshake)
"""The first whose rule acts decides."""


def refusal(failures: FailureControl, session_id: str, now: float) -> Refusal | None:
    """How this attempt fails; None where it does not."""
    for strategy in HANDSHAKE_STRATEGIES:
        rule = failures.rule(strategy.kind, session_id)
        if rule is not None and rule.may_act(session_id, now):
            verdict = strategy(rule).decide()
            rule.act(session_id, verdict.how.value)
            return verdict
    return None
