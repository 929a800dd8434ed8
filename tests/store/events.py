"""Events made by hand, and a file that holds them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    Cursor,
    MarketData,
    Order,
    OrderUpdate,
    SnapshotRead,
    Source,
    StreamCursor,
    StreamRejected,
    StreamReset,
    Trade,
)
from gapless.controller.messages import SequenceRule
from gapless.controller.store.database import opened

EPOCH = "e-1"


def datum(
    number: int | None, *, symbol: str = "A", epoch: str | None = EPOCH, at: float = 0.0, source: Source = Source.LIVE
) -> MarketData:
    stamp = f"2026-01-01T00:00:{(number or 0) % 60:02}Z"
    return MarketData("ticker", symbol, number, epoch, source, stamp, 0.1, 0.2, None, 1e300, at, 1)


def trade(number: int, *, price_text: str = "0.10", symbol: str = "A", epoch: str | None = EPOCH) -> Trade:
    stamp = "2026-01-01T00:00:00.123456Z"
    head = ("trade", symbol, number, epoch, Source.BACKFILL, stamp, float(price_text), None, None, None, 1.5, 2)
    return Trade(*head, 3.0, price_text, "3.000", "buy", "t-7")


def lost(
    start: int,
    end: int | None,
    *,
    channel: str = "ticker",
    symbol: str = "A",
    epoch: str | None = EPOCH,
    reason: str = "evicted",
) -> ContinuityLost:
    return ContinuityLost(
        channel=channel, symbol=symbol, epoch=epoch, start_seq=start, end_seq=end, reason=reason, at=0.0
    )


def reset(old: str | None, new: str | None, *, symbol: str = "A") -> StreamReset:
    return StreamReset(channel="ticker", symbol=symbol, old_epoch=old, new_epoch=new, at=0.0)


def at(
    next_id: int | None, *, epoch: str | None = EPOCH, holes: Sequence[tuple[int, int]] = (), channel: str = "ticker"
) -> Cursor:
    position = StreamCursor(channel=channel, symbol="A", epoch=epoch, next_id=next_id, holes=list(holes))
    return Cursor(streams=[position], epoch=epoch)


def write(path: Path, *batches: tuple[Sequence[AnyEvent], Cursor], rule: str = "contiguous") -> None:
    """One run."""
    with opened(path, sync="normal", venue="reference", started_at=1.0) as database:
        rules = [("ticker", "A", SequenceRule(rule))]
        for events, position in batches:
            database.write(database.rows(events, position, rules), 2.0)
        database.end()


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def rejected(symbol: str, *, code: str = "UNKNOWN_SYMBOL", at: float = 0.0) -> StreamRejected:
    return StreamRejected(channel="ticker", symbol=symbol, code=code, message="there is none", at=at)


def order(number: int, *, snapshot: bool = False, at: float = 0.0) -> OrderUpdate:
    placed = Order(order_id=f"o-{number}", symbol="A", side="buy", type="limit", quantity=1.0)
    return OrderUpdate(
        channel="orders",
        symbol="*",
        sequence_id=number,
        epoch=EPOCH,
        source=Source.LIVE,
        order=placed,
        snapshot=snapshot,
        received_at=at,
        generation=1,
    )


def snapshot_read(covers: int, *, rows: int = 0, at: float = 0.0) -> SnapshotRead:
    return SnapshotRead(
        channel="orders",
        symbol="*",
        sequence_id=covers,
        epoch=EPOCH,
        source=Source.POLL,
        rows=rows,
        generation=1,
        at=at,
    )
