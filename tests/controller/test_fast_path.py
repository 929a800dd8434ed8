"""The fast path does what the slow one does: the same frames, in batches and one by one, tell the app the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from random import Random

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import AnyEvent, DeliveryOverflowError, GapFound, MarketData, NetworkConfig, Stream
from gapless.controller.books import Books
from gapless.controller.errors import InvalidMessageError
from gapless.controller.exchange import AccountUpdate, MarketUpdate, Message, SequenceRule
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.far_jump import FarJump
from gapless.controller.fast_path import FastPath
from gapless.controller.feed import LiveFeed
from gapless.controller.stream_ledger import StreamLedger

TICKERS = (Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD"))
LOOSE, LINKS, ORDERS = Stream("loose", "BTC/USD"), Stream("links", "BTC/USD"), Stream("orders", "*")
STREAMS = (*TICKERS, LOOSE, LINKS, ORDERS)
STRANGER = Stream("ticker", "DOGE/USD")
RULES = {LOOSE: SequenceRule.UNSEQUENCED, LINKS: SequenceRule.CHAINED}
FAR = 10**9
DATUM = {"type": "MARKET_DATA", "channel": "ticker", "symbol": "BTC/USD", "timestamp": "t", "price": 1.0}
SETTINGS: tuple[Mapping[str, object], ...] = (
    {},
    {"ordering": "sequence"},
    {"buffer_size": 10},
    {"buffer_size": 10, "overflow": "conflate"},
    {"buffer_size": 10, "overflow": "raise"},
    {"buffer_size": 10, "ordering": "sequence"},
    {"reorder_window": 0.5},
    {"reorder_window": 0.5, "ordering": "sequence"},
    {"reconciliation_enabled": False},
)


class Venue(ReferenceExchange):
    """The reference exchange with a stream of each rule, and with or without a decoder for the fast path."""

    def __init__(self, *, quick: bool) -> None:
        super().__init__(ws_url="ws://h", rest_url="http://h", session_id="s")
        if not quick:
            self.market_decoder = None

    def sequence_rule(self, stream: Stream) -> SequenceRule:
        return RULES.get(stream, SequenceRule.CONTIGUOUS)


class Desk:
    """Books, and a way into them: in batches, or message by message."""

    def __init__(self, settings: Mapping[str, object], *, in_batches: bool, venue: Venue | None = None) -> None:
        self._venue = venue or Venue(quick=True)
        self.books = Books(
            config=NetworkConfig.from_mapping(settings),
            exchange=self._venue,
            streams=STREAMS,
            on_gap=lambda _reason: None,
            wall_clock=lambda: 1_000.0,
        )
        self._feed = LiveFeed(self.books)
        self._path = FastPath(self.books, self._feed, self._venue)
        self._in_batches = in_batches
        self._now = 0.0
        self.generation = 0
        self.told: list[AnyEvent] = []
        self.invalid = 0
        self.failure = ""

    def dial(self, epoch: str | None, mark: int | None) -> None:
        self.generation += 1
        self._feed.start_generation(self.generation)
        self._feed.welcome(epoch)
        for stream in STREAMS:
            self._feed.acknowledge(stream, mark)

    def enter(self, frames: Sequence[str], now: float) -> None:
        self._now = now
        if self._in_batches:
            self._path.enter(frames, now=now, received_at=now, other=self._other, invalid=self._skip)
            return
        for frame in frames:
            try:
                message = self._venue.decode(frame)
            except InvalidMessageError as error:
                self._skip(error)
                continue
            if isinstance(message, MarketUpdate):
                self._feed.market(message, now=now, received_at=now)
            else:
                self._other(message)

    def wish_again(self, stream: Stream, rest_knows: int) -> None:
        """The app gives a stream up and wants it back at once; REST has told of it before the venue answers."""
        self.books.renounce(stream)
        self.books.desire(stream)
        subscription = self.books.find(stream.channel, stream.symbol)
        assert subscription is not None
        subscription.ledger.accept(rest_knows, live=False)

    def know_by_times(self, stream: Stream) -> None:
        """REST has no ids of this stream."""
        subscription = self.books.find(stream.channel, stream.symbol)
        assert subscription is not None
        subscription.by_time = True

    def settle(self, now: float) -> None:
        self._feed.settle(now)

    async def take(self) -> None:
        with trio.move_on_after(0.01):
            try:
                self.told += await self.books.delivery.take_all()
            except DeliveryOverflowError as error:
                self.failure = str(error)

    def _other(self, message: Message) -> None:
        if isinstance(message, AccountUpdate):
            self._feed.account(message, now=self._now, received_at=self._now)

    def _skip(self, _error: InvalidMessageError) -> None:
        self.invalid += 1

    def noted(self) -> list[object]:
        """Everything that the books remember of the streams."""
        noted: list[object] = [self.books.stats, self.invalid, self._feed.last_data_at, self._feed.first_data_at]
        for each in self.books.subscriptions:
            ledger = each.ledger
            noted += [(name, str_of(getattr(ledger, name))) for name in StreamLedger.__slots__]
            names = [one.name for one in fields(each) if one.name not in {"token", "wish", "ledger", "updates"}]
            noted += [(name, getattr(each, name)) for name in names]
        return noted


def str_of(value: object) -> object:
    """A set of intervals as what is in it, a far jump as where it ends."""
    if isinstance(value, FarJump):
        return value.end, value.first_below, value.is_hole
    return list(value) if isinstance(value, Iterable) else value


class Tape:
    """What a venue sends, with all that can go wrong, from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._last = dict.fromkeys((*STREAMS, STRANGER), 0)
        self._corrupt: list[int] = []

    def last(self, stream: Stream) -> int:
        return self._last[stream]

    def restart(self) -> None:
        self._last = dict.fromkeys(self._last, 0)

    def frame(self) -> str:
        random = self._random
        stream = random.choices((*TICKERS, LOOSE, LINKS, ORDERS, STRANGER), (40, 40, 5, 10, 4, 1))[0]
        before = self._last[stream]
        number: int | None = before + 1
        chance = random.random()
        if stream == TICKERS[0] and (self._corrupt or chance > 0.99):
            # Two that continue each other are believed, until what comes below refutes them; after three nothing does.
            self._corrupt = self._corrupt or [FAR + before + more for more in range(random.choice((2, 4)), 0, -1)]
            number = self._corrupt.pop()
        elif chance < 0.05:
            number = before + random.randint(2, 5)
        elif chance < 0.10:
            number = max(1, before - random.randint(0, 6))
        elif chance < 0.13:
            number = None
        elif chance < 0.15:
            return random.choice(
                ("", "[]", '{"type":"MARKET_DATA"}', '{"type":"NEWS"}', '{"type":"PONG","request_id":"p"}')
            )
        if number is not None and before < number < FAR:
            self._last[stream] = number
        at = f"2026-01-01T00:00:{(number or 0) % 60:02}.000Z"
        if stream == ORDERS:
            order = {"order_id": "o", "symbol": "BTC/USD", "side": "buy", "type": "limit", "quantity": 1.0}
            return text({"type": "ORDER_UPDATE", "sequence_id": number, "order": order})
        datum = DATUM | {"channel": stream.channel, "symbol": stream.symbol, "timestamp": at}
        chain = {"prev_sequence_id": before} if stream == LINKS and random.random() < 0.9 else {}
        return text(datum | {"sequence_id": number} | chain)


