"""What a client says on Coinbase's feed, read: subscribe or unsubscribe, and which channels of which products."""

from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from gapless.simulator.messages import StreamKey

CHANNELS: Final = ("matches", "heartbeat")
"""What this simulator has."""
QUIET_CHANNELS: Final = ("ticker", "ticker_batch", "level2", "level2_batch", "full", "status", "auctionfeed")
"""What the venue has besides: subscribed like any other, and silent here."""

Wish: TypeAlias = tuple[Literal["subscribe", "unsubscribe"], list[StreamKey]]
_VERBS: Final = {"subscribe": "Failed to subscribe", "unsubscribe": "Failed to unsubscribe"}


class BadRequestError(Exception):
    """A message is answered with an error.

    Args:
        message: what the answer calls it.
        reason: why, where the venue says so.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


def read_request(text: str | bytes, products: tuple[str, ...], subscribed: tuple[StreamKey, ...]) -> Wish:
    """Read one message.

    Args:
        text: as received.
        products: those that exist.
        subscribed: what is subscribed; an unsubscribe that names no product means every product of its channel.

    Returns:
        What to do, and with which channels of which products, each once. A channel without products is not in it.

    Raises:
        BadRequestError: it is not understood, or names what does not exist; nothing is to be done then.
    """
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError("Malformed JSON") from None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind not in _VERBS:
        raise BadRequestError("Type has to be either subscribe or unsubscribe")
    verb = cast("Literal['subscribe', 'unsubscribe']", kind)
    common = _texts(fields.get("product_ids", []), verb, "product_ids")
    channels = fields.get("channels", [])
    if not isinstance(channels, list) or not (channels or common):
        raise BadRequestError(_VERBS[verb], "expected channels as a list")
    keys: list[StreamKey] = []
    for channel in cast("list[object]", channels):
        name, own = _channel(channel, verb)
        named = [*common, *own]
        if not named and verb == "unsubscribe":
            named = [key.symbol for key in subscribed if key.channel == name]
        keys.extend(StreamKey(name, product) for product in named)
    if not channels:
        keys = [key for key in subscribed if key.symbol in common]
    for product in {key.symbol: None for key in keys} | dict.fromkeys(common):
        if product not in products:
            raise BadRequestError(_VERBS[verb], f"{product[:40]} is not a valid product")
    if not keys and verb == "subscribe":
        raise BadRequestError(_VERBS[verb], "expected product_ids for the channels")
    return verb, list(dict.fromkeys(keys))


def _channel(channel: object, verb: str) -> tuple[str, list[str]]:
    """A channel by name, or with products of its own."""
    fields: dict[str, Any] = cast("dict[str, Any]", channel) if isinstance(channel, dict) else {"name": channel}
    name = fields.get("name")
    if name not in CHANNELS + QUIET_CHANNELS:
        raise BadRequestError(_VERBS[verb], f"{str(name)[:40]} is not a valid channel")
    return str(name), _texts(fields.get("product_ids", []), verb, "product_ids")


def _texts(found: object, verb: str, field: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in cast("list[object]", found)):
        raise BadRequestError(_VERBS[verb], f"expected {field} as a list of texts")
    return cast("list[str]", found)
