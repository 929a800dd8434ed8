"""The opening handshake, without I/O: a request to send, and what the peer answers.

The answer's head is found here and given to ``ClientProtocol`` alone, for two reasons. The parser waits for the body of
a refusal, which a hostile or tired peer need not send to the end; status and ``Retry-After`` are in the head. And what
follows the head are frames already, which :mod:`~gapless.controller.transports.wire_frames` takes apart.

permessage-deflate is offered. A peer that accepts sends fewer bytes, and each message then goes through zlib: 0.9 us
for one of 180 bytes that repeats the one before, against 0.3 us for one that is not compressed.
"""

import re
from email.parser import BytesHeaderParser
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.uri import parse_uri

from gapless.controller.transports.ends import handshake_failed, refused

_HEAD_MAX: Final = 65_536
"""Bytes. Servers send some hundreds; common HTTP libraries stop at 64 KiB too."""
_END_OF_HEAD: Final = b"\r\n\r\n"
_PROTOCOL: Final = b"HTTP/1."
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")


class Handshake:
    """One attempt.

    Args:
        url: ``ws://`` or ``wss://``; credentials in it are not sent.
        message_size_max: bytes; a larger message will end the connection, compressed or not.
    """

    def __init__(self, url: str, *, message_size_max: int) -> None:
        parts = urlsplit(url)
        self.protocol = ClientProtocol(
            parse_uri(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))),
            extensions=[ClientPerMessageDeflateFactory()],
            max_size=message_size_max,
        )
        self._head = b""

    def request(self) -> bytes:
        """What to send first."""
        self.protocol.send_request(self.protocol.connect())
        return b"".join(self.protocol.data_to_send())

    def receive_data(self, data: bytes) -> bytes | None:
        """The bytes behind the answer once it has come and is a yes; None: more must come first.

        Raises:
            LinkError: the answer is a no, or none that can be understood.
        """
        self._head += data
        head, end, rest = self._head.partition(_END_OF_HEAD)
        if not head.startswith(_PROTOCOL[: len(head)]) or len(head) > _HEAD_MAX:
            raise handshake_failed("did not receive a valid HTTP response")
        if not end:
            return None
        status = _STATUS.match(head + end)
        if status is not None and status[1] != b"101":
            fields = BytesHeaderParser().parsebytes(head[status.end() :])
            raise refused(int(status[1]), {name.lower(): str(value) for name, value in fields.items()})
        self.protocol.receive_data(head + end)
        error = self.protocol.handshake_exc
        if error is not None:
            raise handshake_failed(error)
        self.protocol.events_received()
        return rest
