"""What peers share: the subscription they send, a typed decoder's target, the sequence check a user would write.

The check is the cheapest there is: a dict of the next id per stream. It knows no gaps, epochs or duplicates, so peers
do less here than gapless does. Where a peer brings no JSON parser of its own it gets msgspec with a typed struct, the
fastest there is; where it brings one, its own.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from benchmarks.contenders.meter import Meter, Task

try:
    import uvloop
except ImportError:
    uvloop = None


def subscribe(task: Task) -> str:
    """The one message that a client sends."""
    streams = [{"channel": "ticker", "symbol": name} for name in task.names]
    return json.dumps({"type": "SUBSCRIBE", "request_id": "s-1", "streams": streams})


Take = Callable[[str, str, int, object, float], None]
"""Channel, symbol, sequence id, price, stamp of one message."""


def app(meter: Meter) -> Take:
    """Check that ids are in sequence, and count: the app behind a peer's callback.

    The callback raises ValueError where an id is missing: nothing is dropped here, so the measurement is void.
    """
    expected: dict[tuple[str, str], int] = {}
    next_of, timed, sample, reached = expected.get, meter.timed, meter.sample, meter.reached
    count, next_at = 0, meter.next_at

    def take(channel: str, symbol: str, sequence_id: int, price: object, volume_24h: float) -> None:  # noqa: ARG001
        nonlocal count, next_at
        key = (channel, symbol)
        if next_of(key, sequence_id) != sequence_id:
            raise ValueError(f"{symbol}: expected id {expected[key]}, got {sequence_id}")
        expected[key] = sequence_id + 1
        if timed:
            sample(volume_24h)
        count += 1
        if count >= next_at:
            next_at = reached(count)

    return take


def run_loop(main: Callable[[Task, Meter], Awaitable[None]], task: Task, meter: Meter) -> None:
    """asyncio, on uvloop where its users have it."""
    if uvloop is not None and task.options.get("loop") == "uvloop":
        uvloop.install()
    asyncio.run(main(task, meter))  # type: ignore[arg-type]
