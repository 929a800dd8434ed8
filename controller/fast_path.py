"""The fast path: ids in order, of streams that are well, into a buffer with room. Synchronous and free of I/O.

A batch of frames goes through one loop. What is ordinary is entered here: the next id of a known stream. Everything
else, and whatever the batch holds besides market data, is handed to the callers' own ways, one message at a time, and
before that all that was entered here is handed over, so that nothing changes its place. For an ordinary message this
does exactly what :meth:`LiveFeed.market <gapless.controller.feed.LiveFeed.market>` would do, which
``tests/controller/test_fast_path.py`` compares; what a stream remembers of its newest datum is written once a batch.

Of what an ordinary message costs, about a third is decoding, a tenth each are making the event and finding the stream;
the rest is attributes read and written.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gapless.controller.errors import InvalidMessageError
from gapless.controller.events import MarketData, Source
from gapless.controller.exchange import Exchange, MarketUpdate, Message, Several, SingleMessage, TradeUpdate

if TYPE_CHECKING:
    from gapless.controller.books import Books
    from gapless.controller.feed import LiveFeed
    from gapless.controller.subscription import Subscription

_NO_MESSAGE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidMessageError)
"""What a decoder raises, msgspec's or the adapter's own."""


class FastPath:
    """The way of a batch of frames into the books.

    Args:
        books: where data is entered.
        feed: enters what is not ordinary.
        exchange: tells what a frame means. Where it has a ``market_decoder``, that one is asked first
            (see :meth:`Exchange.decode <gapless.controller.exchange.Exchange.decode>`).
    """

    def __init__(self, books: "Books", feed: "LiveFeed", exchange: Exchange) -> None:
        self._books = books
        self._feed = feed
        self._decode = exchange.decode
        decoder: msgspec.json.Decoder[object] | None = getattr(exchange, "market_decoder", None)
        # To a type checker it may be anything; what is taken for market data was seen to be.
        self._decode_market: Callable[[str | bytes], Any] = exchange.decode if decoder is None else decoder.decode
        self._market_types: set[type] = set()
        """Types of market data met so far."""
        self._entered: list[MarketData] = []
        self._newest: dict[Subscription, MarketUpdate] = {}

    def enter(
        self,
        frames: Iterable[str | bytes],
        *,
        now: float,
        received_at: float,
        other: Callable[[SingleMessage], None],
        invalid: Callable[[InvalidMessageError], None],
    ) -> None:
        """Enter a batch.

        Args:
            frames: in the order of their arrival.
            now: monotonic seconds of its arrival.
            received_at: Unix seconds of it.
            other: enters what is no market data.
            invalid: told of a frame that is no message.
        """
        books, feed, decode_market, market_types = self._books, self._feed, self._decode_market, self._market_types
        find, in_sequence = books.find_by_key, books.turns.in_sequence
        entered, newest = self._entered, self._newest
        add, live = entered.append, Source.LIVE
        room, epoch, generation = self._room(), books.epoch, books.generation
        update: Any
        try:
            for frame in frames:
                try:
                    update = decode_market(frame)
                except _NO_MESSAGE as error:
                    update = error
                # isinstance() of a struct costs three times as much.
                if type(update) in market_types:
                    subscription = find((update.channel, update.symbol))
                    if room and subscription is not None:
                        sequence_id, ledger = update.sequence_id, subscription.ledger
                        if (
                            sequence_id is not None
                            and sequence_id == ledger.next_id
                            and not subscription.barred
                            and not subscription.by_time
                            and not (in_sequence and (ledger.gaps or ledger.tentative))
                            and (epoch is not None or subscription.live_seen)
                        ):
                            ledger.next_id = sequence_id + 1
                            subscription.live_count += 1
                            newest[subscription] = update
                            stream = subscription.stream
                            add(
                                MarketData(
                                    stream.channel,
                                    stream.symbol,
                                    sequence_id,
                                    epoch,
                                    live,
                                    update.timestamp,
                                    update.price,
                                    update.bid,
                                    update.ask,
                                    update.volume_24h,
                                    received_at,
                                    generation,
                                )
                            )
                            if epoch is None:
                                books.remember(subscription, update, live)
                            room -= 1
                            continue
                    if entered:
                        self._hand_over(now)
                    feed.market(update, now=now, received_at=received_at)
                else:
                    if entered:
                        self._hand_over(now)
                    try:
                        self._take(self._decode(frame), now, received_at, other)
                    except InvalidMessageError as error:
                        invalid(error)
                room, epoch, generation = self._room(), books.epoch, books.generation
        finally:
            # Also where a defect ends the run: what the ledgers have taken is told.
            if entered:
                self._hand_over(now)

    def _take(self, message: Message, now: float, received_at: float, other: Callable[[SingleMessage], None]) -> None:
        """What is no plain market data, or of a type that was never met before."""
        if isinstance(message, Several):
            for each in message.messages:
                self._take(each, now, received_at, other)
        elif isinstance(message, MarketUpdate):
            if not isinstance(message, TradeUpdate):
                # A trade becomes an event of another type, by the feed.
                self._market_types.add(type(message))
            self._feed.market(message, now=now, received_at=received_at)
        else:
            other(message)

    def _room(self) -> int:
        """How many data may be entered here before something has to be decided; 0: it has to be now."""
        books, feed = self._books, self._feed
        if feed.data_awaited or feed.first_data_at is None or books.delivery.overflowing:
            return 0
        # The last one is left to the way that knows what a full buffer leads to.
        return max(books.delivery.room - 1, 0)

    def _hand_over(self, now: float) -> None:
        """Write down what the streams have shown, and give the data to the app."""
        books, feed = self._books, self._feed
        feed.last_data_at = max(feed.last_data_at, now)
        for subscription, update in self._newest.items():
            subscription.continued(update, now)
            if books.epoch is not None:
                subscription.last_timestamp = update.timestamp
        books.stats.live += len(self._entered)
        books.delivery.put_all(self._entered)
        self._newest.clear()
        self._entered.clear()
