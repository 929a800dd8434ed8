"""The buffer under every overflow, in both orders: bounded, in order, nothing lost that nobody is told of.

The producer does as the feed does: while the buffer overflows it drops, and remembers what; what was dropped is owed,
and comes again as a page would bring it, as far as there is room. The model is which ids the app was told of.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import ClassVar, Literal, TypeVar

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gapless.controller import AnyEvent, ContinuityLost, DeliveryOverflowError, GapFound, MarketData, Source
from gapless.controller.delivery import DeliveryBuffer
from tests.properties.profile import explore

T = TypeVar("T")
SYMBOLS = ("A", "B")


def datum(symbol: str, number: int) -> MarketData:
    return MarketData(
        channel="t",
        symbol=symbol,
        sequence_id=number,
        epoch="e-1",
        source=Source.LIVE,
        timestamp="",
        price=1.0,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )


def control(number: int) -> GapFound:
    return GapFound(channel="c", symbol="C", epoch="e-1", start_seq=number, end_seq=number, reason="", at=0.0)


def loss(event: MarketData, start: int, end: int) -> ContinuityLost:
    return ContinuityLost(
        channel="t", symbol=event.symbol, epoch="e-1", start_seq=start, end_seq=end, reason="conflated", at=0.0
    )


def taken(take: Callable[[], Coroutine[object, object, T]]) -> T:
    """What a reader gets at once."""

    async def read() -> T:
        return await take()

    return trio.run(read)


class Producer:
    """One stream: its cursor, what is missing, and what was held back behind it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.next_id = 1
        self.missing: set[int] = set()
        self.told: set[int] = set()
        """Ids that the app got or was told the loss of."""

    @property
    def first_missing(self) -> int:
        return min(self.missing, default=self.next_id)


