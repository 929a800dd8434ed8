"""What a client says on Binance's WebSocket, read: a method, its parameters, an id to echo."""

import re
from typing import Final

import msgspec

from gapless.simulator.messages import StreamKey
from gapless.simulator.venues.binance.wire import RequestId

INVALID_TYPE: Final = 1
INVALID_REQUEST: Final = 2
INVALID_JSON: Final = 3
"""The documented codes of errors on a stream connection."""

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
CHANNELS: Final = ("trade", "aggTrade", "bookTicker")
"""What this simulator has; any other that looks like one is acknowledged and says nothing."""
_STREAM: Final = re.compile(r"([a-z0-9]{1,20})@([A-Za-z0-9_@]{1,40})")
_ID_LENGTH_MAX: Final = 36
"""Characters of an id, as documented."""


class BadRequestError(Exception):
    """A request is answered with an error."""

    def __init__(self, code: int, said: str, request_id: RequestId = None) -> None:
        super().__init__(said)
        self.code = code
        self.request_id = request_id


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has the right form."""

    method: str
    params: tuple[object, ...]
    id: RequestId


def read_request(text: str | bytes) -> StreamRequest:
    """Read one frame.

    Raises:
        BadRequestError: it is no request; with the code and the id that the answer has.
    """
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(INVALID_JSON, f"Invalid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise BadRequestError(INVALID_REQUEST, "Invalid request: expected an object")
    request_id = _id_of(fields.get("id"))
    method = fields.get("method")
    if method is None:
        raise BadRequestError(INVALID_REQUEST, "Invalid request: missing field `method`", request_id)
    if method not in METHODS:
        named = ", ".join(f"`{each}`" for each in METHODS)
        raise BadRequestError(
            INVALID_REQUEST,
            f"Invalid request: unknown variant `{str(method)[:40]}`, expected one of {named}",
            request_id,
        )
    params = fields.get("params", [])
    if not isinstance(params, list):
        raise BadRequestError(INVALID_REQUEST, "Invalid request: `params` must be an array", request_id)
    return StreamRequest(method=method, params=tuple(params), id=request_id)


def _id_of(found: object) -> RequestId:
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    if isinstance(found, str) and len(found) <= _ID_LENGTH_MAX:
        return found
    raise BadRequestError(INVALID_REQUEST, "Invalid request: request ID must be an integer, a string or null")


def named_stream(name: object) -> StreamKey | None:
    """The stream of this name, with its symbol as REST writes it; None: that is no name of a stream."""
    match = _STREAM.fullmatch(name) if isinstance(name, str) else None
    return None if match is None else StreamKey(match[2], match[1].upper())
