"""What became of a seed."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One world, when it is over. Plain data: it travels between processes.

    Attributes:
        violations: each broken promise, in words; none: the contract was kept.
        faults: fault class -> how often it happened.
        edges: ``STATE TRIGGER`` -> how often that row of the table was taken, tolerated ones included.
        reasons: reason of a ``ContinuityLost`` -> how often.
        last_moves: the last transitions, in words.
        sim_s: seconds of virtual time.
        cpu_s: seconds of processor time.
        delivered: market data the app got.
    """

    seed: int
    violations: tuple[str, ...]
    faults: Counter[str] = field(default_factory=Counter)
    edges: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    last_moves: tuple[str, ...] = ()
    sim_s: float = 0.0
    cpu_s: float = 0.0
    delivered: int = 0

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations
