"""gapless itself: the full controller, with leases, ledger, state machine, idle watch, heartbeat and delivery.

Opened by ``open_controller`` with the default configuration, as any app does. Options: ``transport`` is
``trio-websocket`` or ``wire``; ``consume`` is ``batches`` (``async for batch in controller.batches()``) or ``events``
(``async for event in controller``). It decodes with its adapter, checks with its ledger, and the app gets typed events.
"""

import ssl

import trio

from benchmarks.contenders.meter import Meter, Task, run
from gapless.controller import ConnectionController, MarketData, NetworkConfig, Stream, open_controller
from gapless.controller.transports import Transport, TrioWebsocketTransport, WireTransport


def transport_of(name: str, certificate: str = "") -> Transport:
    """A transport by name."""
    size_max = NetworkConfig().message_size_max
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    if name == "trio-websocket":
        return TrioWebsocketTransport(message_size_max=size_max, ssl_context=context)
    return WireTransport(message_size_max=size_max, ssl_context=context)


async def _batches(controller: ConnectionController, meter: Meter) -> None:
    n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample
    async for batch in controller.batches():
        for event in batch:
            if type(event) is MarketData:
                _ = event.price
                if timed:
                    sample(event.volume_24h or 0.0)
                n += 1
        if n >= next_at:
            next_at = meter.reached(n)
            if meter.done.is_set():
                return


async def _events(controller: ConnectionController, meter: Meter) -> None:
    n, next_at, timed, sample = 0, meter.next_at, meter.timed, meter.sample
    async for event in controller:
        if type(event) is MarketData:
            _ = event.price
            if timed:
                sample(event.volume_24h or 0.0)
            n += 1
            if n >= next_at:
                next_at = meter.reached(n)
                if meter.done.is_set():
                    return


def contend(task: Task, meter: Meter) -> None:
    """Open a controller and consume."""
    consume = _batches if task.options["consume"] == "batches" else _events

    async def main() -> None:
        async with open_controller(
            ws_url=task.ws_url,
            rest_url=task.rest_url,
            streams=[Stream("ticker", name) for name in task.names],
            transport=transport_of(task.options["transport"], task.certificate),
        ) as controller:
            await consume(controller, meter)
            stats = controller.stats
            if stats.gaps_found or stats.skipped:
                meter.notes = {"gaps": stats.gaps_found, "skipped": stats.skipped, "backfilled": stats.backfilled}

    trio.run(main)


if __name__ == "__main__":
    run(contend)
