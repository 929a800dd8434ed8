"""How a piece of data or a fact about continuity becomes an event. Pure."""

from gapless.controller.events import (
    Balance,
    BalanceUpdate,
    CircuitChanged,
    CircuitWord,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    NoticeKind,
    Order,
    OrderUpdate,
    SnapshotRead,
    Source,
    StreamRejected,
    StreamReset,
    Trade,
    VenueNotice,
)
from gapless.controller.messages import HistoryRow, MarketUpdate, TradeUpdate
from gapless.controller.stream import Stream


def market_data(
    stream: Stream,
    datum: MarketUpdate | HistoryRow,
    *,
    epoch: str | None,
    source: Source,
    generation: int,
    received_at: float,
) -> MarketData:
    """One piece of market data, live or from REST."""
    if isinstance(datum, TradeUpdate):
        return Trade(
            channel=stream.channel,
            symbol=stream.symbol,
            sequence_id=datum.sequence_id,
            epoch=epoch,
            source=source,
            timestamp=datum.timestamp,
            price=datum.price,
            bid=datum.bid,
            ask=datum.ask,
            volume_24h=datum.volume_24h,
            received_at=received_at,
            generation=generation,
            amount=datum.amount,
            price_text=datum.price_text,
            amount_text=datum.amount_text,
            side=datum.side,
            trade_id=datum.trade_id,
        )
    return MarketData(
        channel=stream.channel,
        symbol=stream.symbol,
        sequence_id=datum.sequence_id,
        epoch=epoch,
        source=source,
        timestamp=datum.timestamp,
        price=datum.price,
        bid=datum.bid,
        ask=datum.ask,
        volume_24h=datum.volume_24h,
        received_at=received_at,
        generation=generation,
    )


def account_data(
    stream: Stream,
    content: Order | Balance,
    *,
    sequence_id: int | None,
    epoch: str | None,
    source: Source,
    snapshot: bool,
    generation: int,
    received_at: float,
) -> OrderUpdate | BalanceUpdate:
    """One order or balance, an update or a row of a snapshot."""
    if isinstance(content, Order):
        return OrderUpdate(
            channel=stream.channel,
            symbol=stream.symbol,
            sequence_id=sequence_id,
            epoch=epoch,
            source=source,
            order=content,
            snapshot=snapshot,
            received_at=received_at,
            generation=generation,
        )
    return BalanceUpdate(
        channel=stream.channel,
        symbol=stream.symbol,
        sequence_id=sequence_id,
        epoch=epoch,
        source=source,
        balance=content,
        snapshot=snapshot,
        received_at=received_at,
        generation=generation,
    )


def snapshot_read(
    stream: Stream,
    *,
    sequence_id: int | None,
    epoch: str | None,
    source: Source,
    rows: int,
    generation: int,
    at: float,
) -> SnapshotRead:
    """So many rows of a snapshot follow."""
    return SnapshotRead(
        channel=stream.channel,
        symbol=stream.symbol,
        sequence_id=sequence_id,
        epoch=epoch,
        source=source,
        rows=rows,
        generation=generation,
        at=at,
    )


def gap_found(stream: Stream, epoch: str | None, start: int, end: int, *, reason: str, at: float) -> GapFound:
    """Ids that are owed and missing."""
    return GapFound(
        channel=stream.channel, symbol=stream.symbol, epoch=epoch, start_seq=start, end_seq=end, reason=reason, at=at
    )


def gap_filled(stream: Stream, epoch: str | None, start: int, end: int, *, reason: str, at: float) -> GapFilled:
    """Ids of open gaps that were delivered."""
    return GapFilled(
        channel=stream.channel, symbol=stream.symbol, epoch=epoch, start_seq=start, end_seq=end, reason=reason, at=at
    )


def continuity_lost(
    stream: Stream, epoch: str | None, start: int, end: int | None, *, reason: str, at: float
) -> ContinuityLost:
    """Ids that will never be delivered; ``end`` None: to the end of the epoch."""
    return ContinuityLost(
        channel=stream.channel, symbol=stream.symbol, epoch=epoch, start_seq=start, end_seq=end, reason=reason, at=at
    )


def stream_reset(stream: Stream, old: str | None, new: str | None, at: float) -> StreamReset:
    """Ids of the new epoch are owed from 1."""
    return StreamReset(channel=stream.channel, symbol=stream.symbol, old_epoch=old, new_epoch=new, at=at)


def stream_rejected(stream: Stream, code: str, message: str, at: float) -> StreamRejected:
    """The venue refused the stream."""
    return StreamRejected(channel=stream.channel, symbol=stream.symbol, code=code, message=message, at=at)


def venue_notice(kind: NoticeKind, code: str, message: str, retry_after_s: float | None, at: float) -> VenueNotice:
    """The venue's own word."""
    return VenueNotice(kind=kind, code=code, message=message, retry_after_s=retry_after_s, at=at)


def circuit_changed(
    circuit: CircuitWord, host: str, *, failures: int, probe_in_s: float | None, at: float
) -> CircuitChanged:
    """REST of a host is left alone, or asked again."""
    return CircuitChanged(circuit=circuit, host=host, failures=failures, probe_in_s=probe_in_s, at=at)
