"""aiohttp, bare: ``async for message in session.ws_connect(...)``, msgspec, the check, the count. One task.

As its documentation shows it; the parser is its C extension.
"""

import aiohttp
import msgspec

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, run_loop, subscribe
from benchmarks.contenders.peer_struct import Update


async def _main(task: Task, meter: Meter) -> None:
    decode, take = msgspec.json.Decoder(Update).decode, app(meter)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(task.ws_url, compress=15 if task.deflate else 0) as socket,
    ):
        await socket.send_str(subscribe(task))
        async for frame in socket:
            message = decode(frame.data)
            if message.type == "MARKET_DATA":
                take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)
                if meter.done.is_set():
                    return


def contend(task: Task, meter: Meter) -> None:
    """Connect and read."""
    run_loop(_main, task, meter)


if __name__ == "__main__":
    run(contend)
