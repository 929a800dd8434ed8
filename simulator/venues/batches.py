"""Trades that are said together: venues that put several into one frame.

A trade waits for its companions and for no longer than the venue makes it; over REST it shows at once. A client hears
of a batch only what came after its subscription.
"""

from collections.abc import Callable, Iterator, Sequence

import trio

from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.session import Session
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade


class Batches:
    """What waits to be said, per symbol.

    Args:
        say: told of each batch, oldest first; never empty.
        size_max: so many do not wait any longer.
    """

    def __init__(self, say: Callable[[Sequence[VenueTrade]], None], size_max: int) -> None:
        self._say = say
        self._size_max = size_max
        self._waiting: dict[str, list[VenueTrade]] = {}
        self._some = trio.Event()

    def add(self, trade: VenueTrade) -> None:
        """One more waits."""
        batch = self._waiting.setdefault(trade.symbol, [])
        batch.append(trade)
        self._some.set()
        if len(batch) >= self._size_max:
            self._say(self._waiting.pop(trade.symbol))

    async def wait(self) -> None:
        """Return when something waits, or has since the last :meth:`flush`."""
        await self._some.wait()

    def flush(self) -> None:
        """Say all that waits."""
        waiting, self._waiting = self._waiting, {}
        self._some = trio.Event()
        for batch in waiting.values():
            self._say(batch)


def owed(
    market: VenueMarket, key: StreamKey, batch: Sequence[VenueTrade], frame: Callable[[Sequence[VenueTrade]], Frame]
) -> Iterator[tuple[Session, Frame]]:
    """Who is to hear of a batch, and what of it: what came after the subscription. Each form is encoded once."""
    forms: dict[int, Frame] = {}
    for session in market.listeners(key.channel, key.symbol):
        news = [trade for trade in batch if trade.number > session.marks[key]]
        if news:
            if len(news) not in forms:
                forms[len(news)] = frame(news)
            yield session, forms[len(news)]
