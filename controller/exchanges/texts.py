"""What venues write as text, read exactly: decimals, times, bodies of errors. Pure.

A price stands on the wire as a string or as a JSON number. Either way its digits are kept as they came, and the float
beside them is the nearest one.
"""

import decimal
import re
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from gapless.controller.errors import InvalidMessageError, InvalidReplyError
from gapless.controller.exchange import RestReply

_T = TypeVar("_T")

UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What a hostile text makes msgspec raise: bad JSON or types, lone surrogates, ten thousand nested brackets."""
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""What fits a signed 64-bit integer, as every store and language can hold it."""
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Unix milliseconds, to the end of the year 9999."""
Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z")]
"""RFC 3339 in UTC, as far as its form goes."""
Decimal = Annotated[str, Meta(pattern=r"^-?[0-9]{1,40}(\.[0-9]{0,40})?\Z")]
"""A decimal number in a string, without exponent."""


class _Typed(Struct, frozen=True):
    type: str


_TYPED: Final = msgspec.json.Decoder(_Typed)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPONENT: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?[eE][-+]?[0-9]{1,2}")
_DIGITS_MAX: Final = 64
"""Characters of a number that is written as JSON number."""


def number(raw: msgspec.Raw) -> tuple[str, float]:
    """A JSON number as its own text and the nearest float.

    Raises:
        InvalidMessageError: it is no number, or none that is finite.
    """
    text = _plain(bytes(raw).decode("ascii", "replace"))
    try:
        # Python reads more than JSON has; what is left of that, the first sign tells.
        value = float(text) if len(text) <= _DIGITS_MAX and text[:1] in "-0123456789" else float("nan")
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InvalidMessageError(f"expected a number, got {text[:_DIGITS_MAX]!r}")
    return text, value


def _plain(text: str) -> str:
    """A number without an exponent, digit for digit: ``1e-7`` is ``0.0000001``."""
    if _EXPONENT.fullmatch(text) is None:
        return text
    return f"{decimal.Decimal(text):f}"


def rfc3339_of_ms(unix_ms: int) -> str:
    """Unix milliseconds as ``2026-01-01T00:00:00.000Z``; exact, which a detour over a float is not."""
    at = _EPOCH + timedelta(milliseconds=unix_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def unknown_type(frame: str | bytes, error: Exception, known: Container[str]) -> str:
    """The type of a well-formed message that a decoder does not know, where ``type`` names it.

    Raises:
        InvalidMessageError: it is malformed, or of a type that is ``known``; ``error`` says what is wrong with it.
    """
    try:
        kind = _TYPED.decode(frame).type
    except UNDECODABLE:
        raise InvalidMessageError(f"expected a JSON object with a type: {error}") from None
    if kind in known:
        raise InvalidMessageError(f"malformed {kind}: {error}") from None
    return kind


def json_text(message: object) -> str:
    """A message as JSON text."""
    return msgspec.json.encode(message).decode()


def decoded_reply(decoder: "msgspec.json.Decoder[_T]", reply: RestReply) -> _T:
    """The body of a reply.

    Raises:
        InvalidReplyError: it is something else than expected; says what came.
    """
    try:
        return decoder.decode(reply.body)
    except UNDECODABLE as error:
        start = reply.body[:40].decode("utf-8", "replace")
        raise InvalidReplyError(f"{error}; the body begins {start!r}") from None
