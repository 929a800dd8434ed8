"""What ``gapless watch`` says to a person."""

import pytest

from gapless.cli.lines import Summary, line_of
from gapless.cli.tally import Tally
from gapless.controller import (
    AnyEvent,
    Balance,
    BalanceUpdate,
    CircuitChanged,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    Order,
    OrderUpdate,
    ReconnectGaveUp,
    SnapshotMissed,
    SnapshotRead,
    Source,
    State,
    StateChanged,
    Stream,
    StreamRejected,
    StreamReset,
    Trigger,
)

TICKER = Stream("ticker", "BTC/USD")
NAMED = {"channel": "ticker", "symbol": "BTC/USD"}


def datum(number: int | None, stream: Stream = TICKER) -> MarketData:
    return MarketData(
        channel=stream.channel,
        symbol=stream.symbol,
        sequence_id=number,
        epoch="e-1",
        source=Source.LIVE,
        timestamp="",
        price=50_000.5,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )


SPELLED_OUT: list[tuple[AnyEvent, str]] = [
    (
        StateChanged(
            before=State.CONNECTED,
            trigger=Trigger.LINK_LOST,
            after=State.REST_FALLBACK,
            reason="reset",
            generation=3,
            retry_in_s=0.25,
            unverified=True,
            at=0.0,
        ),
        "state     CONNECTED -> REST_FALLBACK by LINK_LOST (reset; next attempt in 0.2 s; unverified; generation 3)",
    ),
    (
        GapFound(**NAMED, epoch="e-1", start_seq=3, end_seq=5, reason="sequence_jump", at=0.0),
        "gap       ticker:BTC/USD 3..5 (sequence_jump)",
    ),
    (
        GapFilled(**NAMED, epoch="e-1", start_seq=3, end_seq=3, reason="rest", at=0.0),
        "filled    ticker:BTC/USD 3 (rest)",
    ),
    (
        ContinuityLost(**NAMED, epoch="e-1", start_seq=4, end_seq=5, reason="evicted", at=0.0),
        "LOST      ticker:BTC/USD 4..5 (evicted)",
    ),
    (
        ContinuityLost(**NAMED, epoch="e-1", start_seq=6, end_seq=None, reason="epoch_ended", at=0.0),
        "LOST      ticker:BTC/USD from 6 to the end of e-1 (epoch_ended)",
    ),
    (
        StreamReset(**NAMED, old_epoch="e-1", new_epoch="e-2", at=0.0),
        "reset     ticker:BTC/USD e-1 is over, e-2 begins at id 1",
    ),
    (
        StreamRejected(**NAMED, code="unknown_symbol", message="no such thing", at=0.0),
        "rejected  ticker:BTC/USD unknown_symbol: no such thing",
    ),
    (
        SnapshotRead(
            channel="orders",
            symbol="*",
            sequence_id=7,
            epoch="e-1",
            source=Source.POLL,
            rows=0,
            generation=1,
            at=0.0,
        ),
        "snapshot  of orders, 0 rows (POLL)",
    ),
    (
        SnapshotMissed(channel="orders", symbol="*", reason="HTTP 503", at=0.0),
        "missed    the snapshot of orders (HTTP 503)",
    ),
    (
        CircuitChanged(circuit="open", host="127.0.0.1:8081", failures=5, probe_in_s=5.0, at=0.0),
        "circuit   open: 127.0.0.1:8081 failed 5 times in a row; probed in 5 s",
    ),
    (
        CircuitChanged(circuit="closed", host="127.0.0.1:8081", failures=0, probe_in_s=None, at=0.0),
        "circuit   closed: 127.0.0.1:8081 answers again",
    ),
    (
        ReconnectGaveUp(attempts=10, reason="refused", at=0.0),
        "gave up   after 10 attempts (refused)",
    ),
    (
        OrderUpdate(
            channel="orders",
            symbol="*",
            sequence_id=1,
            epoch="e-1",
            source=Source.LIVE,
            order=Order(order_id="o-1", symbol="BTC/USD", side="buy", type="limit", quantity=0.5, status="open"),
            snapshot=False,
            received_at=0.0,
            generation=1,
        ),
        "order     o-1 buy 0.5 BTC/USD open",
    ),
    (
        BalanceUpdate(
            channel="balance",
            symbol="*",
            sequence_id=1,
            epoch="e-1",
            source=Source.LIVE,
            balance=Balance(asset="USD", free=10.0, locked=2.5),
            snapshot=False,
            received_at=0.0,
            generation=1,
        ),
        "balance   USD 10 free, 2.5 locked",
    ),
]


@pytest.mark.parametrize(("event", "says"), SPELLED_OUT, ids=[type(event).__name__ for event, _ in SPELLED_OUT])
def test_every_event_but_data_is_spelled_out(event: AnyEvent, says: str) -> None:
    line = line_of(event)

    assert line is not None
    clock, _, words = line.partition("  ")
    assert len(clock) == len("12:34:56.789")
    assert words == says


def test_data_is_only_summed_up() -> None:
    tally = Tally([TICKER, Stream("trade", "BTC/USD")], keep=False)
    summary = Summary(tally)
    assert line_of(datum(1)) is None

    assert summary.line(state=State.CONNECTED, seconds=1.0, at=0.0) is None
    tally.add([datum(number) for number in range(7, 17)])
    line = summary.line(state=State.CONNECTED, seconds=2.0, at=0.0)

    assert line is not None
    assert line.partition("  ")[2] == "CONNECTED     ticker:BTC/USD 5/s #16 50000.5 LIVE"
    assert summary.line(state=State.CONNECTED, seconds=1.0, at=0.0) is None
    assert tally.events == []


def test_many_streams_are_summed_up_together() -> None:
    streams = [Stream("ticker", f"S{number}") for number in range(9)]
    tally = Tally(streams, keep=False)
    tally.add([datum(1, stream) for stream in streams])

    line = Summary(tally).line(state=State.SILENT, seconds=1.0, at=0.0)

    assert line is not None
    assert line.endswith("SILENT        9 streams, 9/s")