def text(message: object) -> str:
    return msgspec.json.encode(message).decode()


@pytest.mark.parametrize(
    ("settings", "quick"), [(each, True) for each in SETTINGS] + [(each, False) for each in SETTINGS[:3]], ids=str
)
@pytest.mark.parametrize("epochs", [True, False], ids=["epochs", "no epochs"])
async def test_a_batch_tells_what_its_messages_tell_one_by_one(
    settings: Mapping[str, object], epochs: bool, quick: bool, autojump_clock: MockClock
) -> None:
    reached = 0
    for seed in range(6):
        batches, singles = Desk(settings, in_batches=True, venue=Venue(quick=quick)), Desk(settings, in_batches=False)
        random, tape = Random(f"cuts {seed}"), Tape(seed)
        epoch = 1
        for step in range(40):
            frames = [tape.frame() for _ in range(random.choice((0, 1, 2, 8, 40)))]
            dials = step == 0 or random.random() < 0.05
            if dials and random.random() < 0.3:
                epoch += 1
                tape.restart()
            mark = random.choice((None, 0, 5)) if dials else None
            takes = random.random() < 0.5
            wishes = not dials and random.random() < 0.05
            for desk in (batches, singles):
                if wishes:
                    desk.wish_again(TICKERS[1], tape.last(TICKERS[1]))
                if dials and seed % 3 == 0:
                    desk.know_by_times(TICKERS[0])
                if dials:
                    desk.dial(f"e-{epoch}" if epochs else None, mark)
                desk.enter(frames, now=step / 5)
                desk.settle(step / 5)
                if takes:
                    await desk.take()
            assert batches.noted() == singles.noted(), f"seed {seed}, step {step}"
        for desk in (batches, singles):
            await desk.take()
        assert (batches.told, batches.failure) == (singles.told, singles.failure), f"seed {seed}"
        reached += sum(type(event) is MarketData for event in batches.told)
    assert reached > 50


