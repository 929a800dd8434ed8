"""unicorn-binance-websocket-api on picows: a manager, a stream, a callback with parsed dicts.

``websocket_base_uri`` points to the measuring server, ``websocket_library="picows"``, ``output="dict"`` (its parser is
orjson) and ``process_stream_data`` gets each message, checks the id and counts. It subscribes by the address that it
builds itself, so what the server is told stands in front of it, and the server begins at once.
"""

from typing import Any
from urllib.parse import urlsplit

from unicorn_binance_websocket_api import BinanceWebSocketApiManager

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app


def contend(task: Task, meter: Meter) -> None:
    """Open a stream and wait."""
    take = app(meter)

    def handle(message: dict[str, Any]) -> None:
        if message["type"] == "MARKET_DATA":
            take(message["channel"], message["symbol"], message["sequence_id"], message["price"], message["volume_24h"])

    parts = urlsplit(task.ws_url)
    manager = BinanceWebSocketApiManager(
        websocket_base_uri=f"{parts.scheme}://{parts.netloc}/{parts.query}&auto=1/",
        websocket_library="picows",
        output_default="dict",
        warn_on_update=False,
        disable_colorama=True,
    )
    manager.create_stream("ticker", [name.replace("/", "") for name in task.names], process_stream_data=handle)
    meter.done.wait()


if __name__ == "__main__":
    run(contend)
