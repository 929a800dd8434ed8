"""What an exchange issued and owes to one session, from its own record."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.testkit.deliveries import Issued, Point, StreamKey


class StreamName(Protocol):
    """A stream as the controller names it."""

    @property
    def channel(self) -> str:
        """Such as ``ticker``."""
        ...

    @property
    def symbol(self) -> str:
        """Such as ``BTC/USD``."""
        ...


class _Message(msgspec.Struct, frozen=True):
    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float


_messages = msgspec.json.Decoder(_Message)


def issued_to(exchange: ExchangeSimulator, session_id: str, streams: Iterable[StreamName]) -> dict[StreamKey, Issued]:
    """Per stream and epoch: every id that was issued, and from which on this session is owed them.

    What each id said is known where the exchange was told to ``record``.
    """
    issued: dict[StreamKey, Issued] = {}
    for stream in streams:
        marks = first_marks(exchange, session_id, stream)
        for epoch in exchange.issued.epochs:
            key = StreamKey(epoch, stream.channel, stream.symbol)
            issued[key] = Issued(points=points(exchange, key), owed_from=owed_from(marks, epoch))
    return issued


def points(exchange: ExchangeSimulator, key: StreamKey) -> list[Point | None]:
    """What was issued under each id, the first is id 1; None where the exchange does not ``record``."""
    if not exchange.config.record:
        return [None] * exchange.issued.last_id(*key)
    found: list[Point | None] = []
    for number in range(1, exchange.issued.last_id(*key) + 1):
        said = _messages.decode(exchange.issued.payload(*key, number))
        found.append(Point(said.timestamp, said.price, said.bid, said.ask, said.volume_24h))
    return found


def first_marks(
    exchange: ExchangeSimulator, session_id: str, stream: StreamName, *, since: int = 0
) -> Mapping[str, int]:
    """Epoch -> the mark of the first subscription in it, oldest epoch first; ``since``: records to pass over."""
    marks: dict[str, int] = {}
    for each in list(exchange.subscriptions)[since:]:
        if (each.session_id, each.channel, each.symbol) == (session_id, stream.channel, stream.symbol):
            marks.setdefault(each.epoch, each.mark)
    return marks


def owed_from(marks: Mapping[str, int], epoch: str) -> int | None:
    """A stream's first epoch is owed from its mark on; a client that knew the stream before is owed all of a later one.

    An epoch nobody subscribed in was over before anybody could know of it: None.
    """
    if epoch not in marks:
        return None
    return marks[epoch] + 1 if next(iter(marks)) == epoch else 1
