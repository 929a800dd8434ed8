"""How a connection ended, or was refused, in the words that every transport uses. Pure."""

from collections.abc import Mapping
from typing import Final

from wsproto.frame_protocol import CloseReason

from gapless.controller.errors import LinkError
from gapless.controller.waiting import asked_wait_s

ABNORMAL: Final = 1006
"""RFC 6455's number for an end without a close frame; never on the wire."""


def refused(status: int, headers: Mapping[str, str]) -> LinkError:
    """The peer answered the handshake with something else than 101.

    Args:
        status: of HTTP.
        headers: names in lower case.
    """
    return LinkError(f"refused: HTTP {status}", retry_after_s=asked_wait_s(headers))


def handshake_failed(why: object) -> LinkError:
    """There was no answer to the handshake that can be understood."""
    return LinkError(f"the handshake failed: {why}")


def closed(code: int = ABNORMAL, text: str | None = None) -> LinkError:
    """The connection is over: the peer's close frame, or what one of ours said of the peer's fault."""
    if code == ABNORMAL:
        return LinkError("reset or closed without a goodbye (1006)")
    return LinkError(f"closed: {code} {_name(code)}" + (f", {text!r}" if text else ""))


def _name(code: int) -> str:
    try:
        return CloseReason(code).name
    except ValueError:
        # The ranges of RFC 6455, 7.4.2.
        return "RFC_RESERVED" if code < 3000 else "IANA_RESERVED" if code < 4000 else "PRIVATE_RESERVED"
