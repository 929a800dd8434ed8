"""What can happen to the data plane, by name: a tuple that can be remembered and looked up, and what it does."""

from collections.abc import Callable
from typing import NamedTuple

from gapless.controller.answer import Answer, Entry
from gapless.controller.books import Books
from gapless.controller.errors import LinkError
from gapless.controller.events import Source
from gapless.controller.exchange import HistoryPage, HistoryQuery, HistoryRow, MarketUpdate
from gapless.controller.subscription import Asked, Subscription
from tests.exhaustive.plane import STREAM, Opened, RefusedError

EPOCHS = ("e-0", "e-1")
GENERATION = 1
"""Of every socket: what an older one sends cannot arrive in the model."""

EnterPage = Callable[[Books, Subscription, Answer], Entry]


class Begun(NamedTuple):
    """A new generation is about to be dialled."""

    name: str = "begun"

    def happen(self, at: Opened) -> None:
        at.feed.start_generation(GENERATION)
        at.feed.data_awaited = True


class Examined(NamedTuple):
    """The examination of a silence begins."""

    name: str = "examined"

    def happen(self, at: Opened) -> None:
        at.feed.data_awaited = True


class Closed(NamedTuple):
    """The socket is gone."""

    name: str = "closed"

    def happen(self, at: Opened) -> None:
        at.feed.socket_closed()


class Settled(NamedTuple):
    """The reorder window is over."""

    name: str = "settled"

    def happen(self, at: Opened) -> None:
        at.feed.settle(float("inf"))


class Welcomed(NamedTuple):
    """A socket says what epoch it belongs to."""

    epoch: int
    name: str = "welcomed"

    def happen(self, at: Opened) -> None:
        try:
            at.feed.welcome(EPOCHS[self.epoch])
        except LinkError as error:
            raise RefusedError from error


class Acknowledged(NamedTuple):
    """SUBSCRIBED came."""

    mark: int
    name: str = "acknowledged"

    def happen(self, at: Opened) -> None:
        at.feed.acknowledge(STREAM, self.mark)


class Rotated(NamedTuple):
    """A successor takes the lead."""

    epoch: int
    mark: int
    name: str = "rotated"

    def happen(self, at: Opened) -> None:
        at.feed.rotate(GENERATION)
        at.feed.welcome(EPOCHS[self.epoch])
        at.feed.acknowledge(STREAM, self.mark)


class Shown(NamedTuple):
    """A frame came. Its price tells the epoch that it is truly of."""

    number: int
    epoch: int
    name: str = "shown"

    def happen(self, at: Opened) -> None:
        update = MarketUpdate(
            channel=STREAM.channel,
            symbol=STREAM.symbol,
            timestamp="",
            price=float(self.epoch),
            sequence_id=self.number,
        )
        at.feed.market(update, now=0.0, received_at=0.0)


class Reply(NamedTuple):
    """REST answered."""

    enter: EnterPage
    start: int | None
    end: int | None
    asked: Asked
    epoch: int
    first: int
    last: int
    ids: tuple[int, ...]

    def happen(self, at: Opened) -> None:
        rows = [HistoryRow(timestamp="", price=float(self.epoch), sequence_id=number) for number in self.ids]
        answer = Answer(
            query=HistoryQuery(stream=STREAM, limit=100, start_seq=self.start, end_seq=self.end),
            page=HistoryPage(rows=rows, epoch=EPOCHS[self.epoch], first_seq=self.first, last_seq=self.last),
            asked=self.asked,
            source=Source.BACKFILL,
            received_at=0.0,
        )
        self.enter(at.books, at.subscription, answer)
