"""The exchange's own record of a run, in the oracle's terms."""

from collections.abc import Iterable

import msgspec

from gapless.cli.deliveries import Issued, Point, StreamKey
from gapless.cli.oracle import Record
from gapless.controller import Stream
from gapless.simulator import ExchangeSimulator


class _Message(msgspec.Struct, frozen=True):
    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float


_messages = msgspec.json.Decoder(_Message)


def record_of(exchange: ExchangeSimulator, session_id: str, streams: Iterable[Stream]) -> Record:
    """What ``exchange`` issued, what it owes to this session, and what it did to it.

    The exchange must have been told to ``record``. Restarts are counted by their epochs.
    """
    issued: dict[StreamKey, Issued] = {}
    for stream in streams:
        marks = _first_marks(exchange, session_id, stream)
        for epoch in exchange.issued.epochs:
            key = StreamKey(epoch, stream.channel, stream.symbol)
            issued[key] = Issued(points=_points(exchange, key), owed_from=_owed_from(marks, epoch))
    return Record(
        issued=issued,
        injected={**exchange.injected, "restart": len(exchange.issued.epochs) - 1},
        requests_at=sorted(each.time_s for each in exchange.requests),
    )


def _points(exchange: ExchangeSimulator, key: StreamKey) -> list[Point]:
    points: list[Point] = []
    for number in range(1, exchange.issued.last_id(*key) + 1):
        said = _messages.decode(exchange.issued.payload(*key, number))
        points.append(Point(said.timestamp, said.price, said.bid, said.ask, said.volume_24h))
    return points


def _first_marks(exchange: ExchangeSimulator, session_id: str, stream: Stream) -> dict[str, int]:
    """Epoch -> the mark of the first subscription in it, oldest epoch first."""
    marks: dict[str, int] = {}
    for each in exchange.subscriptions:
        if (each.session_id, each.channel, each.symbol) == (session_id, stream.channel, stream.symbol):
            marks.setdefault(each.epoch, each.mark)
    return marks


def _owed_from(marks: dict[str, int], epoch: str) -> int | None:
    """A stream's first epoch is owed from its mark on; a client that knew the stream before is owed all of a later one.

    An epoch nobody subscribed in was over before anybody could know of it.
    """
    if epoch not in marks:
        return None
    return marks[epoch] + 1 if next(iter(marks)) == epoch else 1
