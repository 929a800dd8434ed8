"""What the ledger says about one id. Pure."""

from enum import Enum, unique


@unique
class Verdict(Enum):
    """What the ledger says about one id."""

    NEXT = "next"
    """The expected id: deliver."""
    JUMPED = "jumped"
    """New, but ids before it are missing: deliver; ``last_gap`` holds the gap it opened."""
    LATE = "late"
    """It was in an open gap: deliver."""
    REORDERED = "reordered"
    """It was skipped a moment ago, and nobody was told yet: deliver."""
    DUPLICATE = "duplicate"
    """Delivered before, reported lost, or never owed: drop."""
    SUSPECT = "suspect"
    """Too far ahead to be believed: drop, and ask."""


DELIVERED = frozenset({Verdict.NEXT, Verdict.JUMPED, Verdict.LATE, Verdict.REORDERED})
"""The verdicts with which an id reaches the app."""
