"""Short ways to write the events of a feed. ``BEGAN`` is second 0 of these stories."""

from datetime import UTC, datetime

from gapless.controller import (
    Balance,
    BalanceUpdate,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    Order,
    OrderUpdate,
    SnapshotRead,
    Source,
    StateChanged,
    Stream,
    StreamReset,
)
from gapless.dashboard.sample import Sample
from gapless.states import State, Trigger

BEGAN = 1_767_225_600.0
"""2026-01-01T00:00:00Z, a multiple of every candle's width."""
SYMBOL = "BTC/USD"
TICKER = Stream("ticker", SYMBOL)


def when(second: float) -> str:
    return datetime.fromtimestamp(BEGAN + second, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def datum(
    second: float,
    price: float = 100.0,
    sequence_id: int | None = None,
    *,
    symbol: str = SYMBOL,
    channel: str = "ticker",
    epoch: str | None = "e-1",
    source: Source = Source.LIVE,
    timestamp: str | None = None,
    received: float | None = None,
) -> MarketData:
    return MarketData(
        channel=channel,
        symbol=symbol,
        sequence_id=sequence_id,
        epoch=epoch,
        source=source,
        timestamp=when(second) if timestamp is None else timestamp,
        price=price,
        bid=None,
        ask=None,
        volume_24h=1_000.0,
        received_at=BEGAN + (second if received is None else received),
        generation=1,
    )


def found(second: float, start: int, end: int, *, symbol: str = SYMBOL) -> GapFound:
    return GapFound(
        channel="ticker",
        symbol=symbol,
        epoch="e-1",
        start_seq=start,
        end_seq=end,
        reason="sequence_jump",
        at=BEGAN + second,
    )


def filled(second: float, start: int, end: int, reason: str = "rest") -> GapFilled:
    return GapFilled(
        channel="ticker", symbol=SYMBOL, epoch="e-1", start_seq=start, end_seq=end, reason=reason, at=BEGAN + second
    )


def lost(
    second: float, start: int, end: int | None, reason: str = "evicted", *, epoch: str | None = "e-1"
) -> ContinuityLost:
    return ContinuityLost(
        channel="ticker", symbol=SYMBOL, epoch=epoch, start_seq=start, end_seq=end, reason=reason, at=BEGAN + second
    )


def reset(second: float, old: str | None = "e-1", new: str | None = "e-2") -> StreamReset:
    return StreamReset(channel="ticker", symbol=SYMBOL, old_epoch=old, new_epoch=new, at=BEGAN + second)


def moved(
    second: float,
    before: State,
    trigger: Trigger,
    after: State,
    *,
    generation: int = 1,
    retry_in_s: float | None = None,
    reason: str = "because",
) -> StateChanged:
    return StateChanged(
        before=before,
        trigger=trigger,
        after=after,
        reason=reason,
        generation=generation,
        retry_in_s=retry_in_s,
        unverified=False,
        at=BEGAN + second,
    )


def order(
    second: float, order_id: str, sequence_id: int | None, *, snapshot: bool = False, **facts: str
) -> OrderUpdate:
    return OrderUpdate(
        channel="orders",
        symbol="*",
        sequence_id=sequence_id,
        epoch="e-1",
        source=Source.LIVE,
        order=Order(
            order_id=order_id,
            symbol=facts.get("symbol", SYMBOL),
            side="buy",
            type="limit",
            quantity=1.0,
            status=facts.get("status", "open"),
        ),
        snapshot=snapshot,
        received_at=BEGAN + second,
        generation=1,
    )


def balance(
    second: float, asset: str, free: float, sequence_id: int | None, *, snapshot: bool = False
) -> BalanceUpdate:
    return BalanceUpdate(
        channel="balance",
        symbol="*",
        sequence_id=sequence_id,
        epoch="e-1",
        source=Source.LIVE,
        balance=Balance(asset=asset, free=free),
        snapshot=snapshot,
        received_at=BEGAN + second,
        generation=1,
    )


def snapshot_read(second: float, channel: str, sequence_id: int | None, rows: int) -> SnapshotRead:
    return SnapshotRead(
        channel=channel,
        symbol="*",
        sequence_id=sequence_id,
        epoch="e-1",
        source=Source.BACKFILL,
        rows=rows,
        generation=1,
        at=BEGAN + second,
    )


def sample(
    second: float,
    *,
    freshness: dict[Stream, float] | None = None,
    gaps: dict[Stream, list[tuple[int, int]]] | None = None,
    round_trip_s: float | None = None,
    used: int = 0,
) -> Sample:
    return Sample(
        at=BEGAN + second,
        open_gaps=gaps or {},
        freshness=freshness if freshness is not None else {TICKER: 0.5},
        round_trip_s=round_trip_s,
        rest_budget=(used, 10),
        rest_succeeded=7,
        rest_refused=1,
        rest_failed=2,
        rest_limited=3,
        counters={"live": 5, "events_held": 0},
    )
