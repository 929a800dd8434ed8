"""A page that REST answered, on its way into the books, and what became of it."""

from dataclasses import dataclass
from enum import Enum, unique

from gapless.controller.events import Source
from gapless.controller.exchange import HistoryPage, HistoryQuery
from gapless.controller.subscription import Asked


@unique
class Entry(Enum):
    """What became of a reply."""

    ENTERED = "entered"
    STALE = "stale"
    """It knows less than the books, or the books were started anew meanwhile: ask again."""
    OTHER_EPOCH = "other epoch"
    """Discarded."""
    NEW_EPOCH = "new epoch"
    """It announced a new epoch: ask again from id 1."""
    OVERTAKEN = "overtaken"
    """Of a snapshot: live updates that it does not know came while it was on its way: read it again at once."""
    FULL = "full"
    """The app's buffer is full: the rest must be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A page of history, what was asked for, and the state of the books when the request left."""

    query: HistoryQuery
    page: HistoryPage
    asked: Asked
    source: Source
    received_at: float


def is_stale(last_seq: int | None, highest_issued: int | None) -> bool:
    """Whether a reply knows less than the books did when the request left."""
    return last_seq is not None and highest_issued is not None and last_seq < highest_issued
