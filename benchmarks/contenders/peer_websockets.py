"""websockets: ``async for message in connect(...)``, msgspec, the check, the count. One task.

Option ``runtime``: ``asyncio``, ``trio`` (its trio implementation), or ``sansio`` (its Sans-I/O protocol, public, over
a trio stream, 64 KiB a read). With asyncio and trio, ``max_queue`` is raised from 16 frames, as its documentation
advises for bursts.
"""

import msgspec

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, run_loop, subscribe
from benchmarks.contenders.peer_struct import Update

_QUEUE = 1_024


async def _asyncio(task: Task, meter: Meter) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415  # one runtime a process

    decode, take = msgspec.json.Decoder(Update).decode, app(meter)
    compression = "deflate" if task.deflate else None
    async with connect(task.ws_url, compression=compression, max_queue=_QUEUE) as socket:
        await socket.send(subscribe(task))
        while not meter.done.is_set():
            message = decode(await socket.recv(decode=False))
            if message.type == "MARKET_DATA":
                take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)


async def _trio(task: Task, meter: Meter) -> None:
    from websockets.trio.client import connect  # noqa: PLC0415

    decode, take = msgspec.json.Decoder(Update).decode, app(meter)
    compression = "deflate" if task.deflate else None
    async with connect(task.ws_url, compression=compression, max_queue=_QUEUE) as socket:
        await socket.send(subscribe(task))
        while not meter.done.is_set():
            message = decode(await socket.recv(decode=False))
            if message.type == "MARKET_DATA":
                take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)


async def _sansio(task: Task, meter: Meter) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415

    import trio  # noqa: PLC0415
    from websockets.client import ClientProtocol  # noqa: PLC0415
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory  # noqa: PLC0415
    from websockets.frames import Frame, Opcode  # noqa: PLC0415
    from websockets.uri import parse_uri  # noqa: PLC0415

    decode, take = msgspec.json.Decoder(Update).decode, app(meter)
    parts = urlsplit(task.ws_url)
    opened = trio.open_ssl_over_tcp_stream if parts.scheme == "wss" else trio.open_tcp_stream
    stream = await opened(parts.hostname, parts.port)
    extensions = [ClientPerMessageDeflateFactory()] if task.deflate else None
    protocol = ClientProtocol(parse_uri(task.ws_url), extensions=extensions)
    protocol.send_request(protocol.connect())
    subscribed = False
    while not meter.done.is_set():
        for data in protocol.data_to_send():
            await stream.send_all(data)
        protocol.receive_data(await stream.receive_some(65_536))
        for event in protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                message = decode(event.data)
                if message.type == "MARKET_DATA":
                    take(message.channel, message.symbol, message.sequence_id, message.price, message.volume_24h)
            elif not subscribed:
                subscribed = True
                protocol.send_text(subscribe(task).encode())


def contend(task: Task, meter: Meter) -> None:
    """Connect and read."""
    runtime = task.options["runtime"]
    if runtime == "asyncio":
        run_loop(_asyncio, task, meter)
    else:
        import trio  # noqa: PLC0415

        trio.run(_trio if runtime == "trio" else _sansio, task, meter)


if __name__ == "__main__":
    run(contend)
