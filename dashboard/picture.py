"""The picture: everything the page shows, made of the controller's events and of samples of its figures. Pure.

Every change gets a *revision*. A page that has revision r asks for what changed since; as nothing is queued for it, a
slow page costs nothing: what it is told later is merged by then. What is kept is bounded, so a page that has not asked
for so long that it may have missed something gets the whole picture again, like one that was just opened.

Methods by kind. What happens: :meth:`Picture.enter`, :meth:`Picture.rest_request`, :meth:`Picture.fault`,
:meth:`Picture.observe`. What is shown: :attr:`Picture.revision`, :meth:`Picture.whole`, :meth:`Picture.changes`.
"""

from collections import Counter
from typing import Final

from msgspec.structs import replace

from gapless.controller import (
    AnyEvent,
    Balance,
    BalanceUpdate,
    ContinuityLost,
    MarketData,
    Order,
    OrderUpdate,
    SnapshotRead,
    StreamRejected,
    StreamReset,
)
from gapless.dashboard.account import AccountRows
from gapless.dashboard.candles import BARS_MAX, CandlestickAggregator
from gapless.dashboard.chronicle import Chronicle
from gapless.dashboard.ledger_view import LedgerView
from gapless.dashboard.points import POINTS_MAX, MarketDataBuffer
from gapless.dashboard.revisions import Revisions
from gapless.dashboard.sample import Sample
from gapless.dashboard.texts import NAME_LENGTH_MAX, cut
from gapless.dashboard.wire import HeartbeatWire, Mode, PictureWire, RestWire

__all__ = ["ROUND_TRIPS_MAX", "SPAN_S", "SYMBOLS_MAX", "Picture", "Sample"]

SYMBOLS_MAX: Final = 32
"""Symbols with candles, together at most 100 MB of points. Further ones have a row in the table only; their
points are counted as ``points_without_candles``."""
ROUND_TRIPS_MAX: Final = 300
"""Heartbeats kept: five hours at the usual minute."""
SPAN_S: Final = 300.0
"""Seconds the time line is wide."""
_INTERVAL_S: Final = 5.0
"""Seconds a candle is wide: a demo of a minute shows a dozen."""


class _Market:
    """One symbol's buffer and its candles."""

    def __init__(self, points_max: int, bars_max: int, interval_s: float) -> None:
        self.buffer = MarketDataBuffer(points_max=points_max)
        self.candles = CandlestickAggregator(self.buffer, interval_s=interval_s, bars_max=bars_max)


