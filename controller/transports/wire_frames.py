"""Bytes of a server in, messages and the end of the connection out. Pure: no I/O, no clock.

Theory. Almost everything that an exchange sends is a whole message of less than 64 KiB in a frame of its own. Such
frames are cut out of the buffer by a loop of a few operations each, and inflated where permessage-deflate was agreed on
and they say that they are compressed; everything else goes to ``ClientProtocol`` of the ``websockets`` package, which
knows the protocol. The two never hold parts of one frame: this module always knows where a frame begins, because it
reads each header itself, and hands the parser one frame at a time. So

* order is kept: a frame is taken by the loop only while the parser owes nothing, neither the rest of a frame nor the
  rest of a fragmented message;
* what one read brings has the same effect as if its bytes came one by one: messages before a fault are messages, what
  comes after it is nothing.

What is bounded: the rest kept for the loop by the longest frame it takes (64 KiB), a frame and a message in the parser
by the size limit, what is to be sent by one control frame (RFC 6455, 5.5.3: the latest PING alone may be answered).

Hazards of the library, found in 17.4:

* ``ClientProtocol`` neither joins fragments nor checks that a text is UTF-8; the connection built on it must.
* The events of one call cannot be told from each other in time: a PING behind an invalid text is answered before
  anybody can say that the text was invalid. Hence one frame at a time.
* Each PING is answered with a PONG at once: a flood of PINGs would make a list without bound.
* An endless row of empty fragments is no message that is too big: they must not be kept in a list.
* What compression remembers is in ``PerMessageDeflate.decoder``, which has a public name and no documentation. The loop
  and the parser inflate with this one object, by turns: a compressed message may refer to any that came before it.
* A peer that ends its stream of DEFLATE and goes on makes every later message an empty one, and ``zlib`` keeps what it
  did not read. The parser alone does the same, and so does this module.
"""

from struct import Struct
from typing import Final, NamedTuple
from zlib import decompressobj
from zlib import error as zlib_error

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from gapless.controller.transports.ends import ABNORMAL

_TEXT: Final = 0x80 | Opcode.TEXT
"""First byte of a whole, uncompressed text message."""
_BINARY: Final = 0x80 | Opcode.BINARY
_PLAIN: Final = frozenset({_TEXT, _BINARY})
_COMPRESSED: Final = 0x40
"""RSV1, in the first byte."""
_SYNC: Final = b"\x00\x00\xff\xff"
"""How a flushed stream of DEFLATE ends, and what is left out on the wire (RFC 7692, 7.2.1)."""
_MASKED: Final = 0x80
"""In the second byte; a server must not mask."""
_SHORT_MAX: Final = 125
"""Bytes of payload whose number fits into the second byte itself."""
_MEDIUM: Final = 126
"""The number is in the next two bytes; above it, in the next eight."""
_MEDIUM_MAX: Final = 65_535
_DATA: Final = frozenset({Opcode.CONT, Opcode.TEXT, Opcode.BINARY})
_OPCODES: Final = frozenset(Opcode)

_head = Struct("!BBH").unpack_from
"""The two bytes that every header has, and what is the length in most headers."""


class End(NamedTuple):
    """Why nothing more is read: the close frame that was received, or the one that says what the peer did wrong."""

    code: int
    reason: str


_PARSED_MAX: Final = 256
"""Frames that the parser is given in one call, about 10 us each: a read of 64 KiB can hold 32,000 PINGs, and nobody
else would have a turn meanwhile."""


