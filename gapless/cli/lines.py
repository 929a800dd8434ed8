"""Events as lines for a person: one summary of the data a second, every other event spelled out."""

from datetime import datetime
from typing import Final

from gapless.cli.tally import Tally
from gapless.controller import (
    AnyEvent,
    BalanceUpdate,
    CircuitChanged,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    OrderUpdate,
    ReconnectGaveUp,
    SnapshotMissed,
    SnapshotRead,
    State,
    StateChanged,
    StreamRejected,
    StreamReset,
    VenueNotice,
)

_SPELLED_OUT_MAX: Final = 4
"""Streams named one by one in a summary; more would not fit on a line."""


def line_of(event: AnyEvent) -> str | None:
    """One event in words; None for market data, which is only summed up."""
    if isinstance(event, MarketData):
        return None
    at = event.received_at if isinstance(event, OrderUpdate | BalanceUpdate) else event.at
    return f"{_clock(at)}  {_words(event)}"


def _words(event: AnyEvent) -> str:
    match event:
        case StateChanged():
            return _transition(event)
        case GapFound() | GapFilled() | ContinuityLost():
            return f"{_HAPPENED[type(event)]:<9} {event.channel}:{event.symbol} {_range(event)} ({event.reason})"
        case StreamReset():
            return (
                f"reset     {event.channel}:{event.symbol} {event.old_epoch} is over, {event.new_epoch} begins at id 1"
            )
        case StreamRejected():
            return f"rejected  {event.channel}:{event.symbol} {event.code}: {event.message}"
        case VenueNotice() | CircuitChanged():
            return _of_venue(event)
        case SnapshotRead():
            return f"snapshot  of {event.channel}, {event.rows} rows ({event.source})"
        case SnapshotMissed():
            return f"missed    the snapshot of {event.channel} ({event.reason})"
        case ReconnectGaveUp():
            return f"gave up   after {event.attempts} attempts ({event.reason})"
        case OrderUpdate():
            order = event.order
            return f"order     {order.order_id} {order.side} {order.quantity:g} {order.symbol} {order.status}"
        case BalanceUpdate():
            balance = event.balance
            return f"balance   {balance.asset} {balance.free:g} free, {balance.locked:g} locked"
        case MarketData():
            return f"data      {event.channel}:{event.symbol} {event.sequence_id} {event.price:g} {event.source}"


def _of_venue(event: VenueNotice | CircuitChanged) -> str:
    if isinstance(event, VenueNotice):
        wait = "" if event.retry_after_s is None else f"; not asked for {event.retry_after_s:g} s"
        return f"notice    {event.kind} {event.code}: {event.message}{wait}"
    if event.circuit == "closed":
        return f"circuit   closed: {event.host} answers again"
    return f"circuit   open: {event.host} failed {event.failures} times in a row; probed in {event.probe_in_s:g} s"


_HAPPENED: Final[dict[type, str]] = {GapFound: "gap", GapFilled: "filled", ContinuityLost: "LOST"}


def _transition(event: StateChanged) -> str:
    wait = "" if event.retry_in_s is None else f"; next attempt in {event.retry_in_s:.1f} s"
    doubt = "; unverified" if event.unverified else ""
    return (
        f"state     {event.before.name} -> {event.after.name} by {event.trigger}"
        f" ({event.reason}{wait}{doubt}; generation {event.generation})"
    )


def _range(event: GapFound | GapFilled | ContinuityLost) -> str:
    if event.end_seq is None:
        return f"from {event.start_seq} to the end of {event.epoch}"
    return str(event.start_seq) if event.start_seq == event.end_seq else f"{event.start_seq}..{event.end_seq}"


class Summary:
    """How much data came since the last line."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._before = dict.fromkeys(tally.by_stream, 0)

    def line(self, *, state: State, seconds: float, at: float) -> str | None:
        """The line for the ``seconds`` that ended now; None where nothing came."""
        came: dict[str, int] = {}
        texts: list[str] = []
        for stream, each in self._tally.by_stream.items():
            count = each.delivered - self._before[stream]
            self._before[stream] = each.delivered
            if count:
                came[str(stream)] = count
                texts.append(f"{stream} {count / seconds:.0f}/s #{each.last_id} {each.last_price:g} {each.last_source}")
        if not came:
            return None
        if len(came) > _SPELLED_OUT_MAX:
            texts = [f"{len(came)} streams, {sum(came.values()) / seconds:.0f}/s"]
        return f"{_clock(at)}  {state.name:<13} {'   '.join(texts)}"


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%H:%M:%S.%f")[:-3]
