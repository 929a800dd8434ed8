"""Counters. Plain attributes, so that a message costs an addition."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from gapless.controller.events import Source

LossReason: TypeAlias = Literal[
    "evicted",
    "absent",
    "epoch_ended",
    "unverifiable",
    "no_history",
    "reconciliation_disabled",
    "too_many_gaps",
    "snapshot_missed",
    "unsubscribed",
    "conflated",
]
"""Why ids are lost; docs/events.md explains each."""
LOSS_REASONS: Final[tuple[str, ...]] = get_args(LossReason)


@dataclass(slots=True)
class FeedStats:
    """What passed through the data plane since the controller was opened.

    Alive: it goes on counting, and an app only reads it. What does not change any more is ``controller.metrics()``.
    """

    live: int = 0
    """Market data delivered from the socket."""
    backfilled: int = 0
    """Market data delivered from REST for a known gap."""
    polled: int = 0
    """Market data delivered from REST while live data did not flow."""
    duplicates: int = 0
    """Live data dropped because it was delivered before, reported lost, or never owed."""
    reordered: int = 0
    """Ids that came late, within the reorder window."""
    skipped: int = 0
    """Live frames not taken because the app's buffer was full. What has an id is fetched again; of orders and balances
    without ids the snapshot is; market data without ids is gone."""
    suspects: int = 0
    """Ids too far ahead to be believed."""
    invalid_messages: int = 0
    invalid_replies: int = 0
    stale_replies: int = 0
    ignored: int = 0
    """Well-formed messages that mean nothing to the controller."""
    unexpected: int = 0
    """Data for a stream nobody asked for."""
    gaps_found: int = 0
    gaps_filled: int = 0
    """Ranges; a gap may be filled in parts."""
    gaps_refuted: int = 0
    """Ranges that corrupt ids had claimed, and that were never issued."""
    ids_missed: int = 0
    ids_filled: int = 0
    """Delivered; or closed by a snapshot, or, of a stream whose ids are not contiguous, by a page that covers them."""
    ids_refuted: int = 0
    ids_lost: int = 0
    """Ids reported lost; a range to the end of an epoch counts as one."""
    ids_lost_by: Counter[str] = field(default_factory=Counter)
    """The same by reason."""
    losses: Counter[str] = field(default_factory=Counter)
    """Ranges reported lost, by reason."""

    def count_loss(self, ids: int, reason: LossReason) -> None:
        """A range of so many ids was reported lost."""
        self.ids_lost += ids
        self.ids_lost_by[reason] += ids
        self.losses[reason] += 1

    def count_row(self, source: Source) -> None:
        """One row of REST history was delivered."""
        if source is Source.BACKFILL:
            self.backfilled += 1
        else:
            self.polled += 1
