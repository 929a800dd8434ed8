"""Where an app is in its streams: a small value to store, and to open the next controller with.

It tells what *the app* was given, never what the books of the controller hold, which run ahead of it: what lies in the
buffer, and what is held back behind a gap, counts as missing.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gapless.controller.cursor_times import Times
from gapless.controller.errors import ConfigurationError
from gapless.controller.events import ContinuityLost, MarketData, StreamReset
from gapless.controller.far_jump import FarJump
from gapless.controller.intervals import IntervalSet
from gapless.controller.runs import Runs
from gapless.controller.stats import LossReason

_ID_MAX: Final = 2**63 - 1
_Id = Annotated[int, Meta(ge=0, le=_ID_MAX)]
_Next = Annotated[int, Meta(ge=0)]
"""What follows the highest id of all is none itself."""
_HOLES_MAX: Final = 100_000
"""Holes of one stream that are written and read. A controller has no more than ``open_intervals_max``, and besides, of
a stream that leaves ids out, some of those that its buffer holds."""
EPOCHS_MAX: Final = 64
"""Epochs already left that are remembered, so that a late reply cannot bring one back; and epochs that an app has yet
to be told of. A venue restarts a few times a day at most."""


class StreamCursor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an app is in one stream.

    Attributes:
        epoch: of the ids; None: the venue names none.
        next_id: every id below it was handed over, reported lost, never owed, or lies in a hole; None: not known.
        holes: ids below ``next_id`` that are still owed, as inclusive ranges in ascending order.
        timestamp: what follows ``next_id`` is not older, by the venue's clock: the time of the last datum that the app
            was given, or of the first that it was not; empty: none came.
        times: when the rest was.
        lost: ids of a stream that leaves some out, lost before the app was told so, and why.
        left_at: the next id in the epoch before, where the app left it: it may turn out to be the true one.
        ended: whether the app was told that all from ``next_id`` on is lost with its epoch, and not yet what follows.
        ahead: the epochs that it has yet to be told of, oldest first, and from which id each was owed.
        jumped_from: two ids far ahead that continued each other have led from here to ``next_id``, and nothing but the
            socket has said so: they may have been corrupt.
        jumped_over: whether what lies between was owed.
    """

    channel: str
    symbol: str
    epoch: str | None = None
    next_id: _Next | None = None
    holes: Annotated[list[tuple[_Id, _Id]], Meta(max_length=_HOLES_MAX)] = []
    timestamp: str = ""
    times: Times = Times()
    lost: Annotated[list[tuple[_Id, _Id, LossReason]], Meta(max_length=_HOLES_MAX)] = []
    left_at: _Next = 1
    ended: bool = False
    ahead: Annotated[list[tuple[str | None, _Id]], Meta(max_length=EPOCHS_MAX)] = []
    jumped_from: _Id | None = None
    jumped_over: bool = True

    def __post_init__(self) -> None:
        if (self.next_id or 0) > _ID_MAX + 1:
            raise ValueError(f"next_id of {self.channel}:{self.symbol} follows an id, below 2**63; got {self.next_id}")
        before = -1
        for start, end in self.holes:
            if not before < start <= end or self.next_id is None or end >= self.next_id:
                raise ValueError(
                    f"holes of {self.channel}:{self.symbol} must ascend, below next_id; got {start}..{end}"
                )
            before = end
        if any(start > end for start, end, _reason in self.lost):
            raise ValueError(f"what is lost of {self.channel}:{self.symbol} must be ranges of ids; got {self.lost[:5]}")