class Buffer(RuleBasedStateMachine):
    overflow: Literal["refetch", "conflate", "raise"] = "refetch"
    in_sequence = False
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(capacity=st.integers(2, 7))
    def begin(self, capacity: int) -> None:
        self.capacity = capacity
        self.reliefs = 0
        self.buffer = DeliveryBuffer(capacity=capacity, on_relief=self.relieved, overflow=self.overflow, loss=loss)
        self.streams = {symbol: Producer(symbol) for symbol in SYMBOLS}
        self.last: dict[str, int] = {}
        self.controls_put = self.controls_got = 0
        self.ended = False

    def relieved(self) -> None:
        assert not self.buffer.overflowing
        self.reliefs += 1
        self.reached["relieved"] += 1

    # -- the producer's side -------------------------------------------------------------------------------------------

    @rule(symbol=st.sampled_from(SYMBOLS), skips=st.integers(0, 2), count=st.integers(1, 4))
    @precondition(lambda self: not self.ended)
    def live_data_comes(self, symbol: str, skips: int, count: int) -> None:
        stream = self.streams[symbol]
        stream.missing |= set(range(stream.next_id, stream.next_id + skips))
        stream.next_id += skips
        for _ in range(count):
            number, stream.next_id = stream.next_id, stream.next_id + 1
            self.buffer.make_room()
            if self.buffer.overflowing:
                stream.missing.add(number)
                self.reached["skipped"] += 1
                self.ended = self.buffer.overflowed(f"{symbol} {number}")
                assert self.ended is (self.overflow == "raise")
                continue
            self.deliver(stream, number)

    def deliver(self, stream: Producer, number: int) -> None:
        event = datum(stream.symbol, number)
        stream.missing.discard(number)
        if self.in_sequence and number > stream.first_missing:
            self.reached["held back"] += 1
            self.buffer.hold_back(stream.symbol, number, event)
        else:
            if self.in_sequence:
                self.buffer.release(stream.symbol, number)
            self.buffer.put_data(event)
        self.free(stream)

    def free(self, stream: Producer) -> None:
        if self.in_sequence:
            self.buffer.release(stream.symbol, stream.first_missing)

    @rule(symbol=st.sampled_from(SYMBOLS), rows=st.integers(1, 5))
    @precondition(lambda self: not self.ended)
    def a_page_fills(self, symbol: str, rows: int) -> None:
        """The lowest missing ids, as far as there is room for them; a row needs room where it goes."""
        stream = self.streams[symbol]
        for number in sorted(stream.missing)[:rows]:
            if self.buffer.room <= 0:
                return
            self.reached["filled"] += 1
            self.deliver(stream, number)

    @rule(symbol=st.sampled_from(SYMBOLS))
    @precondition(lambda self: not self.ended)
    def the_lowest_is_lost(self, symbol: str) -> None:
        stream = self.streams[symbol]
        if stream.missing:
            lost = min(stream.missing)
            stream.missing.discard(lost)
            stream.told.add(lost)
            self.free(stream)

    @rule()
    @precondition(lambda self: not self.ended)
    def something_is_announced(self) -> None:
        self.controls_put += 1
        self.buffer.put(control(self.controls_put))

    # -- the app's side ------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def the_app_takes_some(self, count: int) -> None:
        for _ in range(count):
            if len(self.buffer) - self.buffer.held_back:
                event = taken(self.buffer.take)
                assert event is not None
                self.heard(event)

    @rule()
    def the_app_takes_all(self) -> None:
        if len(self.buffer) - self.buffer.held_back:
            for event in taken(self.buffer.take_all):
                self.heard(event)

    def heard(self, event: AnyEvent) -> None:
        match event:
            case MarketData(symbol=symbol, sequence_id=int(number)):
                self.tell(symbol, {number})
                if self.in_sequence:
                    assert number > self.last.get(symbol, 0), "in sequence"
                    self.last[symbol] = number
            case ContinuityLost(symbol=symbol, start_seq=start, end_seq=int(end)):
                assert self.overflow == "conflate"
                self.reached["conflated"] += 1
                self.tell(symbol, set(range(start, end + 1)))
            case GapFound(start_seq=number):
                assert number == self.controls_got + 1, "none is dropped, in order"
                self.controls_got = number

    def tell(self, symbol: str, ids: set[int]) -> None:
        stream = self.streams[symbol]
        assert not ids & stream.told, "told twice"
        assert not ids & stream.missing
        stream.told |= ids

    # -- always --------------------------------------------------------------------------------------------------------

    @invariant()
    def it_is_bounded(self) -> None:
        if not hasattr(self, "buffer"):
            return
        # What a relief of the hold-back frees at once may fill the queue twice over.
        assert self.buffer.room >= (-self.capacity - 1 if self.in_sequence else 0)
        assert self.buffer.held_back <= self.capacity
        room = (self.buffer.room, self.buffer.hold_room)
        assert room == (0, 0) if self.ended else room[1] == self.capacity - self.buffer.held_back
        self.reached["overflowed"] += self.buffer.overflowing

    def teardown(self) -> None:
        """At the end everything is taken: each id was handed over or reported, or the producer still owes it."""
        if not hasattr(self, "buffer"):
            return
        for _ in range(100):
            for stream in self.streams.values():
                for number in sorted(stream.missing):
                    if not self.ended and self.buffer.room > 0:
                        self.deliver(stream, number)
            self.the_app_takes_all()
        if self.ended:
            with pytest.raises(DeliveryOverflowError):
                taken(self.buffer.take)
            self.reached["ended"] += 1
        assert self.controls_got == self.controls_put
        for stream in self.streams.values():
            owed = set(range(1, stream.next_id))
            assert self.ended or not stream.missing
            if not self.ended:
                assert stream.told == owed
                assert not self.buffer.overflowing


class InSequence(Buffer):
    in_sequence = True
    reached: ClassVar[Counter[str]] = Counter()


class Conflating(Buffer):
    overflow = "conflate"
    reached: ClassVar[Counter[str]] = Counter()


class ConflatingInSequence(Buffer):
    overflow, in_sequence = "conflate", True
    reached: ClassVar[Counter[str]] = Counter()


class Raising(Buffer):
    overflow = "raise"
    reached: ClassVar[Counter[str]] = Counter()


class RaisingInSequence(Buffer):
    overflow, in_sequence = "raise", True
    reached: ClassVar[Counter[str]] = Counter()


@pytest.mark.parametrize(
    ("machine", "besides"),
    [
        (Buffer, {"relieved", "skipped"}),
        (InSequence, {"relieved", "skipped", "held back"}),
        (Conflating, {"conflated"}),
        (ConflatingInSequence, {"conflated", "held back"}),
        (Raising, {"ended"}),
        (RaisingInSequence, {"ended", "held back"}),
    ],
)
def test_nothing_is_lost_that_nobody_is_told_of(machine: type[Buffer], besides: set[str]) -> None:
    explore(machine, machine.reached, besides | {"filled", "overflowed"}, examples=50)
