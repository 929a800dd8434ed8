"""The ledgers of all streams, and what they say about one id after the other. Pure, no I/O, no clock."""

from dataclasses import dataclass

from gapless.controller.exchange import SequenceRule
from gapless.controller.runs import RUNS_MAX, RunsOfAll
from gapless.controller.stream_ledger import INTERVALS_MAX, JUMP_MAX, StreamLedger
from gapless.controller.verdict import DELIVERED, Verdict

__all__ = ["DELIVERED", "INTERVALS_MAX", "JUMP_MAX", "Gap", "SequenceTracker", "StreamLedger", "Verdict"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids ``start_seq..end_seq`` (inclusive) of a stream are owed and missing."""

    channel: str
    symbol: str
    start_seq: int
    end_seq: int


class SequenceTracker:
    """The ledgers of all streams.

    >>> tracker = SequenceTracker()
    >>> tracker.update("ticker", "BTC/USD", 2), tracker.update("ticker", "BTC/USD", 5)
    (None, Gap(channel='ticker', symbol='BTC/USD', start_seq=3, end_seq=4))
    """

    def __init__(
        self, *, jump_max: int = JUMP_MAX, intervals_max: int = INTERVALS_MAX, runs_max: int = RUNS_MAX
    ) -> None:
        self._jump_max = jump_max
        self._intervals_max = intervals_max
        self._runs = RunsOfAll(runs_max)
        self._ledgers: dict[tuple[str, str], StreamLedger] = {}

    def ledger(self, channel: str, symbol: str, rule: SequenceRule = SequenceRule.CONTIGUOUS) -> StreamLedger:
        """The books of one stream, opened on first use."""
        key = (channel, symbol)
        if key not in self._ledgers:
            self._ledgers[key] = StreamLedger(
                jump_max=self._jump_max, intervals_max=self._intervals_max, rule=rule, runs=self._runs
            )
        return self._ledgers[key]

    def forget(self, channel: str, symbol: str) -> None:
        """Close the books of one stream; asked for again, it has new ones."""
        self._ledgers.pop((channel, symbol), None)

    def update(self, channel: str, symbol: str, sequence_id: int) -> Gap | None:
        """Enter one id; the gap it opened, or None. Duplicates and late ids change no cursor."""
        ledger = self.ledger(channel, symbol)
        if ledger.accept(sequence_id) is not Verdict.JUMPED or ledger.last_gap is None:
            return None
        return Gap(channel, symbol, *ledger.last_gap)

    def open_gaps(self) -> list[Gap]:
        """Every open gap, streams in the order they were first seen, ids ascending."""
        return [Gap(*key, start, end) for key, ledger in self._ledgers.items() for start, end in ledger.gaps]
