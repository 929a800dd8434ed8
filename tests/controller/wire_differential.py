"""The codec of the transport ``wire`` against ``ClientProtocol`` alone, over streams that no server should send.

``python -m tests.controller.wire_differential --streams 1000000 --jobs 2`` runs as many as one likes.
"""

import argparse
import logging
import struct
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from websockets.client import ClientProtocol
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gapless.controller.transports.wire_frames import FrameCodec
from tests.controller.wire_pieces import Stream, stream

_URI: Final = parse_uri("ws://exchange.example/ws")
_BATCH: Final = 5_000
"""Streams between two lines of progress."""


class DisagreementError(AssertionError):
    """The codec and the reference say different things about the same bytes."""


def open_protocol(of: Stream) -> ClientProtocol:
    """As after a handshake."""
    protocol = ClientProtocol(_URI, state=State.OPEN, max_size=of.limit)
    extensions: list[Extension] = []
    if of.deflates:
        extensions.append(PerMessageDeflate(not of.keeps_context, False, of.window_bits, 15))
    protocol.extensions = extensions
    return protocol


class Reference:
    """``ClientProtocol``, with what its documentation leaves to the caller: joining fragments, and UTF-8.

    It is given whole chunks, and looks at the frames one by one afterwards: what follows an invalid text is nothing.
    """

    def __init__(self, protocol: ClientProtocol) -> None:
        self._protocol = protocol
        self._frames: list[Frame] = []
        self.end: tuple[int, str] | None = None
        self.to_send: tuple[int, bytes] | None = None
        """Opcode and payload of the control frame that is due."""

    def receive_data(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        if self.end is not None:
            return messages
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PING:
                self.to_send = (Opcode.PONG, bytes(event.data))
            elif event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._frames.append(event)
                if event.fin and not self._join(messages):
                    return messages
        if self._protocol.state is not State.OPEN:
            self.receive_eof()
        return messages

    def _join(self, messages: list[bytes]) -> bool:
        message = b"".join(frame.data for frame in self._frames)
        is_text = self._frames[0].opcode is Opcode.TEXT
        self._frames = []
        try:
            _ = is_text and message.decode()
        except UnicodeDecodeError as error:
            self.end = (1007, f"{error.reason} at position {error.start}")
            self.to_send = (Opcode.CLOSE, struct.pack("!H", 1007) + self.end[1].encode())
            return False
        messages.append(message)
        return True

    def receive_eof(self) -> None:
        if self.end is None:
            self._protocol.receive_eof()
            closes = [each for data in self._protocol.data_to_send() if (each := unmasked(data))[0] == Opcode.CLOSE]
            self.to_send = closes[-1] if closes else None
            sent = self._protocol.close_exc.sent
            self.end = (1006, "") if sent is None else (sent.code, sent.reason)

    def take_to_send(self) -> tuple[int, bytes] | None:
        due, self.to_send = self.to_send, None
        return due


def unmasked(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of a control frame of a client; a stream's end is no frame."""
    if not data:
        return -1, b""
    assert data[0] & 0x80
    assert data[1] & 0x80
    size = data[1] & 0x7F
    assert len(data) == 6 + size
    return data[0] & 0x0F, bytes(octet ^ data[2 + at % 4] for at, octet in enumerate(data[6:]))


def all_of(codec: FrameCodec, data: bytes) -> list[bytes]:
    """What the codec makes of it, in as many calls as it takes."""
    messages = codec.receive_data(data)
    while codec.has_more:
        messages += codec.receive_data(b"")
    return messages


def compare(seed: int) -> tuple[Stream, str]:
    """Both read the stream of this seed, and agree after each chunk; returns how it ended, too."""
    of = stream(seed)
    reference = Reference(open_protocol(of))
    codec = FrameCodec(open_protocol(of), message_size_max=of.limit)
    for at, chunk in enumerate(of.chunks):
        expected = reference.receive_data(chunk)
        _agree(seed, at, "the messages", expected, all_of(codec, chunk))
        _agree_on_the_rest(seed, at, reference, codec)
    if of.ends:
        reference.receive_eof()
        codec.receive_eof()
        _agree_on_the_rest(seed, len(of.chunks), reference, codec)
    return of, "open" if codec.end is None else str(codec.end.code)


def _agree_on_the_rest(seed: int, at: int, reference: Reference, codec: FrameCodec) -> None:
    _agree(seed, at, "the end", reference.end, None if codec.end is None else tuple(codec.end))
    due = codec.take_to_send()
    _agree(seed, at, "what is to be sent", reference.take_to_send(), unmasked(due) if due else None)


def _agree(seed: int, at: int, what: str, expected: object, got: object) -> None:
    if expected != got:
        raise DisagreementError(f"seed {seed}, after chunk {at}, {what}: expected {expected!r:.300}, got {got!r:.300}")


def tally(seeds: Iterable[int]) -> Counter[tuple[str, str]]:
    """How often each kind of piece was in a stream with each outcome."""
    seen: Counter[tuple[str, str]] = Counter()
    for seed in seeds:
        of, outcome = compare(seed)
        seen.update((kind, outcome) for kind in of.kinds)
    return seen


def main() -> int:
    """Compare many streams; says the seed of the first on which they disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first stream")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    logging.disable()
    first, last = options.seed, options.seed + options.streams
    batches = [range(at, min(at + _BATCH, last)) for at in range(first, last, _BATCH)]
    seen: Counter[tuple[str, str]] = Counter()
    done = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for batch, found in zip(batches, pool.map(tally, batches), strict=True):
            seen += found
            done += len(batch)
            sys.stderr.write(f"\r{done:,} of {options.streams:,} streams agree")
    outcomes = Counter[str]()
    for (_, outcome), count in seen.items():
        outcomes[outcome] += count
    sys.stdout.write(f"\n{done:,} streams, the pieces in them by outcome: {dict(outcomes.most_common())}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
