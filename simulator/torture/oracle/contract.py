"""The contract's first clause: exactly once or reported, judged by the exchange's own record."""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import msgspec

from gapless.controller import AnyEvent, ContinuityLost, GapFilled, MarketData, NetworkConfig, StateChanged, Stream
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.testkit.continuity import Continuity
from gapless.simulator.testkit.deliveries import Issued, StreamAccount, StreamKey, named, spans
from gapless.simulator.testkit.issued import points
from gapless.simulator.torture.observer import Watch
from gapless.simulator.torture.wishes import Wishes


class ExactlyOnce(Watch):
    """Every id that is owed was delivered once, as it was issued, or reported lost; none that was never issued."""

    promise: ClassVar[str] = "exactly once or reported"

    def __init__(self, exchange: ExchangeSimulator, wishes: Wishes) -> None:
        super().__init__()
        self._exchange = exchange
        self._wishes = wishes
        self._events: dict[StreamKey, list[MarketData | ContinuityLost]] = {}
        self.reasons: Counter[str] = Counter()
        """Reason -> how often something was reported lost for it."""

    def acknowledged(self, now: float, stream: Stream, epoch: str, mark: int, sent_at: float) -> None:  # noqa: ARG002
        """From here on ids are owed."""
        self._wishes.acknowledge(stream, epoch, mark, sent_at)

    def received(self, now: float, event: AnyEvent) -> None:  # noqa: ARG002
        """Sort by stream and epoch; the sums come at the end."""
        if isinstance(event, ContinuityLost):
            self.reasons[event.reason] += 1
        elif not isinstance(event, MarketData):
            return
        self._events.setdefault(StreamKey(event.epoch or "-", event.channel, event.symbol), []).append(event)

    def ended(self, now: float) -> None:
        """Compare with what was issued."""
        epochs = self._exchange.issued.epochs
        streams = [each for each in self._wishes.by_stream if each.symbol != "*"]
        for stream in streams:
            for epoch in epochs:
                self._judge(now, stream, StreamKey(epoch, stream.channel, stream.symbol))
        known = {StreamKey(epoch, each.channel, each.symbol) for epoch in epochs for each in streams}
        for key in self._events.keys() - known:
            if key.symbol != "*":
                self.broken(now, f"{named(key)}: data of a stream or an epoch that never was")

    def _judge(self, now: float, stream: Stream, key: StreamKey) -> None:
        account = StreamAccount(key, Issued(points=points(self._exchange, key)))
        for event in self._events.get(key, ()):
            account.enter(event)
        for text in account.violations():
            self.broken(now, text)
        known = account.delivered_ids | account.lost_ids
        if missing := self._wishes.owed(stream, key.epoch, known) - known:
            self.broken(now, f"{named(key)}: {spans(missing)} are owed and were neither delivered nor reported lost")


class InOrder(Watch):
    """With ``ordering="sequence"`` no id comes after a higher one of its epoch."""

    promise: ClassVar[str] = "in sequence"

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[StreamKey, int] = {}

    def received(self, now: float, event: AnyEvent) -> None:
        """Compare with the one before."""
        if isinstance(event, MarketData) and event.sequence_id is not None:
            key = StreamKey(event.epoch or "-", event.channel, event.symbol)
            if event.sequence_id < self._last.get(key, 0):
                self.broken(now, f"{named(key)}: {event.sequence_id} came after {self._last[key]}")
            self._last[key] = event.sequence_id


class GapsAreClosed(Watch):
    """A gap is found before it is filled, closed before CONNECTED is claimed, and never left open.

    With ``overflow="conflate"`` the word that ids came may precede the one that they went, of data nobody ever saw.
    """

    promise: ClassVar[str] = "CONNECTED is a promise, and gaps are closed"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._conflates = config.overflow == "conflate"
        self._continuity = Continuity()

    def received(self, now: float, event: AnyEvent) -> None:
        """The next event, after those before it."""
        if self._conflates and isinstance(event, GapFilled):
            # Like a snapshot it closes ids that need not have come; whether they were reported, ExactlyOnce asks.
            event = msgspec.structs.replace(event, reason="snapshot")
        for text in self._continuity.follow(event):
            self.broken(now, text)

    def ended(self, now: float) -> None:
        """Nothing may be open."""
        for text in self._continuity.unclosed():
            self.broken(now, text)


class BoundedQueue(Watch):
    """The events that wait for the app stay within the bound, looked at whenever the controller moves."""

    promise: ClassVar[str] = "everything is bounded"
    _CONTROL_SHARE: ClassVar[int] = 4_000
    """State and continuity events on top: what an hour of the wildest flapping with a slow app leaves."""

    def __init__(self, config: NetworkConfig, held: Callable[[], int]) -> None:
        super().__init__()
        self._max = 2 * config.buffer_size + config.price_history_limit + self._CONTROL_SHARE
        self._held = held

    def transition(self, now: float, event: StateChanged) -> None:  # noqa: ARG002
        """Look."""
        if (held := self._held()) > self._max:
            self.broken(now, f"{held} events wait for the app; the bound is {self._max}")