class PastEpochs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the venue's epochs besides the present one; see :mod:`~gapless.controller.epochs`.

    Attributes:
        confirmed: whether a socket has spoken of the present one.
        doubted: the other epoch that may be the true one.
        returned: whether the present one was left once, on the word of REST alone.
        votes: sockets that have spoken of the doubted epoch since any spoke of the present one.
        left: those that are over, oldest first, the doubted one among them.
    """

    confirmed: bool = False
    doubted: str | None = None
    returned: bool = False
    votes: Annotated[int, Meta(ge=0)] = 0
    left: Annotated[list[str], Meta(max_length=EPOCHS_MAX)] = []


class Cursor(Struct, frozen=True, kw_only=True):
    """Where an app is in all of its streams.

    >>> cursor = Cursor(streams=[StreamCursor(channel="ticker", symbol="BTC/USD", epoch="e-1", next_id=43)])
    >>> Cursor.decode(cursor.encode()) == cursor
    True
    """

    streams: list[StreamCursor]
    epoch: str | None = None
    """The venue's epoch of the newest thing that was heard."""
    past: PastEpochs = PastEpochs()
    venue: str | None = None
    """The name of the venue, whose ids mean nothing among those of another; None: any."""
    version: Literal[1] = 1

    def __post_init__(self) -> None:
        if len({(each.channel, each.symbol) for each in self.streams}) < len(self.streams):
            names = Counter(f"{each.channel}:{each.symbol}" for each in self.streams)
            twice = [name for name, times in names.items() if times > 1]
            raise ValueError(f"a stream must be named once; got more often: {', '.join(twice[:5])}")

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

    def __init__(
        self,
        epoch: str | None,
        next_id: int | None,
        missing: Iterable[tuple[int, int]],
        *,
        left_at: int = 1,
        runs: Runs | None = None,
    ) -> None:
        self.epoch = epoch
        self.next_id = next_id
        self.left_at = left_at
        self.ended = False
        self.ahead: list[tuple[str | None, int]] = []
        self._runs = runs
        self._missing = IntervalSet()
        for start, end in missing:
            self._missing.add(start, end)
        self._is_over = False
        """Whether it was taken back that the epoch in hand is over."""
        self._first_word: ContinuityLost | None = None
        """What was taken back last, where it may be the first word on an epoch: so much of it was told before."""

    def undo(self, event: MarketData | ContinuityLost | StreamReset) -> None:
        """Take one event back."""
        first_word, self._first_word = self._first_word, None
        match event:
            case MarketData():
                # What came before the epoch had a name is of the first that was named.
                if event.sequence_id is not None and event.epoch in {None, self.epoch}:
                    # Nothing of what an id leaves out was consumed: it would be a hole of its own to no end.
                    first = event.sequence_id if self._runs is None else self._runs.first(event.sequence_id)
                    self._missing.add(first, event.sequence_id)
            case StreamReset():
                # That word still has the old epoch's name; the same on the new one is that of a hole.
                is_first = first_word is not None and first_word.epoch == event.old_epoch
                owed_from = (first_word.end_seq or 0) + 1 if first_word is not None and is_first else 1
                self.ahead.insert(0, (event.new_epoch, owed_from))
                del self.ahead[EPOCHS_MAX:]
                self.epoch, self.ended, self._is_over = event.old_epoch, True, False
                self.next_id, self.left_at = self.left_at, 1
                self._missing = IntervalSet()
            case ContinuityLost(end_seq=None):
                # All that was still to come of an epoch that is over: then that is where the app is.
                self.epoch, self.next_id, self.ended = event.epoch, event.start_seq, False
                self._missing = IntervalSet()
                self._is_over = True
            case ContinuityLost(start_seq=start, end_seq=int(end), reason=reason):
                if reason == "epoch_ended" and start == 1:
                    self._first_word = event
                # The holes of an epoch that is over are told when it is; before, there is nothing of that kind.
                is_hole = reason != "epoch_ended" or self._is_over
                if is_hole and event.epoch in {None, self.epoch}:
                    self._missing.add(start, end)
            case _:
                pass

    def position(self, channel: str, symbol: str, jump: FarJump | None = None) -> StreamCursor:
        """Where the app is. ``jump``: the one that the ledger might still take back."""
        holes, next_id = list(self._missing), self.next_id
        if next_id is not None:
            holes = [(start, min(end, next_id - 1)) for start, end in holes if start < next_id]
            if holes and holes[-1][1] == next_id - 1:
                next_id = holes.pop()[0]
            if (excess := len(holes) - _HOLES_MAX) > 0:
                # Better some of it twice than a cursor that nobody can read.
                holes[: excess + 1] = [(holes[0][0], holes[excess][1])]
        is_after_jump = jump is not None and not self.ahead and next_id == jump.end + 1
        return StreamCursor(
            channel=channel,
            symbol=symbol,
            epoch=self.epoch,
            next_id=next_id,
            holes=holes if next_id is not None else [],
            left_at=self.left_at,
            ended=self.ended,
            ahead=self._ahead(),
            jumped_from=jump.start if jump is not None and is_after_jump else None,
            jumped_over=jump.is_hole if jump is not None and is_after_jump else True,
        )

    def _ahead(self) -> list[tuple[str | None, int]]:
        """The epochs to be told of; of those that led back to where the app is it need not hear."""
        named = [number for number, (epoch, _first) in enumerate(self.ahead, 1) if epoch == self.epoch is not None]
        return self.ahead if self.ended or not named else self.ahead[named[-1] :]
