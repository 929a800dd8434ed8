"""The server process is killed and started again on its ports: how long from its first moment until CONNECTED.

The attempt at once, which a proven link earns, meets a closed port; the next one waits its jittered second. So the
figure is mostly chance between 0 and 1 s, by design: a thousand clients must not come back in one instant.
"""

import random
import time
from contextlib import ExitStack

import trio

from benchmarks.contenders.gapless_full import transport_of
from benchmarks.frames import symbols
from benchmarks.measures.task import Figures, Task, run
from benchmarks.processes import processors, server
from gapless.controller import State, Stream, open_controller

_EARNED_S = 5.5
_DOWN_S = 0.5


def restart(task: Task) -> Figures:
    """Kill a server once."""
    port = random.randrange(20_000, 30_000)
    (name,) = symbols(1)
    figures: Figures = {}

    async def main() -> None:
        with trio.fail_after(60), ExitStack() as first, ExitStack() as second:
            addresses = first.enter_context(server(port=port, cpu=processors()[0]))
            async with open_controller(
                ws_url=f"{addresses['ws_url']}?symbols=1&rate=1000",
                rest_url=addresses["rest_url"],
                streams=[Stream("ticker", name)],
                transport=transport_of(task["transport"]),
                on_message=lambda _: None,
            ) as controller:
                await controller.wait_for(State.CONNECTED)
                await trio.sleep(_EARNED_S)
                await trio.to_thread.run_sync(first.close)
                await trio.sleep(_DOWN_S)
                await trio.to_thread.run_sync(second.enter_context, server(port=port, cpu=processors()[0]))
                begun_at = time.monotonic()
                await controller.wait_for(State.CONNECTED)
                figures["connected_ms"] = (time.monotonic() - begun_at) * 1e3

    trio.run(main)
    return figures


if __name__ == "__main__":
    run(restart)
