"""What gapless is built of, without gapless: the floor it is held against. No lease, state, idle watch, heartbeat.

Options: ``how`` is

* ``get_message``: trio-websocket's receive loop, the same msgspec decoder, a ``StreamLedger`` per stream found by
  (channel, symbol). What ``trio-websocket`` gives at best to one task.
* ``scanner``: a trio stream, the scanner of :mod:`benchmarks.contenders.scanner`, the same decoder
  and ledger, one task.
* ``wake``: the same, but decoded messages go by a deque to a second task that is woken once per read: what any design
  pays in which the app is not the task that reads.
"""

import base64
import os
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import open_websocket_url

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.scanner import scan
from gapless.controller.exchanges.reference_wire import Frame, MarketDataFrame
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.verdict import Verdict

_READ_BYTES: Final = 65_536

NEXT: Final = Verdict.NEXT
Ledgers = dict[tuple[str, str], StreamLedger]


def _subscribe(task: Task) -> bytes:
    streams = [{"channel": "ticker", "symbol": name} for name in task.names]
    return msgspec.json.encode({"type": "SUBSCRIBE", "request_id": "s-1", "streams": streams})


def _ledgers(task: Task) -> Ledgers:
    return {("ticker", name): StreamLedger() for name in task.names}


async def get_message(task: Task, meter: Meter) -> None:
    """trio-websocket's own loop."""
    decode, ledgers = msgspec.json.Decoder(Frame).decode, _ledgers(task)
    n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample
    async with open_websocket_url(
        task.ws_url, ssl_context=_context(task), message_queue_size=256, receive_buffer_size=_READ_BYTES
    ) as socket:
        await socket.send_message(_subscribe(task).decode())
        while not meter.done.is_set():
            message = decode(await socket.get_message())
            if type(message) is not MarketDataFrame or message.sequence_id is None:
                continue
            if ledgers[message.channel, message.symbol].accept(message.sequence_id) is NEXT:
                _ = message.price
                if timed:
                    sample(message.volume_24h or 0.0)
                n += 1
                if n >= next_at:
                    next_at = meter.reached(n)


async def scanner(task: Task, meter: Meter) -> None:
    """One task reads, decodes, checks and counts."""
    n, next_at = 0, meter.next_at
    timed, sample = meter.timed, meter.sample

    async def take(batch: list[MarketDataFrame]) -> None:
        nonlocal n, next_at
        for message in batch:
            _ = message.price
            if timed:
                sample(message.volume_24h or 0.0)
        n += len(batch)
        if n >= next_at:
            next_at = meter.reached(n)

    await _read(task, meter, take)


async def wake(task: Task, meter: Meter) -> None:
    """A second task is the app."""
    held: deque[MarketDataFrame] = deque()
    lot = trio.lowlevel.ParkingLot()

    async def put(batch: list[MarketDataFrame]) -> None:
        held.extend(batch)
        lot.unpark()
        if len(held) > 10_000:
            await trio.lowlevel.checkpoint()

    async def consume() -> None:
        n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample
        while True:
            if not held:
                await lot.park()
            batch = list(held)
            held.clear()
            for message in batch:
                _ = message.price
                if timed:
                    sample(message.volume_24h or 0.0)
            n += len(batch)
            if n >= next_at:
                next_at = meter.reached(n)
                if meter.done.is_set():
                    nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await _read(task, meter, put)


async def _read(task: Task, meter: Meter, take: Callable[[list[MarketDataFrame]], Awaitable[None]]) -> None:
    decode, ledgers = msgspec.json.Decoder(Frame).decode, _ledgers(task)
    stream, buffer = await _open(task)
    await stream.send_all(_masked(_subscribe(task)))
    async with stream:
        while True:
            payloads, used = scan(buffer)
            batch: list[MarketDataFrame] = []
            for payload in payloads:
                message = decode(payload)
                if (
                    type(message) is MarketDataFrame
                    and message.sequence_id is not None
                    and ledgers[message.channel, message.symbol].accept(message.sequence_id) is NEXT
                ):
                    batch.append(message)
            if batch:
                await take(batch)
                if meter.done.is_set():
                    return
            data = bytes(await stream.receive_some(_READ_BYTES))
            buffer = buffer[used:] + data if used < len(buffer) else data


async def _open(task: Task) -> tuple[trio.abc.Stream, bytes]:
    """Dial and shake hands; the stream, and what came after the handshake."""
    parts = urlsplit(task.ws_url)
    host, port = parts.hostname or "", parts.port or 80
    stream: trio.abc.Stream = (
        await trio.open_ssl_over_tcp_stream(host, port, ssl_context=_context(task))
        if parts.scheme == "wss"
        else await trio.open_tcp_stream(host, port)
    )
    key = base64.b64encode(os.urandom(16)).decode()
    await stream.send_all(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(_READ_BYTES)
    return stream, head.partition(b"\r\n\r\n")[2]


def _masked(message: bytes) -> bytes:
    """One client frame; a mask of zeros leaves the text as it is."""
    return b"\x81\xff" + len(message).to_bytes(8, "big") + bytes(4) + message


def _context(task: Task) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=task.certificate) if task.certificate else None


def contend(task: Task, meter: Meter) -> None:
    """One of the three."""
    trio.run({"get_message": get_message, "scanner": scanner, "wake": wake}[task.options["how"]], task, meter)


if __name__ == "__main__":
    run(contend)
