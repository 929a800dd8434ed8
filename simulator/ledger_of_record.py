"""What a checker in another process needs: what was issued, what is owed, which failures happened."""

from collections.abc import Mapping, Sequence

import msgspec

from gapless.simulator.records import SubscriptionRecord
from gapless.simulator.reference import ReferenceExchange


class IssuedStream(msgspec.Struct, frozen=True, kw_only=True):
    """Ids 1 to ``last_seq`` of a stream were issued."""

    channel: str
    symbol: str
    last_seq: int


class IssuedEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch, from its beginning to its end."""

    epoch: str
    streams: Sequence[IssuedStream]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What ``GET .../issued`` answers. Epochs oldest first; subscriptions as many as are remembered."""

    epochs: Sequence[IssuedEpoch]
    subscriptions: Sequence[SubscriptionRecord]
    injected: Mapping[str, int]


def issued_by(exchange: ReferenceExchange) -> Issued:
    """The record of an exchange."""
    log = exchange.issued
    return Issued(
        epochs=[
            IssuedEpoch(
                epoch=epoch,
                streams=[
                    IssuedStream(
                        channel=key.channel,
                        symbol=key.symbol,
                        last_seq=log.last_id(epoch, key.channel, key.symbol),
                    )
                    for key in log.streams(epoch)
                ],
            )
            for epoch in log.epochs
        ],
        subscriptions=list(exchange.subscriptions),
        injected=dict(exchange.injected),
    )
