"""A trade, however a venue writes it, in the controller's words. Pure."""

from gapless.controller.events import Side
from gapless.controller.messages import TradeUpdate


def trade_update(
    stream: tuple[str, str],
    sequence_id: int,
    timestamp: str,
    *,
    price: str,
    amount: str,
    side: Side,
    trade_id: str | None = None,
) -> TradeUpdate:
    """A trade of a venue.

    Args:
        stream: its channel and symbol.
        sequence_id: what orders it.
        timestamp: RFC 3339.
        price: the digits as they came; the float beside them is the nearest one. So with ``amount``.
        amount: in the venue's unit.
        side: the taker's.
        trade_id: where it is not the ``sequence_id``.
    """
    channel, symbol = stream
    return TradeUpdate(
        channel=channel,
        symbol=symbol,
        sequence_id=sequence_id,
        timestamp=timestamp,
        price=float(price),
        amount=float(amount),
        price_text=price,
        amount_text=amount,
        side=side,
        trade_id=str(sequence_id) if trade_id is None else trade_id,
    )
