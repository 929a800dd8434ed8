"""Recorded trades as market data.

A capture is what Binance sent on combined streams, a line each: ``<receive time, ns> <JSON frame>``, plain or gzipped.
Trades become ids of channel ``trade`` with the spacing they were received with; bid and ask come from the latest
``bookTicker`` before; every other frame is skipped. After the last trade the market is simply quiet.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from loguru import logger
from msgspec import Meta

from gapless.simulator.capture_file import TIME_NS_MAX, CaptureError, capture_lines
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.messages import StreamKey

LINE_FORMAT = '<receive time in ns> {"stream":...,"data":{...}}'

Amount = Annotated[float, Meta(gt=0.0, lt=1e18)]
"""A price or a quantity; the upper limit keeps ``inf`` out."""


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One recorded trade with the best prices of its moment. ``time_ns`` is when it was received, unix nanoseconds."""

    symbol: str
    price: float
    quantity: float
    trade_id: int
    time_ns: int
    bid: float
    ask: float


class _Frame(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"{}")
    stream: str = ""


class _Trade(msgspec.Struct, frozen=True):
    s: str
    t: int
    p: Amount
    q: Amount


class _BookTicker(msgspec.Struct, frozen=True):
    s: str
    b: Amount
    a: Amount


# Binance writes numbers as strings; the decoders that are not strict take them.
_frames = msgspec.json.Decoder(_Frame)
_trades = msgspec.json.Decoder(_Trade, strict=False)
_book_tickers = msgspec.json.Decoder(_BookTicker, strict=False)


def read_trades(path: str | Path, *more: str | Path) -> tuple[Trade, ...]:
    """The trades of a capture, in the order received. ``more`` files continue the first, as if they were one.

    Raises:
        CaptureError: a file is missing, empty, truncated or broken, or there is no trade.
    """
    trades: list[Trade] = []
    best: dict[str, _BookTicker] = {}
    for file in (path, *more):
        for number, line in capture_lines(Path(file)):
            try:
                trade = _read_line(line, best)
            except (ValueError, RecursionError) as error:
                raise CaptureError(
                    f"{file}, line {number}: expected {LINE_FORMAT}, got {line[:80]!r}: {error}"
                ) from None
            if trade is None:
                continue
            if trades and trade.time_ns < trades[-1].time_ns:
                raise CaptureError(f"{file}, line {number}: expected trades in order of time; this one came too early")
            trades.append(trade)
    if not trades:
        raise CaptureError(f"{path}: expected at least one trade, a frame of a stream '<symbol>@trade'; found none")
    return tuple(trades)


def _read_line(line: bytes, best: dict[str, _BookTicker]) -> Trade | None:
    """The trade on this line, if it is one; a ``bookTicker`` is noted in ``best``."""
    time_ns, _, text = line.partition(b" ")
    if not time_ns.isdigit() or int(time_ns) > TIME_NS_MAX:
        raise ValueError("the line does not begin with a time")
    frame = _frames.decode(text)
    kind = frame.stream.partition("@")[2]
    if kind == "bookTicker":
        ticker = _book_tickers.decode(frame.data)
        best[ticker.s] = ticker
    if kind != "trade":
        return None
    trade = _trades.decode(frame.data)
    ticker = best.get(trade.s, _BookTicker(s=trade.s, b=trade.p, a=trade.p))
    return Trade(
        symbol=trade.s,
        price=trade.p,
        quantity=trade.q,
        trade_id=trade.t,
        time_ns=int(time_ns),
        bid=ticker.b,
        ask=ticker.a,
    )


class Replay:
    """Publishes recorded trades, with their spacing divided by ``speed``.

    Args:
        trades: what to publish, at least one, in order.
        speed: 1.0 is as recorded, 60.0 an hour in a minute.
        channel: where to; its generator must be off (``rate_per_s=0``), or its ids mix with these.
        symbols: what a recorded symbol is called here, such as ``{"BTCUSDT": "BTC/USD"}``; others keep their name.

    Raises:
        ValueError: there is no trade, or ``speed`` is not a positive number.
    """

    def __init__(
        self,
        trades: Sequence[Trade],
        speed: float = 1.0,
        *,
        channel: str = "trade",
        symbols: Mapping[str, str] | None = None,
    ) -> None:
        if not trades:
            raise ValueError("expected at least one trade to replay, got none")
        if not (speed > 0.0 and math.isfinite(speed)):
            raise ValueError(f"speed = {speed!r}: expected a positive number; 1.0 is as recorded")
        self._trades = trades
        self._speed = speed
        self._channel = channel
        self._symbols = dict(symbols or {})

    @property
    def duration_s(self) -> float:
        """How long :meth:`run` takes."""
        return (self._trades[-1].time_ns - self._trades[0].time_ns) / 1e9 / self._speed

    async def run(self, exchange: ExchangeSimulator) -> None:
        """Publish every trade on ``exchange``, the first at once; returns after the last.

        Raises:
            ValueError: the exchange has no stream for a symbol of the trades.
        """
        for symbol in {trade.symbol: None for trade in self._trades}:
            refusal = exchange.refusal(StreamKey(self._channel, self._name(symbol)))
            if refusal is not None:
                raise ValueError(f"the exchange cannot replay {symbol}: {refusal[1]}; add it to its configuration")
        logger.info("replaying {} trades in {:.1f} s", len(self._trades), self.duration_s)
        begin_s, begin_ns = trio.current_time(), self._trades[0].time_ns
        volumes: dict[str, float] = {}
        for trade in self._trades:
            await trio.sleep_until(begin_s + (trade.time_ns - begin_ns) / 1e9 / self._speed)
            volumes[trade.symbol] = volumes.get(trade.symbol, 0.0) + trade.quantity
            exchange.publish(
                self._channel,
                self._name(trade.symbol),
                price=trade.price,
                bid=trade.bid,
                ask=trade.ask,
                volume_24h=round(volumes[trade.symbol], 8),
                quantity=trade.quantity,
                trade_id=trade.trade_id,
            )

    def _name(self, symbol: str) -> str:
        return self._symbols.get(symbol, symbol)
