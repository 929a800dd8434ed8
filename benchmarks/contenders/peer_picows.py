"""picows, bare: a listener whose ``on_ws_frame`` decodes in place from the frame's memory, checks and counts.

The lowest level that picows offers and the fastest way to use it: no task, no queue, no await per message. What gapless
aims for, with its own guarantees on top. It offers no compression on this level.
"""

import asyncio

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, run_loop, subscribe
from benchmarks.contenders.peer_struct import Update


class Listener(WSListener):
    """The callback."""

    def __init__(self, task: Task, meter: Meter) -> None:
        self._subscribe = subscribe(task).encode()
        self._decode = msgspec.json.Decoder(Update).decode
        self._take = app(meter)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        transport.send(WSMsgType.TEXT, self._subscribe)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """One frame."""
        if frame.msg_type == WSMsgType.TEXT:
            message = self._decode(frame.get_payload_as_memoryview())
            if message.type == "MARKET_DATA":
                self._take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)


async def _main(task: Task, meter: Meter) -> None:
    done = asyncio.Event()
    meter.on_done = done.set
    await ws_connect(lambda: Listener(task, meter), task.ws_url, read_buffer_init_size=65_536)
    await done.wait()


def contend(task: Task, meter: Meter) -> None:
    """Connect and wait."""
    run_loop(_main, task, meter)


if __name__ == "__main__":
    run(contend)
