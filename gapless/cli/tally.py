"""What a controller's app received: every event, and the figures a view shows of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gapless.controller import AnyEvent, ContinuityLost, MarketData, Source, State, StateChanged, Stream
from gapless.states import TABLE


@dataclass(slots=True)
class StreamTally:
    """One stream, as the app has seen it so far."""

    delivered: int = 0
    lost: int = 0
    """Ids reported lost; a range to the end of an epoch counts as one, the app cannot know how many it was."""
    last_id: int | None = None
    last_epoch: str | None = None
    last_price: float = 0.0
    last_source: Source | None = None


@dataclass(slots=True)
class Tally:
    """Counts a controller's events, and keeps them where a checker wants them."""

    streams: Sequence[Stream]
    keep: bool = True
    events: list[AnyEvent] = field(default_factory=list)
    """Everything received, in order; empty unless ``keep``."""
    transitions: list[StateChanged] = field(default_factory=list)
    entered: Counter[State] = field(default_factory=lambda: Counter({TABLE.initial: 1}))
    """How often each state was entered; the initial one counts."""
    by_source: Counter[Source] = field(default_factory=Counter)
    by_stream: dict[Stream, StreamTally] = field(init=False)

    def __post_init__(self) -> None:
        self.by_stream = {stream: StreamTally() for stream in self.streams}

    def add(self, events: Iterable[AnyEvent]) -> None:
        """Count one batch."""
        for event in events:
            if isinstance(event, MarketData):
                self._count_data(event)
            elif isinstance(event, StateChanged):
                self.transitions.append(event)
                self.entered[event.after] += 1
            elif isinstance(event, ContinuityLost):
                each = self.by_stream[Stream(event.channel, event.symbol)]
                each.lost += 1 if event.end_seq is None else event.end_seq - event.start_seq + 1
            if self.keep:
                self.events.append(event)

    def forget(self) -> None:
        """Drop the events that were kept, and keep none from now on."""
        self.keep = False
        self.events.clear()

    def _count_data(self, event: MarketData) -> None:
        each = self.by_stream[Stream(event.channel, event.symbol)]
        each.delivered += 1
        if each.last_epoch != event.epoch or (event.sequence_id or 0) >= (each.last_id or 0):
            each.last_id, each.last_epoch = event.sequence_id, event.epoch
            each.last_price = event.price
        each.last_source = event.source
        self.by_source[event.source] += 1

    @property
    def delivered(self) -> int:
        """Market data received on all streams."""
        return sum(each.delivered for each in self.by_stream.values())
