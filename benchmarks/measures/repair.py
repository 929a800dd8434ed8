"""Ids are missing: how long until they are filled, and what it costs. ``skip`` says which ids the server leaves out.

``repair_ms``: from the first ``GapFound`` to the last ``GapFilled`` in the app's hands. A page has 1,000 rows.
"""

import time

import trio

from benchmarks.contenders.gapless_full import transport_of
from benchmarks.frames import symbols
from benchmarks.measures.task import Figures, Task, WatchedClient, run
from gapless.controller import ContinuityLost, GapFilled, GapFound, MarketData, Stream, open_controller

_RATE, _BURST = 2_000, 20
_SETTLE_S = 0.3
_STEADY = 900
"""By this id the requests of the attempt, before live data flowed, are over: half a second of it."""


def repair(task: Task) -> Figures:
    """Lose ids once, and get them back."""
    (name,) = symbols(1)
    missing = sum(int(part.partition(":")[2]) for part in task["skip"].split(","))
    figures: Figures = {}

    async def main() -> None:
        watched, steady_at, found_at, filled, lost = WatchedClient(), 0.0, 0.0, 0, 0
        with trio.fail_after(60):
            async with open_controller(
                ws_url=f"{task['ws_url']}?symbols=1&rate={_RATE}&burst={_BURST}&skip={task['skip']}",
                rest_url=task["rest_url"],
                streams=[Stream("ticker", name)],
                transport=transport_of(task["transport"]),
                http=watched.http,
            ) as controller:
                async for batch in controller.batches():
                    for event in batch:
                        if type(event) is MarketData and event.sequence_id == _STEADY:
                            steady_at = time.monotonic()
                        elif type(event) is GapFound and not found_at:
                            found_at = time.monotonic()
                        elif type(event) is GapFilled:
                            filled += event.end_seq - event.start_seq + 1
                        elif type(event) is ContinuityLost:
                            lost += 1
                    if filled + lost >= missing:
                        break
                figures["repair_ms"] = (time.monotonic() - found_at) * 1e3
                await trio.sleep(_SETTLE_S)
        figures["requests"] = watched.count_after(steady_at)
        figures["lost"] = lost

    trio.run(main)
    return figures


if __name__ == "__main__":
    run(repair)