class Picture:
    """All that the page shows.

    Args:
        began_at: Unix seconds when the controller was opened.
        run: a random name of this server process; a page that sees another one starts anew.
        mode: whether there are fault buttons.
        title: what is watched, for the page's head.
        interval_s: width of a candle, whole seconds.
        span_s: width of the time line.
        points_max: points kept of each symbol.
        bars_max: candles kept of each symbol.
        symbols_max: symbols that have candles.
    """

    def __init__(
        self,
        *,
        began_at: float,
        run: str,
        mode: Mode = "feed",
        title: str = "gapless",
        interval_s: float = _INTERVAL_S,
        span_s: float = SPAN_S,
        points_max: int = POINTS_MAX,
        bars_max: int = BARS_MAX,
        symbols_max: int = SYMBOLS_MAX,
    ) -> None:
        self._run, self._title = run, title
        self._mode: Mode = mode
        self._interval_s, self._span_s = interval_s, span_s
        self._points_max, self._bars_max = points_max, bars_max
        self._symbols_max = symbols_max
        self._revision = 0
        self._chronicle = Chronicle(began_at=began_at)
        self._ledger = LedgerView()
        self._orders = AccountRows[Order]()
        self._balances = AccountRows[Balance]()
        self._markets: dict[str, _Market] = {}
        self._round_trips = Revisions[float, tuple[float, float]](size_max=ROUND_TRIPS_MAX)
        self._sample: Sample | None = None
        self._counters = Counter[str]()

    @property
    def revision(self) -> int:
        """Grows with every change; 0: nothing happened yet."""
        return self._revision

    # -- what happens -------------------------------------------------------------------------------------------------

    def enter(self, event: AnyEvent) -> None:
        """Enter an event of the controller, in the order in which they come."""
        self._revision += 1
        match event:
            case MarketData():
                self._ledger.enter(event)
                self._trade(event)
            case OrderUpdate():
                self._ledger.enter(event)
                order = _shown_order(event.order)
                self._orders.put(event.order.order_id, order, event, self._revision)
            case BalanceUpdate():
                self._ledger.enter(event)
                balance = replace(event.balance, asset=cut(event.balance.asset, NAME_LENGTH_MAX))
                self._balances.put(event.balance.asset, balance, event, self._revision)
            case _:
                self._chronicle.enter(event, self._revision)
                self._tell_others(event)

    def rest_request(self, at: float, path: str, status: int | None) -> None:
        """A REST request was answered with an HTTP status; None: with none."""
        self._revision += 1
        self._chronicle.rest_request(at, path, status, self._revision)

    def fault(self, at: float, text: str) -> None:
        """Somebody broke something on purpose; ``text`` says what."""
        self._revision += 1
        self._chronicle.fault(at, text, self._revision)

    def observe(self, sample: Sample) -> None:
        """Enter figures read from the controller. If they are the ones that are known, nothing changes."""
        known = self._sample
        if known is not None and replace(known, at=sample.at) == sample:
            return
        self._revision += 1
        self._sample = sample
        self._ledger.observe(sample.freshness, sample.open_gaps)
        round_trip_s = sample.round_trip_s
        if round_trip_s is not None and (known is None or known.round_trip_s != round_trip_s):
            self._round_trips.put(sample.at, (sample.at, round_trip_s), revision=self._revision)

    def _trade(self, datum: MarketData) -> None:
        market = self._markets.get(datum.symbol)
        if market is None:
            if len(self._markets) >= self._symbols_max:
                self._forget_markets()
            if len(self._markets) >= self._symbols_max:
                self._counters["points_without_candles"] += 1
                return
            market = self._markets[datum.symbol] = _Market(self._points_max, self._bars_max, self._interval_s)
        refusal = market.candles.enter(datum, revision=self._revision)
        if refusal is not None:
            self._counters[refusal] += 1

    def _forget_markets(self) -> None:
        """Candles of symbols that nobody subscribes to any more make room."""
        if self._sample is not None:
            desired = {stream.symbol for stream in self._sample.freshness}
            self._markets = {symbol: market for symbol, market in self._markets.items() if symbol in desired}

    def _tell_others(self, event: AnyEvent) -> None:
        match event:
            case ContinuityLost():
                self._ledger.enter(event)
                if event.symbol in self._markets:
                    self._markets[event.symbol].candles.lose(event, revision=self._revision)
            case StreamReset():
                self._ledger.enter(event)
                if event.symbol in self._markets:
                    self._markets[event.symbol].buffer.reset(event.channel)
            case StreamRejected():
                self._ledger.enter(event)
            case SnapshotRead():
                self._orders.begin_snapshot(event, self._revision)
                self._balances.begin_snapshot(event, self._revision)
            case _:
                pass

    # -- what is shown ------------------------------------------------------------------------------------------------

    def whole(self, now: float) -> PictureWire:
        """Everything; ``now`` in Unix seconds."""
        return self._since(-1, now)

    def changes(self, since: int, now: float) -> PictureWire:
        """What changed after revision ``since``; everything, where what changed is not all kept."""
        if not self._chronicle.forgotten <= since <= self._revision:
            return self.whole(now)
        return self._since(since, now)

    def _since(self, since: int, now: float) -> PictureWire:
        candles = {symbol: market.candles.newer_than(since) for symbol, market in self._markets.items()}
        return PictureWire(
            revision=self._revision,
            whole=since < 0,
            at=now,
            run=self._run,
            mode=self._mode,
            title=self._title,
            interval_s=self._interval_s,
            span_s=self._span_s,
            state=self._chronicle.state,
            transitions=self._chronicle.transitions_newer_than(since),
            items=self._chronicle.items_newer_than(since),
            streams=self._ledger.rows(),
            orders=self._orders.newer_than(since),
            balances=self._balances.newer_than(since),
            heartbeat=self._heartbeat(since),
            rest=self._rest(),
            counters=self._all_counters(),
            candles={symbol: sorted(bars, key=lambda bar: bar.t) for symbol, bars in candles.items() if bars},
        )

    def _heartbeat(self, since: int) -> HeartbeatWire:
        last_s = None if self._sample is None else self._sample.round_trip_s
        return HeartbeatWire(last_s=last_s, points=self._round_trips.newer_than(since))

    def _rest(self) -> RestWire:
        sample = self._sample
        if sample is None:
            return RestWire(used=0, limit=0, succeeded=0, refused=0, failed=0, limited=0)
        return RestWire(
            used=sample.rest_budget[0],
            limit=sample.rest_budget[1],
            succeeded=sample.rest_succeeded,
            refused=sample.rest_refused,
            failed=sample.rest_failed,
            limited=sample.rest_limited,
        )

    def _all_counters(self) -> dict[str, int]:
        return {**({} if self._sample is None else self._sample.counters), **self._counters}


def _shown_order(order: Order) -> Order:
    names = {name: cut(getattr(order, name), NAME_LENGTH_MAX) for name in _ORDER_TEXTS}
    return replace(order, **names)


_ORDER_TEXTS: Final = ("order_id", "symbol", "side", "type", "status", "updated_at")
