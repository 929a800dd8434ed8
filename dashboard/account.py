"""Orders and balances as the last snapshot and the updates since tell them. Pure, and bounded."""

from typing import Final, Generic, TypeVar

from msgspec import Struct

from gapless.controller import Balance, BalanceUpdate, Order, OrderUpdate, SnapshotRead

ROWS_MAX: Final = 200
"""Orders, or assets, kept and shown; beyond that those that changed longest ago leave. A screen shows forty."""

Row = TypeVar("Row", Order, Balance)


class _Entry(Struct, Generic[Row]):
    row: Row
    stream: tuple[str, str]
    epoch: str | None
    sequence_id: int | None
    snapshot: bool


class AccountRows(Generic[Row]):
    """The rows of one kind, by their name."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[Row]] = {}
        self._changed = 0

    def put(self, name: str, row: Row, update: OrderUpdate | BalanceUpdate, revision: int) -> None:
        """A row came, or changed."""
        self._changed = revision
        self._entries.pop(name, None)
        self._entries[name] = _Entry(
            row=row,
            stream=(update.channel, update.symbol),
            epoch=update.epoch,
            sequence_id=update.sequence_id,
            snapshot=update.snapshot,
        )
        if len(self._entries) > ROWS_MAX:
            del self._entries[next(iter(self._entries))]

    def begin_snapshot(self, snapshot: SnapshotRead, revision: int) -> None:
        """What the snapshot covers and shows no row of is no more; what an update told beyond it is newer and stays."""
        kept = {name: entry for name, entry in self._entries.items() if not _is_covered(entry, snapshot)}
        if len(kept) < len(self._entries):
            self._changed = revision
        self._entries = kept

    def newer_than(self, revision: int) -> list[Row] | None:
        """All rows, the last changed one first; None if nothing changed after ``revision``."""
        return None if self._changed <= revision else self.rows()

    def rows(self) -> list[Row]:
        """All rows, the last changed one first."""
        return [entry.row for entry in reversed(self._entries.values())]


def _is_covered(entry: _Entry[Row], snapshot: SnapshotRead) -> bool:
    if entry.stream != (snapshot.channel, snapshot.symbol):
        return False
    if entry.snapshot or entry.sequence_id is None or snapshot.sequence_id is None or entry.epoch != snapshot.epoch:
        return True
    return entry.sequence_id <= snapshot.sequence_id
