"""The failure mode ``reject``: subscriptions that the venue refuses though the stream exists."""

from collections.abc import Iterable

from gapless.simulator.failure_modes import RejectMode
from gapless.simulator.failures import FailureControl
from gapless.simulator.messages import StreamKey

KIND = "reject"


def rejected(
    failures: FailureControl, session_id: str, keys: Iterable[StreamKey], now: float
) -> dict[StreamKey, tuple[str, str]]:
    """Which of the streams that one SUBSCRIBE would subscribe are rejected, each with a code and a message."""
    rule = failures.rule(KIND, session_id)
    if rule is None or not rule.may_act(session_id, now):
        return {}
    mode = rule.mode(RejectMode)
    hit = [key for key in keys if key.symbol in mode.symbols]
    if hit:
        rule.act(session_id, ", ".join(map(str, hit)))
    return {key: (mode.code, f"{key.symbol} is not to be had for now") for key in hit}
