"""What a client says on Deribit's WebSocket, read: a JSON-RPC request with a method, named parameters and an id."""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from gapless.simulator.venues.deribit.wire import (
    INTERVAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    RAW_NOT_AVAILABLE,
    TRADES,
    RequestId,
    RpcError,
)

QUIET_CHANNELS: Final = ("book", "ticker", "quote")
"""What the venue has besides, for an instrument: taken, and silent here."""
CHANNELS_MAX: Final = 500
"""Channels of one request; documented."""


class BadRequestError(Exception):
    """A request is answered with an error."""

    def __init__(self, error: RpcError, request_id: RequestId | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.request_id = request_id


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has the right form. Without an id it is answered, too, as the venue does."""

    method: str
    params: Mapping[str, Any]
    id: RequestId | None


def invalid(param: str, reason: str) -> RpcError:
    """``Invalid params``, with which and why."""
    return RpcError(code=INVALID_PARAMS, message="Invalid params", data={"reason": reason, "param": param})


def read_request(text: str | bytes) -> Request:
    """Read one frame.

    Raises:
        BadRequestError: it is no request.
    """
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError(RpcError(code=PARSE_ERROR, message="Parse error")) from None
    if not isinstance(fields, dict):
        raise BadRequestError(RpcError(code=INVALID_REQUEST, message="Invalid Request"))
    found = cast("dict[str, Any]", fields)
    request_id = found.get("id")
    if request_id is not None and (not isinstance(request_id, int | str) or isinstance(request_id, bool)):
        raise BadRequestError(RpcError(code=INVALID_REQUEST, message="Invalid Request"))
    method, params = found.get("method"), found.get("params", {})
    if not isinstance(method, str) or found.get("jsonrpc", "2.0") != "2.0":
        raise BadRequestError(RpcError(code=INVALID_REQUEST, message="Invalid Request"), request_id)
    if not isinstance(params, dict):
        raise BadRequestError(invalid("params", "must be object"), request_id)
    return Request(method=method, params=cast("dict[str, Any]", params), id=request_id)


def channels_of(request: Request) -> list[str]:
    """The channels that a request names, each once.

    Raises:
        BadRequestError: it names none, or something else.
    """
    channels = request.params.get("channels")
    if channels is None:
        raise BadRequestError(invalid("channels", "is required"), request.id)
    if not isinstance(channels, list) or not all(isinstance(each, str) for each in cast("list[object]", channels)):
        raise BadRequestError(invalid("channels", "must be array of strings"), request.id)
    named = cast("list[str]", channels)
    if not named:
        raise BadRequestError(invalid("channels", "must not be empty"), request.id)
    if len(named) > CHANNELS_MAX:
        raise BadRequestError(invalid("channels", f"must have at most {CHANNELS_MAX} channels"), request.id)
    if any(each.startswith(f"{TRADES}.") and each.endswith(".raw") for each in named):
        raise BadRequestError(
            RpcError(code=RAW_NOT_AVAILABLE, message="raw_subscriptions_not_available_for_unauthorized"), request.id
        )
    return list(dict.fromkeys(named))


def instrument_of(channel: str) -> str | None:
    """The instrument whose trades a channel is; None: it is another, or none."""
    parts = channel.split(".")
    return parts[1] if len(parts) == 3 and parts[0] == TRADES and parts[2] == INTERVAL else None


def quiet_instrument_of(channel: str) -> str | None:
    """The instrument of a channel that this simulator has nothing to say on."""
    parts = channel.split(".")
    return parts[1] if len(parts) > 1 and parts[0] in QUIET_CHANNELS else None
