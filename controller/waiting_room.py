"""What a successor socket says before it takes the lead. Pure."""

from dataclasses import dataclass, field
from typing import Final

from gapless.controller.exchange import AccountUpdate, MarketUpdate
from gapless.controller.stream import Stream
from gapless.controller.subscription_dialog import Refusal

HELD_MAX: Final = 10_000
"""Messages. A successor waits a second at most; a venue that sends more meanwhile is not waited for."""


@dataclass(slots=True)
class WaitingRoom:
    """The answers and the data of a socket that does not lead yet."""

    epoch: str | None = None
    """As its WELCOME named it."""
    marks: dict[Stream, int | None] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    data: list[tuple[MarketUpdate | AccountUpdate, float, float]] = field(default_factory=list)
    """Each with the monotonic and the wall-clock seconds of its arrival."""

    @property
    def is_full(self) -> bool:
        """Whether no more may be kept."""
        return len(self.data) >= HELD_MAX

    def mark(self, stream: Stream, mark: int | None) -> None:
        """A stream was taken, or is at this id; the first id that was named stays: from there on this socket speaks."""
        if self.marks.get(stream) is None:
            self.marks[stream] = mark

    def keep(self, message: MarketUpdate | AccountUpdate, now: float, received_at: float) -> None:
        """Keep one message; what does not fit is dropped and found missing later, by its id."""
        if not self.is_full:
            self.data.append((message, now, received_at))
