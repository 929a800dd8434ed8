"""Many feeds in one process: CPU and memory of each, for gapless and for what one would write by hand.

``kind`` ``bare``: trio-websocket clients, each with a task that reads (the same decoder, the same ledger), one that
sends a PING every 10 s and waits for its PONG, and one that watches for silence by deadline. ``kind`` ``gapless``: full
controllers that share one httpx client and one limiter. ``per_s`` messages a second each; 0: one message, then nothing.
"""

import gc
import resource
import time
from pathlib import Path

import httpx
import msgspec
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from benchmarks.contenders.gapless_full import transport_of
from benchmarks.frames import symbols
from benchmarks.measures.task import Figures, Task, run
from gapless.controller import NetworkConfig, State, Stream, open_controller
from gapless.controller.exchanges.reference_wire import Frame, MarketDataFrame, PongFrame
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.transports import Transport

_HEARTBEAT_S, _PATIENCE_S, _IDLE_S = 10.0, 5.0, 60.0
_AT_ONCE = 20
"""Clients that dial at the same time."""
_SETTLE_S = 3.0
_SUBSCRIBE = '{"type":"SUBSCRIBE","request_id":"s-1","streams":[{"channel":"ticker","symbol":"S0000/USD"}]}'
_DECODER: "msgspec.json.Decoder[Frame]" = msgspec.json.Decoder(Frame)


class BareClient:
    """What one would write by hand: nothing but a live socket, its heartbeat and its idle watch."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ledger = StreamLedger()
        self._last_at = 0.0
        self._pong = trio.Event()
        self._pings = 0

    async def run(self, ready: trio.Event) -> None:
        """Connect and stay."""
        async with open_websocket_url(self._url) as socket, trio.open_nursery() as nursery:
            await socket.send_message(_SUBSCRIBE)
            self._last_at = trio.current_time()
            nursery.start_soon(self._heartbeat, socket)
            nursery.start_soon(self._watch)
            while True:
                message = _DECODER.decode(await socket.get_message())
                self._last_at = trio.current_time()
                if type(message) is MarketDataFrame and message.sequence_id is not None:
                    self._ledger.accept(message.sequence_id)
                    ready.set()
                elif type(message) is PongFrame:
                    self._pong.set()

    async def _heartbeat(self, socket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(_HEARTBEAT_S)
            self._pings += 1
            self._pong = trio.Event()
            await socket.send_message(f'{{"type":"PING","request_id":"p-{self._pings}"}}')
            with trio.fail_after(_PATIENCE_S):
                await self._pong.wait()

    async def _watch(self) -> None:
        while (due_at := self._last_at + _IDLE_S) > trio.current_time():  # noqa: ASYNC110  # a deadline, not a poll
            await trio.sleep_until(due_at)
        raise TimeoutError("silent")


async def _controller(
    url: str, rest_url: str, transport: Transport, http: httpx.AsyncClient, ready: trio.Event
) -> None:
    config = NetworkConfig(heartbeat_interval=_HEARTBEAT_S, heartbeat_timeout=_PATIENCE_S, ws_idle_timeout=_IDLE_S)
    streams = [Stream("ticker", name) for name in symbols(1)]
    async with open_controller(
        ws_url=url, rest_url=rest_url, streams=streams, config=config, transport=transport, http=http
    ) as controller:
        async for _ in controller.batches():
            if controller.state is State.CONNECTED:
                ready.set()


def many(task: Task) -> Figures:
    """Open them, let them settle, measure."""
    rate = task["per_s"]
    url = f"{task['ws_url']}?symbols=1&" + (f"rate={rate}" if rate else "rate=1&count=1")
    figures: Figures = {}

    async def main() -> None:
        transport = transport_of(task["transport"])
        async with httpx.AsyncClient(trust_env=False) as http, trio.open_nursery() as nursery:
            gc.collect()
            before_kib = rss_kib()
            for start in range(0, task["clients"], _AT_ONCE):
                waiting = [trio.Event() for _ in range(min(_AT_ONCE, task["clients"] - start))]
                for ready in waiting:
                    if task["kind"] == "bare":
                        nursery.start_soon(BareClient(url).run, ready)
                    else:
                        nursery.start_soon(_controller, url, task["rest_url"], transport, http, ready)
                with trio.fail_after(30):
                    for ready in waiting:
                        await ready.wait()
            await trio.sleep(_SETTLE_S)
            gc.collect()
            figures["kib_each"] = (rss_kib() - before_kib) / task["clients"]
            cpu, begun_at = time.process_time(), time.monotonic()
            await trio.sleep(task["seconds"])
            figures["cpu_percent"] = (time.process_time() - cpu) / (time.monotonic() - begun_at) * 100
            nursery.cancel_scope.cancel()

    trio.run(main)
    return figures


def rss_kib() -> int:
    """Resident memory now; its peak where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    run(many)
