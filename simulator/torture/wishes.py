"""What the app wanted and when, what the venue answered to it, and so what is owed."""

from dataclasses import dataclass, field

from gapless.controller import Stream
from gapless.simulator.records import IssuedLog


@dataclass(slots=True, kw_only=True)
class Wish:
    """One time that the app wanted a stream, from asking for it to giving it up.

    Attributes:
        asked_at: monotonic seconds.
        marks: epoch -> the mark of the first answer in it, as it came out of the socket.
        given_up: epoch -> the last id issued when the app gave it up; None: it never did.
    """

    asked_at: float
    marks: dict[str, int] = field(default_factory=dict)
    given_up: dict[str, int] | None = None


@dataclass(slots=True)
class Wishes:
    """The wishes of one app, by stream."""

    issued: IssuedLog
    by_stream: dict[Stream, list[Wish]] = field(default_factory=dict)

    def ask(self, stream: Stream, now: float) -> None:
        """The app wants a stream from now on."""
        self.by_stream.setdefault(stream, []).append(Wish(asked_at=now))

    def give_up(self, stream: Stream) -> None:
        """The app wants it no more."""
        self.by_stream[stream][-1].given_up = {
            epoch: self.issued.last_id(epoch, stream.channel, stream.symbol) for epoch in self.issued.epochs
        }

    def acknowledge(self, stream: Stream, epoch: str, mark: int, sent_at: float) -> None:
        """The venue answered a SUBSCRIBE that was sent at ``sent_at``; the answer to an older wish counts no more."""
        wishes = self.by_stream.get(stream)
        if wishes and sent_at >= wishes[-1].asked_at and wishes[-1].given_up is None:
            wishes[-1].marks.setdefault(epoch, mark)

    def owed(self, stream: Stream, epoch: str, known: set[int]) -> set[int]:
        """The ids of one epoch that must have come or been reported; ``known``: those that did."""
        owed: set[int] = set()
        for wish in self.by_stream[stream]:
            if epoch not in wish.marks:
                continue
            first = wish.marks[epoch] + 1 if next(iter(wish.marks)) == epoch else 1
            last = self.issued.last_id(epoch, stream.channel, stream.symbol)
            if wish.given_up is not None:
                # What was under way when it was given up is not owed: only what lies below something that arrived.
                up_to = wish.given_up.get(epoch, 0)
                last = max((each for each in known if first <= each <= up_to), default=0)
            owed.update(range(first, last + 1))
        return owed
