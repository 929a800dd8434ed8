"""The struct that msgspec decodes into for peers without a JSON parser of their own."""

import msgspec


class Update(msgspec.Struct):
    """Any message of the feed; those that are no market data lack all but the type."""

    type: str
    channel: str = ""
    symbol: str = ""
    sequence_id: int = 0
    timestamp: str = ""
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    volume_24h: float = 0.0
