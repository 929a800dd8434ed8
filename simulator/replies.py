"""How REST replies are written: JSON by msgspec, errors in one form."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: a code for programs, a message for people."""

    code: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every reply that is not 2xx."""

    error: ErrorDetail


class ReplyError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def json_reply(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    return Response(_encoder.encode(body), status, headers, media_type="application/json")


def error_reply(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the protocol's form."""
    return json_reply(ErrorBody(ErrorDetail(code, message)), status, headers)


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        codes = {404: "not_found", 405: "method_not_allowed"}
        return error_reply(error.status_code, codes.get(error.status_code, "error"), error.detail, error.headers)
    if isinstance(error, ReplyError):
        return error_reply(error.status, error.code, str(error))
    raise error


ERROR_HANDLERS: Final = {ReplyError: _on_error, HTTPException: _on_error}
"""For a starlette app whose errors have the protocol's form."""
