"""Where the books are, said at once, is what the long way says of them: over random books of every kind of venue."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import pytest
import trio

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    Exchange,
    MarketData,
    NetworkConfig,
    Source,
    Stream,
    StreamReset,
)
from gapless.controller.books import Books
from gapless.controller.cursor import StreamCursor
from gapless.controller.exchange import MarketUpdate
from gapless.controller.exchanges import BinanceExchange, KrakenExchange, ReferenceExchange
from gapless.controller.instants import rfc3339
from gapless.controller.repeats import REMEMBERED, Repeats, RowKey
from gapless.controller.resuming import Position, cursor_of, where_the_books_are
from gapless.controller.subscription import Subscription
from gapless.controller.verdict import DELIVERED, Verdict
from tests.work import calls_of


def reference() -> Exchange:
    return ReferenceExchange(ws_url="ws://venue", rest_url="http://venue", session_id="s")


VENUES: Final[dict[str, tuple[Callable[[], Exchange], str]]] = {
    "epochs": (reference, "ticker"),
    "no epochs": (reference, "ticker"),
    "binance trades": (BinanceExchange, "trade"),
    "binance quotes": (BinanceExchange, "bookTicker"),
    "kraken trades": (KrakenExchange, "trade"),
    "kraken tickers": (KrakenExchange, "ticker"),
}


def opened(venue: str, streams: int) -> Books:
    exchange, channel = VENUES[venue]
    names = [Stream(channel, f"S{number}/USD") for number in range(streams)]
    books = Books(
        config=NetworkConfig(buffer_size=30_000),
        exchange=exchange(),
        streams=names,
        on_gap=lambda _reason: None,
        wall_clock=lambda: 1.7e9,
    )
    if venue == "epochs":
        books.enter_epoch("e-1", confirmed=True)
    return books


class Market:
    """Data come in and out of order, ids are left out, jumped over, lost; the app reads now and then."""

    def __init__(self, venue: str, seed: int) -> None:
        self.random = Random(seed)
        self.books = opened(venue, 6)
        self.now = 1.7e9
        self.unread: list[AnyEvent] = []
        self.steps: list[Callable[[Subscription], None]] = [
            *[self.go_on] * 12,
            self.skip,
            self.hesitate,
            self.leap,
            self.lose,
            self.interrupt,
            self.read,
        ]

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.random.choice(self.steps)(self.random.choice(list(self.books.subscriptions)))

    def trade(self, subscription: Subscription, ahead: int = 0) -> Verdict:
        number = (subscription.ledger.next_id or 5) + ahead
        self.now += self.random.choice([0.0, 0.001, 1.0, -0.5])
        verdict = subscription.ledger.accept(number)
        if verdict in DELIVERED:
            stream = subscription.stream
            update = MarketUpdate(
                channel=stream.channel,
                symbol=stream.symbol,
                sequence_id=number,
                timestamp=rfc3339(self.now) if self.random.random() < 0.9 else "",
                price=self.random.choice([1.0, 2.0]),
            )
            self.books.deliver(subscription, update, self.random.choice([Source.LIVE, Source.BACKFILL]), 1.0)
        return verdict

    def go_on(self, subscription: Subscription) -> None:
        self.trade(subscription)

    def skip(self, subscription: Subscription) -> None:
        self.trade(subscription, 3)
        subscription.hole_since = rfc3339(self.now - 2.0)

    def hesitate(self, subscription: Subscription) -> None:
        if self.trade(subscription, 2) is Verdict.JUMPED:
            subscription.ledger.hesitate(10.0)

    def leap(self, subscription: Subscription) -> None:
        for _ in range(2):
            number = (subscription.ledger.suspect or (subscription.ledger.next_id or 5) + 200_000) + 1
            subscription.ledger.accept(number)

    def lose(self, subscription: Subscription) -> None:
        self.books.lose(subscription, subscription.ledger.lose_all(), "evicted")

    def interrupt(self, subscription: Subscription) -> None:
        subscription.ledger.interrupt()

    def read(self, _subscription: Subscription) -> None:
        """All; what of it came last was not dealt with yet."""
        held = self.books.delivery.held()
        if held:
            trio.run(self.books.delivery.take_all)
        self.unread = [*self.unread, *held][-self.random.choice([1, 5]) :] if self.random.random() < 0.3 else []


def the_long_way(books: Books, unread: list[AnyEvent]) -> Iterator[StreamCursor]:
    for each in books.subscriptions:
        position = Position(books, each)
        for event in reversed([*unread, *books.delivery.held()]):
            if isinstance(event, MarketData | ContinuityLost | StreamReset) and event.symbol == each.stream.symbol:
                position.undo(event)
        yield position.cursor()


@pytest.mark.parametrize("venue", VENUES)
def test_the_quick_way_says_what_the_long_way_does(venue: str) -> None:
    reached = Counter[str]()
    for seed in range(60):
        market = Market(venue, seed)
        market.run(seed)
        books = market.books
        assert cursor_of(books, market.unread).streams == list(the_long_way(books, market.unread))
        for each in books.subscriptions:
            position = where_the_books_are(books, each)
            assert position == Position(books, each).cursor()
            reached["plain"] += position.next_id is not None and not position.holes
            reached["begun"] += bool(position.times.begun_at)
            reached["holes"] += bool(position.holes or each.ledger.gaps)
            reached["jump"] += position.jumped_from is not None
            reached["unread"] += bool(market.unread)
    assert all(reached[name] for name in ("begun", "unread"))
    assert not reached["plain"] or all(reached[name] for name in ("holes", "jump"))


@pytest.mark.parametrize("venue", ["epochs", "binance trades", "kraken trades"])
def test_a_stream_with_nothing_unread_costs_a_handful_of_calls(venue: str) -> None:
    """A recorder asks with each batch, in the loop of the feed; ``Position`` would be a hundred calls a stream."""
    books = opened(venue, 1_000)
    for number, each in enumerate(books.subscriptions):
        each.ledger.accept(number + 1)
        each.last_timestamp = rfc3339(1.7e9)
    assert calls_of(lambda: cursor_of(books)) < 30 * 1_000


def row(at: float, mark: int | None = None) -> RowKey:
    return (at, 1.0, None, None, mark)


def test_of_the_rows_delivered_the_last_are_remembered_and_found_by_their_time() -> None:
    random, repeats, all_rows = Random(1), Repeats(), dict[RowKey, bool]()
    for number in range(25_000):
        key = row(float(number // 3 - random.choice([0, 0, 0, 1, 500])), random.choice([1, 2]))
        all_rows.setdefault(key, True)
        repeats.add(key, live=False)
        if number % 1_000 == 999:
            rows = list(all_rows)[-len(repeats) :]
            assert len(repeats) == len(all_rows) or REMEMBERED <= len(repeats) <= REMEMBERED + 100
            low = number // 3 - random.choice([0, 1, 50, 5_000])
            assert list(repeats.back_to(low)) == [key for key in reversed(rows) if key[0] >= low]
            assert all(key in repeats for key in rows)
    assert len(all_rows) > len(repeats)


def test_a_row_of_rest_alone_is_shown_once() -> None:
    repeats = Repeats()
    repeats.add(row(1.0), live=False)
    repeats.add(row(2.0), live=True)
    assert [repeats.show(row(each)) for each in (1.0, 1.0, 2.0, 3.0)] == [True, False, False, False]


class Compared(float):
    """Counts how often something is held against it."""

    times = 0

    def __le__(self, other: float) -> bool:
        self.times += 1
        return super().__le__(other)


def test_few_new_rows_are_found_without_a_walk_over_all() -> None:
    repeats = Repeats()
    for number in range(REMEMBERED):
        repeats.add(row(float(number)), live=True)
    low = Compared(REMEMBERED - 3.0)
    assert len(list(repeats.back_to(low))) == 3
    assert low.times < REMEMBERED / 10