class FrameCodec:
    """What both sides say after the handshake.

    Args:
        protocol: an open connection; nobody else uses it from now on.
        message_size_max: bytes, as the protocol was told.
    """

    def __init__(self, protocol: ClientProtocol, *, message_size_max: int) -> None:
        self._protocol = protocol
        self._message_size_max = message_size_max
        self._deflate = next((each for each in protocol.extensions if isinstance(each, PerMessageDeflate)), None)
        self._kinds = _PLAIN if self._deflate is None else _PLAIN | {each | _COMPRESSED for each in _PLAIN}
        """First bytes of the frames that the loop takes."""
        self._short_max = min(_SHORT_MAX, message_size_max)
        self._medium_max = min(_MEDIUM_MAX, message_size_max)
        self._rest = b""
        """The beginning of a frame whose header is not whole, or that the loop takes when it is whole."""
        self._lacking = 0
        """Bytes that are missing of the frame in the rest; 0: there is none, or its length is not known."""
        self._owed = 0
        """Bytes that the parser awaits of the frame it is in."""
        self._parts: bytearray | None = None
        """The fragments so far of a message that is not whole; None: the next data frame begins a message."""
        self._is_text = False
        self._to_send = b""
        self.has_more = False
        """Whether more has come than one call takes apart."""
        self.end: End | None = None

    def encode(self, text: str) -> bytes:
        """A text message as bytes to send; all of them, and in the order of the calls, or compression goes wrong.

        Raises:
            websockets.exceptions.InvalidState: the end has come.
        """
        self._protocol.send_text(text.encode())
        return b"".join(self._protocol.data_to_send())

    def take_to_send(self) -> bytes:
        """The control frame that is due, if any. Until it is taken a later one replaces it."""
        data, self._to_send = self._to_send, b""
        return data

    @property
    def has_to_send(self) -> bool:
        """Whether a control frame is due."""
        return bool(self._to_send)

    def receive_eof(self) -> None:
        """Nothing more will come."""
        if self.end is None:
            self._conclude()

    def receive_data(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, in order; texts are valid UTF-8. Look at :attr:`end` afterwards.

        Where :attr:`has_more` is true then, the next call is without data, after others had their turn.
        """
        messages: list[bytes] = []
        rest, lacking = self._rest, self._lacking
        if 0 < lacking <= len(data):
            # The frame that was begun is finished by itself: the rest of what came is not copied for its sake.
            self._read(rest + data[:lacking], 0, messages)
            self._read(data, lacking, messages)
        else:
            self._read(rest + data if rest else data, 0, messages)
        return messages

    def _read(self, buffer: bytes, at: int, messages: list[bytes]) -> None:
        """Take the buffer apart, from ``at`` on."""
        self._lacking = 0
        parsed = 0
        while self.end is None and parsed < _PARSED_MAX:
            parsed += 1
            if not self._owed:
                if self._parts is None:
                    at = self._scan(buffer, at, messages)
                self._owed = self._frame_for_parser(buffer, at)
            piece = buffer[at : at + self._owed]
            if not piece:
                break
            at += len(piece)
            self._owed -= len(piece)
            self._parse(piece, messages)
        self._rest = buffer[at:]
        self.has_more = parsed == _PARSED_MAX and self.end is None and bool(self._rest)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _scan(self, buffer: bytes, at: int, messages: list[bytes]) -> int:
        """Cut out frames that need no parser, from ``at`` on; returns where the first other one begins."""
        while at < len(buffer) and (kind := buffer[at]) in self._kinds:
            run: list[bytes] = []
            at = self._scan_run(kind, buffer, at, run)
            if not run:
                break
            fault = None
            if kind & _COMPRESSED and self._deflate is not None:
                run, fault = _inflate(self._deflate, run, self._message_size_max)
            if kind & Opcode.TEXT and not _are_utf8(run):
                messages += self._valid_ones(run)
            else:
                messages += run
                if fault is None:
                    continue
                self._protocol.fail(*fault)
            self._conclude()
            return len(buffer)
        return at

    def _scan_run(self, kind: int, buffer: bytes, at: int, run: list[bytes]) -> int:
        """Text messages in a row, or binary ones. Names are local: this is where the time goes."""
        size = len(buffer)
        head_at_max = size - 4
        short_max, medium_max, head, append = self._short_max, self._medium_max, _head, run.append
        # A last frame of two or three bytes is too short for this loop, and left to the parser.
        while at <= head_at_max:
            first, length, medium_length = head(buffer, at)
            if first != kind:
                break
            if length <= short_max:
                begin = at + 2
                end = begin + length
            elif length == _MEDIUM and medium_length <= medium_max:
                begin = at + 4
                end = begin + medium_length
            else:
                break
            if end > size:
                break
            append(buffer[begin:end])
            at = end
        return at

    def _valid_ones(self, texts: list[bytes]) -> list[bytes]:
        """Those before the first that is not UTF-8."""
        return texts[: next(index for index, text in enumerate(texts) if not self._check(text))]

    # -- the parser ----------------------------------------------------------------------------------------------------

    def _frame_for_parser(self, buffer: bytes, at: int) -> int:
        """How long the frame is that begins at ``at``; 0: too little of it has come, or the loop takes it later."""
        there = len(buffer) - at
        if there < 2:
            return 0
        first, length = buffer[at], buffer[at + 1]
        if first & 0x0F not in _OPCODES or length & _MASKED:
            # The parser needs no more to refuse it, and its length would be read wrongly.
            return 2
        header = 2
        if length >= _MEDIUM:
            header = 4 if length == _MEDIUM else 10
            if there < header:
                return 0
            length = int.from_bytes(buffer[at + 2 : at + header])
        is_whole = there >= header + length
        if not is_whole and header < 10 and length <= self._medium_max and self._parts is None:
            if first not in self._kinds:
                return header + length
            self._lacking = header + length - there
            return 0
        return header + length

    def _parse(self, piece: bytes, messages: list[bytes]) -> None:
        """Hand the parser a frame, or a part of one."""
        self._protocol.receive_data(piece)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in _DATA:
                self._enter(event, messages)
        if self._protocol.state is not State.OPEN:
            self._conclude()
        elif writes := self._protocol.data_to_send():
            self._to_send = writes[-1]

    def _enter(self, frame: Frame, messages: list[bytes]) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if self._parts is None and frame.fin:
            message = bytes(frame.data)
        else:
            self._parts = self._parts or bytearray()
            self._parts += frame.data
            if not frame.fin:
                return
            message, self._parts = bytes(self._parts), None
        if not self._is_text or self._check(message):
            messages.append(message)

    def _check(self, text: bytes) -> bool:
        """Whether it is UTF-8; if not, the protocol is told that this is the end."""
        try:
            text.decode()
        except UnicodeDecodeError as error:
            self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            return False
        return True

    def _conclude(self) -> None:
        """The protocol is over: keep its last word, and learn from it why."""
        self._protocol.receive_eof()
        # What it says of the end of its own stream is an empty one.
        self._to_send = next((data for data in self._protocol.data_to_send() if data), b"")
        last_word = self._protocol.close_exc.sent
        self.end = End(ABNORMAL, "") if last_word is None else End(last_word.code, last_word.reason)


def _inflate(deflate: PerMessageDeflate, run: list[bytes], size_max: int) -> tuple[list[bytes], End | None]:
    """What compressed messages in a row hold, up to the first that is faulty, and what is wrong with that one."""
    messages: list[bytes] = []
    shared = None if deflate.remote_no_context_takeover else deflate.decoder
    try:
        for each in run:
            # Who remembers nothing of the messages before begins anew with each.
            decoder = shared or decompressobj(wbits=-deflate.remote_max_window_bits)
            message = decoder.decompress(each + _SYNC, size_max)
            if decoder.unconsumed_tail:
                return messages, End(CloseCode.MESSAGE_TOO_BIG, str(PayloadTooBig(None, size_max)))
            messages.append(message)
    except zlib_error:
        return messages, End(CloseCode.PROTOCOL_ERROR, "decompression failed")
    return messages, None


def _are_utf8(texts: list[bytes]) -> bool:
    """Whether each is."""
    if all(map(bytes.isascii, texts)):
        return True
    try:
        for text in texts:
            text.decode()
    except UnicodeDecodeError:
        return False
    return True
