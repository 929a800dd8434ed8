"""What happens at a venue: trades with their numbers, who hears them, and what a client may know of the past."""

from collections import deque
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

import trio
from starlette.requests import Request

from gapless.simulator.failure_modes import EvictedMode
from gapless.simulator.failures import FailureControl
from gapless.simulator.hub import Hub
from gapless.simulator.messages import StreamKey
from gapless.simulator.records import SubscriptionRecord
from gapless.simulator.rejections import rejected
from gapless.simulator.seams import BEHIND, HINTS, SESSION
from gapless.simulator.session import Session
from gapless.simulator.skewed_clock import SkewedClock
from gapless.simulator.venues.config import VenueConfig
from gapless.simulator.venues.history import History, Shown
from gapless.simulator.venues.limits import LOG_MAX, Violation, WeightRecord
from gapless.simulator.venues.trade import VenueTrade

SEQUENCE_STEP_MAX: Final = 35
"""Messages between two trades, where a venue numbers messages: in the Coinbase recording the median is 18."""


class VenueMarket:
    """The trades of one venue.

    Methods by kind: time, trades, listeners, books.
    """

    def __init__(
        self,
        config: VenueConfig,
        *,
        failures: FailureControl,
        clock: SkewedClock,
        hub: Hub,
        subscriptions: deque[SubscriptionRecord],
    ) -> None:
        self.config = config
        self.failures = failures
        self.hub = hub
        self.weight_log: deque[WeightRecord] = deque(maxlen=LOG_MAX)
        """What each REST request cost, oldest first, bounded."""
        self.violations: deque[Violation] = deque(maxlen=LOG_MAX)
        """Each time a client went beyond a limit, oldest first, bounded."""
        self._clock = clock
        self._subscriptions = subscriptions
        self._histories: dict[str, History[VenueTrade]] = {
            symbol: History(config.record_max) for symbol in config.symbols
        }
        self._rng = Random(f"{config.seed}/venue/sequence")  # noqa: S311 (a run must be repeatable)

    # --- time -------------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """Unix seconds, right."""
        return self._clock.true_s()

    def shown_ns(self) -> int:
        """What the venue takes for the time, unix nanoseconds, to the microsecond."""
        return round(self._clock.shown_s() * 1e6) * 1_000

    # --- trades -----------------------------------------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return self.config.symbols

    def has(self, symbol: str) -> bool:
        """Whether this is traded."""
        return symbol in self._histories

    def history(self, symbol: str) -> History[VenueTrade]:
        """All that is remembered of a symbol.

        Raises:
            KeyError: it is not traded here.
        """
        return self._histories[symbol]

    def next_number(self, symbol: str, first: int) -> int:
        """The number of the next trade; ``first`` if there was none."""
        last = self._histories[symbol].last
        return first if last is None else last.number + 1

    def next_sequence(self, symbol: str) -> int:
        """The number of its message: some others were in between."""
        last = self._histories[symbol].last
        return (0 if last is None else last.sequence) + self._rng.randint(1, SEQUENCE_STEP_MAX)

    def time_of_next(self, symbol: str, step_ns: int = 0) -> int:
        """Now, and so far behind the last trade at least, whatever the venue's clock says."""
        last = self._histories[symbol].last
        return max(self.shown_ns(), 0 if last is None else last.time_ns + step_ns)

    def asked(self, request: Request, symbol: str) -> Shown[VenueTrade]:
        """What REST shows of a symbol to whoever asks, as the failures have it: evicted, or behind.

        Raises:
            KeyError: it is not traded here.
        """
        session_id: str = request.scope.get(SESSION, "")
        hints: dict[str, int] = request.scope.get(HINTS, {})
        keep = self.config.history_size
        rule = self.failures.rule("evicted_history", session_id)
        if rule is not None and rule.may_act(session_id, trio.current_time()):
            rule.act(session_id, symbol)
            keep = min(keep, rule.mode(EvictedMode).keep)
        return self._histories[symbol].shown(keep, hints.get(BEHIND, 0))

    # --- listeners --------------------------------------------------------------------------------------------------

    def listen(self, session: Session, channel: str, symbol: str) -> None:
        """From now on a session hears a channel of a symbol; nothing happens if it does already."""
        key = StreamKey(channel, symbol)
        if key in session.marks:
            return
        last = self._histories[symbol].last if self.has(symbol) else None
        mark = 0 if last is None else last.number
        self.hub.listen(session, key, mark)
        self._subscriptions.append(
            SubscriptionRecord(session_id=session.session_id, epoch="", channel=channel, symbol=symbol, mark=mark)
        )

    def mute(self, session: Session, channel: str, symbol: str) -> None:
        """A session hears it no more."""
        self.hub.mute(session, StreamKey(channel, symbol))

    def listeners(self, channel: str, symbol: str) -> Sequence[Session]:
        """Who hears it, in the order they came."""
        return self.hub.listeners(StreamKey(channel, symbol))

    def rejected(self, session: Session, keys: Iterable[StreamKey]) -> dict[StreamKey, tuple[str, str]]:
        """What the failure ``reject`` refuses of a subscription, each with a code and a message."""
        new = [key for key in keys if key not in session.marks]
        return rejected(self.failures, session.session_id, new, trio.current_time())

    # --- books ------------------------------------------------------------------------------------------------------

    def violated(self, address: str, kind: str, what: str) -> None:
        """Note that a client went beyond a limit."""
        self.violations.append(Violation(time_s=self.now_s(), address=address, kind=kind, what=what))
