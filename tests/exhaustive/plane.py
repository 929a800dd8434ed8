"""The controller's data plane as a value: the real books, feed and entry of replies, thawed, told something, frozen.

Theory. A search needs states that can be compared and returned to; the books are objects that change. So they are kept
as bytes: an operation thaws them, happens, and freezes what became of them. Many worlds share one state of the books,
therefore the search works out each pair of books and operation once.

What tells nothing about what is owed is left out of the bytes (figures, clocks, what only the judge of a silence looks
at), and so are the parts that have no state of their own here: signals nobody waits for, a buffer that is always
emptied.
"""

import io
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple, Protocol

from gapless.controller import AnyEvent, NetworkConfig, Stream
from gapless.controller.books import Books
from gapless.controller.delivery import DeliveryBuffer
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.feed import LiveFeed
from gapless.controller.signal import Signal
from gapless.controller.stats import FeedStats
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.subscription import Asked, Subscription
from gapless.controller.verdict import Verdict

STREAM: Final = Stream("ticker", "BTC/USD")
_EXCHANGE: Final = ReferenceExchange(ws_url="ws://h", rest_url="http://h", session_id="s")
_ROOM: Final = 1_000
"""Data the buffer holds; far more than one operation delivers."""


class WitnessedLedger(StreamLedger):
    """A ledger whose verdicts are counted, so that a search can show that it saw each of them."""

    verdicts: ClassVar[Counter[Verdict]] = Counter()
    __slots__ = ()

    def accept(self, sequence_id: int, prev: int | None = None, *, live: bool = True) -> Verdict:
        verdict = super().accept(sequence_id, prev, live=live)
        self.verdicts[verdict] += 1
        return verdict


class _Said:
    """What the plane has told the machine in one operation."""

    gap_found = False
    data_flows = False


_said = _Said()


def _on_gap(_reason: str) -> None:
    _said.gap_found = True


def _on_data() -> None:
    _said.data_flows = True


def _nobody_waits() -> None:
    """An overflow cannot end where none begins."""


def _no_clock() -> float:
    return 0.0


_CALLABLES: Final[dict[str, Callable[..., object]]] = {"gap": _on_gap, "data": _on_data, "clock": _no_clock}
_NAMES: Final = {id(each): name for name, each in _CALLABLES.items()}


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> str | None:
        # Epochs by value: equal books give equal bytes, whichever way each came to the text.
        if type(obj) is str:
            return f"'{obj}" if obj.startswith("e-") else None
        if isinstance(obj, Signal | DeliveryBuffer | FeedStats | ReferenceExchange):
            return type(obj).__name__
        return _NAMES.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, frozen: bytes) -> None:
        super().__init__(io.BytesIO(frozen))
        self.parts: dict[str, object] = {
            "DeliveryBuffer": DeliveryBuffer(capacity=_ROOM, on_relief=_nobody_waits),
            "FeedStats": FeedStats(),
            "ReferenceExchange": _EXCHANGE,
            **_CALLABLES,
        }

    def persistent_load(self, pid: str) -> object:
        if pid.startswith("'"):
            return pid[1:]
        return Signal() if pid == "Signal" else self.parts[pid]


@dataclass(frozen=True)
class View:
    """What the world needs to know of the books."""

    epoch: str | None
    next_id: int | None
    gaps: tuple[tuple[int, int], ...]
    tentative: tuple[tuple[int, int], ...]
    whole: bool
    has_gap: bool
    answered: bool
    left_first_epoch: bool
    knows_first_epoch: bool
    votes: int
    """Sockets in a row that spoke of the epoch before."""
    asked: Asked


@dataclass(frozen=True)
class Outcome:
    """What became of an operation: the books after it, and what they told the app and the machine."""

    books: int
    events: tuple[AnyEvent, ...] = ()
    gap_found: bool = False
    data_flows: bool = False
    refused: bool = False


class Opened(NamedTuple):
    """Thawed."""

    feed: LiveFeed
    books: Books
    subscription: Subscription