async def test_what_was_entered_before_a_gap_is_told_before_it(autojump_clock: MockClock) -> None:
    desk = Desk({}, in_batches=True)
    desk.dial("e-1", 0)
    desk.enter([text(DATUM | {"sequence_id": number}) for number in (1, 2, 3, 6, 7)], 1.0)
    await desk.take()
    places = [
        each.sequence_id if isinstance(each, MarketData) else f"{each.start_seq}.."
        for each in desk.told
        if isinstance(each, MarketData | GapFound)
    ]
    assert places == [1, 2, 3, "4..", 6, 7]


def test_ids_in_order_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else this file would compare the slow path with itself."""
    desk = Desk({}, in_batches=True)
    desk.dial("e-1", 0)
    frames = [text(DATUM | {"sequence_id": number}) for number in range(1, 101)]
    slow: list[int | None] = []
    market = LiveFeed.market

    def counted(self: LiveFeed, update: MarketUpdate, *, now: float, received_at: float) -> None:
        slow.append(update.sequence_id)
        market(self, update, now=now, received_at=received_at)

    monkeypatch.setattr(LiveFeed, "market", counted)
    desk.enter(frames, 1.0)
    assert slow == [1], "the first one of a socket proves it, the rest is ordinary"
    assert desk.books.stats.live == 100


class Halved(Venue):
    """A venue whose adapter has something to add to what the frame says."""

    def decode(self, frame: str | bytes) -> Message:
        message = super().decode(frame)
        if isinstance(message, MarketUpdate):
            message = msgspec.structs.replace(message, price=message.price / 2)
        if isinstance(message, MarketUpdate) and message.sequence_id == BROKEN_ID:
            raise ZeroDivisionError
        return message


BROKEN_ID = 30


async def test_an_adapter_that_reads_frames_in_its_own_way_is_asked_for_each(autojump_clock: MockClock) -> None:
    desk = Desk({}, venue=Halved(quick=True), in_batches=True)
    desk.dial("e-1", 0)
    desk.enter([text(DATUM | {"sequence_id": number}) for number in range(1, 11)], 1.0)
    await desk.take()
    assert [each.price for each in desk.told if isinstance(each, MarketData)] == [0.5] * 10


async def test_a_defect_of_an_adapter_loses_nothing_that_came_before_it(autojump_clock: MockClock) -> None:
    desk = Desk({}, venue=Halved(quick=True), in_batches=True)
    desk.dial("e-1", 0)
    with pytest.raises(ZeroDivisionError):
        desk.enter([text(DATUM | {"sequence_id": number}) for number in range(1, 41)], 1.0)
    await desk.take()
    assert [each.sequence_id for each in desk.told if isinstance(each, MarketData)] == list(range(1, BROKEN_ID))
