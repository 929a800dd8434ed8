"""One stream falls silent while others go on, or all do: when it is found, and when its first datum comes over REST.

``found_ms``: from the end of the idle window (after the last live datum of the silent stream) to the first REST request
for it. ``datum_ms``: from that request to the first datum over REST in the app's hands; ``round_trip_ms`` is the part
that the request itself took. With ``others_per_s`` 0 there is one stream, so the connection itself is silent.
"""

import time
from math import inf

import trio

from benchmarks.contenders.gapless_full import transport_of
from benchmarks.frames import symbols
from benchmarks.measures.task import Figures, Task, WatchedClient, run
from gapless.controller import MarketData, NetworkConfig, Source, Stream, open_controller

_IDLE_S = 2.0
_STREAMS = 100
_LONE_PER_S = 20


def silence(task: Task) -> Figures:
    """Find one silence."""
    others = task["others_per_s"]
    count, rate = (_STREAMS, others) if others else (1, _LONE_PER_S)
    burst = max(1, rate // 1_000)
    query = f"symbols={count}&rate={rate}&burst={burst}&mute={2 * rate}"
    names = symbols(count)
    figures: Figures = {}

    async def main() -> None:
        watched, last_live_at, datum_at = WatchedClient(), -inf, inf
        with trio.fail_after(60):
            async with open_controller(
                ws_url=f"{task['ws_url']}?{query}",
                rest_url=task["rest_url"],
                streams=[Stream("ticker", name) for name in names],
                transport=transport_of(task["transport"]),
                config=NetworkConfig(ws_idle_timeout=_IDLE_S),
                http=watched.http,
            ) as controller:
                async for batch in controller.batches():
                    now = time.monotonic()
                    for event in batch:
                        if type(event) is not MarketData or event.symbol != names[0]:
                            continue
                        if event.source is Source.LIVE:
                            last_live_at = now
                        elif now > last_live_at + _IDLE_S:
                            datum_at = min(datum_at, now)
                    if datum_at < inf:
                        break
                figures["skipped"] = controller.stats.skipped
        sent, answered = watched.first_after(last_live_at, names[0])
        figures["found_ms"] = (sent - last_live_at - _IDLE_S) * 1e3
        figures["datum_ms"] = (datum_at - sent) * 1e3
        figures["round_trip_ms"] = (answered - sent) * 1e3

    trio.run(main)
    return figures


if __name__ == "__main__":
    run(silence)