class Operation(Protocol):
    """Something that happens to the data plane."""

    def happen(self, at: Opened) -> None: ...


class RefusedError(Exception):
    """The data plane refused what a socket said."""


@dataclass
class Plane:
    """All states of the books that were met, by number, and what each operation makes of each."""

    jump_max: int
    reorder_window_s: float = 0.0
    ledger: type[StreamLedger] = WitnessedLedger
    feed: type[LiveFeed] = LiveFeed
    views: list[View] = field(default_factory=list)
    _frozen: list[bytes] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _outcomes: dict[tuple[int, object], Outcome] = field(default_factory=dict)

    def begin(self) -> int:
        """The books of a controller that was just opened."""
        config = NetworkConfig(reorder_window=self.reorder_window_s)
        books = Books(config=config, exchange=_EXCHANGE, streams=[STREAM], on_gap=_on_gap, wall_clock=_no_clock)
        subscription = books.subscriptions[0]
        subscription.ledger = self.ledger(jump_max=self.jump_max)
        feed = self.feed(books)
        feed.on_data = _on_data
        return self._freeze(feed, books, subscription)

    def apply(self, number: int, operation: Operation, what: object) -> Outcome:
        """``operation``, which ``what`` stands for, happens to these books."""
        outcome = self._outcomes.get((number, what))
        if outcome is None:
            outcome = self._outcomes[number, what] = self._happen(number, operation)
        return outcome

    def _happen(self, number: int, operation: Operation) -> Outcome:
        feed, books = _Unpickler(self._frozen[number]).load()
        subscription = books.subscriptions[0]
        _said.gap_found = _said.data_flows = False
        try:
            operation.happen(Opened(feed, books, subscription))
        except RefusedError:
            refused = True
        else:
            refused = False
        gap_found, data_flows = _said.gap_found, _said.data_flows
        return Outcome(
            self._freeze(feed, books, subscription), _emptied(books.delivery), gap_found, data_flows, refused
        )

    def _freeze(self, feed: LiveFeed, books: Books, subscription: Subscription) -> int:
        _forget_what_tells_nothing(feed, subscription)
        out = io.BytesIO()
        _Pickler(out, protocol=5).dump((feed, books))
        frozen = out.getvalue()
        number = self._numbers.setdefault(frozen, len(self._frozen))
        if number == len(self._frozen):
            self._frozen.append(frozen)
            ledger = subscription.ledger
            self.views.append(
                View(
                    epoch=books.epoch,
                    next_id=ledger.next_id,
                    gaps=tuple(ledger.gaps),
                    tentative=tuple(ledger.tentative),
                    whole=books.whole,
                    has_gap=subscription.has_gap,
                    answered=subscription.answered,
                    left_first_epoch=books.epochs.was_left("e-0"),
                    knows_first_epoch=books.epoch == "e-0" or books.epochs.was_left("e-0"),
                    votes=books.epochs.votes,
                    asked=subscription.asked(0.0),
                )
            )
        return number


def _forget_what_tells_nothing(feed: LiveFeed, subscription: Subscription) -> None:
    feed.first_data_at = None
    feed.last_data_at = subscription.last_data_at = 0.0
    # For the judge of a silence alone; in the model he may judge as he likes.
    subscription.live_count = subscription.rest_count = 0
    subscription.live_head = subscription.rest_head = None
    subscription.live_seen = subscription.rest_caught_up = False
    # Epochs tell a restart here, not times.
    subscription.last_timestamp = subscription.last_live_timestamp = ""
    subscription.hole_since = subscription.hole_until = ""
    # Looked at only by whoever has just seen a jump.
    subscription.ledger.last_gap = None
    # Sparse streams alone ask whether the socket is another one.
    subscription.ledger.interrupt()


def _emptied(delivery: DeliveryBuffer) -> tuple[AnyEvent, ...]:
    """What is held, taken without a clock: where something is held, nobody waits."""
    if not len(delivery):
        return ()
    try:
        delivery.take_all().send(None)
    except StopIteration as taken:
        return tuple(taken.value)
    raise AssertionError("a buffer that holds events made its reader wait")
