"""Where an app is in its streams: a small value to store, and to open the next controller with.

It tells what *the app* was given, never what the books of the controller hold, which run ahead of it: what lies in the
buffer, and what is held back behind a gap, counts as missing.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gapless.controller.errors import ConfigurationError
from gapless.controller.events import ContinuityLost, MarketData
from gapless.controller.intervals import IntervalSet

_Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_HOLES_MAX: Final = 100_000
"""Holes of one stream that are read; a controller keeps ``open_intervals_max`` and what its buffer holds."""


class StreamCursor(Struct, frozen=True, kw_only=True):
    """Where an app is in one stream.

    Attributes:
        epoch: of the ids; None: the venue names none.
        next_id: every id below it was handed over, reported lost, never owed, or lies in a hole; None: not known.
        holes: ids below ``next_id`` that are still owed, as inclusive ranges in ascending order.
        timestamp: the venue's time of the newest datum, as far as the app must not be given it again; empty: none.
    """

    channel: str
    symbol: str
    epoch: str | None = None
    next_id: _Id | None = None
    holes: Annotated[list[tuple[_Id, _Id]], Meta(max_length=_HOLES_MAX)] = []
    timestamp: str = ""

    def __post_init__(self) -> None:
        before = -1
        for start, end in self.holes:
            if not before < start <= end or self.next_id is None or end >= self.next_id:
                raise ValueError(
                    f"holes of {self.channel}:{self.symbol} must ascend, below next_id; got {start}..{end}"
                )
            before = end


class Cursor(Struct, frozen=True, kw_only=True):
    """Where an app is in all of its streams.

    >>> cursor = Cursor(streams=[StreamCursor(channel="ticker", symbol="BTC/USD", epoch="e-1", next_id=43)])
    >>> Cursor.decode(cursor.encode()) == cursor
    True
    """

    streams: list[StreamCursor]
    epoch: str | None = None
    """The venue's epoch of the newest thing that was heard."""
    version: Literal[1] = 1

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, text: bytes | str) -> "Cursor":
        """Read what :meth:`encode` wrote.

        Raises:
            ConfigurationError: it is something else; says what.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
            raise ConfigurationError(f"not a cursor of gapless: {error}") from None


class Rewind:
    """One stream's position, taken back event by event, the newest first, over what the app was not given."""

    def __init__(self, epoch: str | None, next_id: int | None, missing: Iterable[tuple[int, int]]) -> None:
        self.epoch = epoch
        self.next_id = next_id
        self.oldest_time = ""
        """Of the oldest datum that was taken back."""
        self._missing = IntervalSet()
        for start, end in missing:
            self._missing.add(start, end)

    def undo(self, event: MarketData | ContinuityLost) -> None:
        """Take one event back."""
        match event:
            case MarketData():
                self.oldest_time = event.timestamp or self.oldest_time
                if event.sequence_id is not None and event.epoch == self.epoch:
                    self._missing.add(event.sequence_id, event.sequence_id)
            case ContinuityLost(end_seq=None):
                # All that was still to come of an epoch that is over: then that is where the app is.
                self.epoch, self.next_id = event.epoch, event.start_seq
                self._missing = IntervalSet()
            case ContinuityLost(start_seq=start, end_seq=int(end)) if event.epoch == self.epoch:
                self._missing.add(start, end)
            case _:
                pass

    def position(self, channel: str, symbol: str, timestamp: str) -> StreamCursor:
        """Where the app is."""
        holes, next_id = list(self._missing), self.next_id
        if next_id is not None:
            holes = [(start, min(end, next_id - 1)) for start, end in holes if start < next_id]
            if holes and holes[-1][1] == next_id - 1:
                next_id = holes.pop()[0]
        return StreamCursor(
            channel=channel,
            symbol=symbol,
            epoch=self.epoch,
            next_id=next_id,
            holes=holes if next_id is not None else [],
            timestamp=self.oldest_time or timestamp,
        )
