"""What a client says on Kraken's WebSocket v2, read: a method, a channel, pairs, an id to echo."""

from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import UNSET, UnsetType

from gapless.simulator.venues.kraken.wire import TRADE

QUIET_CHANNELS: Final = ("ticker", "book", "ohlc")
"""What the venue has besides: acknowledged for pairs that exist, and silent here."""
SYMBOLS_MAX: Final = 1_000
"""Pairs of one request: more than the venue has in one currency, and a bound."""

Method: TypeAlias = Literal["subscribe", "unsubscribe", "ping"]
_METHODS: Final = ("subscribe", "unsubscribe", "ping")


class BadRequestError(Exception):
    """A request is answered with an error as a whole.

    Args:
        said: the error.
        method: what was asked for, where that was understood.
        req_id: the client's id of it, likewise.
    """

    def __init__(self, said: str, method: str | UnsetType = UNSET, req_id: int | UnsetType = UNSET) -> None:
        super().__init__(said)
        self.method = method
        self.req_id = req_id


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has the right form. Whether its pairs exist is not known here."""

    method: Method
    req_id: int | UnsetType = UNSET
    channel: str = ""
    symbols: tuple[str, ...] = ()
    snapshot: bool | None = None


def read_request(text: str | bytes) -> Request:
    """Read one frame.

    Raises:
        BadRequestError: it is no request.
    """
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError("Malformed request") from None
    if not isinstance(fields, dict):
        raise BadRequestError("Malformed request")
    found = cast("dict[str, Any]", fields)
    method, req_id = found.get("method"), found.get("req_id", UNSET)
    if req_id is not UNSET and (not isinstance(req_id, int) or isinstance(req_id, bool)):
        raise BadRequestError("Field 'req_id' must be an integer")
    if method not in _METHODS:
        raise BadRequestError("Method not found", UNSET, req_id)
    if method == "ping":
        return Request(method="ping", req_id=req_id)
    return _subscription(cast("Method", method), req_id, found.get("params"))


def _subscription(method: Method, req_id: int | UnsetType, params: object) -> Request:
    if not isinstance(params, dict):
        raise BadRequestError("Field 'params' is missing", method, req_id)
    named = cast("dict[str, Any]", params)
    channel, symbols, snapshot = named.get("channel"), named.get("symbol"), named.get("snapshot")
    if channel not in (TRADE, *QUIET_CHANNELS):
        raise BadRequestError(f"Channel not supported {str(channel)[:40]}", method, req_id)
    if not isinstance(symbols, list) or not symbols or len(cast("list[object]", symbols)) > SYMBOLS_MAX:
        raise BadRequestError("Field 'symbol' must be a list of pairs", method, req_id)
    if not all(isinstance(each, str) for each in cast("list[object]", symbols)):
        raise BadRequestError("Field 'symbol' must be a list of pairs", method, req_id)
    if snapshot is not None and not isinstance(snapshot, bool):
        raise BadRequestError("Field 'snapshot' must be a boolean", method, req_id)
    return Request(
        method=method,
        req_id=req_id,
        channel=str(channel),
        symbols=tuple(dict.fromkeys(cast("list[str]", symbols))),
        snapshot=snapshot,
    )
