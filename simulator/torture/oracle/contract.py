"""The contract's first clause: exactly once or reported, judged by the exchange's own record."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from gapless.controller import (
    AnyEvent,
    BalanceUpdate,
    ContinuityLost,
    GapFilled,
    MarketData,
    NetworkConfig,
    OrderUpdate,
    StateChanged,
    Stream,
)
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.testkit.continuity import Continuity
from gapless.simulator.testkit.deliveries import Issued, Point, StreamAccount, StreamKey, named, spans
from gapless.simulator.testkit.issued import points
from gapless.simulator.torture.observer import Answered, Heard, Watch
from gapless.simulator.torture.wishes import Wishes

_DATA: Final = (MarketData, OrderUpdate, BalanceUpdate)


class ExactlyOnce(Watch):
    """Every id that is owed was delivered once, as it was issued, or reported lost; none that was never issued."""

    promise: ClassVar[str] = "exactly once or reported"

    def __init__(self, exchange: ExchangeSimulator, wishes: Wishes) -> None:
        super().__init__()
        self._exchange = exchange
        self._wishes = wishes
        self._events: dict[StreamKey, list[MarketData | ContinuityLost]] = {}
        self._owed: list[tuple[Stream, StreamKey, set[int]]] = []
        """Stream and epoch -> the ids that came or were reported lost, once the run is over."""
        self._said: dict[StreamKey, dict[int, set[Point]]] = {}
        """Stream and epoch -> what the sockets said under each id."""
        self.reasons: Counter[str] = Counter()
        """Reason -> how often something was reported lost for it."""

    def heard(self, now: float, heard: Heard) -> None:  # noqa: ARG002
        """What a venue says under a wrong id is taken for what it says, where that id was missing."""
        for (channel, symbol, number), point in zip(heard.ids, heard.points, strict=True):
            said = self._said.setdefault(StreamKey(heard.epoch, channel, symbol), {})
            said.setdefault(number, set()).add(point)

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
        issued = Issued(points=points(self._exchange, key), misnamed=self._said.get(key, {}))
        account = StreamAccount(key, issued)
        for event in self._events.get(key, ()):
            account.enter(event)
        for text in account.violations():
            self.broken(now, text)
        self._owed.append((stream, key, account.delivered_ids | account.lost_ids))

    def complete(self, now: float) -> None:
        """Nothing may be missing."""
        for stream, key, known in self._owed:
            if missing := self._wishes.owed(stream, key.epoch, known) - known:
                self.broken(
                    now, f"{named(key)}: {spans(missing)} are owed and were neither delivered nor reported lost"
                )


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

    def complete(self, now: float) -> None:
        """Nothing may be open."""
        for text in self._continuity.unclosed():
            self.broken(now, text)


class BoundedQueue(Watch):
    """What waits for the app, and what is known to be missing, stays within the bound, whenever data comes.

    How many events wait is seen at once; how many of them are data, when the app has taken as many: they are the first.
    Data that is handed over out of turn, or replaced by the word that it went, only makes that count smaller.
    """

    promise: ClassVar[str] = "everything is bounded"
    _SLACK: Final = 30
    """Data: the rows of a snapshot, which are taken as a whole."""
    _CONTROL_MAX: Final = 4_000
    """State and continuity events on top: what an hour of the wildest flapping with a slow app leaves."""

    def __init__(
        self,
        config: NetworkConfig,
        held: Callable[[], int],
        open_gaps: Callable[[], Mapping[Stream, Sequence[tuple[int, int]]]],
    ) -> None:
        super().__init__()
        page = min(config.price_history_limit, config.buffer_size)
        # In sequence as much again is held back, and may be freed at once.
        self._data_max = config.buffer_size * (2 if config.ordering == "sequence" else 1) + page + self._SLACK
        self._intervals_max = config.open_intervals_max
        self._held = held
        self._open_gaps = open_gaps
        self._to_take = 0
        """Of the events that waited when there were too many for data alone, those that the app has yet to take."""
        self._data = 0
        """Of those, the data that it has taken."""

    def heard(self, now: float, heard: Heard) -> None:  # noqa: ARG002
        """Look; what this batch adds is seen with the next."""
        self._look(now)

    def answered(self, now: float, reply: Answered) -> None:  # noqa: ARG002
        """Look."""
        self._look(now)

    def transition(self, now: float, event: StateChanged) -> None:  # noqa: ARG002
        """Look."""
        self._look(now)

    def _look(self, now: float) -> None:
        self._weigh(now)
        for stream, gaps in self._open_gaps().items():
            if len(gaps) > self._intervals_max:
                self.broken(now, f"{stream} has {len(gaps)} open gaps; the bound is {self._intervals_max}")

    def received(self, now: float, event: AnyEvent) -> None:
        """One of those that waited."""
        if self._to_take:
            self._to_take -= 1
            self._data += isinstance(event, _DATA)
            if not self._to_take and self._data > self._data_max:
                self.broken(now, f"{self._data} pieces of data waited for the app; the bound is {self._data_max}")
        self._weigh(now)

    def _weigh(self, now: float) -> None:
        held = self._held()
        if held <= self._data_max:
            return
        if held > self._data_max + self._CONTROL_MAX:
            self.broken(now, f"{held} events wait for the app")
        if not self._to_take:
            self._to_take, self._data = held, 0
