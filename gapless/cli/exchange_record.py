"""The exchange's own record of a run, in the oracle's terms."""

from collections.abc import Iterable

from gapless.cli.oracle import Record
from gapless.controller import Stream
from gapless.simulator import ExchangeSimulator
from gapless.simulator.testkit.issued import issued_to


def record_of(exchange: ExchangeSimulator, session_id: str, streams: Iterable[Stream]) -> Record:
    """What ``exchange`` issued, what it owes to this session, and what it did to it.

    The exchange must have been told to ``record``. Restarts are counted by their epochs.
    """
    return Record(
        issued=issued_to(exchange, session_id, streams),
        injected={**exchange.injected, "restart": len(exchange.issued.epochs) - 1},
        requests_at=sorted(each.time_s for each in exchange.requests),
    )
