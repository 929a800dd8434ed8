"""nautilus_trader, its Python side: the ``WebSocketClient`` of its network layer and a handler in Python.

As its adapters use it: the client (Rust, tokio) calls the handler with the bytes of each message, which decodes with
msgspec as all its adapters do, checks the id and counts. Left out, in its favour: the ``QuoteTick`` that an adapter
makes and the engines behind it. It offers no compression.
"""

import asyncio
from typing import Any

import msgspec
from nautilus_trader.core.nautilus_pyo3 import WebSocketClient, WebSocketConfig

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, run_loop, subscribe
from benchmarks.contenders.peer_struct import Update


async def _main(task: Task, meter: Meter) -> None:
    decode, take = msgspec.json.Decoder(Update).decode, app(meter)

    def handle(raw: bytes) -> None:
        message = decode(raw)
        if message.type == "MARKET_DATA":
            take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)

    loop, done = asyncio.get_running_loop(), asyncio.Event()
    meter.on_done = lambda: loop.call_soon_threadsafe(done.set)
    config = WebSocketConfig(url=task.ws_url, handler=handle, headers=[], heartbeat=60)
    client: Any = await WebSocketClient.connect(config=config)
    await client.send_text(subscribe(task).encode())
    await done.wait()


def contend(task: Task, meter: Meter) -> None:
    """Connect and wait."""
    run_loop(_main, task, meter)


if __name__ == "__main__":
    run(contend)
