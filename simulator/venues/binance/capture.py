"""Recorded Binance traffic: combined streams as received, a line each. Texts, ids and times are kept as they are."""

from typing import ClassVar

import msgspec

from gapless.simulator.capture_file import TIME_NS_MAX
from gapless.simulator.venues.recording import CaptureReader, RecordedTrade
from gapless.simulator.venues.trade import VenueTrade


class _Line(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"{}")
    stream: str = ""


class _Trade(msgspec.Struct, frozen=True):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _BookTicker(msgspec.Struct, frozen=True):
    s: str
    b: str
    a: str


_lines = msgspec.json.Decoder(_Line)
_trades = msgspec.json.Decoder(_Trade)
_book_tickers = msgspec.json.Decoder(_BookTicker)


class BinanceCaptureReader(CaptureReader):
    """Takes trades, with the best prices of the latest ``bookTicker`` before; skips every other frame."""

    line_format: ClassVar[str] = '<receive time in ns> {"stream":...,"data":{...}}'

    def __init__(self) -> None:
        self._best: dict[str, _BookTicker] = {}

    def read(self, line: bytes) -> RecordedTrade | None:
        """The trade on this line."""
        received_ns, _, text = line.partition(b" ")
        if not received_ns.isdigit() or int(received_ns) > TIME_NS_MAX:
            raise ValueError("the line does not begin with a time")
        frame = _lines.decode(text)
        kind = frame.stream.partition("@")[2]
        if kind == "bookTicker":
            ticker = _book_tickers.decode(frame.data)
            self._best[ticker.s] = ticker
        if kind != "trade":
            return None
        trade = _trades.decode(frame.data)
        best = self._best.get(trade.s)
        return RecordedTrade(
            received_ns=int(received_ns),
            trade=VenueTrade(
                symbol=trade.s,
                trade_id=trade.t,
                price=trade.p,
                amount=trade.q,
                side="sell" if trade.m else "buy",
                time_ns=trade.T * 1_000_000,
                event_ns=trade.E * 1_000_000,
                bid=None if best is None else best.b,
                ask=None if best is None else best.a,
            ),
        )
